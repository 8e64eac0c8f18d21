package web

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"dane_exporter/internal/config"
	"dane_exporter/probe"
	"dane_exporter/probe/dane"
)

// maxFrontPage is the maximum size of the front page, in bytes.
const maxFrontPage = 200_000

// frontTargets are the targets of TestFrontPageQueries, with the minute of the probe.
var frontTargets = []struct {
	name, module string
	outcome      dane.Outcome
	until        int // day; 0: no date
}{
	{"ok1.example", "smtp", dane.Authenticated, 30},
	{"ok2.example", "smtp_mx", dane.Authenticated, 20},
	{"warn.example", "smtp_mx", dane.None, 0},
	{"bad1.example", "smtp_mx", dane.Refused, 0},
	{"blind.example", "smtp_mx", dane.Unknown, 0},
	{"bad2.example", "smtp", dane.Unreachable, 0},
	{"xn--bcher-kva.example", "smtp", dane.Opportunistic, 0},
}

// rowTargets returns the targets of the rows of a page, in order.
func rowTargets(page string) (names []string) {
	for _, row := range regexp.MustCompile(`<td><a href="\./report\?[^"]*">([^<]*)</a>`).FindAllStringSubmatch(page, -1) {
		names = append(names, strings.TrimSuffix(row[1], ".example"))
	}
	return names
}

// TestFrontPageQueries: the front page has one row for each target, failures first, and
// selects and sorts them by query parameters.
func TestFrontPageQueries(t *testing.T) {
	f := newFixture(t, proberFunc(func(ctx context.Context, target probe.Target, module probe.Module) *probe.Report {
		r := instant(ctx, target, module)
		for minute, from := range frontTargets {
			if from.name == target.Name {
				r.Start = listNoon.Add(time.Duration(minute) * time.Minute)
				r.Verdict = dane.Verdict{Outcome: from.outcome, Success: from.outcome == dane.Authenticated}
				if from.until != 0 {
					r.Verdict.Services = []dane.ServiceVerdict{{Service: new(dane.Service), Until: listNoon.AddDate(0, 0, from.until)}}
				}
			}
		}
		return r
	}), nil)
	for _, target := range frontTargets {
		f.get("/probe?target=" + target.name + "&module=" + target.module)
	}
	f.get("/probe?target=bad1.example") // once more: no other row
	for query, want := range map[string]string{
		"":                              "[bad2 bad1 xn--bcher-kva warn blind ok2 ok1]",
		"sort=severity":                 "[bad2 bad1 xn--bcher-kva warn blind ok2 ok1]",
		"sort=-severity":                "[ok1 ok2 blind warn xn--bcher-kva bad1 bad2]",
		"sort=target":                   "[bad1 bad2 blind ok1 ok2 warn xn--bcher-kva]",
		"sort=-target":                  "[xn--bcher-kva warn ok2 ok1 blind bad2 bad1]",
		"sort=outcome":                  "[bad1 bad2 blind warn xn--bcher-kva ok2 ok1]",
		"sort=since":                    "[ok1 ok2 warn bad1 blind bad2 xn--bcher-kva]",
		"sort=-since":                   "[xn--bcher-kva bad2 blind bad1 warn ok2 ok1]",
		"sort=next":                     "[ok2 ok1 bad2 bad1 xn--bcher-kva warn blind]",
		"sort=-next":                    "[ok1 ok2 bad2 bad1 xn--bcher-kva warn blind]",
		"sort=probed":                   "[ok1 ok2 warn bad1 blind bad2 xn--bcher-kva]",
		"q=bad":                         "[bad2 bad1]",
		"q=+BAD1+":                      "[bad1]",
		"q=b%C3%BCcher.example":         "[xn--bcher-kva]",
		"q=none":                        "[]",
		"severity=critical":             "[bad2 bad1]",
		"severity=warning":              "[xn--bcher-kva warn]",
		"severity=unknown":              "[blind]",
		"severity=ok":                   "[ok2 ok1]",
		"outcome=refused":               "[bad1]",
		"outcome=undecided":             "[]",
		"module=smtp":                   "[bad2 xn--bcher-kva ok1]",
		"module=gone":                   "[]",
		"module=smtp&q=ok&sort=":        "[ok1]",
		"page=1":                        "[bad2 bad1 xn--bcher-kva warn blind ok2 ok1]",
		"page=99":                       "[bad2 bad1 xn--bcher-kva warn blind ok2 ok1]",
		"severity=ok&sort=next&page=":   "400 parameter page",
		"page=0":                        "400 parameter page",
		"page=x":                        "400 parameter page",
		"sort=nothing":                  "400 parameter sort: &#34;nothing&#34; is not one of: -next, -outcome, -probed",
		"severity=bad":                  "400 parameter severity",
		"outcome=bad":                   "400 parameter outcome",
		"list=bad":                      "400 parameter list",
		"target=a.example":              "400 unknown parameter &#34;target&#34;; allowed: list, q, severity",
		"q=a&q=b":                       "400 parameter q is given 2 times",
		"q=" + strings.Repeat("a", 300): "400 parameter q: longer",
		"%zz":                           "400 invalid query string",
	} {
		status, page := f.get("/?" + query)
		got := fmt.Sprint(rowTargets(page))
		if text, isError := strings.CutPrefix(want, "400 "); isError && (status != http.StatusBadRequest || !strings.Contains(page, text)) || !isError && (status != http.StatusOK || got != want) {
			t.Errorf("/?%s: got %d and %s, want %s", query, status, got, want)
		}
	}
	f.wantPage("/", 200, `<span class="badge bad">critical</span> 2</a>`, `<span class="badge fair">warning</span> 2</a>`, `<span class="badge internal">unknown</span> 1</a>`, `<span class="badge good">ok</span> 2</a>`,
		"7 targets. Times are UTC.", `<table class="targets" data-complete>`, `<time datetime="2026-06-21T12:00:00Z">2026-06-21 12:00</time> <small>authentication ends</small>`)
	f.wantPage("/?severity=critical&sort=target&q=%22%3Cb%3E", 200, `value="&#34;&lt;b&gt;"`, "No target matches")
	f.wantPage("/?severity=critical&sort=target", 200, `<th scope="col" aria-sort="ascending"><a href="./?severity=critical&amp;sort=-target">Target</a></th>`, `<a href="./?severity=critical&amp;sort=next">Next date</a>`)
	f.wantPage("/?q=bad&severity=ok", 200, `>2 in total</a>`, `<span class="badge bad">critical</span> 2</a>`, "No target matches")
	f.wantPage("/?q=bad1", 200, "1 matching target. Times", `<table class="targets">`)
}

// manyTargets makes a server with the results of n targets, of which one in ten is
// refused. Their names have the given length.
func manyTargets(t *testing.T, n, length int) *fixture {
	f := newFixture(t, proberFunc(instant), nil)
	for i := range n {
		name := fmt.Sprintf("d%d.", i)
		for len(name) < length-8 {
			name += strings.Repeat("x", min(63, length-8-len(name))) + "."
		}
		r := probed(name+"example", i%60, []dane.Outcome{dane.Authenticated, dane.Refused}[(i+1)%10/9], dane.LargeClientHelloDropped, dane.MTASTSPolicyUnavailable, dane.CertificateNotYetValid)
		r.Verdict.Services = []dane.ServiceVerdict{{Service: new(dane.Service), Until: listNoon.AddDate(1, 0, 0)}}
		r.Module.Name = "smtp_mx"
		if length > 100 {
			r.Module.Name = strings.Repeat("m", 64)
		}
		f.targets.observe(r)
	}
	return f
}

// TestFrontPageSize: the front page has at most 200 kB, for any number of targets, and pages
// lead to all of them.
func TestFrontPageSize(t *testing.T) {
	for _, test := range []struct {
		name      string
		n, length int
		pages     int
	}{
		{"1 target", 1, 20, 1},
		{"100 targets", 100, 20, 1},
		{"101 targets", 101, 20, 2},
		{"250 targets", 250, 20, 3},
		{"10,000 targets", 10_000, 20, 100},
		{"100 targets with the longest names", 100, 253, 1},
		{"more targets than the list has", maxTargets + 50, 20, maxTargets / maxRows},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := manyTargets(t, test.n, test.length)
			largest := 0
			for page, rel := range map[int]string{1: "next", (test.pages + 1) / 2: "next", test.pages: "prev"} {
				status, body := f.get(fmt.Sprintf("/?page=%d", page))
				largest = max(largest, len(body))
				rows := min(test.n, maxTargets) - (page-1)*maxRows
				if names := rowTargets(body); status != http.StatusOK || len(body) > maxFrontPage || len(names) != min(rows, maxRows) {
					t.Errorf("page %d: status %d, %d bytes, %d rows", page, status, len(body), len(names))
				}
				if got := strings.Contains(body, "data-complete"); got != (test.pages == 1) {
					t.Errorf("page %d: data-complete %t", page, got)
				}
				if got := strings.Contains(body, fmt.Sprintf("There are more targets: the list has %d,", maxTargets)); got != (test.n > maxTargets) {
					t.Errorf("page %d: says that the list is cut: %t", page, got)
				}
				if got := strings.Count(body, ">refused</span>"); page == 1 && got != min(test.n/10, maxRows) {
					t.Errorf("page 1: %d failures", got)
				}
				if got := strings.Contains(body, `rel="`+rel+`"`); got != (test.pages > 1) {
					t.Errorf("page %d: link %s: %t", page, rel, got)
				}
			}
			t.Logf("at most %d bytes", largest)
		})
	}
}

// TestFrontPageWalk: the links to the next page lead to all targets.
func TestFrontPageWalk(t *testing.T) {
	f := manyTargets(t, 250, 20)
	seen := make(map[string]bool)
	pages := 0
	for next := "./?sort=target"; next != ""; pages++ {
		_, body := f.get("/" + strings.TrimPrefix(next, "./"))
		for _, name := range rowTargets(body) {
			seen[name] = true
		}
		next = ""
		if link := regexp.MustCompile(`rel="next" href="([^"]+)"`).FindStringSubmatch(body); link != nil {
			next = strings.ReplaceAll(link[1], "&amp;", "&")
		}
	}
	if pages != 3 || len(seen) != 250 {
		t.Errorf("%d pages with %d targets, want 3 with 250", pages, len(seen))
	}
}

// TestFrontPageModules: the filter has the modules of the targets.
func TestFrontPageModules(t *testing.T) {
	f := newFixture(t, proberFunc(instant), nil)
	f.get("/probe?target=a.example&module=smtp")
	f.get("/probe?target=a.example&module=imaps")
	_, page := f.get("/?module=smtp")
	form := page[strings.Index(page, `<form class="filter"`):]
	if want := `<select name="module"><option value="">all</option><option>imaps</option><option selected>smtp</option></select>`; !strings.Contains(form, want) {
		t.Errorf("no %s in\n%s", want, form)
	}
}

// TestRecentProbes: the list of recent probes has each probe, the last one first.
func TestRecentProbes(t *testing.T) {
	f := newFixture(t, proberFunc(verdicts), func(_ *config.Config, o *Options) { o.HistoryLimit = 150 })
	f.wantPage("/?list=probes", 200, "No probes yet.")
	for i := range 151 {
		f.get(fmt.Sprintf("/probe?target=bad%d.example", i%2))
	}
	f.wantPage("/", 200, "2 targets. Times are UTC.", `<a class="aside" href="./?list=probes">`)
	f.wantPage("/?list=probes", 200, "Probes 1 to 100 of 150.", `href="./report?number=151">bad0.example</a>`, `<span class="badge bad">critical</span> TLSA mismatch`, `href="./?list=probes&amp;page=2">Next</a>`)
	f.wantPage("/?list=probes&page=2", 200, "Probes 101 to 150 of 150.", `href="./report?number=2">bad1.example</a>`, `href="./?list=probes">Previous</a>`)
}

// TestFrontPageWithoutHistory: without a history, nothing is stored for the front page either.
func TestFrontPageWithoutHistory(t *testing.T) {
	f := newFixture(t, proberFunc(verdicts), func(_ *config.Config, o *Options) { o.HistoryLimit = 0 })
	f.get("/probe?target=bad.example")
	f.wantPage("/", 200, "No results are stored, because of <code>--history.limit=0</code>.")
	if rows, _ := f.targets.all(); len(rows) > 0 {
		t.Errorf("stored: %v", rows[0])
	}
}

// TestListQueryLinks: a link of the front page leads to the query that it was made from.
func TestListQueryLinks(t *testing.T) {
	for _, text := range []string{"", "q=a%26b&severity=ok&outcome=refused&module=smtp&sort=-next&page=3", "list=probes&page=2"} {
		want, _ := url.ParseQuery(text)
		query, err := parseListQuery(text)
		if err != nil {
			t.Fatal(err)
		}
		link, err := url.Parse(query.link())
		if err != nil || link.Path != "./" || link.Query().Encode() != want.Encode() {
			t.Errorf("%s: got %s, %v", text, query.link(), err)
		}
	}
	for sort, want := range map[string]string{"": "", "target": "", "-since": "", "-target": "target, reversed", "since": "latest change, reversed", "-severity": "failures first, reversed"} {
		query, err := parseListQuery("sort=" + sort)
		if err != nil {
			t.Fatal(err)
		}
		added := ""
		if orders := query.Orders(); len(orders) > 6 {
			added = orders[6].Text
		}
		if added != want {
			t.Errorf("order %s: the form has the additional order %q, want %q", sort, added, want)
		}
	}
}

// TestOlderFailure: a row has a link to the last failed report, if that is stored and is not the
// one that the row leads to.
func TestOlderFailure(t *testing.T) {
	for _, test := range []struct {
		name   string
		probes []dane.Outcome
		lose   int // number of the report that is removed from the history; 0: none
		want   string
	}{
		{"the last probe failed", []dane.Outcome{dane.Authenticated, dane.Refused}, 0, ""},
		{"a failure, then a success", []dane.Outcome{dane.Refused, dane.Authenticated, dane.Authenticated}, 0, `<a href="./report?number=1">last failure</a>`},
		{"the failed report is not stored", []dane.Outcome{dane.Refused, dane.Authenticated}, 1, ""},
		{"only the failed report is stored", []dane.Outcome{dane.Refused, dane.Authenticated}, 2, ""},
	} {
		f := newFixture(t, proberFunc(instant), nil)
		for minute, outcome := range test.probes {
			f.store(probed("a.example", minute, outcome))
		}
		if test.lose > 0 {
			f.history.mu.Lock()
			f.history.remove(f.history.recent[test.lose-1])
			f.history.mu.Unlock()
		}
		_, page := f.get("/")
		if link := regexp.MustCompile(`<a href="[^"]*">last failure</a>`).FindString(page); link != test.want {
			t.Errorf("%s: got %q, want %q", test.name, link, test.want)
		}
	}
}
