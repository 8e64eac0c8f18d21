package report

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"dane_exporter/probe"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/starttls"
	"dane_exporter/probe/tlsa"
)

// hugeReport returns the largest report that a hostile domain can cause: hosts with
// endpoints, each with a chain of large certificates and a long dialogue, and records
// for each. All texts consist of the characters that grow most when they are escaped.
// The last record matches at every endpoint.
func hugeReport(hosts, endpoints, records int) *probe.Report {
	hostile := strings.Repeat(`<"&\`, 2000)
	errHostile := errors.New(hostile)
	r := &probe.Report{Target: probe.Target{Asked: hostile, Name: "hostile.example"}, Start: noon, Verdict: dane.Verdict{At: noon, Outcome: dane.Refused}}
	names := make([]string, 500)
	for i := range names {
		names[i] = fmt.Sprint(i, hostile[:240])
	}
	subject := pkix.Name{CommonName: hostile, Organization: names}
	for range 7500 {
		subject.Names = append(subject.Names, pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{1, 2, 3}, Value: "x"})
	}
	chain := &tlsa.Chain{}
	for i := range 40 {
		chain.Certificates = append(chain.Certificates, &x509.Certificate{
			Raw: bytes.Repeat([]byte{byte(i)}, 100<<10), RawSubjectPublicKeyInfo: bytes.Repeat([]byte{byte(i)}, 50<<10), SerialNumber: new(big.Int).Lsh(big.NewInt(1), 160),
			Subject: subject, Issuer: subject, DNSNames: names, NotBefore: noon, NotAfter: noon.Add(time.Hour),
		})
	}
	var transcript starttls.Transcript
	for range 256 {
		transcript = append(transcript, starttls.Line{Text: hostile[:2000]})
	}
	answer := func(name string) dnssec.Answer {
		a := dnssec.Answer{Name: name, Canonical: name, Status: dnssec.Bogus, Why: hostile, Err: errors.New("other " + hostile), Inconsistent: hostile, Server: hostile}
		for i := range 500 {
			a.Records = append(a.Records, &dns.TXT{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeTXT}, Txt: []string{fmt.Sprint(i, hostile[:200])}})
			a.EDE = append(a.EDE, hostile)
			a.Aliases = append(a.Aliases, dnssec.Alias{From: name, To: name})
		}
		for i := range 35 {
			link := dnssec.Link{Zone: fmt.Sprint(i, ".", name), Why: hostile}
			for range 2000 {
				link.DS = append(link.DS, dnssec.DS{Tag: 1})
				link.Keys = append(link.Keys, dnssec.Key{Tag: 1})
			}
			a.Chain = append(a.Chain, link)
		}
		return a
	}
	for h := range hosts {
		name := fmt.Sprintf("mx%d.hostile.example.", h)
		address := answer(name)
		service := &dane.Service{Port: 25, Protocol: "smtp", TLSA: []dane.TLSALookup{{Base: name, Answer: answer("_25._tcp." + name)}}}
		v := dane.ServiceVerdict{Host: name, Port: 25, Base: name, Outcome: dane.Refused, Names: names, Service: service}
		r.Facts.Hosts = append(r.Facts.Hosts, dane.Host{Name: name, A: &address, AAAA: &address})
		for i := range records {
			record := tlsa.Record{Usage: tlsa.DANEEE, Selector: tlsa.SPKI, MatchingType: tlsa.SHA512, Data: bytes.Repeat([]byte{byte(i)}, 64)}
			v.Records = append(v.Records, dane.RecordVerdict{Record: record, Usability: tlsa.Usable, Why: hostile, Matches: i == records-1})
		}
		for e := range endpoints {
			endpoint := dane.EndpointVerdict{Address: netip.AddrFrom4([4]byte{192, 0, byte(h), byte(e)}), Outcome: dane.Refused, PKIXErr: errors.New(hostile), Facts: &dane.Endpoint{
				Address: netip.AddrFrom4([4]byte{192, 0, byte(h), byte(e)}), Reached: dane.StageTLS, Chain: chain, SNI: hostile, TLSVersion: tls.VersionTLS13, Err: errHostile,
				Dialogue: starttls.Dialogue{Transcript: transcript},
			}}
			for i, record := range v.Records {
				depth := -1
				if i == records-1 {
					depth = 0
				}
				endpoint.Matches = append(endpoint.Matches, tlsa.Match{Record: record.Record, Matches: depth == 0, Depth: depth, Why: hostile})
			}
			v.Endpoints = append(v.Endpoints, endpoint)
			for _, reason := range []dane.Reason{dane.NullMX, dane.TLSAMismatch} {
				r.Verdict.Findings = append(r.Verdict.Findings, dane.Finding{Reason: reason, Host: name, Port: 25, Detail: hostile})
			}
			r.Verdict.Advice = append(r.Verdict.Advice, dane.Advice{Host: name, Detail: hostile})
		}
		for range 500 {
			v.Nameservers = append(v.Nameservers, dane.NameserverVerdict{Name: hostile, Why: hostile})
		}
		r.Verdict.Services = append(r.Verdict.Services, v)
	}
	for range 100 {
		d := &dane.Delegation{Zone: hostile, Parent: hostile, Requested: hostile, CDS: dane.Consistency{Why: hostile}, NS: dane.Consistency{Why: hostile}}
		d.Servers = slices.Repeat([]dane.NameserverVerdict{{Name: hostile, Why: hostile}}, 48)
		r.Facts.Delegations = append(r.Facts.Delegations, d)
	}
	return r
}

// TestDocumentIsBounded: the size of a Document and the time to make it do not grow
// with what a hostile domain sends. The parts that decide the outcome are kept.
func TestDocumentIsBounded(t *testing.T) {
	const limit = 4 << 20 // bytes of JSON, in which escapes double the text
	for _, test := range []struct{ hosts, endpoints, records int }{{1, 1, 1000}, {1, 60, 100}, {50, 4, 1000}, {200, 1, 1}} {
		t.Run(fmt.Sprintf("%d hosts with %d endpoints and %d records", test.hosts, test.endpoints, test.records), func(t *testing.T) {
			r := hugeReport(test.hosts, test.endpoints, test.records)
			start := time.Now()
			d := NewDocument(r)
			took := time.Since(start)
			text := d.Marshal()
			t.Logf("%v, %d bytes of JSON", took, len(text))
			if len(text) > limit {
				t.Errorf("%d bytes of JSON, want at most %d", len(text), limit)
			}
			if err := Text(io.Discard, r); err != nil {
				t.Error(err)
			}
			if len(d.Services) != test.hosts || len(d.Services[0].Endpoints) != test.endpoints {
				t.Errorf("%d services with %d endpoints", len(d.Services), len(d.Services[0].Endpoints))
			}
			if !slices.ContainsFunc(d.Findings, func(f Finding) bool { return f.Effect == "error" }) || len(d.Findings)+d.MoreFindings != len(r.Verdict.Findings) {
				t.Errorf("%d findings and %d more of %d", len(d.Findings), d.MoreFindings, len(r.Verdict.Findings))
			}
			s := d.Services[len(d.Services)-1]
			if len(s.Records)+s.MoreRecords != test.records || !slices.ContainsFunc(s.Records, func(r Record) bool { return r.Matches }) {
				t.Errorf("%d records and %d more of %d, or none that matches", len(s.Records), s.MoreRecords, test.records)
			}
			if len(s.Nameservers)+s.MoreNameservers != 500 {
				t.Errorf("%d nameservers and %d more", len(s.Nameservers), s.MoreNameservers)
			}
			if last := d.Delegations[len(d.Delegations)-1]; len(d.Delegations)+d.MoreDelegations != 100 || len(last.Nameservers)+last.MoreNameservers != 48 {
				t.Errorf("%d delegations and %d more; of the last %d nameservers and %d more", len(d.Delegations), d.MoreDelegations, len(last.Nameservers), last.MoreNameservers)
			}
			e := s.Endpoints[len(s.Endpoints)-1]
			if len(e.Matches)+e.MoreMatches != test.records || !slices.ContainsFunc(e.Matches, func(m Match) bool { return m.Matches && s.Records[m.Record].Matches && m.Served != "" }) {
				t.Errorf("%d matches and %d more of %d, or not the one that matches", len(e.Matches), e.MoreMatches, test.records)
			}
			if len(e.Certificates) == 0 || len(e.Certificates)+e.MoreCertificates != 40 || len(e.Certificates[0].Names)+e.Certificates[0].MoreNames != 500 {
				t.Errorf("%d certificates and %d more", len(e.Certificates), e.MoreCertificates)
			}
			if len(e.Dialogue)+e.MoreLines != 256 {
				t.Errorf("%d lines and %d more", len(e.Dialogue), e.MoreLines)
			}
			l := d.Lookups[len(d.Lookups)-1]
			if len(l.Records)+l.MoreRecords != 500 || len(l.Chain)+l.MoreLinks != 35 {
				t.Errorf("%d records and %d more, %d links and %d more", len(l.Records), l.MoreRecords, len(l.Chain), l.MoreLinks)
			}
		})
	}
}

// TestNamesOfManyAttributes: a certificate name with thousands of attributes takes
// little memory and time. pkix.Name.String takes 100 MB to render such a name.
func TestNamesOfManyAttributes(t *testing.T) {
	for label, oid := range map[string]asn1.ObjectIdentifier{"known type": {2, 5, 4, 11}, "other type": {1, 3, 6, 1, 4, 1, 99}} {
		var sequence pkix.RDNSequence
		for range 7500 {
			sequence = append(sequence, pkix.RelativeDistinguishedNameSET{{Type: oid, Value: "x"}})
		}
		r := mismatch(t)
		certificate := r.Verdict.Services[0].Endpoints[0].Facts.Chain.Certificates[0]
		certificate.Subject.FillFromRDNSequence(&sequence)
		certificate.Issuer.FillFromRDNSequence(&sequence)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		d := NewDocument(r)
		if err := Text(io.Discard, r); err != nil {
			t.Error(err)
		}
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > 4<<20 {
			t.Errorf("%s: %d bytes allocated", label, used)
		}
		if subject := d.Services[0].Endpoints[0].Certificates[0].Subject; len(subject) < maxName || len(subject) > maxName+4 {
			t.Errorf("%s: the subject has %d bytes: %s", label, len(subject), subject)
		}
	}
}

// TestOrdinaryDocumentIsComplete: the Document of a domain with a few hosts is
// complete.
func TestOrdinaryDocumentIsComplete(t *testing.T) {
	for _, target := range []string{"good.lab.test", "two-mx-one-broken.lab.test", "dane-ta.lab.test", "thousand-tlsa.lab.test"} {
		text := string(NewDocument(labReport(t, target)).Marshal())
		if cut := strings.Contains(text, `"more_`); cut != (target == "thousand-tlsa.lab.test") {
			t.Errorf("%s: cut: %t\n%s", target, cut, text)
		}
	}
}

func TestKeep(t *testing.T) {
	ranks := []int{2, 0, 1, 2, 0}
	for limit, want := range [][]int{{}, {1}, {1, 4}, {1, 2, 4}, {0, 1, 2, 4}, {0, 1, 2, 3, 4}} {
		if got := keep(len(ranks), limit, func(i int) int { return ranks[i] }, func(int) bool { return true }); !slices.Equal(got, want) {
			t.Errorf("limit %d: got %v, want %v", limit, got, want)
		}
	}
	left := 2
	if got := keep(len(ranks), 5, func(i int) int { return ranks[i] }, func(int) bool { left--; return left >= 0 }); !slices.Equal(got, []int{1, 4}) {
		t.Errorf("budget of two: got %v", got)
	}
}
