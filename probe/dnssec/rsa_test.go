package dnssec

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
	"testing"
	"time"

	"github.com/miekg/dns"
)

// largeKey signs with an RSA key of any exponent, which crypto/rsa cannot.
type largeKey struct {
	rsaPublicKey
	private *big.Int
}

// newLargeKey makes an RSA key of a size with an exponent.
func newLargeKey(tb testing.TB, bits int, exponent *big.Int) *largeKey {
	tb.Helper()
	one := big.NewInt(1)
	for range 100 {
		p, errP := rand.Prime(rand.Reader, bits/2)
		q, errQ := rand.Prime(rand.Reader, bits-bits/2)
		if err := errors.Join(errP, errQ); err != nil {
			tb.Fatal(err)
		}
		n := new(big.Int).Mul(p, q)
		phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
		if d := new(big.Int).ModInverse(exponent, phi); d != nil && n.BitLen() == bits {
			return &largeKey{rsaPublicKey{n, exponent}, d}
		}
	}
	tb.Fatal("no key")
	return nil
}

// Public returns a public key of the type by which miekg/dns recognizes RSA.
func (k *largeKey) Public() crypto.PublicKey { return &rsa.PublicKey{N: k.modulus, E: 3} }

// Sign makes a signature of RSASSA-PKCS1-v1_5.
func (k *largeKey) Sign(_ io.Reader, digest []byte, options crypto.SignerOpts) ([]byte, error) {
	size := (k.modulus.BitLen() + 7) / 8
	tail := append(append([]byte{0}, digestInfos[options.HashFunc()]...), digest...)
	message := append([]byte{0, 1}, bytes.Repeat([]byte{0xff}, size-2-len(tail))...)
	m := new(big.Int).SetBytes(append(message, tail...))
	return m.Exp(m, k.private, k.modulus).FillBytes(make([]byte, size)), nil
}

// field returns the public key field of RFC 3110 §2.
func (k *rsaPublicKey) field() []byte {
	exponent := k.exponent.Bytes()
	length := []byte{byte(len(exponent))}
	if len(exponent) > 255 {
		length = []byte{0, byte(len(exponent) >> 8), byte(len(exponent))}
	}
	return append(append(length, exponent...), k.modulus.Bytes()...)
}

// power returns 2^n + 1.
func power(n uint) *big.Int {
	return new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), n), big.NewInt(1))
}

// TestRSAExponents checks that signatures verify for exponents up to 128 bits, in
// any form that RFC 3110 §2 allows. A larger exponent is a limit of this program.
func TestRSAExponents(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name      string
		bits      int
		exponent  *big.Int
		algorithm uint8
		status    Status
		why       string
	}{
		{"3", 1024, big.NewInt(3), dns.RSASHA256, Secure, ""},
		{"65537", 1024, power(16), dns.RSASHA256, Secure, ""},
		{"of 31 bits, the most for crypto/rsa", 1024, big.NewInt(1<<31 - 1), dns.RSASHA256, Secure, ""},
		{"of 32 bits", 1024, power(31), dns.RSASHA256, Secure, ""},
		{"2^32+1, as in the KSK of a top-level domain", 2048, power(32), dns.RSASHA256, Secure, ""},
		{"2^32+1 with SHA-512", 1024, power(32), dns.RSASHA512, Secure, ""},
		{"2^32+1 with SHA-1", 1024, power(32), dns.RSASHA1, Secure, ""},
		{"of 64 bits", 1024, power(63), dns.RSASHA256, Secure, ""},
		{"of 65 bits", 1024, power(64), dns.RSASHA256, Secure, ""},
		{"of 128 bits, the most", 1024, power(127), dns.RSASHA256, Secure, ""},
		{"of 128 bits with a modulus of 1023", 1023, power(127), dns.RSASHA256, Secure, ""},
		{"of 129 bits", 1024, power(128), dns.RSASHA256, Indeterminate, "its exponent has 129 bits, and at most 128 are supported"},
		{"of 1000 bits", 1024, power(999), dns.RSASHA256, Indeterminate, "cannot be verified here"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			private := newLargeKey(t, c.bits, c.exponent)
			public := &dns.DNSKEY{Hdr: dns.RR_Header{Name: "example."}, Flags: 256, Protocol: 3, Algorithm: c.algorithm,
				PublicKey: base64.StdEncoding.EncodeToString(private.field())}
			set := []dns.RR{parse(t, "mx.example. 3600 IN A 192.0.2.1")}
			check := func(change func(*dns.RRSIG)) error {
				sig := &dns.RRSIG{Hdr: dns.RR_Header{Name: "mx.example.", Rrtype: dns.TypeRRSIG, Class: dns.ClassINET, Ttl: 3600},
					Algorithm: c.algorithm, SignerName: "example.", KeyTag: newKey(public).tag, OrigTtl: 3600,
					Inception: 1_700_000_000, Expiration: 1_700_100_000}
				if err := sig.Sign(private, set); err != nil {
					t.Fatal(err)
				}
				change(sig)
				options := Options{SHA1: SHA1Accept}.withDefaults()
				v := &validation{rules: rules{at: time.Unix(1_700_050_000, 0), options: options}, budget: newWorkBudget(defaultLimits(), nil)}
				_, err := v.authenticate(newReply(&dns.Msg{Answer: append([]dns.RR{set[0]}, sig)}, question{"mx.example.", dns.TypeA}).answer[0], []*key{newKey(public)}, "example.")
				return err
			}
			err := check(func(*dns.RRSIG) {})
			if c.status == Secure {
				if err != nil {
					t.Error(err)
				}
				if _, isBogus := asBogus(check(func(sig *dns.RRSIG) { sig.OrigTtl++ })); !isBogus {
					t.Error("the signature is valid with another TTL")
				}
				return
			}
			f, ok := errors.AsType[*fault](err)
			if !ok || f.status != c.status || !errors.Is(f.err, ErrLimit) || !bytes.Contains([]byte(f.why), []byte(c.why)) {
				t.Errorf("%v, want %s: %s", err, c.status, c.why)
			}
		})
	}
}

// TestRSALargeAgrees checks that the arithmetic for large exponents gives the results
// of crypto/rsa for small ones, for valid and for invalid signatures.
func TestRSALargeAgrees(t *testing.T) {
	t.Parallel()
	private, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	own := &rsaPublicKey{private.N, big.NewInt(int64(private.E))}
	for hash := range digestInfos {
		sum := digest(hash, []byte("data"))
		valid, err := rsa.SignPKCS1v15(nil, private, hash, sum)
		if err != nil {
			t.Fatal(err)
		}
		n := new(big.Int).SetBytes(valid)
		raw := func(message ...[]byte) []byte { // signs a message block as it is
			m := new(big.Int).SetBytes(bytes.Join(message, nil))
			return m.Exp(m, private.D, private.N).FillBytes(make([]byte, 128))
		}
		info := digestInfos[hash]
		padded := func(first ...byte) []byte {
			return append(first, bytes.Repeat([]byte{0xff}, 127-len(first)-len(info)-len(sum))...)
		}
		for name, signature := range map[string][]byte{
			"valid":                       valid,
			"built here":                  raw(padded(0, 1), []byte{0}, info, sum),
			"one bit wrong":               append(bytes.Clone(valid[:127]), valid[127]^1),
			"an octet less":               valid[1:],
			"an octet more":               append([]byte{0}, valid...),
			"empty":                       nil,
			"zeros":                       make([]byte, 128),
			"larger than the modulus":     n.Add(n, private.N).FillBytes(make([]byte, 129)),
			"the modulus":                 private.N.Bytes(),
			"another block type":          raw(padded(0, 2), []byte{0}, info, sum),
			"another digest":              raw(padded(0, 1), []byte{0}, info, bytes.Repeat([]byte{7}, len(sum))),
			"no separator":                raw(padded(0, 1), []byte{1}, info, sum),
			"padding that is too short":   raw([]byte{0, 1, 0xff, 0}, info, sum, make([]byte, 124-len(info)-len(sum))),
			"another octet in the middle": raw(padded(0, 1, 0xfe), []byte{0}, info, sum),
			"no digest info":              raw(append([]byte{0, 1}, bytes.Repeat([]byte{0xff}, 125-len(sum))...), []byte{0}, sum),
		} {
			standard, large := rsa.VerifyPKCS1v15(&private.PublicKey, hash, sum, signature), own.verifyLarge(hash, sum, signature)
			if (standard == nil) != (large == nil) {
				t.Errorf("%s, %s: crypto/rsa says %v, and this package %v", hash, name, standard, large)
			}
			if wantValid := name == "valid" || name == "built here"; wantValid != (large == nil) {
				t.Errorf("%s, %s: %v", hash, name, large)
			}
		}
	}
}

// TestRSAKeyFields checks which public key fields are keys.
func TestRSAKeyFields(t *testing.T) {
	modulus := power(1023).Bytes()
	for _, c := range []struct {
		name  string
		field []byte
		want  string // empty: valid
	}{
		{"an exponent of one octet", append([]byte{1, 3}, modulus...), ""},
		{"the length of the exponent in three octets", append([]byte{0, 0, 1, 3}, modulus...), ""},
		{"zeros before the exponent", append([]byte{5, 0, 0, 1, 0, 1}, modulus...), ""},
		{"nothing", nil, "empty"},
		{"no length", []byte{0, 1}, "truncated"},
		{"an exponent of no octets", append([]byte{0, 0, 0}, modulus...), "truncated"},
		{"no modulus", []byte{1, 3}, "truncated"},
		{"an even exponent", append([]byte{1, 4}, modulus...), "must be odd"},
		{"an exponent of 1", append([]byte{1, 1}, modulus...), "above 1"},
		{"an exponent of 0", append([]byte{1, 0}, modulus...), "must be odd"},
		{"an even modulus", []byte{1, 3, 0x80, 0}, "must be odd"},
		{"an exponent like the modulus", []byte{2, 0x81, 1, 0x81, 1}, "not smaller"},
		{"a modulus of 4096 bits", append([]byte{1, 3}, power(4095).Bytes()...), ""},
		{"a modulus of 4104 bits", append([]byte{1, 3}, power(4103).Bytes()...), "at most 4096"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := parseRSAKey(c.field)
			if (err == nil) != (c.want == "") || err != nil && !bytes.Contains([]byte(err.Error()), []byte(c.want)) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// BenchmarkRSAExponent verifies a signature for exponents of several sizes. x-f4 is
// the time as a multiple of that for the exponent 65537 with the same modulus.
func BenchmarkRSAExponent(b *testing.B) {
	for _, bits := range []int{2048, maxModulusBits} {
		var reference float64
		for _, exponent := range []*big.Int{power(16), power(32), power(63), power(127),
			new(big.Int).Sub(power(128), big.NewInt(2))} { // the last has 128 bits that are set
			b.Run(fmt.Sprintf("%d/%d-bits", bits, exponent.BitLen()), func(b *testing.B) {
				key := newLargeKey(b, bits, exponent)
				signature, err := key.Sign(nil, digest(crypto.SHA256, []byte("data")), crypto.SHA256)
				if err != nil {
					b.Fatal(err)
				}
				verify, err := rsaVerifier(crypto.SHA256, key.field())
				if err != nil {
					b.Fatal(err)
				}
				for b.Loop() {
					if err := verify([]byte("data"), signature); err != nil {
						b.Fatal(err)
					}
				}
				each := float64(b.Elapsed()) / float64(b.N)
				if reference == 0 {
					reference = each
				}
				b.ReportMetric(each/reference, "x-f4")
			})
		}
	}
}
