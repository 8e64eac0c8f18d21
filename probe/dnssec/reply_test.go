package dnssec

import (
	"encoding/base64"
	"runtime"
	"slices"
	"strings"
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
	r := newReply(response, question{"mx.example.org.", dns.TypeA})
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

// TestReplyKeepsOnlyWhatAnswers checks which records of a response are kept.
func TestReplyKeepsOnlyWhatAnswers(t *testing.T) {
	msg := new(dns.Msg)
	parseAll := func(lines string) (records []dns.RR) {
		for line := range strings.Lines(lines) {
			record, err := dns.NewRR(line)
			if err != nil {
				t.Fatal(err)
			}
			records = append(records, record)
		}
		return records
	}
	msg.Answer = parseAll(`www.example.org. 300 IN CNAME web.tree.example.org.
tree.example.org. 300 IN DNAME forest.example.net.
web.tree.example.org. 300 IN CNAME web.forest.example.net.
web.forest.example.net. 300 IN A 192.0.2.1
web.forest.example.net. 300 IN AAAA 2001:db8::1
www.example.org. 300 IN TXT "useless"
other.example.org. 300 IN A 192.0.2.2
other.example.org. 300 IN CNAME elsewhere.example.org.
elsewhere.example.org. 300 IN DNAME example.com.`)
	msg.Ns = parseAll(`example.net. 300 IN NS ns.example.net.
example.net. 300 IN SOA ns.example.net. host.example.net. 1 2 3 4 5
a.example.net. 300 IN NSEC c.example.net. A
a.example.net. 300 IN TXT "useless"`)
	var kept []string
	r := newReply(msg, question{"www.example.org.", dns.TypeA})
	for set := range r.sets() {
		kept = append(kept, set.String())
		if len(set.canonical) != 1 {
			t.Errorf("%s has %d records in canonical form", set, len(set.canonical))
		}
	}
	want := []string{"www.example.org. CNAME", "tree.example.org. DNAME", "web.tree.example.org. CNAME", "web.forest.example.net. A",
		"example.net. SOA", "a.example.net. NSEC"}
	if !slices.Equal(kept, want) {
		t.Errorf("kept %q, want %q", kept, want)
	}
}

// TestLargeSetsArePacked checks that DS and DNSKEY sets take memory in proportion to the
// message that they came in, and lose nothing.
func TestLargeSetsArePacked(t *testing.T) {
	header := func(rrtype uint16, ttl uint32) dns.RR_Header {
		return dns.RR_Header{Name: "example.", Rrtype: rrtype, Class: dns.ClassINET, Ttl: ttl}
	}
	for _, c := range []struct {
		name   string
		rrtype uint16
		record func(i int) dns.RR
		n      int
	}{
		{"DS records that no key matches", dns.TypeDS, func(i int) dns.RR {
			return &dns.DS{Hdr: header(dns.TypeDS, uint32(100+i)), KeyTag: uint16(i), Algorithm: 13, DigestType: 2, Digest: strings.Repeat("ab", 32)}
		}, 1300},
		{"DS records without a digest", dns.TypeDS, func(i int) dns.RR {
			return &dns.DS{Hdr: header(dns.TypeDS, 300), KeyTag: uint16(i), Algorithm: 200}
		}, 3500},
		{"keys", dns.TypeDNSKEY, func(i int) dns.RR {
			return &dns.DNSKEY{Hdr: header(dns.TypeDNSKEY, 300), Flags: 256, Protocol: 3, Algorithm: 13,
				PublicKey: base64.StdEncoding.EncodeToString(append([]byte{byte(i >> 8), byte(i)}, make([]byte, 62)...))}
		}, 800},
		{"a usual number of keys", dns.TypeDNSKEY, func(i int) dns.RR {
			return &dns.DNSKEY{Hdr: header(dns.TypeDNSKEY, 300), Flags: 256, Protocol: 3, Algorithm: uint8(i), PublicKey: "AAAA"}
		}, 12},
	} {
		t.Run(c.name, func(t *testing.T) {
			msg := new(dns.Msg)
			var texts []string
			lowest := time.Hour
			for i := range c.n {
				rr := c.record(i)
				lowest = min(lowest, seconds(rr.Header().Ttl))
				msg.Answer = append(msg.Answer, rr)
				texts = append(texts, strings.TrimPrefix(rr.String(), rr.Header().String()))
			}
			msg.Compress = true
			wire, err := msg.Pack()
			if err != nil || len(wire) > dns.MaxMsgSize {
				t.Fatalf("%d bytes, %v", len(wire), err)
			}
			r := newReply(msg, question{"example.", c.rrtype})
			set := r.find("example.", c.rrtype)
			if set.packed != (c.n > maxParsed) || set.packed && r.size > 4*len(wire) || set.ttl() != lowest {
				t.Errorf("packed %t, %d bytes for a message of %d, TTL %s", set.packed, r.size, len(wire), set.ttl())
			}
			var got []string
			for _, rr := range set.all() {
				got = append(got, strings.TrimPrefix(rr.String(), rr.Header().String()))
			}
			slices.Sort(got)
			slices.Sort(texts)
			if !slices.Equal(got, texts) {
				t.Errorf("got %d records, want %d", len(got), len(texts))
			}
		})
	}
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
