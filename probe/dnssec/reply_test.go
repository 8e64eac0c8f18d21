package dnssec

import (
	"runtime"
	"testing"
	"time"
	"weak"

	"github.com/miekg/dns"
)

// TestRecordsDoNotRetainResponse checks that a reference to the records of an
// answer does not keep the rest of the response in memory: the zone chooses how
// large that is.
func TestRecordsDoNotRetainResponse(t *testing.T) {
	response := new(dns.Msg)
	record, err := dns.NewRR("mx.example.org. 300 IN A 192.0.2.1")
	if err != nil {
		t.Fatal(err)
	}
	response.Answer = append(response.Answer, record)
	var signatures []weak.Pointer[dns.RRSIG]
	for range 10 {
		sig := &dns.RRSIG{Hdr: dns.RR_Header{Name: "mx.example.org.", Rrtype: dns.TypeRRSIG, Class: dns.ClassINET}, TypeCovered: dns.TypeA, SignerName: "example.org."}
		signatures = append(signatures, weak.Make(sig))
		response.Answer = append(response.Answer, sig)
	}
	r := newReply(response)
	response = nil
	kept := r.find("mx.example.org.", dns.TypeA).records
	if n := len(r.answer[0].sigs); n != len(signatures) {
		t.Fatalf("%d signatures were parsed", n)
	}
	r = nil
	runtime.GC()
	for i, signature := range signatures {
		if signature.Value() != nil {
			t.Errorf("signature %d is still in memory", i)
		}
	}
	runtime.KeepAlive(kept)
}

// TestSeconds checks that a TTL with the top bit set is large, not zero.
func TestSeconds(t *testing.T) {
	for ttl, want := range map[uint32]time.Duration{0: 0, 300: 5 * time.Minute, 1<<31 - 1: (1<<31 - 1) * time.Second,
		1 << 31: 24 * time.Hour, 1<<32 - 1: 24 * time.Hour} {
		if got := seconds(ttl); got != want {
			t.Errorf("%d: %s, want %s", ttl, got, want)
		}
	}
}
