package web

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"dane_exporter/probe"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/mtasts"
	"dane_exporter/probe/tlsa"
)

// listNoon is when the first probe of the tests of the list starts.
var listNoon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// probed returns a report of a target, with an outcome. Only authenticated succeeds.
func probed(name string, minute int, outcome dane.Outcome, reasons ...dane.Reason) *probe.Report {
	r := result(name, outcome == dane.Authenticated, 0, reasons...)
	r.Verdict.Outcome = outcome
	r.Start = listNoon.Add(time.Duration(minute) * time.Minute)
	return r
}

// TestState: a target has the state of its last probe, and when it began. A probe without a
// verdict does not change when the state before it began.
func TestState(t *testing.T) {
	type observed struct {
		outcome  dane.Outcome
		severity string // by which it is listed
		since    int    // minute
		earlier  bool
	}
	const good, refused, unknown = dane.Authenticated, dane.Refused, dane.Unknown
	for _, test := range []struct {
		name   string
		probes []dane.Outcome // one a minute
		want   observed
	}{
		{"the first probe may not be the first with its outcome", []dane.Outcome{good}, observed{good, "ok", 0, true}},
		{"the same outcome", []dane.Outcome{good, good, good}, observed{good, "ok", 0, true}},
		{"a change", []dane.Outcome{good, good, refused, refused}, observed{refused, "critical", 2, false}},
		{"a change and back", []dane.Outcome{good, refused, good}, observed{good, "ok", 2, false}},
		{"no verdict from the start", []dane.Outcome{unknown}, observed{unknown, "unknown", 0, true}},
		{"the first verdict may not be the first with its outcome", []dane.Outcome{unknown, unknown, good, good}, observed{good, "ok", 2, true}},
		{"no verdict after success", []dane.Outcome{good, unknown, unknown}, observed{unknown, "unknown", 1, false}},
		{"no verdict after a failure leaves it among the failures", []dane.Outcome{good, refused, unknown}, observed{unknown, "critical", 2, false}},
		{"the same outcome after a probe without a verdict", []dane.Outcome{good, refused, unknown, unknown, refused}, observed{refused, "critical", 1, false}},
		{"another outcome after a probe without a verdict", []dane.Outcome{refused, unknown, good}, observed{good, "ok", 2, false}},
	} {
		var r *row
		for minute, outcome := range test.probes {
			before := r
			if r = newRow(probed("a.example", minute, outcome)); before != nil {
				r.follow(before)
			}
		}
		got := observed{r.State.Outcome, r.Severity().String(), int(r.State.Since.Sub(listNoon).Minutes()), r.State.Earlier}
		if got != test.want {
			t.Errorf("%s: got %+v, want %+v", test.name, got, test.want)
		}
	}
}

// TestNotable: the severity is shown if it says more than the outcome.
func TestNotable(t *testing.T) {
	refusedBefore := newRow(probed("a.example", 1, dane.Unknown))
	refusedBefore.follow(newRow(probed("a.example", 0, dane.Refused)))
	for _, test := range []struct {
		name string
		row  *row
		want bool
	}{
		{"authenticated", newRow(probed("a.example", 1, dane.Authenticated)), false},
		{"authenticated, with a warning", newRow(probed("a.example", 1, dane.Authenticated, dane.TLSAMismatch)), true},
		{"refused", newRow(probed("a.example", 1, dane.Refused)), false},
		{"unreachable", newRow(probed("a.example", 1, dane.Unreachable)), false},
		{"unknown", newRow(probed("a.example", 1, dane.Unknown)), false},
		{"unknown, and refused before", refusedBefore, true},
		{"none, not as required", newRow(probed("a.example", 1, dane.None)), true},
	} {
		if got := test.row.Notable(); got != test.want {
			t.Errorf("%s: got %t, want %t", test.name, got, test.want)
		}
	}
}

// TestNextDate: the next date is the first at which something ends or can be done.
func TestNextDate(t *testing.T) {
	day := func(n int) time.Time { return listNoon.AddDate(0, 0, n) }
	signed := func(since, expiry int) dane.Facts {
		return dane.Facts{MX: &dnssec.Answer{Status: dnssec.Secure, Chain: []dnssec.Link{{Validity: dnssec.Validity{Inception: day(since), Since: day(since), Expiry: day(expiry)}}}}}
	}
	policy := func(state dane.PolicyState, failed error) *probe.Report {
		return &probe.Report{
			Facts:   dane.Facts{MTASTS: &dane.MTASTS{Fetches: []dane.PolicyFetch{{Err: failed, Fetched: mtasts.Fetched{Certificate: &x509.Certificate{NotAfter: day(9)}}}}}},
			Verdict: dane.Verdict{MTASTS: &dane.MTASTSVerdict{State: state}},
		}
	}
	service := func(outcome dane.Outcome, until time.Time) dane.ServiceVerdict {
		return dane.ServiceVerdict{Host: "mx", Port: 25, Outcome: outcome, Until: until}
	}
	timelines := func(steps ...dane.TimelineStep) dane.Timelines {
		return dane.Timelines{{Service: dane.ServiceKey{Host: "mx", Port: 25}, Timeline: dane.Timeline{Began: day(-9), Steps: steps}}}
	}
	key := func(n byte, step dane.TimelineStep) dane.TimelineStep {
		step.Record, step.TTL = tlsa.Record{Usage: tlsa.DANEEE, Data: []byte{n}}, 36*time.Hour
		return step
	}
	served := key(1, dane.TimelineStep{Published: day(-9), Served: day(-9)})
	for _, test := range []struct {
		name   string
		report *probe.Report
		want   string
	}{
		{"nothing", &probe.Report{}, ""},
		{"the first of two services", &probe.Report{Verdict: dane.Verdict{Services: []dane.ServiceVerdict{service(dane.Authenticated, day(30)), service(dane.Authenticated, day(20))}}}, "20 authentication ends"},
		{"a date that has passed", &probe.Report{Verdict: dane.Verdict{Services: []dane.ServiceVerdict{service(dane.Authenticated, day(-1))}}}, ""},
		{"signatures that are fresh", &probe.Report{Facts: signed(-1, 13)}, ""},
		{"signatures that should have been renewed", &probe.Report{Facts: signed(-18, 2)}, "2 signatures expire"},
		{"certificate of an enforced policy", policy(dane.PolicyEnforced, nil), "9 MTA-STS certificate expires"},
		{"certificate of a policy in mode testing", policy(dane.PolicyTesting, nil), ""},
		{"certificate of a fetch that failed", policy(dane.PolicyEnforced, errors.New("untrusted")), ""},
		{"record of the next key", &probe.Report{
			Verdict:   dane.Verdict{Services: []dane.ServiceVerdict{service(dane.Authenticated, day(30))}},
			Timelines: timelines(served, key(2, dane.TimelineStep{Published: day(0)})),
		}, "3 next key safe to serve"},
		{"record of the previous key", &probe.Report{
			Verdict:   dane.Verdict{Services: []dane.ServiceVerdict{service(dane.Authenticated, day(30))}},
			Timelines: timelines(key(2, dane.TimelineStep{Published: day(-9), Served: day(-9), Replaced: day(-1)}), served),
		}, "2 old record removable"},
		{"a record that is not for a next key, because none matches", &probe.Report{
			Verdict:   dane.Verdict{Services: []dane.ServiceVerdict{service(dane.Refused, time.Time{})}},
			Timelines: timelines(served, key(2, dane.TimelineStep{Published: day(0)})),
		}, ""},
	} {
		test.report.Start = listNoon
		got := ""
		if next := nextDate(test.report); next.What != "" {
			got = fmt.Sprintf("%.0f %s", next.At.Sub(listNoon).Hours()/24, next.What)
		}
		if got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

// TestSignatureShare: the front page and the alert agree on when signatures should have been renewed.
func TestSignatureShare(t *testing.T) {
	settings, err := os.ReadFile("../../deploy/mixin/config.libsonnet")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`signatureShare: ([0-9.]+),`).FindSubmatch(settings)
	if found == nil || string(found[1]) != fmt.Sprint(signatureShare) {
		t.Errorf("the alert has %q, the front page %v", found, signatureShare)
	}
}

// TestRowLink: the link to the report of a target leads to the same target.
func TestRowLink(t *testing.T) {
	for target, want := range map[probe.Target]string{
		{Name: "a.example"}:            "./report?module=smtp&target=a.example",
		{Name: "a.example", Port: 465}: "./report?module=smtp&target=a.example%3A465",
		{Name: "a.example", Address: netip.MustParseAddr("192.0.2.1")}:             "./report?hostname=a.example&module=smtp&target=192.0.2.1",
		{Name: "a.example", Address: netip.MustParseAddr("2001:db8::1"), Port: 25}: "./report?hostname=a.example&module=smtp&target=%5B2001%3Adb8%3A%3A1%5D%3A25",
	} {
		f := newFixture(t, proberFunc(verdicts), nil)
		if got := (&row{target: target, Module: "smtp"}).Link(); got != want {
			t.Errorf("%v: got %s, want %s", target, got, want)
		}
		f.get("/probe" + strings.TrimPrefix(want, "./report"))
		f.wantPage("/", 200, `<a href="`+strings.ReplaceAll(want, "&", "&amp;")+`">`+target.String()+"</a>")
		f.wantPage(strings.TrimPrefix(want, "."), 200, "<h1>"+target.String()+"</h1>")
	}
}

// TestTargetsAreBounded: without space, the list removes targets without a problem first, and
// of them those probed the longest time ago. It removes targets without a probe for a week.
func TestTargetsAreBounded(t *testing.T) {
	l := targetList{limit: 3}
	names := func() string {
		rows, cut := l.all()
		var names []string
		for _, r := range rows {
			names = append(names, r.Target())
		}
		slices.Sort(names)
		if l.fine.Len()+l.failing.Len() != len(rows) {
			t.Errorf("%d and %d targets in the lists, %d in the map", l.fine.Len(), l.failing.Len(), len(rows))
		}
		return fmt.Sprint(names, cut)
	}
	const week = 7 * 24 * 60 // minutes
	for _, step := range []struct {
		report *probe.Report
		want   string
	}{
		{probed("bad", 0, dane.Refused), "[bad] false"},
		{probed("a", 1, dane.Authenticated), "[a bad] false"},
		{probed("b", 2, dane.Authenticated), "[a b bad] false"},
		{probed("a", 3, dane.Authenticated), "[a b bad] false"},
		{probed("c", 4, dane.Authenticated), "[a bad c] true"},
		{probed("worse", 5, dane.Refused), "[bad c worse] true"},
		{probed("bad", 6, dane.Refused), "[bad c worse] true"},
		{probed("worst", 7, dane.Refused), "[bad worse worst] true"},
		{probed("more", 8, dane.Refused), "[bad more worst] true"},
		{probed("bad", week+7, dane.Refused), "[bad more worst] true"},
		{probed("bad", week+8, dane.Refused), "[bad more] false"},
		{probed("bad", week+9, dane.Authenticated), "[bad] false"},
	} {
		l.observe(step.report)
		if got := names(); got != step.want {
			t.Errorf("after the probe of %s: got %s, want %s", step.report.Target, got, step.want)
		}
	}
}

// TestTargetsMemory: 10,000 targets take at most 10 MB.
func TestTargetsMemory(t *testing.T) {
	var before, after runtime.MemStats
	const n = 10_000
	l := new(targetList)
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range n {
		l.observe(probed(fmt.Sprintf("domain-%d.customers.example", i), i%60, []dane.Outcome{dane.Authenticated, dane.Refused}[i%2], dane.TLSAMismatch, dane.NoTLSA))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	size := (int(after.HeapAlloc) - int(before.HeapAlloc)) / n
	t.Logf("%d bytes a target", size)
	if rows, _ := l.all(); size > 1000 || len(rows) != n {
		t.Errorf("%d targets, %d bytes each; want %d of at most 1000 bytes", len(rows), size, n)
	}
}

// TestRowReasons: a row has three reasons, each once, and the number of the others.
func TestRowReasons(t *testing.T) {
	f := newFixture(t, proberFunc(instant), nil)
	f.store(probed("a.example", 0, dane.Refused, dane.TLSAMismatch, dane.TLSAMismatch, dane.NoTLSA, dane.ConnectFailed, dane.MXInsecure, dane.NullMX))
	f.store(probed("b.example", 0, dane.Refused, dane.TLSAMismatch, dane.NoTLSA, dane.ConnectFailed))
	f.wantPage("/", 200, "<td>TLSA mismatch, No TLSA, Connect failed, and 2 more</td>", "<td>TLSA mismatch, No TLSA, Connect failed</td>")
}
