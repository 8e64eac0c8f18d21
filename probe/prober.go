package probe

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/handshake"

	"github.com/miekg/dns"
)

// Settings configure a Prober.
type Settings struct {
	DNS    dnssec.Options
	Access Access
	// HandshakeReuse is how long the result of a handshake serves other probes. With
	// 0, only simultaneous probes share one.
	HandshakeReuse time.Duration
}

// Prober probes targets. It is safe for concurrent use.
type Prober struct {
	env        Environment
	access     Access
	resolvers  map[string]*dnssec.Resolver // as in WithResolvers
	handshakes *handshake.Client

	delegations *delegations
}

// New returns a Prober for one environment. All modules share one resolver.
func New(env Environment, settings Settings) *Prober {
	return &Prober{
		env:        env,
		access:     settings.Access,
		resolvers:  map[string]*dnssec.Resolver{"": dnssec.New(env.DNS, env.Anchors, env.Now, settings.DNS)},
		handshakes: handshake.New(env.Dial, env.Hostname, settings.HandshakeReuse),

		delegations: newDelegations(),
	}
}

// WithResolvers returns a copy of p with other resolvers: those of modules with their own, by
// module name. The empty name stands for all other modules. The copy shares the handshakes
// with p, so there is at most one connection at a time to an address.
func (p *Prober) WithResolvers(resolvers map[string]*dnssec.Resolver) *Prober {
	other := *p
	other.resolvers = resolvers
	return &other
}

// Resolver returns the validating resolver of a module. Probes share it.
func (p *Prober) Resolver(module string) *dnssec.Resolver {
	return cmp.Or(p.resolvers[module], p.resolvers[""])
}

// view returns a name for the resolver of a module: the alphabetically first of the modules
// that share it. The empty name stands for all modules without their own resolver.
func (p *Prober) view(module string) string {
	resolver := p.Resolver(module)
	for _, name := range slices.Sorted(maps.Keys(p.resolvers)) {
		if p.resolvers[name] == resolver {
			return name
		}
	}
	return module
}

// Probe gathers the facts about one target and judges them. It returns by the
// deadline of ctx or the module's timeout, whichever is first, with what it has.
// It may use the result of a handshake of another probe, in flight or recent.
func (p *Prober) Probe(ctx context.Context, target Target, module Module) *Report {
	return p.probe(ctx, target, module, false)
}

// ProbeUncached is Probe with handshakes of its own.
func (p *Prober) ProbeUncached(ctx context.Context, target Target, module Module) *Report {
	return p.probe(ctx, target, module, true)
}

func (p *Prober) probe(ctx context.Context, target Target, module Module, fresh bool) *Report {
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, module.Timeout)
	defer cancel()
	deadline, _ := ctx.Deadline()
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	held := p.env.Pool.newUsage(end)
	defer held.close()

	report := &Report{Target: target, Module: module, Start: start, Deadline: deadline.Sub(start).Round(time.Millisecond)}
	r := p.newRun(target, module, held)
	r.fresh, r.minWait = fresh, max(report.Deadline*2/5, minWait)
	r.gather(ctx, &report.Facts)
	if err := held.err(); err != nil { // drop what is too much
		report.Facts = dane.Facts{Err: dane.WithCause(dane.CauseLimit, err)}
	}
	report.Rules = dane.Rules{Target: target.Name, Policy: module.Policy, Require: module.Require, Lookups: bool(module.LookupsOnly), Roots: p.env.Roots, Issuers: module.issuers()}
	report.Verdict = p.judge(ctx, report)
	report.Duration = time.Since(start)
	return report
}

// newRun returns a probe that holds memory.
func (p *Prober) newRun(target Target, module Module, held *usage) *run {
	return &run{prober: p, resolver: p.Resolver(module.Name), target: target, module: module, budget: newBudget(), zones: newZones(), usage: held,
		queries: newQueries(maxQueries), nameserverQueries: newQueries(maxNameserverQueries), minWait: minWait}
}

// minJudging is the time that costly checks of certificates have even if the deadline
// has passed. Honest servers need a few milliseconds.
const minJudging = 250 * time.Millisecond

// judge returns the verdict on the facts of a report.
func (p *Prober) judge(ctx context.Context, report *Report) dane.Verdict {
	rules := report.Rules
	rules.Stop = stopJudging(ctx, report.Start.Add(report.Deadline), time.Now().Add(minJudging))
	return dane.Judge(&report.Facts, rules, p.env.Now())
}

// stopJudging returns a function that returns an error when the costly checks of a
// probe must end: if ctx is canceled, or after both deadline and earliest.
func stopJudging(ctx context.Context, deadline, earliest time.Time) func() error {
	return func() error {
		now := time.Now()
		switch {
		case errors.Is(ctx.Err(), context.Canceled):
			return errors.New("the probe was canceled")
		case now.After(deadline) && now.After(earliest):
			return errors.New("the deadline of the probe has passed")
		default:
			return nil
		}
	}
}

// run is one probe in progress.
type run struct {
	prober   *Prober
	resolver *dnssec.Resolver // of the module
	target   Target
	module   Module
	fresh    bool
	// minWait is the minimum time that an endpoint of this probe must have had
	// before its silence is its fault. Lookups take at most half of the probe's
	// time, so an endpoint that need not wait for other connections gets this much
	// if the module's timeout allows.
	minWait time.Duration
	budget  *budget
	zones   *zones

	renewals    renewals
	delegations probeDelegations

	usage                      *usage
	queries, nameserverQueries *queries
	handshakes                 handshake.Probe
}

// meter returns the meter of lookups that are not of one host.
func (r *run) meter() meter { return meter{r.usage, r.queries, 0} }

// nameserverMeter returns the meter of the nameserver checks, and of other lookups on which
// no outcome depends.
func (r *run) nameserverMeter() meter { return meter{r.usage, r.nameserverQueries, 0} }

// gather fills in the facts: the hosts, their lookups and handshakes and, in
// parallel if the module asks for it, what is published for MTA-STS.
func (r *run) gather(ctx context.Context, facts *dane.Facts) {
	facts.Complete = true
	if !r.prober.access.allowsTarget(r.target) {
		facts.Denied = true
		return
	}
	if !r.target.Address.IsValid() && dane.IsSpecialUse(r.target.Name, r.target.Name) {
		facts.Special = true
		return
	}
	lookups, cancel := half(ctx)
	defer cancel()
	jobs := []job{{
		run: func() { r.probeHosts(ctx, lookups, facts) },
		err: &facts.Err,
	}}
	if r.module.MTASTS {
		facts.MTASTS = new(dane.MTASTS)
		jobs = append(jobs, job{
			run: func() { r.probeMTASTS(ctx, lookups, facts.MTASTS) },
			err: &facts.MTASTS.Err,
		})
	}
	runAll(jobs...)
	facts.Delegations = slices.SortedFunc(slices.Values(r.delegations.found), func(a, b *dane.Delegation) int { return cmp.Compare(a.Zone, b.Zone) })
	facts.DelegationsErr = errors.Join(facts.DelegationsErr, r.delegations.err)
	if r.delegations.truncated {
		facts.Truncated = append(facts.Truncated, "delegations")
	}
	summarise(facts)
}

// probeHosts discovers the hosts and probes them in parallel.
func (r *run) probeHosts(ctx, lookups context.Context, facts *dane.Facts) {
	facts.Discovery = timed(func() { r.discover(lookups, facts) })
	if err := r.usage.keep(len(facts.Hosts) * sizeOfHost); err != nil {
		facts.Err = dane.WithCause(dane.CauseLimit, err)
		return
	}
	r.budget.divide(facts.Hosts, len(r.module.KeyTypes))
	r.queries.setHosts(len(facts.Hosts))
	var jobs []job
	if r.module.Nameservers {
		jobs = append(jobs, job{
			run: func() { r.examineDelegations(ctx, discoveryAnswers(facts)...) },
			err: &facts.DelegationsErr,
		})
	}
	for i := range facts.Hosts {
		host := &facts.Hosts[i]
		jobs = append(jobs, job{
			run: func() {
				r.queries.wait(lookups, i)
				r.probeHost(ctx, lookups, i, host)
			},
			err: &host.Err,
		})
	}
	runAll(jobs...)
}

// discoveryAnswers returns the lookups that found the hosts.
func discoveryAnswers(facts *dane.Facts) []*dnssec.Answer {
	answers := []*dnssec.Answer{facts.MX}
	for i := range facts.SRV {
		answers = append(answers, &facts.SRV[i].Answer)
	}
	return answers
}

// probeHost looks up the addresses of a host and probes its services, in
// parallel. It sends no query for a name that cannot be a host's. position is that of
// the host in the order of preference.
func (r *run) probeHost(ctx, lookups context.Context, position int, host *dane.Host) {
	var meter dnssec.Meter = meter{r.usage, r.queries, position}
	var pending atomic.Int32
	pending.Store(int32(1 + len(host.Services)))
	lookedUp := func() { // is called after the last lookup of each kind
		if pending.Add(-1) == 0 {
			r.queries.finish(position)
		}
	}
	switch host.Fault {
	case dane.HostSpecialUse, dane.HostInvalid:
		r.queries.finish(position)
		return
	case dane.HostAddress:
		r.queries.finish(position)
		r.probeAddressHost(ctx, host)
		return
	}
	addressed := make(chan struct{})
	jobs := []job{{
		run: func() {
			defer lookedUp()
			defer close(addressed)
			host.Lookup = timed(func() { r.lookupAddresses(lookups, meter, host) })
			host.ExamineAliases(r.target.Name)
		},
		err: &host.Err,
	}}
	for i := range host.Services {
		service := &host.Services[i]
		jobs = append(jobs, job{
			run: func() { r.probeService(ctx, lookups, meter, host, service, addressed, lookedUp) },
			err: &service.Err,
		})
	}
	runAll(jobs...)
}

// probeAddressHost probes the services of a host whose name is an address. It has
// no records to look up.
func (r *run) probeAddressHost(ctx context.Context, host *dane.Host) {
	decided := make(chan struct{})
	close(decided)
	var jobs []job
	for i := range host.Services {
		service := &host.Services[i]
		jobs = append(jobs, job{
			run: func() { r.probeEndpoints(ctx, host, service, decided) },
			err: &service.Err,
		})
	}
	runAll(jobs...)
}

// probeService looks up a service's TLSA records and makes its handshakes, in
// parallel. The lookup under the host's own name starts before the addresses are
// known. Only they show whether it counts, but to wait would cost a round trip. It calls
// lookedUp when the lookups have ended.
func (r *run) probeService(ctx, lookups context.Context, meter dnssec.Meter, host *dane.Host, service *dane.Service, addressed <-chan struct{}, lookedUp func()) {
	var own dnssec.Answer
	var errs [7]error
	ownDone, decided := make(chan struct{}), make(chan struct{})
	jobs := []job{
		{
			run: func() {
				defer close(ownDone)
				if service.NamedSecurely() { // otherwise no TLSA lookup counts
					own = r.lookup(lookups, meter, dane.TLSAOwner(host.Name, service.Port), dns.TypeTLSA)
				}
			},
			err: &errs[0],
		},
		{
			run: func() {
				defer lookedUp()
				defer close(decided)
				<-addressed
				r.lookupTLSA(lookups, meter, host, service, func() dnssec.Answer { <-ownDone; return own })
			},
			err: &errs[1],
		},
		{
			run: func() {
				<-addressed
				r.probeEndpoints(ctx, host, service, decided)
			},
			err: &errs[2],
		},
	}
	if r.module.Nameservers {
		jobs = append(jobs, job{
			run: func() {
				<-decided
				answers := []*dnssec.Answer{host.A, host.AAAA}
				for i := range service.TLSA {
					answers = append(answers, &service.TLSA[i].Answer)
				}
				r.examineDelegations(ctx, answers...)
			},
			err: &errs[6],
		}, job{
			run: func() {
				<-decided
				if lookup := service.TLSAResult.Lookup; lookup != nil {
					service.Nameservers = r.queryNameservers(ctx, &lookup.Answer, lookup.Answer.Canonical)
				}
			},
			err: &errs[3],
		})
	}
	if r.module.MTASTS {
		jobs = append(jobs, job{
			run: func() { <-decided; r.lookupServiceTLSRPT(lookups, service) },
			err: &errs[4],
		})
	}
	if r.module.Renewal {
		jobs = append(jobs, job{
			run: func() { <-decided; errs[5] = r.lookupRenewal(lookups, host, service) },
			err: &errs[5],
		})
	}
	runAll(jobs...)
	service.Err = errors.Join(errs[:]...)
}

// summarise adds what follows from all facts together: what was truncated,
// whether they are complete, and the phases.
func summarise(facts *dane.Facts) {
	if facts.MTASTS != nil && facts.MTASTS.TimedOutEarly() {
		facts.Complete = false
	}
	for _, lookup := range append(facts.Lookups(), facts.MTASTSLookups()...) {
		if errors.Is(lookup.Answer.Err, dnssec.ErrDeadline) {
			facts.Complete = false
		}
	}
	for i := range facts.Hosts {
		host := &facts.Hosts[i]
		if addresses, truncated := limitAddresses(host); (truncated || skipsAddresses(host, addresses)) && !slices.Contains(facts.Truncated, "addresses") {
			facts.Truncated = append(facts.Truncated, "addresses")
		}
		for j := range host.Services {
			service := &host.Services[j]
			early := func(e dane.Endpoint) bool { return e.TimedOutEarly }
			if slices.ContainsFunc(service.Endpoints, early) {
				facts.Complete = false
			}
			if service.Nameservers != nil {
				early := func(server dane.Nameserver) bool { return server.TimedOutEarly }
				facts.Complete = facts.Complete && !slices.ContainsFunc(service.Nameservers.Servers, early)
			}
		}
	}
	facts.Phases = phases(facts)
}

// phases returns the spans of each kind of work, in the order of a probe. It
// leaves out what was not done, or not by this probe.
func phases(facts *dane.Facts) []dane.Phase {
	var lookup, connect, startTLS, tls dane.Span
	for i := range facts.Hosts {
		host := &facts.Hosts[i]
		lookup = lookup.Union(host.Lookup)
		for j := range host.Services {
			for _, e := range host.Services[j].Endpoints {
				if e.Reused {
					continue
				}
				connect, startTLS, tls = connect.Union(e.Connect), startTLS.Union(e.StartTLS), tls.Union(e.TLS)
			}
		}
	}
	var done []dane.Phase
	for _, p := range []dane.Phase{{Name: "discover", Span: facts.Discovery}, {Name: "lookup", Span: lookup},
		{Name: "connect", Span: connect}, {Name: "starttls", Span: startTLS}, {Name: "tls", Span: tls}} {
		if !p.Start.IsZero() {
			done = append(done, p)
		}
	}
	return done
}
