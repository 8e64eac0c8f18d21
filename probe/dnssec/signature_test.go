package dnssec

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// TestShortRSAKeys: RFC 3110 and 5702 allow keys from 512 bits on, and other
// validators believe them; Go's crypto/rsa does only with rsa1024min=0, which
// go.mod sets.
func TestShortRSAKeys(t *testing.T) {
	for _, bits := range []int{512, 768, 1000, 1024} {
		private, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		public := parse(t, "example. 3600 IN DNSKEY 256 3 8 AQ==").(*dns.DNSKEY)
		public.PublicKey = base64.StdEncoding.EncodeToString(append([]byte{3, 1, 0, 1}, private.N.Bytes()...))
		set := []dns.RR{parse(t, "mx.example. 3600 IN A 192.0.2.1")}
		sig := &dns.RRSIG{Hdr: dns.RR_Header{Name: "mx.example.", Rrtype: dns.TypeRRSIG, Class: dns.ClassINET, Ttl: 3600},
			Algorithm: dns.RSASHA256, SignerName: "example.", KeyTag: public.KeyTag(), OrigTtl: 3600,
			Inception: 1_700_000_000, Expiration: 1_700_100_000}
		if err := sig.Sign(private, set); err != nil {
			t.Fatal(err)
		}
		v := &validation{rules: rules{at: time.Unix(1_700_050_000, 0), options: Options{}.withDefaults()}, budget: newWorkBudget(defaultLimits(), nil)}
		signed := rrsets(append(set, sig))[0]
		if _, f := v.authenticate(signed, []*key{newKey(public)}, "example."); f != nil {
			t.Errorf("%d bits: %s", bits, f)
		}
	}
}
