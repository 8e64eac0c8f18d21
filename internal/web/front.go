package web

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"dane_exporter/internal/config"
	"dane_exporter/internal/report"
	"dane_exporter/probe"
	"dane_exporter/probe/dane"
)

// maxRows is the number of rows of one page of a list.
const maxRows = 100

// frontPage is the data of the front page.
type frontPage struct {
	layout
	Query     listQuery
	Total     int     // number of targets
	Matching  int     // of them, those that the query selects, with any severity
	Counts    []count // of those, with each severity, the worst first
	Found     int     // of those, with the severity of the query
	Rows      []frontRow
	Cut       int // number of targets to which the list is limited; 0: it has all
	Modules   []string
	Servers   []string         // resolvers of the configuration
	Resolvers []resolverStatus // empty before the first self-check
	Problems  bool             // a resolver has a problem
	Disabled  bool             // no reports are stored
}

// frontRow is a row of the front page.
type frontRow struct {
	*row
	Failed uint64 // number of the last failed report, if the row does not lead to it; otherwise 0
}

// count is the number of targets with one severity.
type count struct {
	Severity dane.Severity
	Targets  int
}

// Last returns the number of the last row of the page.
func (p frontPage) Last() int { return p.Query.First() + len(p.Rows) - 1 }

// order is one order in the form of the front page.
type order struct{ Name, Text string }

// Orders returns the orders of the form, and that of the query: the headings of the table
// also lead to the reverse ones.
func (q listQuery) Orders() []order {
	all := []order{{defaultSort, "failures first"}, {"target", "target"}, {"outcome", "outcome"}, {"-since", "latest change"}, {"next", "next date"}, {"probed", "longest without a probe"}}
	for _, o := range all {
		if o.Name == reversed(q.Sort) {
			return append(all, order{q.Sort, o.Text + ", reversed"})
		}
	}
	return all
}

// reversed returns the name of the reverse order.
func reversed(name string) string {
	if forward, isReverse := strings.CutPrefix(name, "-"); isReverse {
		return forward
	}
	return "-" + name
}

// heading is a heading of the table of targets, which sorts it.
type heading struct{ Link, Text, AriaSort string }

func column(page frontPage, name, text string) heading {
	return heading{page.Query.sorted(name), text, page.Query.ariaSort(name)}
}

// probesPage is the data of the list of recent probes.
type probesPage struct {
	layout
	Query  listQuery
	Found  int
	Recent []*entry
}

// Last returns the number of the last row of the page.
func (p probesPage) Last() int { return p.Query.First() + len(p.Recent) - 1 }

// resolverStatus is what the self-check found about one resolver.
type resolverStatus struct {
	Modules []string // that use it; the empty name stands for all without their own resolver
	Server  string
	Problem string // empty if there is none
	Detail  string
}

// front serves the front page: the form, one row for each target, and the status of
// the resolvers. With list=probes, it serves the recent probes.
func (s *Server) front(w http.ResponseWriter, r *http.Request) {
	query, err := parseListQuery(r.URL.RawQuery)
	if err != nil {
		s.notice(w, http.StatusBadRequest, nil, err.Error())
		return
	}
	if query.List == listProbes {
		s.recentProbes(w, query)
		return
	}
	page := frontPage{layout: s.layout("dane_exporter", "", config.DefaultModule), Disabled: s.HistoryLimit == 0}
	rows, cut := s.targets.all()
	page.Total, page.Modules = len(rows), modulesOf(rows)
	if cut {
		page.Cut = maxTargets
	}
	rows = query.matching(rows)
	page.Matching, page.Counts = len(rows), countSeverities(rows)
	rows = query.selected(rows)
	page.Found = len(rows)
	page.Query, rows = paginate(query, rows)
	for _, r := range rows {
		page.Rows = append(page.Rows, frontRow{r, s.olderFailure(r)})
	}
	if current := s.current.Load(); current != nil {
		page.Servers = current.config.Resolver.Servers
	}
	for _, check := range s.SelfChecks() {
		for _, c := range check.Result.Resolvers {
			page.Problems = page.Problems || c.Problem != ""
			page.Resolvers = append(page.Resolvers, resolverStatus{
				Modules: check.Modules, Server: report.Printable(c.Server), Problem: string(c.Problem), Detail: report.Printable(c.Why),
			})
		}
	}
	s.renderer.render(w, http.StatusOK, "front.html", page)
}

// olderFailure returns the number of the last failed report of a target, or 0 if it is not stored, or
// is the report that the row links to.
func (s *Server) olderFailure(r *row) uint64 {
	kept := s.history.byTarget(r.Target(), r.Module)
	if kept.failed == nil || kept.failed == kept.last {
		return 0
	}
	return kept.failed.Number
}

// recentProbes serves the list of recent probes, the last one first.
func (s *Server) recentProbes(w http.ResponseWriter, query listQuery) {
	recent := s.history.newestFirst()
	page := probesPage{layout: s.layout("dane_exporter: recent probes", "", config.DefaultModule), Found: len(recent)}
	page.Query, page.Recent = paginate(query, recent)
	s.renderer.render(w, http.StatusOK, "probes.html", page)
}

// severities are the severities in the order of the front page.
var severities = []dane.Severity{dane.SeverityCritical, dane.SeverityWarning, dane.SeverityUnknown, dane.SeverityOK}

// countSeverities returns the number of targets with each severity, without those that have none.
func countSeverities(rows []*row) (counts []count) {
	number := make(map[dane.Severity]int)
	for _, r := range rows {
		number[r.Severity()]++
	}
	for _, severity := range severities {
		if number[severity] > 0 {
			counts = append(counts, count{severity, number[severity]})
		}
	}
	return counts
}

// modulesOf returns the names of the modules of targets.
func modulesOf(rows []*row) []string {
	known := make(map[string]bool)
	for _, r := range rows {
		known[r.Module] = true
	}
	return slices.Sorted(maps.Keys(known))
}

// paginate returns the rows of the page that the query asks for, and the query with the number
// of that page, which is at most the last one.
func paginate[T any](query listQuery, rows []T) (listQuery, []T) {
	query.pages = max((len(rows)+maxRows-1)/maxRows, 1)
	query.Page = min(query.Page, query.pages)
	first := (query.Page - 1) * maxRows
	return query, rows[first:min(first+maxRows, len(rows))]
}

// listQuery selects and sorts the rows of the front page. The empty query selects all targets.
type listQuery struct {
	List     string // listProbes: recent probes instead of targets
	Text     string // part of the name of the target
	Severity string
	Outcome  string
	Module   string
	Sort     string // a key of sortOrders; a minus sign before it reverses the order
	Page     int    // from 1

	pages int // number of pages; set by paginate
}

const (
	listProbes  = "probes"
	defaultSort = "severity"
)

// sortOrders are the orders of the front page by their names in the query. Equal rows are
// ordered by severity.
var sortOrders = map[string]func(a, b *row) int{
	"severity": bySeverity,
	"target":   byTarget,
	"outcome": func(a, b *row) int {
		return slices.Index(dane.Outcomes(), b.State.Outcome) - slices.Index(dane.Outcomes(), a.State.Outcome)
	},
	"since":  func(a, b *row) int { return a.State.Since.Compare(b.State.Since) },
	"next":   func(a, b *row) int { return a.Next.At.Compare(b.Next.At) },
	"probed": func(a, b *row) int { return a.Probed.Compare(b.Probed) },
}

// bySeverity orders the worst severity first, and of equal ones the latest change first.
func bySeverity(a, b *row) int {
	return cmp.Or(slices.Index(severities, a.Severity())-slices.Index(severities, b.Severity()), b.State.Since.Compare(a.State.Since))
}

// byTarget orders by name, address, port and module.
func byTarget(a, b *row) int {
	return cmp.Or(strings.Compare(a.target.Name, b.target.Name), a.target.Address.Compare(b.target.Address), cmp.Compare(a.target.Port, b.target.Port), strings.Compare(a.Module, b.Module))
}

// parseListQuery parses the query string of the front page. The error is one line that
// names the parameter and its allowed values.
func parseListQuery(text string) (listQuery, error) {
	query := listQuery{Page: 1}
	values, err := url.ParseQuery(text)
	if err != nil {
		return query, fmt.Errorf("invalid query string; use /?q=example.org&severity=critical")
	}
	words := map[string][]string{"list": {listProbes}, "severity": nil, "outcome": {string(dane.Undecided)}, "sort": nil}
	for _, severity := range severities {
		words["severity"] = append(words["severity"], severity.String())
	}
	for _, outcome := range dane.Outcomes() {
		words["outcome"] = append(words["outcome"], string(outcome))
	}
	for name := range sortOrders {
		words["sort"] = append(words["sort"], name, "-"+name)
	}
	fields := map[string]*string{"list": &query.List, "q": &query.Text, "severity": &query.Severity, "outcome": &query.Outcome, "module": &query.Module, "sort": &query.Sort}
	for key, given := range values {
		const limit = 255
		value := given[0]
		allowed, isWord := words[key]
		slices.Sort(allowed)
		switch field, known := fields[key]; {
		case key == "page":
			if query.Page, err = strconv.Atoi(value); err != nil || query.Page < 1 {
				return query, fmt.Errorf("parameter page: %.40q is not the number of a page, from 1", value)
			}
		case !known:
			return query, fmt.Errorf("unknown parameter %.40q; allowed: list, q, severity, outcome, module, sort, page", key)
		case len(given) > 1:
			return query, fmt.Errorf("parameter %s is given %d times; it must be given once", key, len(given))
		case isWord && value != "" && !slices.Contains(allowed, value):
			return query, fmt.Errorf("parameter %s: %.40q is not one of: %s", key, value, strings.Join(allowed, ", "))
		case len(value) > limit:
			return query, fmt.Errorf("parameter %s: longer than %d bytes", key, limit)
		default:
			*field = report.Printable(strings.TrimSpace(value))
		}
	}
	query.Sort = cmp.Or(query.Sort, defaultSort)
	return query, nil
}

// matching returns the rows that the query selects, with any severity.
func (q listQuery) matching(rows []*row) []*row {
	text := strings.ToLower(q.Text)
	if name, err := probe.DomainName(text); err == nil && !isASCII(text) {
		text = name // targets are listed by their A-labels
	}
	return slices.DeleteFunc(rows, func(r *row) bool {
		return q.Module != "" && r.Module != q.Module ||
			q.Outcome != "" && string(r.State.Outcome) != q.Outcome ||
			text != "" && !strings.Contains(r.Target(), text)
	})
}

// selected returns the rows with the severity of the query, in its order.
func (q listQuery) selected(rows []*row) []*row {
	rows = slices.DeleteFunc(rows, func(r *row) bool { return q.Severity != "" && r.Severity().String() != q.Severity })
	name, reverse := strings.CutPrefix(q.Sort, "-")
	order := sortOrders[name]
	slices.SortFunc(rows, func(a, b *row) int {
		if name == "next" && a.Next.At.IsZero() != b.Next.At.IsZero() { // those without a date are last in both directions
			return b.Next.At.Compare(a.Next.At)
		}
		first := order(a, b)
		if reverse {
			first = -first
		}
		if first == 0 {
			first = cmp.Or(bySeverity(a, b), byTarget(a, b))
		}
		return first
	})
	return rows
}

func isASCII(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r > 0x7f })
}

// link returns the relative URL of the front page with the query.
func (q listQuery) link() string {
	values := make(url.Values)
	if q.Sort == defaultSort {
		q.Sort = ""
	}
	for key, value := range map[string]string{"list": q.List, "q": q.Text, "severity": q.Severity, "outcome": q.Outcome, "module": q.Module, "sort": q.Sort} {
		if value != "" {
			values.Set(key, value)
		}
	}
	if q.Page > 1 {
		values.Set("page", strconv.Itoa(q.Page))
	}
	if len(values) == 0 {
		return "./"
	}
	return "./?" + values.Encode()
}

// Filtered reports whether the query excludes targets.
func (q listQuery) Filtered() bool {
	return q.Text != "" || q.Severity != "" || q.Outcome != "" || q.Module != ""
}

// WithSeverity returns the URL of the targets with that severity, or of all if it is empty.
func (q listQuery) WithSeverity(severity string) string {
	q.Severity, q.Page = severity, 1
	return q.link()
}

// sorted returns the URL of the same targets in another order, or in the reverse order if it is
// theirs already.
func (q listQuery) sorted(name string) string {
	if q.Sort == name {
		name = reversed(name)
	}
	q.Sort, q.Page = name, 1
	return q.link()
}

// ariaSort returns the direction in which the targets are sorted by name, or "".
func (q listQuery) ariaSort(name string) string {
	switch q.Sort {
	case name:
		return "ascending"
	case "-" + name:
		return "descending"
	default:
		return ""
	}
}

// Pages returns the number of pages.
func (q listQuery) Pages() int { return q.pages }

// First returns the number of the first row of the page, from 1.
func (q listQuery) First() int { return (q.Page-1)*maxRows + 1 }

// Several reports whether there is more than one page.
func (q listQuery) Several() bool { return q.pages > 1 }

// Previous returns the URL of the previous page, or "".
func (q listQuery) Previous() string { return q.page(q.Page - 1) }

// Next returns the URL of the next page, or "".
func (q listQuery) Next() string { return q.page(q.Page + 1) }

func (q listQuery) page(number int) string {
	if number < 1 || number > q.pages {
		return ""
	}
	q.Page = number
	return q.link()
}
