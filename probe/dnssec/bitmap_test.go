package dnssec

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// TestRawBitmaps checks that the signature over an NSEC or NSEC3 record covers its
// type bitmap as received. It checks that such a record proves what others prove.
func TestRawBitmaps(t *testing.T) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := private.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	public := &dns.DNSKEY{Hdr: dns.RR_Header{Name: "example."}, Flags: 256, Protocol: 3, Algorithm: dns.ECDSAP256SHA256,
		PublicKey: base64.StdEncoding.EncodeToString(point[1:])}
	apex := &zone{name: "example.", status: Secure, keys: []*key{newKey(public)}}
	const signedBitmap, otherBitmap = "0003400000", "0002400000" // A, with two octets of zero, and with one
	raw := func(owner string, rrtype uint16, rdata string) dns.RR {
		return &dns.RFC3597{Hdr: dns.RR_Header{Name: owner, Rrtype: rrtype, Class: dns.ClassINET, Ttl: 3600}, Rdata: rdata}
	}
	for _, c := range []struct {
		name, owner string
		rrtype      uint16
		rdata       string // without the bitmap
	}{
		{"NSEC", "a.example.", dns.TypeNSEC, "0162076578616d706c6500"},
		{"NSEC3", "35mthgpgcu1qg68fab165klnsnk3dpvl.example.", dns.TypeNSEC3, "0100000c04aabbccdd14" + "0000000000000000000000000000000000000000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			set := []dns.RR{raw(c.owner, c.rrtype, c.rdata+signedBitmap)}
			sig := &dns.RRSIG{Hdr: dns.RR_Header{Name: c.owner, Rrtype: dns.TypeRRSIG, Class: dns.ClassINET, Ttl: 3600},
				Algorithm: dns.ECDSAP256SHA256, SignerName: "example.", KeyTag: apex.keys[0].tag, OrigTtl: 3600,
				Inception: 1_700_000_000, Expiration: 1_700_100_000}
			if err := sig.Sign(private, set); err != nil {
				t.Fatal(err)
			}
			check := func(record dns.RR) *denial {
				v := &validation{rules: rules{at: time.Unix(1_700_050_000, 0), options: Options{}.withDefaults()},
					budget: newWorkBudget(defaultLimits(), nil), iterations: make(map[string]uint16)}
				d, err := v.denial(newReply(&dns.Msg{Ns: []dns.RR{record, dns.Copy(sig)}}, question{apex.name, dns.TypeA}), apex)
				if err != nil {
					t.Fatal(err)
				}
				return d
			}
			d := check(raw(c.owner, c.rrtype, c.rdata+signedBitmap))
			for qtype, want := range map[uint16]absence{dns.TypeA: unproven, dns.TypeMX: denied} {
				result, err := d.deny(question{"a.example.", qtype}, dns.RcodeSuccess)
				if err != nil || result.absence != want {
					t.Errorf("%s: %+v, %v: %s", typeName(qtype), result, err, d.why)
				}
			}
			if d := check(raw(c.owner, c.rrtype, c.rdata+otherBitmap[:4]+"0000")); !d.empty() {
				t.Error("the signature counts over another bitmap")
			}
			if d := check(parseRaw(raw(c.owner, c.rrtype, c.rdata+signedBitmap).(*dns.RFC3597))); !d.empty() {
				t.Error("the signature counts over the shortest bitmap")
			}
		})
	}
}
