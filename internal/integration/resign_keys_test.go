//go:build integration

package integration

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/dnssec/transport"
)

// rsaKey is an RSA key of any size and exponent.
type rsaKey struct{ modulus, exponent, private *big.Int }

// newRSAKey makes a key. crypto/rsa supports neither small moduli nor large exponents.
func newRSAKey(t testing.TB, bits int, exponent *big.Int) *rsaKey {
	t.Helper()
	one := big.NewInt(1)
	for range 100 {
		p, errP := rand.Prime(rand.Reader, bits/2)
		q, errQ := rand.Prime(rand.Reader, bits-bits/2)
		if err := errors.Join(errP, errQ); err != nil {
			t.Fatal(err)
		}
		n := new(big.Int).Mul(p, q)
		phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
		if d := new(big.Int).ModInverse(exponent, phi); d != nil && n.BitLen() == bits {
			return &rsaKey{n, exponent, d}
		}
	}
	t.Fatal("no key")
	return nil
}

func (k *rsaKey) Public() crypto.PublicKey { return &rsa.PublicKey{N: k.modulus, E: 3} }

// Sign makes a signature of RSASSA-PKCS1-v1_5 over a SHA-256 digest (RFC 8017 §8.2.1).
func (k *rsaKey) Sign(_ io.Reader, digest []byte, _ crypto.SignerOpts) ([]byte, error) {
	info := []byte{0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20}
	if len(digest) != 32 {
		return nil, errors.New("not a SHA-256 digest")
	}
	size := (k.modulus.BitLen() + 7) / 8
	tail := append(append([]byte{0}, info...), digest...)
	m := new(big.Int).SetBytes(append(append([]byte{0, 1}, bytes.Repeat([]byte{0xff}, size-2-len(tail))...), tail...))
	return m.Exp(m, k.private, k.modulus).FillBytes(make([]byte, size)), nil
}

// dnskey returns the DNSKEY of a zone (RFC 3110 §2).
func (k *rsaKey) dnskey(zone string, flags uint16) *dns.DNSKEY {
	exponent := k.exponent.Bytes()
	field := append([]byte{byte(len(exponent))}, exponent...)
	return &dns.DNSKEY{Hdr: dns.RR_Header{Name: zone, Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET, Ttl: 300},
		Flags: flags, Protocol: 3, Algorithm: dns.RSASHA256, PublicKey: base64.StdEncoding.EncodeToString(append(field, k.modulus.Bytes()...))}
}

// TestKeySizes compares our verdict with Unbound's on zones with unusual RSA keys. A
// case with a difference names it; where there is none, both must agree.
func TestKeySizes(t *testing.T) {
	power := func(n uint) *big.Int { return new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), n), big.NewInt(1)) }
	f4 := power(16)
	for i, c := range []struct {
		name     string
		bits     int
		exponent *big.Int
		zskFlags uint16
		bySelf   bool // the zone-signing key signs the DNSKEY RRset too
		ours     dnssec.Status
		unbound  dnssec.Status
	}{
		{"2048 bits, exponent 65537", 2048, f4, dns.ZONE, false, dnssec.Secure, dnssec.Secure},
		{"exponent 3", 2048, big.NewInt(3), dns.ZONE, false, dnssec.Secure, dnssec.Secure},
		{"exponent 2^32+1", 2048, power(32), dns.ZONE, false, dnssec.Secure, dnssec.Secure},
		{"exponent 2^64+1", 2048, power(64), dns.ZONE, false, dnssec.Secure, dnssec.Secure},
		{"exponent of 128 bits", 2048, power(127), dns.ZONE, false, dnssec.Secure, dnssec.Secure},
		// A larger exponent is a limit of this program.
		{"exponent of 129 bits", 2048, power(128), dns.ZONE, false, dnssec.Indeterminate, dnssec.Secure},
		{"512 bits, the least of RFC 5702 §2.1", 512, f4, dns.ZONE, false, dnssec.Secure, dnssec.Secure},
		// RFC 5702 §2.1 forbids fewer than 512 bits. Neither validator follows it.
		{"504 bits", 504, f4, dns.ZONE, false, dnssec.Secure, dnssec.Secure},
		{"a zone-signing key with the REVOKE bit that does not sign the keys", 2048, f4, dns.ZONE | dns.REVOKE, false, dnssec.Secure, dnssec.Secure},
		// RFC 5011 §2.1: its signature over the keys revokes it. Unbound applies the
		// bit only to trust anchors.
		{"a zone-signing key with the REVOKE bit that signs the keys", 2048, f4, dns.ZONE | dns.REVOKE, true, dnssec.Bogus, dnssec.Secure},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, address := tempDir(t), netip.AddrFrom4([4]byte{127, 0, 9, byte(i + 1)})
			configureLoopback(t)
			ksk, zsk := newRSAKey(t, 2048, f4), newRSAKey(t, c.bits, c.exponent)
			const zone = "keys.test."
			keys := []dns.RR{ksk.dnskey(zone, dns.ZONE|dns.SEP), zsk.dnskey(zone, c.zskFlags)}
			var text strings.Builder
			sign := func(signer crypto.Signer, key *dns.DNSKEY, set ...dns.RR) dns.RR {
				sig := &dns.RRSIG{Hdr: dns.RR_Header{Ttl: 300}, Algorithm: dns.RSASHA256, KeyTag: key.KeyTag(), SignerName: zone,
					Inception: uint32(time.Now().Add(-time.Hour).Unix()), Expiration: uint32(time.Now().Add(time.Hour).Unix())}
				if err := sig.Sign(signer, set); err != nil {
					t.Fatal(err)
				}
				return sig
			}
			add := func(records ...dns.RR) {
				for _, rr := range records {
					fmt.Fprintln(&text, rr)
				}
			}
			for _, record := range []string{"keys.test. 300 SOA ns.keys.test. h.keys.test. 1 3600 600 86400 60", "keys.test. 300 NS ns.keys.test.",
				"ns.keys.test. 300 A 192.0.2.1", "keys.test. 300 TXT signed", "keys.test. 300 NSEC ns.keys.test. NS SOA TXT RRSIG NSEC DNSKEY"} {
				rr, err := dns.NewRR(record)
				if err != nil {
					t.Fatal(err)
				}
				add(rr, sign(zsk, keys[1].(*dns.DNSKEY), rr))
			}
			add(append(keys, sign(ksk, keys[0].(*dns.DNSKEY), keys...))...)
			if c.bySelf {
				add(sign(zsk, keys[1].(*dns.DNSKEY), keys...))
			}
			ds := keys[0].(*dns.DNSKEY).ToDS(dns.SHA256)
			file := writeFile(t, dir, "keys.zone", text.String())
			config := writeFile(t, dir, "unbound.conf", fmt.Sprintf(`server:
	directory: %q
	chroot: ""
	username: ""
	pidfile: ""
	use-syslog: no
	num-threads: 1
	interface: %s
	access-control: 127.0.0.0/8 allow
	do-ip6: no
	module-config: "validator iterator"
	local-zone: "test." nodefault
	trust-anchor: %q
auth-zone:
	name: "keys.test."
	zonefile: %q
	for-downstream: no
	for-upstream: yes
	fallback-enabled: no
remote-control:
	control-enable: no
`, dir, address, strings.ReplaceAll(ds.String(), "\t", " "), file))
			(&unbound{dir: dir, config: config, address: netip.AddrPortFrom(address, 53)}).start(t)
			upstream, err := transport.New([]string{address.String()}, transport.Options{})
			if err != nil {
				t.Fatal(err)
			}
			ours := dnssec.New(upstream, []dnssec.Anchor{*ds}, time.Now, dnssec.Options{}).Lookup(t.Context(), zone, dns.TypeTXT)
			reference := statusOf(query(t, address, zone, dns.TypeTXT))
			if ours.Status != c.ours || reference != c.unbound {
				t.Errorf("%s for us, want %s (%s); %s for Unbound, want %s", ours.Status, c.ours, ours.Why, reference, c.unbound)
			}
		})
	}
}
