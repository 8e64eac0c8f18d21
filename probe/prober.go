package probe

import (
	"context"
	"errors"
	"slices"
	"time"

	"dane_exporter/internal/flight"
	"dane_exporter/probe/dnssec"

	"github.com/miekg/dns"
)

// Settings are what a Prober needs beside its world.
type Settings struct {
	DNS    dnssec.Options
	Access Access
	// HandshakeReuse is how long a handshake serves others that need the same;
	// 0: those alone that need it while it is made.
	HandshakeReuse time.Duration
}

// Prober probes targets. It is safe for concurrent use.
type Prober struct {
	world      World
	access     Access
	resolver   *dnssec.Resolver
	turns      turns
	encounters flight.Group[handshakeKey, encounter]
	met        *met
}

// New returns a Prober of one world.
func New(world World, settings Settings) *Prober {
	return &Prober{
		world:    world,
		access:   settings.Access,
		resolver: dnssec.New(world.DNS, world.Anchors, world.Now, settings.DNS),
		met:      newMet(settings.HandshakeReuse),
	}
}

// Resolver is the validator that the probes share.
func (p *Prober) Resolver() *dnssec.Resolver { return p.resolver }

// Probe asks everything about one target and judges it. It returns by the
// deadline of ctx, or the module's timeout if that is nearer, with what it has.
// Handshakes may be those of other probes, made at the same time or lately.
func (p *Prober) Probe(ctx context.Context, target Target, module Module) *Report {
	return p.probe(ctx, target, module, false)
}

// ProbeAfresh is Probe with handshakes that nobody but this probe has made.
func (p *Prober) ProbeAfresh(ctx context.Context, target Target, module Module) *Report {
	return p.probe(ctx, target, module, true)
}

func (p *Prober) probe(ctx context.Context, target Target, module Module, afresh bool) *Report {
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, module.Timeout)
	defer cancel()
	deadline, _ := ctx.Deadline()

	report := &Report{Target: target, Module: module, Start: start, Deadline: deadline.Sub(start).Round(time.Millisecond)}
	run := &run{Prober: p, target: target, module: module, afresh: afresh, allowance: newAllowance(), zones: newZones(), fairTime: max(report.Deadline*2/5, patience)}
	run.gather(ctx, &report.Facts)
	report.Rules = Rules{Target: target.Name, Policy: module.Policy, Require: module.Require, Roots: p.world.Roots}
	report.Verdict = Judge(&report.Facts, report.Rules, p.world.Now())
	report.Duration = time.Since(start)
	return report
}

// run is one probe on its way.
type run struct {
	*Prober
	target Target
	module Module
	afresh bool
	// fairTime is how long an endpoint must have had before its silence is its
	// own fault. Look-ups take at most half of the probe's time, so that an
	// endpoint that waits for nothing else has more than this, if only the
	// probe has patience enough.
	fairTime  time.Duration
	allowance *allowance
	zones     *zones
}

// patience is the least that a server may take for an answer: servers that
// make clients wait before they greet them are common.
const patience = 5 * time.Second

// gather finds the facts: the hosts, then for all of them at once look-ups and
// handshakes; and beside all that, where it is asked for, what is published for MTA-STS.
func (r *run) gather(ctx context.Context, facts *Facts) {
	facts.Complete = true
	if !r.access.allowsTarget(r.target) {
		facts.Denied = true
		return
	}
	lookups, cancel := halfway(ctx)
	defer cancel()
	work := []task{{
		do:    func() { r.probeHosts(ctx, lookups, facts) },
		fault: &facts.Fault,
	}}
	if r.module.MTASTS {
		facts.MTASTS = new(MTASTS)
		work = append(work, task{
			do:    func() { r.probeMTASTS(ctx, lookups, facts.MTASTS) },
			fault: &facts.MTASTS.Fault,
		})
	}
	together(work...)
	sumUp(facts)
}

// probeHosts finds the hosts and probes them all at once.
func (r *run) probeHosts(ctx, lookups context.Context, facts *Facts) {
	facts.Discovery = timed(func() { r.discover(lookups, facts) })
	r.allowance.share(facts.Hosts, len(r.module.KeyTypes))
	var hosts []task
	for i := range facts.Hosts {
		host := &facts.Hosts[i]
		hosts = append(hosts, task{
			do:    func() { r.probeHost(ctx, lookups, host) },
			fault: &host.Fault,
		})
	}
	together(hosts...)
}

// probeHost looks up what there is of a host and meets its endpoints.
func (r *run) probeHost(ctx, lookups context.Context, host *Host) {
	addressed := make(chan struct{})
	tasks := []task{{
		do: func() {
			defer close(addressed)
			host.Looking = timed(func() { r.lookUpAddresses(lookups, host) })
		},
		fault: &host.Fault,
	}}
	for i := range host.Services {
		service := &host.Services[i]
		tasks = append(tasks, task{
			do:    func() { r.probeService(ctx, lookups, host, service, addressed) },
			fault: &service.Fault,
		})
	}
	together(tasks...)
}

// probeService looks up a service's TLSA records and meets its endpoints, both
// at once. The look-up under the host's own name begins before its addresses
// are known: whether it counts shows only then, and waiting would cost a round trip.
func (r *run) probeService(ctx, lookups context.Context, host *Host, service *Service, addressed <-chan struct{}) {
	var own dnssec.Answer
	var faults [4]error
	owned, decided := make(chan struct{}), make(chan struct{})
	tasks := []task{
		{
			do: func() {
				defer close(owned)
				if !service.secure() {
					return // no look-up of TLSA records counts
				}
				own = r.lookUp(lookups, tlsaOwner(host.Name, service.Port), dns.TypeTLSA)
			},
			fault: &faults[0],
		},
		{
			do: func() {
				defer close(decided)
				<-addressed
				r.lookUpTLSA(lookups, host, service, func() dnssec.Answer { <-owned; return own })
			},
			fault: &faults[1],
		},
		{
			do: func() {
				<-addressed
				r.meetAll(ctx, host, service, decided)
			},
			fault: &faults[2],
		},
	}
	if r.module.Nameservers {
		tasks = append(tasks, task{
			do:    func() { <-decided; r.askAuthority(ctx, service) },
			fault: &faults[3],
		})
	}
	together(tasks...)
	service.Fault = errors.Join(faults[:]...)
}

// meetAll meets all endpoints of a service at once. The name to send in the
// handshake is the TLSA base domain (RFC 7672 §8.1), which is in doubt only
// where the host is an alias: then the connection waits for the look-ups, since
// other probes can share only a handshake of which that name is known. A
// host that came by an insecure SRV record is asked for the service domain's
// certificate (RFC 7673 §4.1).
func (r *run) meetAll(ctx context.Context, host *Host, service *Service, decided <-chan struct{}) {
	sni := func() string { return host.Name }
	if !service.secure() {
		sni = func() string { return r.target.Name }
	} else if addresses := addressAnswer(host); addresses != nil && len(addresses.Aliases) > 0 {
		sni = func() string {
			<-decided
			if state, lookup := decideTLSA(service.TLSA); state == tlsaFound {
				return lookup.Base
			}
			return host.Name
		}
	}
	keys := r.module.KeyTypes
	if len(keys) == 0 {
		keys = []KeyType{""}
	}
	addresses, _ := addressesOf(host)
	addresses = addresses[:min(len(addresses), r.allowance.addresses)]
	service.Endpoints = make([]Endpoint, 0, len(addresses)*len(keys))
	for _, address := range addresses {
		for _, key := range keys {
			service.Endpoints = append(service.Endpoints, Endpoint{Address: address, KeyType: key})
		}
	}
	var meetings []task
	for each := range slices.Chunk(service.Endpoints, len(keys)) {
		meetings = append(meetings, task{
			do:    func() { r.meetEach(ctx, service, each, sni) },
			fault: &each[0].Err,
		})
	}
	together(meetings...)
}

// sumUp adds to the facts what follows from them all.
func sumUp(facts *Facts) {
	lookups := facts.Lookups()
	if facts.MTASTS != nil {
		lookups = append(lookups, facts.MTASTS.Lookups()...)
		if facts.MTASTS.Hurried() {
			facts.Complete = false
		}
	}
	for _, lookup := range lookups {
		if errors.Is(lookup.Answer.Err, dnssec.ErrDeadline) {
			facts.Complete = false
		}
	}
	for i := range facts.Hosts {
		host := &facts.Hosts[i]
		if addresses, cut := addressesOf(host); (cut || host.misses(addresses)) && !slices.Contains(facts.Truncated, "addresses") {
			facts.Truncated = append(facts.Truncated, "addresses")
		}
		for j := range host.Services {
			for _, endpoint := range host.Services[j].Endpoints {
				if endpoint.Hurried {
					facts.Complete = false
				}
			}
			if authority := host.Services[j].Authority; authority != nil {
				hurried := func(server Nameserver) bool { return server.Hurried }
				facts.Complete = facts.Complete && !slices.ContainsFunc(authority.Servers, hurried)
			}
		}
	}
	facts.Phases = phases(facts)
}
