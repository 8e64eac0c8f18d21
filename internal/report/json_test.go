package report

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"dane_exporter/internal/lab"
	"dane_exporter/probe"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/tlsa"
)

var update = flag.Bool("update", false, "rewrite the golden file")

// TestJSONGolden pins the names and values of all fields, for a domain of the lab
// whose TLSA record does not match.
func TestJSONGolden(t *testing.T) {
	d := NewDocument(labReport(t, "tlsa-mismatch.lab.test"))
	makeReproducible(d)
	var written bytes.Buffer
	if err := d.Write(&written); err != nil {
		t.Fatal(err)
	}
	// The address of a domain depends on its position in the lab's table.
	got := bytes.ReplaceAll(written.Bytes(), []byte(d.Services[0].Endpoints[0].Address), []byte("192.0.2.1"))
	const file = "testdata/tlsa-mismatch.json"
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the JSON differs from %s; if that is intended, run go test ./internal/report -update\n%s", file, got)
	}
}

func labTime() time.Time { return time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC) }

// sharedLab is the lab at labTime. It takes long to create, and tests only read it.
var sharedLab = sync.OnceValues(func() (*lab.Lab, error) { return lab.New(labTime) })

// labReport probes a domain in the lab.
func labReport(t *testing.T, domain string) *probe.Report {
	t.Helper()
	l, err := sharedLab()
	if err != nil {
		t.Fatal(err)
	}
	prober := probe.New(probe.Environment{Now: labTime, Dial: l.Dial, DNS: l.DNS(), Query: l.Query, Anchors: l.Anchors(), Roots: l.Roots()},
		probe.Settings{Access: probe.Access{Targets: []string{"*"}, AllowNetworks: lab.Networks()}})
	module := probe.Module{Name: "smtp_mx", Discover: probe.DiscoverMX, Protocol: "smtp", Policy: dane.SMTPRelay, Require: dane.RequireDANE,
		Port: 25, Timeout: 20 * time.Second, IPProtocol: probe.IPAuto, SMTP: probe.SMTP{EHLO: "probe.lab.test"}}
	target, err := probe.ParseTarget(domain, "", module)
	if err != nil {
		t.Fatal(err)
	}
	return prober.Probe(context.Background(), target, module)
}

// makeReproducible replaces what differs between runs: durations, counters, and data
// of certificates, whose keys are created with the lab.
func makeReproducible(d *Document) {
	d.Start, d.Duration, d.Phases = d.At, 0.25, []Phase{{"lookup", 0.001, 0.1}, {"tls", 0.15, 0.25}}
	for i := range d.Lookups {
		d.Lookups[i].RTT, d.Lookups[i].Queries, d.Lookups[i].Signatures = 0.001, 1, 1
		for j := range d.Lookups[i].Records {
			d.Lookups[i].Records[j] = withoutData(d.Lookups[i].Records[j])
		}
	}
	for i := range d.Findings {
		d.Findings[i].Detail = "the detail"
	}
	for i := range d.Services {
		s := &d.Services[i]
		for j := range s.Records {
			s.Records[j].Data = "aa"
		}
		for j := range s.Publish {
			s.Publish[j].Record, s.Publish[j].Zone = withoutData(s.Publish[j].Record), withoutData(s.Publish[j].Zone)
		}
		for j := range s.Endpoints {
			e := &s.Endpoints[j]
			for k := range e.Certificates {
				e.Certificates[k].SHA256, e.Certificates[k].SPKI, e.Certificates[k].Serial, e.Certificates[k].Size = "bb", "cc", "dd", 400
			}
			for k := range e.Matches {
				e.Matches[k].Served, e.Matches[k].Why = "cc", "the why"
			}
		}
	}
}

func withoutData(record string) string {
	if i := strings.LastIndexByte(record, ' '); strings.Contains(record, "TLSA ") || strings.HasPrefix(record, "3 1 1") {
		return record[:i] + " cc"
	}
	return record
}

// TestRoundTrip decodes what was encoded.
func TestRoundTrip(t *testing.T) {
	r := mismatch(t)
	later := r.Verdict
	r.Later = &later
	r.Facts.MTASTS, r.Verdict.MTASTS = policyMismatch().Facts.MTASTS, policyMismatch().Verdict.MTASTS
	d := NewDocument(r)
	again, err := ReadJSON(d.Marshal())
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(again, d) {
		t.Errorf("got\n%s\nwant\n%s", again.Marshal(), d.Marshal())
	}
	var indented bytes.Buffer
	if err := JSON(&indented, r); err != nil {
		t.Fatal(err)
	}
	if again, err = ReadJSON(indented.Bytes()); err != nil || !reflect.DeepEqual(again, d) {
		t.Errorf("indented: %v", err)
	}
}

func TestReadJSON(t *testing.T) {
	for text, want := range map[string]string{
		`{"schema": 2}`: "schema 2, want 1",
		`{}`:            "schema 0, want 1",
		`nonsense`:      "decode a report: ",
	} {
		if d, err := ReadJSON([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v, want %q", text, d, err, want)
		}
	}
}

// TestNotMeasured checks that what was not measured is absent.
func TestNotMeasured(t *testing.T) {
	text := string(NewDocument(mismatch(t)).Marshal())
	for field, want := range map[string]bool{
		`"name_match":true`: true, `"pkix_valid":false`: true, `"rollover_ready":false`: true,
		"survives_renewal": false, "authenticated_until": false, "mta_sts": false, "later": false,
	} {
		if strings.Contains(text, field) != want {
			t.Errorf("%s: want %t in\n%s", field, want, text)
		}
	}
}

// TestServicePolicy checks that the policy is present only if it differs from the
// module's.
func TestServicePolicy(t *testing.T) {
	r := mismatch(t)
	if got := NewDocument(r).Services[0].Policy; got != "" {
		t.Errorf("with the module's policy: got %q", got)
	}
	r.Verdict.Services[0].Policy = dane.Client
	if got := NewDocument(r).Services[0].Policy; got != "client" {
		t.Errorf("got %q, want client", got)
	}
}

// TestServicesOfOnePort checks that two protocols on one port keep their own facts.
func TestServicesOfOnePort(t *testing.T) {
	r := mismatch(t)
	lookup := dane.TLSALookup{Answer: dnssec.Answer{Name: "_25._tcp.mx.example.org."}}
	host := &r.Facts.Hosts[0]
	host.Services = []dane.Service{
		{Port: 25, Protocol: "xmpp-client", TLSA: []dane.TLSALookup{lookup}},
		{Port: 25, Protocol: "tls", TLSA: []dane.TLSALookup{lookup}},
	}
	second := r.Verdict.Services[0]
	r.Verdict.Services[0].Service, second.Service = &host.Services[0], &host.Services[1]
	r.Verdict.Services = append(r.Verdict.Services, second)
	services := NewDocument(r).Services
	if services[0].Protocol != "xmpp-client" || services[1].Protocol != "tls" {
		t.Errorf("protocols %q and %q", services[0].Protocol, services[1].Protocol)
	}
	if !slices.Equal(services[0].Lookups, []int{2}) || !slices.Equal(services[1].Lookups, []int{3}) {
		t.Errorf("TLSA lookups %v and %v, want [2] and [3]", services[0].Lookups, services[1].Lookups)
	}
}

// TestJSONHostile checks that text from servers and zones is printable and of limited
// length.
func TestJSONHostile(t *testing.T) {
	for _, hostile := range []string{"\x1b[2J\u202e", "\xff\xfe\x00", strings.Repeat("x", 1<<20), strings.Repeat("\x07", 1<<20)} {
		r := mismatch(t)
		r.Target.Name, r.Facts.MX.Name, r.Facts.MX.Why = hostile, hostile, hostile
		r.Verdict.Findings[0].Host, r.Verdict.Findings[0].Detail = hostile, hostile
		e := r.Verdict.Services[0].Endpoints[0].Facts
		e.Err, e.SNI = errors.New(hostile), hostile
		for range 1000 {
			e.Chain.Certificates[0].DNSNames = append(e.Chain.Certificates[0].DNSNames, hostile)
			e.Dialogue.Transcript = append(e.Dialogue.Transcript, e.Dialogue.Transcript[0])
		}
		d := NewDocument(r)
		text := d.Marshal()
		if len(text) > 300_000 || !utf8.Valid(text) || bytes.ContainsAny(text, "\x1b\u202e\x07\ufffd") || bytes.Contains(text, []byte(`\u001b`)) {
			t.Errorf("%.10q: %d bytes, or not printable", hostile, len(text))
		}
		endpoint := d.Services[0].Endpoints[0]
		if got := endpoint.Certificates[0]; len(got.Names) != maxNames || got.MoreNames != 1002-maxNames {
			t.Errorf("%d names and %d more", len(got.Names), got.MoreNames)
		}
		if len(endpoint.Dialogue) != maxLines || endpoint.MoreLines != 1002-maxLines {
			t.Errorf("%d lines and %d more", len(endpoint.Dialogue), endpoint.MoreLines)
		}
	}
}

// TestPublish checks that the record to publish is that of the served leaf, and whether
// it is published already.
func TestPublish(t *testing.T) {
	bad, good := labReport(t, "tlsa-mismatch.lab.test"), labReport(t, "good.lab.test")
	parked := labReport(t, "tlsa-alias-invalid.lab.test") // an alias at which no records can be published
	for _, test := range []struct {
		report    *probe.Report
		published bool
	}{{bad, false}, {good, true}, {parked, false}} {
		d := NewDocument(test.report)
		if len(d.Services) == 0 || len(d.Services[0].Publish) != 1 {
			t.Fatalf("%s: %s", d.Target, d.Marshal())
		}
		s := d.Services[0]
		p := s.Publish[0]
		want := "_25._tcp." + s.Host + ". IN TLSA 3 1 1 " + s.Endpoints[0].Certificates[0].SPKI
		if p.Zone != want || p.Published != test.published {
			t.Errorf("%s: %+v, want %s, published %t", d.Target, p, want, test.published)
		}
	}
}

// TestPublishNeedsOwnCertificate checks that there is no record to publish of a
// certificate that clients may not get: those send another SNI, or ALPN.
func TestPublishNeedsOwnCertificate(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*dane.Endpoint)
		want   int
	}{
		{"as clients do", func(*dane.Endpoint) {}, 1},
		{"another SNI", func(e *dane.Endpoint) { e.SNI = "example.org" }, 0},
		{"no SNI", func(e *dane.Endpoint) { e.SNI = "" }, 0},
		{"without ALPN", func(e *dane.Endpoint) { e.ALPNRefused = true }, 0},
	} {
		r := labReport(t, "no-tlsa.lab.test")
		c.change(r.Verdict.Services[0].Endpoints[0].Facts)
		if got := NewDocument(r).Services[0].Publish; len(got) != c.want {
			t.Errorf("%s: %+v, want %d", c.name, got, c.want)
		}
	}
}

// TestPublishMatchingType checks that a record is SHA-512 if there is one with SHA-512
// already. Clients would ignore SHA-256.
func TestPublishMatchingType(t *testing.T) {
	r := labReport(t, "tlsa-mismatch.lab.test")
	v := &r.Verdict.Services[0]
	v.Records[0].Record.MatchingType = tlsa.SHA512
	wanted := NewDocument(r).Services[0].MissingRecords()
	if len(wanted) != 1 || !strings.HasPrefix(wanted[0].Record, "3 1 2 ") || len(wanted[0].Record) != len("3 1 2 ")+128 {
		t.Errorf("with 3 1 2, to publish: %+v", wanted)
	}
	v.Records[0].Usability = tlsa.Unusable
	if wanted = NewDocument(r).Services[0].MissingRecords(); len(wanted) != 1 || !strings.HasPrefix(wanted[0].Record, "3 1 1 ") {
		t.Errorf("with a malformed 3 1 2, to publish: %+v", wanted)
	}
	v.Outcome = dane.Authenticated
	if wanted = NewDocument(r).Services[0].MissingRecords(); len(wanted) != 0 {
		t.Errorf("for an authenticated service, to publish: %+v", wanted)
	}
}

// TestPublishNothing checks that no record is proposed where none can apply. The
// cases are a host whose name is an address, and the fallback of a domain without
// SRV records.
func TestPublishNothing(t *testing.T) {
	for _, change := range []func(*dane.ServiceVerdict){
		func(v *dane.ServiceVerdict) { v.Host = "192.0.2.1" },
		func(v *dane.ServiceVerdict) { v.Service.Fallback = true },
	} {
		r := labReport(t, "no-tlsa.lab.test")
		if wanted := NewDocument(r).Services[0].Publish; len(wanted) != 1 {
			t.Fatalf("to publish: %+v", wanted)
		}
		change(&r.Verdict.Services[0])
		if wanted := NewDocument(r).Services[0].Publish; len(wanted) != 0 {
			t.Errorf("to publish: %+v", wanted)
		}
	}
}

// TestTextPublish checks that the text has each record to publish on one line, of any
// length.
func TestTextPublish(t *testing.T) {
	r := labReport(t, "tlsa-mismatch.lab.test")
	line := "\n  " + NewDocument(r).Services[0].Publish[0].Zone + "\n"
	if got := textOf(t, r); !strings.Contains(got, "\nRecords to publish now, ") || !strings.Contains(got, line) {
		t.Errorf("no line %q in\n%s", line, got)
	}
	const condition = "They take effect only when all names that lead to them are signed"
	if got := textOf(t, r); strings.Contains(got, condition) {
		t.Errorf("for a signed domain: %s in\n%s", condition, got)
	}
	for _, reason := range []dane.Reason{dane.MXInsecure, dane.SRVInsecure, dane.AddressInsecure, dane.TLSAInsecure} {
		r.Verdict.Findings = []dane.Finding{{Reason: reason}}
		if got := textOf(t, r); !strings.Contains(got, condition) {
			t.Errorf("with %s, no %s in\n%s", reason, condition, got)
		}
	}
	if got := textOf(t, labReport(t, "good.lab.test")); strings.Contains(got, "Records to publish now") {
		t.Errorf("unexpected records to publish in\n%s", got)
	}
}

// TestJSONDocumented checks that docs/json.md has every field.
func TestJSONDocumented(t *testing.T) {
	source, err := os.ReadFile("document.go")
	if err != nil {
		t.Fatal(err)
	}
	docs, err := os.ReadFile("../../docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	fields := regexp.MustCompile(`json:"([a-z0-9_]+)`).FindAllSubmatch(source, -1)
	if len(fields) < 100 {
		t.Fatalf("only %d fields found", len(fields))
	}
	for _, field := range fields {
		if !bytes.Contains(docs, []byte("`"+string(field[1])+"`")) {
			t.Errorf("docs/json.md has no `%s`", field[1])
		}
	}
}
