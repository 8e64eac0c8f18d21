package web

import (
	"fmt"
	"slices"
	"strings"

	"dane_exporter/internal/report"
	"dane_exporter/probe/dane"
)

// Limits of what the page of a report shows, so that it stays small for any number of hosts. The
// page of one host, and the report as JSON, have more.
const (
	maxHosts     = 5   // hosts that are shown in full
	maxEndpoints = 10  // endpoints that are shown in full
	maxBrief     = 4   // endpoints of each other host
	maxPlaces    = 30  // places of one finding
	maxPairs     = 60  // comparisons of a record with an endpoint, except for one for each endpoint
	maxBars      = 30  // comparisons that are shown as bars too
	maxLinks     = 150 // zones, DS records and keys of chains of trust
)

// evidence is what the page of a report shows in support of the verdict.
type evidence struct {
	Findings []findingGroup
	Hosts    []hostView // those that are shown in full
	More     []hostView // the others
	Chains   []chain
	Brief    []report.Lookup         // lookups that are shown without their chain
	Senders  []report.ServiceSenders // of the hosts that are shown in the table of MTA-STS
	// MoreSenders are those of the other hosts.
	MoreSenders []report.ServiceSenders
}

// ofHost returns the part of a report that is about one host. The verdict is that on the target.
func ofHost(d *report.Document, host string) *report.Document {
	part := *d
	part.Services = only(d.Services, func(s report.Service) bool { return s.Host == host })
	part.Findings = only(d.Findings, func(f report.Finding) bool { return f.Host == host })
	part.Advice = only(d.Advice, func(a report.Advice) bool { return a.Host == host })
	part.Lookups = only(d.Lookups, func(l report.Lookup) bool { return l.Host == host })
	if d.MTASTS != nil {
		policy := *d.MTASTS
		policy.Services = only(policy.Services, func(s report.ServiceSenders) bool { return s.Host == host })
		policy.Lookups = nil
		part.MTASTS = &policy
	}
	return &part
}

// only returns the elements that are wanted.
func only[T any](all []T, wanted func(T) bool) []T {
	return slices.DeleteFunc(slices.Clone(all), func(e T) bool { return !wanted(e) })
}

// hostView is one service on the page of a report.
type hostView struct {
	report.Service
	ID        string
	Endpoints []endpointView
	Brief     []report.Endpoint // endpoints that are shown in one line
	MoreBrief int               // endpoints that are not shown
}

// endpointView is one endpoint that is shown in full.
type endpointView struct {
	report.Endpoint
	Open    bool // show it expanded
	Records comparisons
}

// newEvidence returns the evidence of a report. Services and endpoints with a fault come first.
func newEvidence(d *report.Document) evidence {
	e := evidence{Findings: groupFindings(d.Findings, d.Severity)}
	services := slices.Clone(d.Services)
	slices.SortStableFunc(services, func(a, b report.Service) int { return faultRank(a.Outcome) - faultRank(b.Outcome) })
	full := make(map[string]bool) // hosts that are shown in full
	endpoints := 0
	for i, s := range services {
		view := hostView{Service: s, ID: fmt.Sprintf("host-%d", i+1), Brief: slices.Clone(s.Endpoints)}
		slices.SortStableFunc(view.Brief, func(a, b report.Endpoint) int { return endpointRank(a) - endpointRank(b) })
		if i >= maxHosts {
			e.More = append(e.More, view.brief())
			continue
		}
		for endpoints < maxEndpoints && len(view.Brief) > 0 && !view.Brief[0].Skipped {
			view.Endpoints = append(view.Endpoints, endpointView{Endpoint: view.Brief[0], Open: isFault(view.Brief[0].Outcome)})
			view.Brief = view.Brief[1:]
			endpoints++
		}
		full[s.Host] = true
		e.Hosts = append(e.Hosts, view.brief())
	}
	pairs, bars := max(maxPairs/max(endpoints, 1), 1), maxBars/max(endpoints, 1)
	for _, view := range e.Hosts {
		for i := range view.Endpoints {
			view.Endpoints[i].Records = compareEndpoint(view.Service, view.Endpoints[i].Endpoint, pairs, bars)
		}
	}
	e.Chains, e.Brief = chains(d, func(l *report.Lookup) bool { return full[l.Host] || l.Host == "" })
	e.senders(d)
	e.link()
	return e
}

// senders sets the outcomes for senders with and without MTA-STS, those with a fault first.
func (e *evidence) senders(d *report.Document) {
	if d.MTASTS == nil {
		return
	}
	for _, s := range d.MTASTS.Services {
		if len(s.Endpoints) > maxBrief {
			s.Endpoints = only(s.Endpoints, func(e report.EndpointSenders) bool { return e.Passes == nil || !*e.Passes })
		}
		s.Endpoints = s.Endpoints[:min(len(s.Endpoints), maxEndpoints)]
		e.Senders = append(e.Senders, s)
	}
	rank := func(s report.ServiceSenders) int {
		return min(faultRank(s.Senders.DANE), faultRank(s.Senders.MTASTS), faultRank(s.Senders.Both))
	}
	slices.SortStableFunc(e.Senders, func(a, b report.ServiceSenders) int { return rank(a) - rank(b) })
	shown := min(len(e.Senders), maxHosts)
	e.Senders, e.MoreSenders = e.Senders[:shown], e.Senders[shown:]
}

// brief returns a host with a limited number of endpoints in one line.
func (h hostView) brief() hostView {
	if surplus := len(h.Brief) - maxBrief; surplus > 0 {
		h.Brief, h.MoreBrief = h.Brief[:maxBrief], surplus
	}
	return h
}

// serviceEndpoint is an endpoint and its service, for the template.
type serviceEndpoint struct {
	Service  hostView
	Endpoint endpointView
}

func pairOf(s hostView, e endpointView) serviceEndpoint { return serviceEndpoint{s, e} }

// Incomplete reports whether an endpoint that was tried is not shown in full.
func (h hostView) Incomplete() bool {
	return h.MoreBrief > 0 || slices.ContainsFunc(h.Brief, func(e report.Endpoint) bool { return !e.Skipped })
}

// NameserverFault reports whether a nameserver does not answer or has other records.
func (h hostView) NameserverFault() bool {
	return slices.ContainsFunc(h.Nameservers, func(n report.Nameserver) bool { return n.Up != nil && !*n.Up || n.Consistent != nil && !*n.Consistent })
}

// outcomesOf returns the number of services with each outcome, the worst first.
func outcomesOf(services []hostView) string {
	number := make(map[string]int)
	for _, s := range services {
		number[s.Outcome]++
	}
	var counts []string
	for _, outcome := range slices.Backward(dane.Outcomes()) {
		if n := number[string(outcome)]; n > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", n, outcome))
		}
	}
	return strings.Join(counts, ", ")
}

// zoneFiles returns records to publish as one text for each service, to be copied.
func zoneFiles(records []report.Publish) (files [][]report.Publish) {
	for _, r := range records {
		if last := len(files) - 1; last >= 0 && files[last][0].Owner == r.Owner {
			files[last] = append(files[last], r)
		} else {
			files = append(files, []report.Publish{r})
		}
	}
	return files
}

// faultRank orders outcomes that are a fault before others.
func faultRank(outcome string) int {
	at := slices.Index([]dane.Outcome{dane.Refused, dane.Unreachable, dane.Unknown}, dane.Outcome(outcome))
	if at < 0 {
		return 3
	}
	return at
}

func isFault(outcome string) bool { return faultRank(outcome) < 3 }

// endpointRank orders endpoints that are a fault before others, and those that were skipped last.
func endpointRank(e report.Endpoint) int {
	if e.Skipped {
		return 4
	}
	return faultRank(e.Outcome)
}

// findingGroup is a reason, and where it was found.
type findingGroup struct {
	report.Finding // one of them
	Senders        string
	Places         []place // at most maxPlaces
	More           int     // places that are not shown
}

// place is where a reason was found.
type place struct {
	report.Finding
	ID string // of the part of the page about the host, if there is one
}

// groupFindings groups findings by reason. Those that explain the verdict come first.
func groupFindings(findings []report.Finding, severity string) (groups []findingGroup) {
	for _, f := range findings {
		at := slices.IndexFunc(groups, func(g findingGroup) bool { return g.Reason == f.Reason })
		if at < 0 {
			at = len(groups)
			groups = append(groups, findingGroup{Finding: f, Senders: dane.Reason(f.Reason).Info().Senders})
		}
		if g := &groups[at]; len(g.Places) < maxPlaces {
			g.Places = append(g.Places, place{Finding: f})
		} else {
			g.More++
		}
	}
	order := []dane.Effect{dane.EffectError, dane.EffectDegraded, dane.EffectWarning, dane.EffectInternal}
	if severity == dane.SeverityUnknown.String() {
		order = []dane.Effect{dane.EffectInternal, dane.EffectError, dane.EffectDegraded, dane.EffectWarning}
	}
	slices.SortStableFunc(groups, func(a, b findingGroup) int {
		return slices.Index(order, dane.Effect(a.Effect)) - slices.Index(order, dane.Effect(b.Effect))
	})
	return groups
}

// link sets the ID of each place whose host the page has.
func (e *evidence) link() {
	hosts := slices.Concat(e.Hosts, e.More)
	for _, g := range e.Findings {
		for i := range g.Places {
			p := &g.Places[i]
			at := slices.IndexFunc(hosts, func(h hostView) bool { return h.Host == p.Host && (h.Port == p.Port || p.Port == 0) })
			if at >= 0 {
				p.ID = hosts[at].ID
			}
		}
	}
}

// Placed reports whether a place says more than the reason.
func (g findingGroup) Placed() bool {
	return slices.ContainsFunc(g.Places, func(p place) bool { return p.Location() != "" || p.Detail != "" })
}

// First returns the places that are shown at once.
func (g findingGroup) First() []place { return g.Places[:min(len(g.Places), maxHosts)] }

// Rest returns the other places.
func (g findingGroup) Rest() []place { return g.Places[min(len(g.Places), maxHosts):] }

// chain is one lookup with its chain of trust.
type chain struct {
	report.Lookup
	Links []report.Zone
	Open  bool // show it expanded: it failed
}

// chains returns the lookups that are shown with their chains: those that failed, and those
// that are wanted. brief are the others, and those beyond the limit. Lookups of MTA-STS are last.
func chains(d *report.Document, wanted func(*report.Lookup) bool) (all []chain, brief []report.Lookup) {
	lookups := slices.Clone(d.Lookups)
	if d.MTASTS != nil {
		lookups = append(lookups, d.MTASTS.Lookups...)
	}
	slices.SortStableFunc(lookups, func(a, b report.Lookup) int { return trueFirst(a.Failed(), b.Failed()) })
	left := maxLinks
	for i := range lookups {
		l := &lookups[i]
		c := chain{Lookup: *l, Links: d.Links(l), Open: l.Failed()}
		cost := 1
		for _, zone := range c.Links {
			cost += 1 + len(zone.DS) + len(zone.Keys)
		}
		if cost > left || !l.Failed() && !wanted(l) {
			brief = append(brief, *l)
			continue
		}
		left -= cost
		all = append(all, c)
	}
	return all, brief
}

// trueFirst orders elements with a property before those without it.
func trueFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	default:
		return 1
	}
}
