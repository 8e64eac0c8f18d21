package probe

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/mtasts"
	"dane_exporter/probe/starttls"
	"dane_exporter/probe/tlsa"
)

// TestBulk: whatever a zone or a server makes long is counted, and what a report
// refers to several times is counted once.
func TestBulk(t *testing.T) {
	long := strings.Repeat("x", 10_000)
	chain := [][]byte{make([]byte, 10_000)}
	answer := func(a dnssec.Answer) Report { return Report{Facts: Facts{MX: &a}} }
	service := func(s Service) Report { return Report{Facts: Facts{Hosts: []Host{{Services: []Service{s}}}}} }
	endpoints := func(all ...Endpoint) Report { return service(Service{Endpoints: all}) }
	verdict := func(v ServiceVerdict) Report { return Report{Verdict: Verdict{Services: []ServiceVerdict{v}}} }
	matches := []EndpointVerdict{{Matches: []tlsa.Match{{Why: long}}}}

	for _, story := range []struct {
		name        string
		report      Report
		least, most int // bytes beyond those of an empty report
	}{
		{"nothing", Report{}, 0, 0},
		{"a record", answer(dnssec.Answer{Records: []dns.RR{&dns.TXT{Txt: []string{long}}}}), 10_000, 30_000},
		{"why an answer is what it is", answer(dnssec.Answer{Why: long}), 10_000, 15_000},
		{"a chain of trust", answer(dnssec.Answer{Chain: make([]dnssec.Link, 50)}), 50 * 300, 50_000},
		{"a link of it", answer(dnssec.Answer{Chain: []dnssec.Link{{Why: long}}}), 10_000, 15_000},
		{"an extended error", answer(dnssec.Answer{EDE: []string{long}}), 10_000, 15_000},
		{"a dialogue", endpoints(Endpoint{Dialogue: starttls.Dialogue{Transcript: starttls.Transcript{{Text: long}}}}), 10_000, 15_000},
		{"a large certificate, which may be of many small things", endpoints(Endpoint{Raw: chain}), 120_000, 160_000},
		{"the same at another address", endpoints(Endpoint{Raw: chain}, Endpoint{Raw: chain}), 120_000, 160_000},
		{"a further handshake at the address", endpoints(Endpoint{Other: &Endpoint{Raw: chain}}), 120_000, 160_000},
		{"a certificate of no octets", endpoints(Endpoint{Raw: [][]byte{{}}}), 0, 5_000},
		{"name servers", service(Service{Authority: &Authority{Servers: make([]Nameserver, 16)}}), 16 * 1000, 100_000},
		{"a policy", Report{Facts: Facts{MTASTS: &MTASTS{Fetches: []PolicyFetch{{Fetched: mtasts.Fetched{Text: []byte(long)}}}}}}, 10_000, 20_000},
		{"a finding", Report{Verdict: Verdict{Findings: []Finding{{Detail: long}}}}, 10_000, 15_000},
		{"advice", Report{Verdict: Verdict{Advice: []Advice{{Detail: long}}}}, 10_000, 15_000},
		{"a record that is judged", verdict(ServiceVerdict{Records: []RecordVerdict{{Why: long}}}), 10_000, 15_000},
		{"a match", verdict(ServiceVerdict{Endpoints: matches}), 10_000, 15_000},
		{"a verdict for later", Report{Later: &Verdict{Services: []ServiceVerdict{{Endpoints: matches}}}}, 10_000, 15_000},
	} {
		bulk := story.report.Bulk() - new(Report).Bulk()
		if bulk < story.least || bulk > story.most {
			t.Errorf("%s: %d bytes, want %d to %d", story.name, bulk, story.least, story.most)
		}
	}
}

// TestBulkOfAMessage: a certificate holds the message that it came in, and what
// a server sent beside it there.
func TestBulkOfAMessage(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	served := keyed(t, key, err)
	served.SignedCertificateTimestamps = [][]byte{make([]byte, 60_000)}
	ours, theirs := net.Pipe()
	defer ours.Close()
	done := make(chan error, 1)
	go func() {
		defer theirs.Close()
		done <- tls.Server(theirs, &tls.Config{Certificates: []tls.Certificate{served}}).Handshake()
	}()
	ours.SetDeadline(time.Now().Add(time.Minute))
	session, err := secure(t.Context(), ours, "mx.example.org", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	var b bulk
	b.endpoint(&Endpoint{Raw: rawOf(session.certificates)})
	if b.bytes < 60_000 {
		t.Errorf("a handshake that holds 60000 bytes beside its certificate is taken for %d", b.bytes)
	}
}
