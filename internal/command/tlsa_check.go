package command

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"dane_exporter/internal/rollover"
	"dane_exporter/probe"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/tlsa"
)

// gate is tlsa --check: it checks whether the nameservers serve records of new
// certificates and keys, and when those are safe to serve.
type gate struct {
	prober    *probe.Prober
	sources   []keySource // each needs a record
	served    bool        // the server has the certificates already
	services  []*gatedService
	wait      time.Duration
	state     *rollover.File
	statePath string                                                 // empty: no file
	changed   func(*gatedService, time.Time, []rollover.Observation) // is called with observations that changed
}

// gatedService is the TLSA RRset of one port.
type gatedService struct {
	name        string
	port        uint16
	verifier    tlsa.Verifier // what clients of this service accept
	publication *rollover.Publication
}

func (g *gatedService) owner() string { return dane.TLSAOwner(g.name, g.port) }

// observeTimeout limits one round of queries to all nameservers.
const observeTimeout = 30 * time.Second

// run observes the nameservers until all keys are safe to serve, or until the wait ends.
// It returns early if the keys become safe only after the wait. It returns an error if
// the state cannot be saved, and errInterrupted if ctx ends first.
func (g *gate) run(ctx context.Context) error {
	interval := min(max(g.wait/60, time.Second), 30*time.Second)
	deadline := time.Now().Add(g.wait)
	for {
		if err := g.observe(ctx); err != nil {
			return err
		}
		now := time.Now()
		if g.code(now) == exitOK || !g.mayBeSafe(deadline) || !now.Before(deadline) {
			return nil
		}
		next := now.Add(interval)
		if safe := g.safe(); !safe.IsZero() && safe.Before(next) {
			next = safe
		}
		timer := time.NewTimer(time.Until(earlier(next, deadline)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return errInterrupted
		}
	}
}

var errInterrupted = errors.New("the check was interrupted")

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// mayBeSafe reports whether all keys may be safe to serve by the deadline.
func (g *gate) mayBeSafe(deadline time.Time) bool { return !g.safe().After(deadline) }

// safe returns the time at which all keys are safe to serve. It is zero if that is not
// known yet.
func (g *gate) safe() time.Time {
	var last time.Time
	for _, service := range g.services {
		safe := service.publication.Safe()
		if safe.IsZero() {
			return safe
		}
		if safe.After(last) {
			last = safe
		}
	}
	return last
}

// observe queries the nameservers of all services once, and saves what they serve.
func (g *gate) observe(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, observeTimeout)
	defer cancel()
	observations := make([][]rollover.Observation, len(g.services))
	var pending sync.WaitGroup
	for i, service := range g.services {
		pending.Go(func() { observations[i] = g.observeService(limited, service) })
	}
	pending.Wait()
	if ctx.Err() != nil {
		return errInterrupted
	}
	now := time.Now()
	for i, service := range g.services {
		if changes := service.publication.Observe(now, observations[i]); len(changes) > 0 {
			g.changed(service, now, changes)
		}
		g.state.Put(service.owner(), g.key(service), service.publication)
	}
	if g.statePath == "" {
		return nil
	}
	if err := g.state.Save(g.statePath, now); err != nil {
		return fmt.Errorf("save the state: %w", err)
	}
	return nil
}

// key identifies the certificates and keys in a state file, and the usages that clients
// of the service accept.
func (g *gate) key(service *gatedService) string {
	texts := []string{fmt.Sprint(service.verifier.Usages)}
	for _, source := range g.sources {
		data := source.spki
		if source.certificate != nil {
			data = nil
			for _, certificate := range source.chain {
				data = append(data, certificate.Raw...)
			}
		}
		digest := sha256.Sum256(data)
		texts = append(texts, hex.EncodeToString(digest[:]))
	}
	slices.Sort(texts)
	return strings.Join(slices.Compact(texts), " ")
}

// code returns the exit code of a check at the time now.
func (g *gate) code(now time.Time) exitCode {
	code := exitOK
	for _, service := range g.services {
		code = worse(code, g.serviceCode(service, now))
	}
	return code
}

func (g *gate) serviceCode(service *gatedService, now time.Time) exitCode {
	switch service.publication.Status() {
	case rollover.Missing, rollover.Invalid:
		return exitCritical
	case rollover.Unknown:
		return exitUnknown
	}
	if !g.served && now.Before(service.publication.Safe()) {
		return exitWarning
	}
	return exitOK
}

// observeService queries each nameserver of the zones with a service's records and with
// the aliases that lead to them.
func (g *gate) observeService(ctx context.Context, service *gatedService) []rollover.Observation {
	answer, names := g.prober.LookupPublished(ctx, service.name, service.port)
	var observations []rollover.Observation
	var unsigned bool // a zone of the chain is unsigned or not known
	for _, name := range names {
		unsigned = unsigned || name.Nameservers == nil
		if name.Nameservers != nil {
			observations = append(observations, g.observeName(service, name)...)
		}
	}
	if unsigned {
		observations = append(observations, rollover.Observation{Name: service.owner(), Nameserver: "the resolvers", Status: statusOf(&answer), Why: cmp.Or(answer.Why, "the zone is not known")})
	}
	return observations
}

// observeName returns what each nameserver has at one name: the alias or the records.
func (g *gate) observeName(service *gatedService, published probe.PublishedName) (observations []rollover.Observation) {
	nameservers := published.Nameservers
	unknown := func(nameserver, why string) {
		observations = append(observations, rollover.Observation{Name: published.Name, Nameserver: nameserver, Status: rollover.Unknown, Why: why})
	}
	if len(nameservers.Servers) == 0 && len(nameservers.Unresolved) == 0 {
		unknown("the zone "+nameservers.Zone, cmp.Or(nameservers.NS.Why, "its nameservers are not known"))
	}
	if nameservers.Truncated {
		unknown("the zone "+nameservers.Zone, "it has more nameservers than are queried")
	}
	for _, name := range nameservers.Unresolved {
		unknown(name, "it has no address that can be looked up")
	}
	for i := range nameservers.Servers {
		server := &nameservers.Servers[i]
		if server.Skipped && answersOverIPv4(nameservers, server.Name) {
			continue
		}
		o := rollover.Observation{Name: published.Name, Nameserver: server.Name, Address: server.Address.String()}
		if published.Target != "" {
			g.observeAlias(&o, server, published.Target, service)
		} else {
			g.observeRecords(&o, server, service)
		}
		observations = append(observations, o)
	}
	return observations
}

// answersOverIPv4 reports whether another address of a nameserver was queried, if this
// machine has no IPv6.
func answersOverIPv4(nameservers *dane.Nameservers, name string) bool {
	return slices.ContainsFunc(nameservers.Servers, func(s dane.Nameserver) bool { return s.Name == name && !s.Skipped })
}

// statusOf returns the status of an answer that has no matching record.
func statusOf(answer *dnssec.Answer) rollover.Status {
	switch {
	case answer.Err != nil || answer.Status == dnssec.Indeterminate:
		return rollover.Unknown
	case answer.Status == dnssec.Secure:
		return rollover.Missing
	default:
		return rollover.Invalid
	}
}

// observeAlias adds to o whether a server has the alias that the resolvers return. The TTL
// of that alias does not count: a resolver that caches it has the right one.
func (g *gate) observeAlias(o *rollover.Observation, server *dane.Nameserver, target string, service *gatedService) {
	if server.Alias == nil || server.TLSA == nil {
		o.Status, o.Why = rollover.Unknown, server.Err.Error()
		return
	}
	if o.Status = statusOf(server.Alias); o.Status != rollover.Missing {
		o.Why = "its answer is " + server.Alias.Status.String() + ": " + server.Alias.Why
		return
	}
	alias := server.AliasTarget()
	switch alias {
	case target:
		o.Status, o.Why = rollover.Published, o.Name+" is an alias of "+target
		return
	case "":
		o.Why = "it does not have the alias that the resolvers return"
	default:
		o.Why = o.Name + " is an alias of " + alias + " there, and of " + target + " according to the resolvers"
	}
	o.TTL = max(server.Alias.LongestTTL(), server.TLSA.LongestTTL())
	_, err := g.publishedRecord(server.TLSA, service)
	if status := statusOf(server.TLSA); status == rollover.Unknown || status == rollover.Missing && err == nil {
		o.Status = rollover.Unknown // the nameservers of the other target are not queried
	}
}

// publishedRecord returns a record of an answer that authenticates the last key. It returns
// an error if the answer has no record of one of the keys.
func (g *gate) publishedRecord(answer *dnssec.Answer, service *gatedService) (record tlsa.Record, err error) {
	published := dane.TLSARecords(answer)
	for _, source := range g.sources {
		i, err := source.authenticatedBy(published, service.verifier)
		if err != nil {
			return tlsa.Record{}, fmt.Errorf("%s: %w", source.name, err)
		}
		record = published[i]
	}
	return record, nil
}

// observeRecords adds to o whether the records of a server authenticate all keys.
func (g *gate) observeRecords(o *rollover.Observation, server *dane.Nameserver, service *gatedService) {
	if server.TLSA == nil {
		o.Status, o.Why = rollover.Unknown, server.Err.Error()
		return
	}
	if len(server.TLSA.Aliases) > 0 { // resolvers may still have the records that it replaces
		o.Status, o.Why = rollover.Unknown, "it has an alias there that the resolvers do not return yet"
		return
	}
	if o.Status = statusOf(server.TLSA); o.Status != rollover.Missing {
		o.Why = "its answer is " + server.TLSA.Status.String() + ": " + server.TLSA.Why
		return
	}
	o.TTL = server.TLSA.LongestTTL()
	record, err := g.publishedRecord(server.TLSA, service)
	if err != nil {
		o.Why = err.Error()
		return
	}
	o.Status, o.Why = rollover.Published, record.String()
	ofOtherKey := func(record tlsa.Record) bool {
		return !slices.ContainsFunc(g.sources, func(source keySource) bool {
			_, err := source.authenticatedBy([]tlsa.Record{record}, service.verifier)
			return err == nil
		})
	}
	if slices.ContainsFunc(dane.TLSARecords(server.TLSA), ofOtherKey) {
		return // there were records before
	}
	var known bool
	if o.NegativeTTL, known = server.NegativeTTL(); !known {
		o.Status, o.Why = rollover.Unknown, "it returns no SOA record, so the TTL of an earlier denial is not known"
	}
}

// errNotPublished is wrapped if no published record authenticates a certificate or key.
var errNotPublished = errors.New("no record authenticates it")

// authenticatedBy returns the index of a published record that authenticates a server
// with the certificate or key, for clients that v describes. For a key without a
// certificate, only DANE-EE(3) records of public keys are compared.
func (s keySource) authenticatedBy(published []tlsa.Record, v tlsa.Verifier) (int, error) {
	why := "there are no records"
	if len(published) > 0 {
		why = "the records are of other keys"
	}
	if s.certificate != nil {
		chain := tlsa.NewChain(s.chain)
		for i, m := range v.Match(published, chain) {
			if !m.Authenticates() {
				if i == 0 || m.Matches { // of the others, one explanation is enough
					why = m.Why
				}
				continue
			}
			if m.Record.Usage == tlsa.DANEEE {
				return i, nil
			}
			single := v.SinglePath([]tlsa.Record{m.Record}, chain)
			if single.Failure == "" && !single.Open {
				return i, nil
			}
			why = "clients with OpenSSL: " + single.Failure
		}
		return 0, fmt.Errorf("%w: %s", errNotPublished, why)
	}
	for i, a := range tlsa.Assess(published, v.Usages) {
		own, err := tlsa.NewKeyRecord(s.spki, tlsa.DANEEE, a.Record.MatchingType)
		switch {
		case err != nil || own.String() != a.Record.String():
			continue
		case a.Usability != tlsa.Usable:
			why = a.Why
		default:
			return i, nil
		}
	}
	return 0, fmt.Errorf("%w: %s", errNotPublished, why)
}
