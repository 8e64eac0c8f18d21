package web

import (
	"bytes"
	"compress/flate"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"html/template"
	"math/big"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dane_exporter/internal/config"
	"dane_exporter/internal/lab"
	"dane_exporter/internal/report"
	"dane_exporter/probe"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/tlsa"
)

// result returns a report of a target, with an outcome and findings, of about size bytes.
func result(target string, success bool, size int, reasons ...dane.Reason) *probe.Report {
	r := &probe.Report{Target: probe.Target{Asked: target, Name: target}, Module: probe.Module{Name: "smtp_mx"}, Verdict: dane.Verdict{Outcome: dane.Authenticated, Success: success}}
	if !success {
		r.Verdict.Outcome = dane.Refused
	}
	for _, reason := range reasons {
		r.Verdict.Findings = append(r.Verdict.Findings, dane.Finding{Reason: reason})
	}
	r.Verdict.Advice = []dane.Advice{{Detail: strings.Repeat("x", max(0, size-r.MemSize()-500))}}
	return r
}

// stored returns which reports of a target are stored: "last", "failed", "both" or "".
func (h *history) stored(target string) string {
	kept := h.byTarget(target, "smtp_mx")
	switch {
	case kept.last == nil:
		return ""
	case kept.failed == nil:
		return "last"
	case kept.last == kept.failed:
		return "failed"
	default:
		return "both"
	}
}

// checkHistory checks that the parts of the history agree, and that its limits hold.
func checkHistory(t *testing.T, h *history) {
	t.Helper()
	reachable := make(map[*entry]bool)
	for _, e := range h.recent {
		reachable[e] = true
	}
	for key, kept := range h.targets {
		if kept == (targetReports{}) {
			t.Errorf("%v has no reports", key)
		}
		for _, e := range []*entry{kept.last, kept.judged, kept.failed} {
			if e != nil {
				reachable[e] = true
			}
		}
	}
	linked := 0
	for r := range h.ranks {
		size := 0
		for element := h.ranks[r].list.Front(); element != nil; element = element.Next() {
			e := element.Value.(*entry)
			linked++
			size += e.size
			if !reachable[e] || e.rank != rank(r) || e.element != element {
				t.Errorf("report %d of %s: rank %d in the list of rank %d, reachable: %t", e.Number, e.Target, e.rank, r, reachable[e])
			}
		}
		if size != h.ranks[r].size {
			t.Errorf("rank %d: %d bytes, but counted %d", r, size, h.ranks[r].size)
		}
	}
	unpacked := 0
	for element := h.unpacked.list.Front(); element != nil; element = element.Next() {
		e := element.Value.(*entry)
		unpacked += e.size
		if e.report == nil || e.element == nil || e.unpacked != element {
			t.Errorf("report %d of %s is packed or not stored", e.Number, e.Target)
		}
	}
	if unpacked != h.unpacked.size || unpacked > h.sizes.unpacked {
		t.Errorf("%d bytes are not packed, but counted %d", unpacked, h.unpacked.size)
	}
	for e := range reachable {
		if (e.report == nil) == (e.packed == nil) || (e.unpacked == nil) != (e.report == nil) {
			t.Errorf("report %d of %s: packed %t, stored as it is %t", e.Number, e.Target, e.packed != nil, e.report != nil)
		}
	}
	if linked != len(reachable) {
		t.Errorf("%d reports in the lists, %d reachable", linked, len(reachable))
	}
	if h.smallSize() > h.sizes.all || h.ranks[rankFailed].size > h.sizes.failed || h.ranks[rankLarge].size+h.ranks[rankLargeFailed].size > h.sizes.large || len(h.recent) > h.limit {
		t.Errorf("%d bytes, %d of failed, %d of large, %d recent", h.smallSize(), h.ranks[rankFailed].size, h.ranks[rankLarge].size, len(h.recent))
	}
}

// TestHistoryKeepsTargets: the last and the last failed report of each target are kept,
// however many other targets are probed.
func TestHistoryKeepsTargets(t *testing.T) {
	h := newHistory(10)
	for round := range 3 {
		for i := range 500 {
			h.add(result(fmt.Sprintf("d%d.example", i), i%5 != 0 || round == 2, 0, []dane.Reason{dane.TLSAMismatch}[:i%2]...))
		}
	}
	checkHistory(t, h)
	for i := range 500 {
		want := "last"
		if i%5 == 0 {
			want = "both"
		}
		if got := h.stored(fmt.Sprintf("d%d.example", i)); got != want {
			t.Errorf("target %d: %q is stored, want %q", i, got, want)
		}
	}
	if recent := h.newestFirst(); len(recent) != 10 || recent[0].Target != "d499.example" {
		t.Errorf("%d recent, the last one of %s", len(recent), recent[0].Target)
	}
}

// TestHistoryRanks: if memory is short, reports without findings are removed first, then
// those with findings, then failed ones.
func TestHistoryRanks(t *testing.T) {
	h := newHistory(10)
	h.sizes = historySizes{all: 2 << 20, failed: 1200 << 10, large: 1 << 20, unpacked: 400 << 10}
	noise := make([]byte, 1<<20)
	for i, random := 0, rand.New(rand.NewPCG(1, 2)); i < len(noise); i++ {
		noise[i] = ' ' + byte(random.IntN(64))
	}
	start := 0
	fill := func(name string, n int, success bool, reasons ...dane.Reason) {
		for i := range n {
			r := result(fmt.Sprintf("%s%d.example", name, i), success, 0, reasons...)
			for part := range slices.Chunk(noise[start:start+12<<10], 2<<10) { // packed, it has some 9 KiB
				r.Verdict.Advice = append(r.Verdict.Advice, dane.Advice{Detail: string(part)})
			}
			start = (start + 7919) % (len(noise) / 2)
			h.add(r)
		}
		checkHistory(t, h)
	}
	count := func(name string, n int) (stored int) {
		for i := range n {
			if h.stored(fmt.Sprintf("%s%d.example", name, i)) != "" {
				stored++
			}
		}
		return stored
	}
	want := func(step, name string, n, low, high int) {
		t.Helper()
		if got := count(name, n); got < low || got > high {
			t.Errorf("%s: %d of %d %s are stored, want %d to %d", step, got, n, name, low, high)
		}
	}
	fill("broken", 15, false, dane.TLSAMismatch)
	fill("warned", 45, true, dane.ChainTooDeep)
	fill("clean", 300, true)
	want("many targets without findings", "broken", 15, 15, 15)
	want("many targets without findings", "warned", 45, 45, 45)
	want("many targets without findings", "clean", 300, 80, 180)
	fill("other", 300, true, dane.ChainTooDeep)
	want("many targets with findings", "broken", 15, 15, 15)
	want("many targets with findings", "clean", 300, 0, 0)
	want("many targets with findings", "other", 300, 120, 220)
	fill("failing", 300, false, dane.TLSAMismatch)
	want("many failed targets", "broken", 15, 0, 0)
	want("many failed targets", "failing", 300, 70, 130)
	want("many failed targets leave memory for others", "other", 300, 40, 110)
}

// TestHistoryPacks: a packed report is the same as before. Reports of ordinary size of a few
// thousand targets are stored.
func TestHistoryPacks(t *testing.T) {
	h := newHistory(10)
	want := report.NewDocument(verdicts(t.Context(), probe.Target{Asked: "bad0.example", Name: "bad0.example"}, probe.Module{Name: "smtp_mx"})).Marshal()
	const n = 3000
	for i := range n {
		name := fmt.Sprintf("bad%d.example", i)
		h.add(verdicts(t.Context(), probe.Target{Asked: name, Name: name}, probe.Module{Name: "smtp_mx"}))
	}
	checkHistory(t, h)
	first := h.byTarget("bad0.example", "smtp_mx").last
	if first == nil || first.packed == nil || !bytes.Equal(h.read(first).Marshal(), want) {
		t.Errorf("the first report is missing, not packed, or another one: %+v", first)
	}
	if last := h.byNumber(n); last == nil || last.packed != nil || h.read(last).Target != "bad2999.example" {
		t.Errorf("the last report is missing, packed, or another one: %+v", last)
	}
}

// TestHistoryManyTargets: the reports of ten thousand ordinary targets fit into the history.
func TestHistoryManyTargets(t *testing.T) {
	prober, module := labProber(t)
	h := newHistory(100)
	const n = 10_000
	good, broken := labReport(prober, module, "good.lab.test", 0), labReport(prober, module, "no-tlsa.lab.test", 0)
	for i := range n {
		r := *good
		if i%10 == 0 {
			r = *broken
		}
		r.Target.Name = fmt.Sprintf("d%d.lab.test", i)
		r.Target.Asked = r.Target.Name
		h.add(&r)
	}
	checkHistory(t, h)
	if len(h.targets) != n {
		t.Errorf("the reports of %d of %d targets are stored, in %d bytes", len(h.targets), n, h.smallSize())
	}
}

// TestSample checks that the sample makes packed reports of other domains smaller. If the Document
// has changed, write it anew, from the domains tlsa-mismatch and rollover of the lab.
func TestSample(t *testing.T) {
	prober, module := labProber(t)
	for _, name := range []string{"good", "no-tlsa", "dane-ta", "insecure", "two-mx-one-broken"} {
		r := labReport(prober, module, name+".lab.test", 0)
		text := report.NewDocument(r).Marshal()
		with, without := new(packer).pack(r), new(bytes.Buffer)
		writer, err := flate.NewWriter(without, packLevel)
		if err != nil {
			t.Fatal(err)
		}
		writer.Write(text)
		writer.Close()
		if len(with) > without.Len()*2/3 || len(with) > len(text)/4 {
			t.Errorf("%s: %d bytes, packed %d, without the sample %d", name, len(text), len(with), without.Len())
		}
		if !bytes.Equal(unpack(with).Marshal(), text) {
			t.Errorf("%s: another report after unpacking", name)
		}
	}
}

// labProber returns a prober in the lab.
func labProber(t testing.TB) (*probe.Prober, probe.Module) {
	t.Helper()
	example, err := os.ReadFile("../../config.example.yml")
	if err != nil {
		t.Fatal(err)
	}
	c, err := config.Defaults(example)
	if err != nil {
		t.Fatal(err)
	}
	c.Access.AllowNetworks = lab.Networks()
	now := func() time.Time { return time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC) }
	l, err := lab.New(now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return probe.New(probe.Environment{Now: now, Dial: l.Dial, DNS: l.DNS(), Query: l.Query, Anchors: l.Anchors(), Roots: l.Roots()},
		probe.Settings{Access: c.Access, HandshakeReuse: time.Hour}), c.Modules[config.DefaultModule]
}

// labReport probes a domain of the lab and returns the report as that of its nth subdomain.
func labReport(prober *probe.Prober, module probe.Module, name string, n int) *probe.Report {
	target, err := probe.ParseTarget(name, "", module)
	if err != nil {
		panic(err)
	}
	r := prober.Probe(context.Background(), target, module)
	r.Target.Name = fmt.Sprintf("d%d.%s", n, name)
	r.Target.Asked = r.Target.Name
	return r
}

// BenchmarkHistory measures what the history adds to probes of many targets whose handshakes
// are reused: its garbage as a ratio to that of the probe, and its share of the heap.
func BenchmarkHistory(b *testing.B) {
	prober, module := labProber(b)
	measure := func(f func()) (garbage, live float64) {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		f()
		runtime.GC()
		runtime.ReadMemStats(&after)
		return float64(after.TotalAlloc - before.TotalAlloc), float64(after.HeapAlloc) - float64(before.HeapAlloc)
	}
	labReport(prober, module, "good.lab.test", 0)
	h := newHistory(100)
	h.sizes.unpacked = 0
	for b.Loop() {
		const n = 2000
		alone, _ := measure(func() {
			for i := range n {
				labReport(prober, module, "good.lab.test", i)
			}
		})
		with, live := measure(func() {
			for i := range n {
				h.add(labReport(prober, module, "good.lab.test", i))
			}
		})
		b.ReportMetric((with-alone)/alone, "garbage/probe")
		if len(h.targets) == n && h.last == n {
			b.ReportMetric(live/n, "heap-B/target")
		}
	}
}

// TestHistoryConcurrently adds and reads reports at the same time.
func TestHistoryConcurrently(t *testing.T) {
	h := newHistory(10)
	var all sync.WaitGroup
	for worker := range 4 {
		all.Go(func() {
			for i := range 300 {
				name := fmt.Sprintf("d%d.example", (worker+i)%100)
				number := h.add(result(name, i%3 != 0, 64<<10))
				kept := h.byTarget(name, "smtp_mx")
				for _, e := range []*entry{kept.last, kept.judged, kept.failed, h.byNumber(number)} {
					if e != nil && h.read(e).Schema != report.Schema {
						t.Errorf("report %d cannot be read", e.Number)
					}
				}
			}
		})
	}
	all.Wait()
	checkHistory(t, h)
}

// TestHistoryLarge: reports above the size limit are stored, within a limit of their own.
func TestHistoryLarge(t *testing.T) {
	h := newHistory(100)
	h.add(result("small.example", true, 0))
	for i := range 20 {
		large := result(fmt.Sprintf("large%d.example", i), i%2 == 0, 0)
		for n := range 3000 {
			large.Verdict.Findings = append(large.Verdict.Findings, dane.Finding{Reason: dane.TLSAMismatch, Detail: fmt.Sprint(n, strings.Repeat("x", 1000))})
		}
		number := h.add(large)
		checkHistory(t, h)
		if e := h.byNumber(number); number == 0 || e == nil || h.read(e).Target != large.Target.Name {
			t.Fatalf("report %d of a large target is not stored", number)
		}
	}
	if h.stored("small.example") != "last" {
		t.Error("the large reports have replaced the small one")
	}
}

// TestHistoryLimitZero: without a limit, nothing is stored.
func TestHistoryLimitZero(t *testing.T) {
	h := newHistory(0)
	if h.add(result("a.example", false, 0)) != 0 || h.stored("a.example") != "" {
		t.Error("a report is stored")
	}
}

// TestReportOfWarnedTarget: the link of an alert on a healthy target leads to its report,
// after many other targets were probed.
func TestReportOfWarnedTarget(t *testing.T) {
	f := newFixture(t, proberFunc(verdicts), nil)
	f.get("/probe?target=bad.example")
	f.get("/probe?target=a.example")
	for i := range 200 {
		f.get(fmt.Sprintf("/probe?target=d%d.example", i))
	}
	f.wantPage("/report?target=a.example&module=smtp_mx", 200, "<h1>a.example</h1>")
	f.wantPage("/report?target=bad.example&module=smtp_mx", 200, "<h1>bad.example</h1>")
}

// TestReportOfAddress: the link of an alert on a target that is an address has its module, but
// no hostname.
func TestReportOfAddress(t *testing.T) {
	f := newFixture(t, proberFunc(verdicts), nil)
	f.wantPage("/report?target=192.0.2.1:25&module=smtp", 404, "No report is stored", `value="192.0.2.1:25"`, `<input name="hostname"`)
	f.wantPage("/report?target=192.0.2.1:25&module=nope", 400, "unknown module")
	f.wantPage("/report?target=192.0.2.1&module=smtp_mx", 400, "not an address")
	for _, query := range []string{"target=192.0.2.1:25&hostname=a.example&module=smtp", "target=192.0.2.1:25&hostname=bad.example&module=smtp", "target=192.0.2.1&hostname=a.example&module=smtp",
		"target=[2001:db8::1]:465&hostname=a.example&module=submissions", "target=2001:DB8::2&hostname=a.example&module=smtp"} {
		f.get("/probe?" + query)
	}
	for query, number := range map[string]int{
		"target=192.0.2.1:25&module=smtp":                    2, // the newest of two hostnames
		"target=192.0.2.1:25&module=smtp&hostname=a.example": 1,
		"target=192.0.2.1:25":                                2,
		"target=192.0.2.1&module=smtp":                       3,
		"target=[2001:db8::1]:465&module=submissions":        4,
		"target=[2001:db8:0::1]:465&module=submissions":      4,
		"target=[2001:db8::2]&module=smtp":                   5,
		"target=2001:db8::2":                                 5,
		"target=::ffff:192.0.2.1&module=smtp":                3,
	} {
		f.wantPage("/report?"+query, 200, fmt.Sprintf("./report?number=%d&amp;format=json", number))
		if status, body := f.get("/report?format=json&" + query); status != http.StatusOK {
			t.Errorf("%s as JSON: %d %.100s", query, status, body)
		}
	}
	f.wantPage("/report?target=192.0.2.1:25&module=submission", 404)
	f.wantPage("/report?target=192.0.2.1:26&module=smtp", 404)
}

// TestLargeReport: the form leads to the report of a target of any size.
func TestLargeReport(t *testing.T) {
	f := newFixture(t, proberFunc(verdicts), nil)
	f.history.add(largeReport())
	w := httptest.NewRecorder()
	f.ServeHTTP(w, httptest.NewRequest("GET", "/report?number=1", nil))
	if w.Code != 200 || w.Body.Len() > 4<<20 {
		t.Errorf("status %d, %d bytes", w.Code, w.Body.Len())
	}
	t.Logf("%d bytes", w.Body.Len())
	if _, body := f.get("/report?number=1&format=json"); len(body) > 4<<20 {
		t.Errorf("%d bytes of JSON", len(body))
	} else if _, err := report.ReadJSON([]byte(body)); err != nil {
		t.Error(err)
	}
}

// largeReport returns the report of a domain with 60 endpoints, 100 records, and many
// lookups in deep zones.
func largeReport() *probe.Report {
	hostile := strings.Repeat(`<"&`, 500)
	r := result("large.example", false, 0)
	v := dane.ServiceVerdict{Host: "mx.large.example", Port: 25, Base: "mx.large.example", Outcome: dane.Refused, Service: &dane.Service{Port: 25, Protocol: "smtp"}}
	chain := &tlsa.Chain{Certificates: []*x509.Certificate{{Raw: make([]byte, 50<<10), SerialNumber: big.NewInt(1), DNSNames: []string{hostile}}}}
	for i := range 100 {
		record := tlsa.Record{Usage: tlsa.DANEEE, Selector: tlsa.SPKI, MatchingType: tlsa.SHA256, Data: bytes.Repeat([]byte{byte(i)}, 32)}
		v.Records = append(v.Records, dane.RecordVerdict{Record: record, Why: hostile})
	}
	for i := range 60 {
		address := netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})
		e := dane.EndpointVerdict{Address: address, Outcome: dane.Refused, Facts: &dane.Endpoint{Address: address, Reached: dane.StageTLS, Chain: chain}}
		for _, record := range v.Records {
			e.Matches = append(e.Matches, tlsa.Match{Record: record.Record, Depth: -1, Why: hostile})
		}
		v.Endpoints = append(v.Endpoints, e)
		r.Verdict.Findings = append(r.Verdict.Findings, dane.Finding{Reason: dane.TLSAMismatch, Host: "mx.large.example", Port: 25, Address: address, Detail: hostile})
	}
	r.Verdict.Services = append(r.Verdict.Services, v)
	for i := range 200 {
		a := &dnssec.Answer{Name: fmt.Sprintf("mx%d.large.example.", i), Status: dnssec.Bogus, Why: hostile, Err: errors.New(hostile)}
		for depth := range 35 {
			a.Chain = append(a.Chain, dnssec.Link{Zone: fmt.Sprintf("%d.large.example.", depth), Why: hostile, Keys: make([]dnssec.Key, 100), DS: make([]dnssec.DS, 100)})
		}
		r.Facts.Hosts = append(r.Facts.Hosts, dane.Host{Name: a.Name, A: a})
	}
	return r
}

// TestPagesAreLimited: no more than a limited number of pages is rendered at the same time.
func TestPagesAreLimited(t *testing.T) {
	f := newFixture(t, proberFunc(verdicts), nil)
	f.get("/probe?target=a.example")
	var releases []func()
	for range maxPages {
		release, ok := f.acquirePage(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		if !ok {
			t.Fatal("no page is allowed")
		}
		releases = append(releases, release)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	for _, path := range []string{"/", "/report?number=1", "/report?number=1&format=json", "/docs/", "/docs/faq.md", "/config", "/probe?target=a.example&debug=true"} {
		w := httptest.NewRecorder()
		f.ServeHTTP(w, httptest.NewRequestWithContext(gone, "GET", path, nil)) // it does not wait
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
			t.Errorf("%s: got status %d, want 503", path, w.Code)
		}
	}
	for _, path := range []string{"/probe?target=a.example", "/metrics", "/-/healthy", "/-/ready"} {
		if status, _ := f.get(path); status != 200 {
			t.Errorf("%s: got status %d, want 200", path, status)
		}
	}
	for _, release := range releases {
		release()
	}
	f.wantPage("/report?number=1", 200)
	if f.pages.inFlight != 0 {
		t.Errorf("%d pages in flight", f.pages.inFlight)
	}
}

// TestPartialPage: a page whose template fails is status 500, however much of it was rendered.
func TestPartialPage(t *testing.T) {
	f := newFixture(t, proberFunc(verdicts), nil)
	f.renderer.templates["notice.html"] = template.Must(template.New("notice.html").Parse(`{{.Notice}}{{.Missing}}`))
	f.renderer.templates["report.html"] = template.Must(template.New("report.html").Parse(strings.Repeat("x", 100<<10) + `{{.Missing}}`))
	f.get("/probe?target=a.example")
	for _, path := range []string{"/report?number=77", "/report?number=1"} {
		if status, body := f.get(path); status != 500 || strings.Contains(body, "xxx") {
			t.Errorf("%s: status %d, %.100s", path, status, body)
		}
	}
	f.wantMetric("dane_exporter_panics_total 2")
}

// TestHistoryKeepsVerdicts: each report that an alert may be about is kept, and its page can be
// reached from the page of the target, whatever follows.
func TestHistoryKeepsVerdicts(t *testing.T) {
	report := func(outcome dane.Outcome, reasons ...dane.Reason) *probe.Report {
		r := result("a.example", outcome == dane.Authenticated, 0, reasons...)
		r.Verdict.Outcome = outcome
		return r
	}
	refused, warned, fine := report(dane.Refused, dane.TLSAMismatch), report(dane.Authenticated, dane.NameserverInconsistent), report(dane.Authenticated)
	unknown, unreachable := report(dane.Unknown, dane.ResolverFailed), report(dane.Unreachable, dane.ConnectFailed)
	internal := report(dane.Opportunistic, dane.ResolverFailed) // the requirement is not met, and the cause is on our side
	large := func(r *probe.Report) *probe.Report {
		copied := *r
		copied.Verdict.Advice = slices.Repeat([]dane.Advice{{Detail: strings.Repeat("x", 1000)}}, 1000)
		return &copied
	}
	enforced := report(dane.Authenticated)
	enforced.Verdict.MTASTS = &dane.MTASTSVerdict{Senders: dane.Senders{MTASTS: dane.Refused}}
	for _, test := range []struct {
		name                 string
		reports              []*probe.Report
		last, judged, failed int // numbers, from 1
	}{
		{"refused, then unknown", []*probe.Report{refused, unknown, unknown, unknown}, 4, 1, 1},
		{"refused, then the exporter is the cause", []*probe.Report{refused, internal, internal}, 3, 1, 1},
		{"unknown from the start", []*probe.Report{unknown, unknown}, 2, 0, 0},
		{"a warning, then unknown", []*probe.Report{warned, unknown, unknown}, 3, 1, 0},
		{"nothing found, then unknown", []*probe.Report{fine, unknown, unknown}, 3, 1, 0},
		{"refused, a warning, then unknown", []*probe.Report{refused, warned, unknown, unknown}, 4, 2, 1},
		{"refused, then fixed", []*probe.Report{refused, fine, fine}, 3, 3, 1},
		{"refused, unknown, then unreachable", []*probe.Report{refused, unknown, unreachable, unknown}, 4, 3, 3},
		{"MTA-STS senders refuse, then fixed", []*probe.Report{enforced, fine}, 2, 2, 1},
		{"large and refused, then unknown", []*probe.Report{large(refused), large(unknown), large(unknown), unknown}, 4, 1, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t, proberFunc(verdicts), nil)
			for _, r := range test.reports {
				f.history.add(r)
			}
			for i := range 30 { // the resolver fails for all targets
				name := fmt.Sprintf("d%d.example", i)
				f.history.add(result(name, true, 0))
				for _, r := range []*probe.Report{large(unknown), unknown} {
					copied := *r
					copied.Target.Asked, copied.Target.Name = name, name
					f.history.add(&copied)
				}
			}
			checkHistory(t, f.history)
			kept, want := f.history.byTarget("a.example", "smtp_mx"), [3]int{test.last, test.judged, test.failed}
			for i, e := range []*entry{kept.last, kept.judged, kept.failed} {
				got := 0
				if e != nil {
					got = int(e.Number)
					if f.history.byNumber(e.Number) != e {
						t.Errorf("report %d is not stored", got)
					}
				}
				if got != want[i] {
					t.Errorf("%s is report %d, want %d", [...]string{"last", "judged", "failed"}[i], got, want[i])
				}
			}
			links := []string{"<h1>a.example</h1>", fmt.Sprintf("number=%d&amp;format=json", test.last)}
			for _, number := range []int{test.judged, test.failed} {
				if number > 0 && number != test.last {
					links = append(links, fmt.Sprintf(`report?number=%d"`, number))
					f.wantPage(fmt.Sprintf("/report?number=%d", number), 200)
				}
			}
			f.wantPage("/report?target=a.example&module=smtp_mx", 200, links...)
		})
	}
}

// TestHistoryOutage: while all targets are unknown, the reports of their failures are
// kept before those of the outage.
func TestHistoryOutage(t *testing.T) {
	h := newHistory(10)
	h.sizes = historySizes{all: 512 << 10, failed: 300 << 10, large: 1 << 20, unpacked: 100 << 10}
	const n = 100
	for i := range n {
		h.add(result(fmt.Sprintf("d%d.example", i), false, 0, dane.TLSAMismatch))
	}
	for range 4 {
		for i := range 10 * n {
			r := result(fmt.Sprintf("d%d.example", i), false, 0, dane.ResolverFailed)
			r.Verdict.Outcome = dane.Unknown
			h.add(r)
		}
	}
	checkHistory(t, h)
	for i := range n {
		if kept := h.byTarget(fmt.Sprintf("d%d.example", i), "smtp_mx"); kept.failed == nil || kept.failed.Outcome != "refused" {
			t.Fatalf("the failure of target %d is gone", i)
		}
	}
}
