package web

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"html"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"dane_exporter/collector"
	"dane_exporter/internal/config"
	"dane_exporter/internal/report"
	"dane_exporter/probe"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/mtasts"
	"dane_exporter/probe/starttls"
	"dane_exporter/probe/tlsa"

	"net/http/httptest"
)

// tape reads the bytes of the fuzzer, over and over, so that short inputs make
// complete facts too.
type tape struct {
	bytes []byte
	at    int
}

func (f *tape) next() byte {
	if len(f.bytes) == 0 {
		return 0
	}
	f.at++
	return f.bytes[(f.at-1)%len(f.bytes)]
}

func (f *tape) below(n int) int { return int(f.next()) % n }

// text returns arbitrary text, as a server may send it. It begins with an HTML
// element that no page may contain unescaped.
func (f *tape) text() string {
	var b strings.Builder
	b.WriteString("<x1>")
	for range f.below(40) {
		b.WriteByte(f.next())
	}
	return b.String()
}

// name returns a DNS name with arbitrary bytes.
func (f *tape) name() string {
	wire := []byte{}
	for range 1 + f.below(3) {
		size := 1 + f.below(20)
		wire = append(wire, byte(size))
		for range size {
			wire = append(wire, f.next())
		}
	}
	name, _, err := dns.UnpackDomainName(append(wire, 0), 0)
	if err != nil {
		return "example.org."
	}
	return dns.CanonicalName(name)
}

func (f *tape) address() netip.Addr {
	if f.below(2) == 0 {
		return netip.AddrFrom4([4]byte{192, 0, 2, f.next()})
	}
	return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: f.next()})
}

func (f *tape) time() time.Time {
	times := []time.Time{{}, time.Unix(0, 0), time.Unix(1<<31, 0), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), fuzzNoon().Add(time.Hour), fuzzNoon().Add(-time.Hour)}
	return times[f.below(len(times))]
}

func (f *tape) validity() dnssec.Validity {
	return dnssec.Validity{Inception: f.time(), Expiry: f.time(), Since: f.time()}
}

func fuzzNoon() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// err returns an error of any kind that a probe handles; often nil.
func (f *tape) err() error {
	text := f.text()
	errs := []error{nil, nil, nil, errors.New(text), fmt.Errorf("%s: %w", text, dnssec.ErrDeadline), dnssec.ErrLimit, dnssec.ErrUnreachable, dnssec.ErrStripped,
		&starttls.Rejected{Step: "STARTTLS", Reply: text}, &starttls.ProtocolError{Step: "greeting", Got: text}, starttls.ErrNotOffered,
		context.DeadlineExceeded, &net.OpError{Op: "dial", Err: errors.New(text)}, &dane.PanicError{Value: text, Stack: text}, probe.ErrNotAllowed, probe.ErrNoIPv6}
	return errs[f.below(len(errs))]
}

func (f *tape) answer(name string, records ...dns.RR) *dnssec.Answer {
	statuses := dnssec.Statuses()
	a := &dnssec.Answer{Name: name, Status: statuses[f.below(len(statuses))], Why: f.text(), Rcode: f.below(24), Canonical: name,
		TTL: time.Duration(f.next()) * time.Second, Server: f.text(), EDE: []string{f.text()}, Inconsistent: f.text()}
	if len(records) > 0 {
		a.Rcode, a.Type, a.Records = 0, records[0].Header().Rrtype, records
	}
	if f.below(3) == 0 {
		to := f.name()
		a.Aliases, a.Canonical = []dnssec.Alias{{From: name, To: to, Status: a.Status}}, to
	}
	if f.below(3) == 0 {
		a.Err = f.err()
	}
	for range f.below(3) {
		a.Chain = append(a.Chain, dnssec.Link{Zone: f.name(), Status: a.Status, Why: f.text(), Validity: f.validity(),
			Keys: []dnssec.Key{{Tag: uint16(f.next()), Algorithm: f.next()}}, DS: []dnssec.DS{{Tag: 7, Algorithm: f.next(), DigestType: f.next()}}})
	}
	return a
}

func (f *tape) tlsa(owner string) []dns.RR {
	var records []dns.RR
	for range f.below(4) {
		data := make([]byte, 32*f.below(3))
		for i := range data {
			data[i] = f.next()
		}
		records = append(records, &dns.TLSA{Hdr: dns.RR_Header{Name: owner, Rrtype: dns.TypeTLSA}, Usage: f.next() % 5, Selector: f.next() % 3,
			MatchingType: f.next() % 4, Certificate: hex.EncodeToString(data)})
	}
	return records
}

func (f *tape) endpoint() dane.Endpoint {
	e := dane.Endpoint{Address: f.address(), Reached: dane.Stage(f.below(4)), SNI: f.text(), TLSVersion: uint16(f.next()), Cipher: uint16(f.next()),
		Dialogue:      starttls.Dialogue{Offered: f.below(2) == 0, Transcript: starttls.Transcript{{Text: f.text()}, {Sent: true, Text: f.text()}}},
		TimedOutEarly: f.below(5) == 0, Skipped: f.below(5) == 0}
	if e.Reached < dane.StageTLS {
		if e.Err = f.err(); e.Err == nil {
			e.Err = errors.New(f.text())
		}
		return e
	}
	name := pkix.Name{CommonName: f.text(), Organization: []string{f.text()}}
	leaf := &x509.Certificate{Raw: []byte(f.text()), RawSubjectPublicKeyInfo: []byte(f.text()), SerialNumber: big.NewInt(int64(f.next()) - 100),
		Subject: name, Issuer: name, DNSNames: []string{f.text(), "mx.example.org"}, NotBefore: f.time(), NotAfter: f.time()}
	e.Raw, e.Chain = [][]byte{leaf.Raw}, &tlsa.Chain{Certificates: []*x509.Certificate{leaf}}
	return e
}

// report returns a report of arbitrary facts and the verdict on them.
func (f *tape) report(module probe.Module) *probe.Report {
	facts := dane.Facts{Complete: f.below(2) == 0, Denied: f.below(9) == 0}
	var mx []dns.RR
	for range f.below(4) {
		name := f.name()
		mx = append(mx, &dns.MX{Hdr: dns.RR_Header{Name: "example.org.", Rrtype: dns.TypeMX}, Preference: uint16(f.next()), Mx: name})
		host := dane.Host{Name: strings.TrimSuffix(name, ".")}
		address := f.address()
		if address.Is4() {
			host.A = f.answer(name, &dns.A{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeA}, A: address.AsSlice()})
		} else {
			host.AAAA = f.answer(name, &dns.AAAA{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeAAAA}, AAAA: address.AsSlice()})
		}
		owner := "_25._tcp." + name
		service := dane.Service{Port: 25, Protocol: "smtp", Preference: uint16(f.next()), TLSA: []dane.TLSALookup{{Base: host.Name, Answer: *f.answer(owner, f.tlsa(owner)...)}}}
		for range f.below(3) {
			service.Endpoints = append(service.Endpoints, f.endpoint())
		}
		service.TLSAResult = dane.DecideTLSA(service.TLSA)
		host.Services = []dane.Service{service}
		facts.Hosts = append(facts.Hosts, host)
	}
	facts.MX = f.answer("example.org.", mx...)
	if f.below(2) == 0 {
		facts.MTASTS = &dane.MTASTS{TXT: f.answer("_mta-sts.example.org."), RecordErr: f.err(), PolicyErr: f.err(),
			Record: mtasts.Record{ID: f.text()}, TLSRPT: dane.TLSRPT{Domain: f.text(), Err: f.err()}, Fetches: []dane.PolicyFetch{{Address: f.address(), Err: f.err()}}}
	}
	r := &probe.Report{Target: probe.Target{Asked: f.text(), Name: "example.org"}, Module: module, Start: fuzzNoon(), Duration: time.Second, Deadline: 30 * time.Second, Facts: facts,
		Rules: dane.Rules{Target: "example.org", Policy: module.Policy, Require: module.Require}}
	r.Verdict = dane.Judge(&r.Facts, r.Rules, fuzzNoon())
	return r.JudgedAt(f.time())
}

// FuzzRender renders reports with arbitrary text from servers and zones in every
// format. Metrics must parse, text must be printable, JSON must be readable, and
// pages must escape all of it.
func FuzzRender(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("the quick brown fox\x00\x1b[31m\"\\\n\r\u202e{}=,# HELP"))
	f.Add([]byte("\xff\xfe\x80<script>alert(1)</script>'\"&amp;"))
	for seed := byte(1); seed < 40; seed++ {
		var mixed []byte
		for i := range 200 {
			mixed = append(mixed, seed*byte(i*i+7)^byte(i))
		}
		f.Add(mixed)
	}
	server := fuzzServer(f)
	f.Fuzz(func(t *testing.T, input []byte) {
		var found *probe.Report
		s := server(func(module probe.Module) *probe.Report {
			found = (&tape{bytes: input}).report(module)
			return found
		})
		get := func(path, accept string) string {
			r := httptest.NewRequest("GET", path, nil)
			r.Header.Set("Accept", accept)
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			body, err := io.ReadAll(w.Result().Body)
			if w.Code != http.StatusOK || err != nil || !utf8.Valid(body) {
				t.Fatalf("%s: %d, %v\n%q", path, w.Code, err, body)
			}
			return string(body)
		}

		parser := expfmt.NewTextParser(model.UTF8Validation)
		if _, err := parser.TextToMetricFamilies(strings.NewReader(get("/probe?target=example.org", ""))); err != nil {
			t.Errorf("metrics: %v", err)
		}
		if body := get("/probe?target=example.org", string(expfmt.NewFormat(expfmt.TypeOpenMetrics))); !strings.HasSuffix(body, "\n# EOF\n") {
			t.Errorf("OpenMetrics without # EOF:\n%s", body)
		}
		if text := get("/probe?target=example.org&debug=true", ""); strings.ContainsFunc(text, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }) {
			t.Errorf("text is not printable: %q", text)
		}
		if _, err := report.ReadJSON(report.NewDocument(found).Marshal()); err != nil {
			t.Errorf("JSON: %v", err)
		}
		for _, path := range []string{"/", "/?list=probes", "/report?number=1"} {
			page := get(path, "")
			if strings.Contains(page, "<x1>") {
				t.Errorf("%s contains foreign text unescaped", path)
			}
			if strings.ContainsFunc(html.UnescapeString(page), func(r rune) bool { return unicode.Is(unicode.Cf, r) }) {
				t.Errorf("%s contains a format character: %q", path, page)
			}
		}
	})
}

// fuzzServer returns a function that makes a server for one report.
func fuzzServer(f *testing.F) func(func(probe.Module) *probe.Report) *Server {
	example, err := os.ReadFile("../../config.example.yml")
	if err != nil {
		f.Fatal(err)
	}
	c, err := config.Defaults(example)
	if err != nil {
		f.Fatal(err)
	}
	return func(newReport func(probe.Module) *probe.Report) *Server {
		registry := prometheus.NewPedanticRegistry()
		s := New(Options{
			Exporter:    collector.NewExporter(registry, "", func() dnssec.Stats { return dnssec.Stats{} }, noSelfChecks),
			SelfChecks:  noSelfChecks,
			Registry:    registry,
			Logger:      slog.New(slog.DiscardHandler),
			ProbeLogger: slog.New(slog.DiscardHandler),
			ExternalURL: &url.URL{Path: "/"}, RoutePrefix: "/", HistoryLimit: 4,
		})
		s.Use(c, proberFunc(func(_ context.Context, _ probe.Target, module probe.Module) *probe.Report { return newReport(module) }))
		return s
	}
}
