package web

import (
	"bytes"
	"fmt"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"dane_exporter/internal/report"
	"dane_exporter/probe/dane"
)

// servicesWith returns one service for each list of outcomes of endpoints: host a, b and so
// on. A service has the outcome of its first endpoint.
func servicesWith(outcomes ...string) (services []report.Service) {
	for i, list := range outcomes {
		s := report.Service{Host: string(rune('a' + i)), Port: 25}
		for j, outcome := range strings.Fields(list) {
			e := report.Endpoint{Address: fmt.Sprintf("192.0.2.%d", j), Outcome: outcome}
			if outcome == "skipped" {
				e.Outcome, e.Skipped = "unreachable", true
			}
			s.Endpoints = append(s.Endpoints, e)
		}
		s.Outcome = s.Endpoints[0].Outcome
		services = append(services, s)
	}
	return services
}

// TestEvidenceHosts: hosts and endpoints with a fault come first. Five hosts and ten endpoints are
// shown in full, and only endpoints with a fault expanded.
func TestEvidenceHosts(t *testing.T) {
	good := "authenticated"
	for _, test := range []struct {
		name           string
		services       []report.Service
		expanded, full string // of the hosts that are shown in full: hosts with expanded endpoints, and all
		more           string
	}{
		{"one host that is fine", servicesWith(good), "", "a1", ""},
		{"one host with a fault", servicesWith("refused"), "a1", "a1", ""},
		{"one of two addresses has a fault", servicesWith(good + " refused"), "a1", "a2", ""},
		{"an address that was skipped is shown in one line", servicesWith(good + " skipped"), "", "a1", ""},
		{"the second host has a fault", servicesWith(good, "refused"), "b1", "b1 a1", ""},
		{"refused before unreachable before unknown", servicesWith("unknown", "unreachable", "refused"), "c1 b1 a1", "c1 b1 a1", ""},
		{"six hosts, the last with a fault", servicesWith(good, good, good, good, good, "refused"), "f1", "f1 a1 b1 c1 d1", "e"},
		{"six hosts with a fault", servicesWith("refused", "refused", "refused", "refused", "refused", "refused"), "a1 b1 c1 d1 e1", "a1 b1 c1 d1 e1", "f"},
		{"twelve addresses of one host, and another host", servicesWith(strings.Repeat(good+" ", 12), good), "", "a10 b0", ""},
	} {
		e := newEvidence(&report.Document{Services: test.services})
		var expanded, full, more []string
		for _, h := range e.Hosts {
			n := 0
			for _, endpoint := range h.Endpoints {
				if endpoint.Open {
					n++
				}
			}
			if n > 0 {
				expanded = append(expanded, h.Host+strconv.Itoa(n))
			}
			full = append(full, h.Host+strconv.Itoa(len(h.Endpoints)))
		}
		for _, h := range e.More {
			more = append(more, h.Host)
		}
		if got := strings.Join(expanded, " "); got != test.expanded {
			t.Errorf("%s: expanded %q, want %q", test.name, got, test.expanded)
		}
		if got := strings.Join(full, " "); got != test.full {
			t.Errorf("%s: in full %q, want %q", test.name, got, test.full)
		}
		if got := strings.Join(more, " "); got != test.more {
			t.Errorf("%s: the others are %q, want %q", test.name, got, test.more)
		}
	}
	last := newEvidence(&report.Document{Services: servicesWith(strings.Repeat(good+" ", 20))}).Hosts[0]
	if len(last.Endpoints) != maxEndpoints || len(last.Brief) != maxBrief || last.MoreBrief != 6 {
		t.Errorf("of 20 endpoints: %d in full, %d in one line, %d not", len(last.Endpoints), len(last.Brief), last.MoreBrief)
	}
}

// TestOutcomesOf: the summary of the other services has the worst outcome first.
func TestOutcomesOf(t *testing.T) {
	e := newEvidence(&report.Document{Services: servicesWith(strings.Fields(strings.Repeat("authenticated ", 7) + "unreachable " + strings.Repeat("refused ", 6))...)})
	if got, want := outcomesOf(e.More), "1 refused, 1 unreachable, 7 authenticated"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestOfHost: the part about one host has only its services, findings, advice and lookups, and
// leaves the report as it is.
func TestOfHost(t *testing.T) {
	d := &report.Document{
		Outcome:  "refused",
		Services: servicesWith("refused", "authenticated"),
		Findings: []report.Finding{{Reason: "x"}, {Reason: "x", Host: "a"}, {Reason: "y", Host: "b"}},
		Advice:   []report.Advice{{Host: "a"}, {Host: "b"}, {}},
		Lookups:  []report.Lookup{{}, {Host: "b"}, {Host: "a"}},
		MTASTS:   &report.MTASTS{Services: []report.ServiceSenders{{Host: "a"}, {Host: "b"}}, Lookups: []report.Lookup{{}}},
	}
	b := ofHost(d, "b")
	if len(b.Services) != 1 || b.Services[0].Host != "b" || len(b.Findings) != 1 || b.Findings[0].Reason != "y" ||
		len(b.Advice) != 1 || len(b.Lookups) != 1 || len(b.MTASTS.Services) != 1 || len(b.MTASTS.Lookups) != 0 || b.Outcome != "refused" {
		t.Errorf("got %+v", b)
	}
	if len(d.Services) != 2 || d.Services[0].Host != "a" || len(d.Findings) != 3 || len(d.Lookups) != 3 || len(d.MTASTS.Services) != 2 {
		t.Errorf("the report has changed: %+v", d)
	}
}

// sampleReports returns the reports of sample.jsonl: of tlsa-mismatch and rollover.
func sampleReports(t *testing.T) (reports []*report.Document) {
	for line := range bytes.Lines(sample) {
		d, err := report.ReadJSON(line)
		if err != nil {
			t.Fatal(err)
		}
		reports = append(reports, d)
	}
	return reports
}

// reportOf returns the page of a report.
func reportOf(t *testing.T, page reportPage) string {
	w := httptest.NewRecorder()
	newFixture(t, nil, nil).showReport(w, "html", page)
	return w.Body.String()
}

// TestEveryHostBroken: the page of a report in which every one of 50 hosts has two faults, each with
// a record to publish, has at most 150 kB.
func TestEveryHostBroken(t *testing.T) {
	d := sampleReports(t)[0]
	service, finding, lookups := d.Services[0], d.Findings[0], d.Lookups[1:]
	d.Services, d.Findings = nil, nil
	for i := range 50 {
		host := fmt.Sprintf("mx%02d.mail.customers.example", i)
		service.Host, finding.Host = host, host
		service.Endpoints = slices.Repeat(service.Endpoints[:1], 2)
		service.Publish = slices.Clone(service.Publish)
		service.Publish[0].Owner = "_25._tcp." + host + "."
		d.Services = append(d.Services, service)
		for _, reason := range []string{"tlsa_mismatch", "starttls_failed"} {
			finding.Reason = reason
			d.Findings = append(d.Findings, finding)
		}
		for _, l := range lookups {
			l.Host = host
			d.Lookups = append(d.Lookups, l)
		}
	}
	page := reportOf(t, reportPage{Document: d, Number: 7})
	t.Logf("%d bytes", len(page))
	if len(page) > 150_000 || strings.Count(page, `<details class="endpoint" open>`) != maxEndpoints || !strings.Contains(page, "<summary>45 more services: 45 refused</summary>") {
		t.Errorf("%d bytes", len(page))
	}
}

// TestReportParts: a report has only the parts that it has data for, and links to no others. It says
// that there is nothing to do only if that is true.
func TestReportParts(t *testing.T) {
	const nothing = "No findings: there is nothing to do."
	for _, test := range []struct {
		name   string
		change func(*reportPage)
		with   []string
	}{
		{"authenticated", func(*reportPage) {}, []string{nothing, `id="lookups"`, `id="phases"`}},
		{"with a recommendation", func(p *reportPage) { p.Advice = []report.Advice{{Topic: "tlsa"}} }, []string{"No findings.", `id="advice"`}},
		{"refused at a later time", func(p *reportPage) { p.Later = &report.Later{Outcome: "refused"} }, []string{"No findings.", `id="later"`}},
		{"not as required", func(p *reportPage) { p.Success = false }, []string{"No findings."}},
		{"one host", func(p *reportPage) { p.Host = "mx.rollover.lab.test" }, []string{"No findings.", `<a href="./report?number=7">All hosts</a>`}},
		{"a special-use name", func(p *reportPage) { p.Lookups, p.Phases, p.Services = nil, nil, nil }, []string{nothing}},
	} {
		page := reportPage{Document: sampleReports(t)[1], Number: 7}
		test.change(&page)
		html := reportOf(t, page)
		for _, part := range test.with {
			if !strings.Contains(html, part) {
				t.Errorf("%s: no %s", test.name, part)
			}
		}
		if !slices.Contains(test.with, nothing) && strings.Contains(html, nothing) {
			t.Errorf("%s: the page says that there is nothing to do", test.name)
		}
		for _, link := range regexp.MustCompile(`href="#([^"]*)"`).FindAllStringSubmatch(html, -1) {
			if strings.Count(html, ` id="`+link[1]+`"`) != 1 {
				t.Errorf("%s: link to #%s", test.name, link[1])
			}
		}
	}
}

// TestGroupFindings: findings of one reason are one group with all places, and the groups that
// explain the verdict come first.
func TestGroupFindings(t *testing.T) {
	mismatch := func(host string) report.Finding {
		return report.Finding{Reason: "tlsa_mismatch", Effect: "error", Host: host, Port: 25}
	}
	insecure := report.Finding{Reason: "mx_insecure", Effect: "degraded"}
	deep := report.Finding{Reason: "chain_too_deep", Effect: "warning", Host: "a"}
	limit := report.Finding{Reason: "limit_exceeded", Effect: "internal"}
	for _, test := range []struct {
		name, severity string
		findings       []report.Finding
		want           string
	}{
		{"nothing", "ok", nil, "[]"},
		{"two places", "critical", []report.Finding{mismatch("a"), mismatch("b")}, "[tlsa_mismatch 2]"},
		{"errors first", "critical", []report.Finding{limit, deep, mismatch("a"), insecure, mismatch("b")}, "[tlsa_mismatch 2 mx_insecure 1 chain_too_deep 1 limit_exceeded 1]"},
		{"the cause is on our side", "unknown", []report.Finding{mismatch("a"), limit}, "[limit_exceeded 1 tlsa_mismatch 1]"},
	} {
		got := []string{}
		for _, g := range groupFindings(test.findings, test.severity) {
			got = append(got, fmt.Sprint(g.Reason, " ", len(g.Places)))
			if g.Senders != dane.Reason(g.Reason).Info().Senders || g.Senders == "" {
				t.Errorf("%s: %s: senders: %q", test.name, g.Reason, g.Senders)
			}
		}
		if fmt.Sprint(got) != test.want {
			t.Errorf("%s: got %v, want %s", test.name, got, test.want)
		}
	}
	many := groupFindings(slices.Repeat([]report.Finding{mismatch("a")}, 70), "critical")[0]
	if len(many.First()) != maxHosts || len(many.Rest()) != maxPlaces-maxHosts || many.More != 70-maxPlaces {
		t.Errorf("of 70 places: %d, %d and %d", len(many.First()), len(many.Rest()), many.More)
	}
}

// TestPlaces: a finding leads to its host, if the page has it.
func TestPlaces(t *testing.T) {
	d := &report.Document{
		Services: []report.Service{{Host: "a", Port: 25}, {Host: "b", Port: 25}, {Host: "b", Port: 465, Outcome: "refused"}},
		Findings: []report.Finding{{Reason: "x", Host: "a", Port: 25}, {Reason: "x", Host: "b", Port: 465}, {Reason: "x", Host: "b"}, {Reason: "x", Host: "gone", Port: 25}, {Reason: "x", Lookup: "mx"}},
	}
	var got []string
	for _, p := range newEvidence(d).Findings[0].Places {
		got = append(got, p.ID)
	}
	if want := []string{"host-2", "host-1", "host-1", "", ""}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestChainsAreBounded: a page shows the chains of failed lookups, and of those of the hosts that are
// shown in full, up to a limit.
func TestChainsAreBounded(t *testing.T) {
	d := &report.Document{Services: servicesWith("refused", "authenticated", "authenticated", "authenticated", "authenticated", "authenticated")}
	for i := range 4 {
		d.Zones = append(d.Zones, report.Zone{Zone: strconv.Itoa(i), Keys: make([]report.Key, 3)})
	}
	lookup := func(host, status string) report.Lookup {
		return report.Lookup{Host: host, Status: status, Chain: []int{0, 1, 2, 3}} // costs 17
	}
	d.Lookups = []report.Lookup{lookup("", "secure"), lookup("a", "secure"), lookup("b", "secure"), lookup("f", "secure"), lookup("f", "bogus")}
	d.MTASTS = &report.MTASTS{Lookups: []report.Lookup{lookup("", "insecure")}}
	names := func(e evidence) string {
		var chains, brief []string
		for _, c := range e.Chains {
			chains = append(chains, c.Host+c.Status[:1])
			if c.Open != (c.Status == "bogus") {
				t.Errorf("lookup of %s, %s: open %t", c.Host, c.Status, c.Open)
			}
		}
		for _, l := range e.Brief {
			brief = append(brief, l.Host+l.Status[:1])
		}
		return strings.Join(chains, " ") + " | " + strings.Join(brief, " ")
	}
	if got, want := names(newEvidence(d)), "fb s as bs i | fs"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := names(newEvidence(ofHost(d, "f"))), "fb fs | "; got != want {
		t.Errorf("host f: got %s, want %s", got, want)
	}
	d.Lookups = slices.Repeat([]report.Lookup{lookup("a", "bogus")}, 300)
	if e := newEvidence(d); len(e.Chains) != maxLinks/17 || len(e.Brief) != 301-maxLinks/17 {
		t.Errorf("of 301 lookups: %d with chains, %d without", len(e.Chains), len(e.Brief))
	}
}

// TestSenders: the table of MTA-STS has five services, those with a fault first.
func TestSenders(t *testing.T) {
	d := &report.Document{MTASTS: &report.MTASTS{}}
	for i := range 8 {
		s := report.ServiceSenders{Host: string(rune('a' + i)), Senders: report.Senders{DANE: "authenticated", MTASTS: "authenticated", Both: "authenticated"}}
		if i == 7 {
			s.Senders.MTASTS = "refused"
		}
		passes := true
		s.Endpoints = slices.Repeat([]report.EndpointSenders{{Passes: &passes}}, i+1)
		d.MTASTS.Services = append(d.MTASTS.Services, s)
	}
	e := newEvidence(d)
	if len(e.Senders) != maxHosts || e.Senders[0].Host != "h" || e.Senders[1].Host != "a" || len(e.MoreSenders) != 3 {
		t.Errorf("got %+v and %d more", e.Senders, len(e.MoreSenders))
	}
	if len(e.Senders[0].Endpoints) != 0 || len(e.Senders[4].Endpoints) != 4 {
		t.Error("endpoints that pass are shown for a host with many, or not shown for a host with few")
	}
	if e := newEvidence(ofHost(d, "c")); len(e.Senders) != 1 || e.Senders[0].Host != "c" {
		t.Errorf("host c: got %+v", e.Senders)
	}
}

func TestSpans(t *testing.T) {
	if got := fmt.Sprint(spans("the outcome is `none`, not `unknown`.")); got != "[{the outcome is  false} {none true} {, not  false} {unknown true} {. false}]" {
		t.Errorf("got %s", got)
	}
}
