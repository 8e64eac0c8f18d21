package command

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"dane_exporter/collector"
	"dane_exporter/internal/config"
	"dane_exporter/probe"
	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/dnssec/transport"
)

// A view is a validating resolver with its caches, its self-check and its faults. Modules
// with equal resolver settings share one view. A reload keeps a view whose settings have not
// changed.
type view struct {
	key      string // equal for views with the same servers, trust anchors and settings
	anchors  []dnssec.Anchor
	servers  []string
	resolver *dnssec.Resolver

	selfCheck atomic.Pointer[dnssec.SelfCheckResult] // the last one; nil before the first
	faults    faultCounter
}

// views has the view of each module with its own resolver, by module name. The empty name
// stands for all other modules.
type views map[string]*view

// newViews returns the views of a configuration. It reuses a view of kept whose key is equal.
// If keepAnchors is set, it takes the trust anchors of each module from kept instead of
// reading them. newViews fails if a resolver address is invalid, or if trust anchors cannot
// be read.
func newViews(c *config.Config, env environment, built probe.Environment, kept views, keepAnchors bool, observe observer) (views, error) {
	made := make(views)
	known := slices.Collect(maps.Values(kept))
	settings := c.Resolvers()
	for _, module := range slices.Sorted(maps.Keys(settings)) {
		key := "resolver"
		if module != "" {
			key = "modules." + module + ".resolver"
		}
		var anchors []dnssec.Anchor
		if keepAnchors {
			anchors = kept[module].anchors
		} else {
			var err error
			if anchors, err = env.anchors(settings[module]); err != nil {
				return nil, fmt.Errorf("read %s.trust_anchors: %w", key, err)
			}
		}
		v, err := newView(env, built, settings[module], anchors, observe)
		if err != nil {
			return nil, fmt.Errorf("configure %s.servers: %w", key, err)
		}
		if i := slices.IndexFunc(known, func(other *view) bool { return other.key == v.key }); i >= 0 {
			v = known[i]
		}
		known = append(known, v)
		made[module] = v
	}
	return made, nil
}

// An observer has the functions that are called after each DNS query of a view, and after each
// lookup with the type of its records and the time that it took.
type observer struct {
	query  func(*view, transport.Event)
	lookup func(recordType string, took time.Duration)
}

func newView(env environment, built probe.Environment, settings probe.ResolverSettings, anchors []dnssec.Anchor, observe observer) (*view, error) {
	v := &view{anchors: anchors}
	servers, err := env.transport(settings, built.Roots, func(e transport.Event) { observe.query(v, e) })
	if err != nil {
		return nil, err
	}
	v.servers = servers.Servers()
	v.key = fmt.Sprint(v.servers, settings.Timeout, settings.Attempts, settings.SHA1, settings.NSEC3MaxIterations, settings.CacheMiB, anchors)
	attempts := time.Duration(settings.Attempts * len(v.servers))
	v.resolver = dnssec.New(servers, anchors, built.Now, dnssec.Options{
		SHA1:               settings.SHA1,
		NSEC3MaxIterations: settings.NSEC3MaxIterations,
		CacheBytes:         settings.CacheMiB << 20,
		QueryTimeout:       settings.Timeout * attempts,
		Observe:            observe.lookup,
	})
	return v, nil
}

// resolvers returns the resolvers as probe.Prober uses them.
func (v views) resolvers() map[string]*dnssec.Resolver {
	resolvers := make(map[string]*dnssec.Resolver)
	for module, view := range v {
		resolvers[module] = view.resolver
	}
	return resolvers
}

// distinct returns each view once, with the names of its modules in alphabetical order.
func (v views) distinct() map[*view][]string {
	modules := make(map[*view][]string)
	for _, module := range slices.Sorted(maps.Keys(v)) {
		modules[v[module]] = append(modules[v[module]], module)
	}
	return modules
}

// added returns the distinct views that earlier does not have.
func (v views) added(earlier views) map[*view][]string {
	added := v.distinct()
	for _, view := range earlier {
		delete(added, view)
	}
	return added
}

// selfChecks returns the last self-check of each view that has one, sorted by the names of
// the modules.
func (v views) selfChecks() []collector.SelfCheck {
	var checks []collector.SelfCheck
	for view, modules := range v.distinct() {
		if result := view.selfCheck.Load(); result != nil {
			checks = append(checks, collector.SelfCheck{Modules: modules, Result: *result})
		}
	}
	slices.SortFunc(checks, func(a, b collector.SelfCheck) int { return slices.Compare(a.Modules, b.Modules) })
	return checks
}

// stats returns the sums of the statistics of all views.
func (v views) stats() (sum dnssec.Stats) {
	for view := range v.distinct() {
		sum = sum.Add(view.resolver.Stats())
	}
	return sum
}

// maxFaults is the number of queries in a row that a server fails before it is
// suspected. Lookups may succeed meanwhile, with the other servers.
const maxFaults = 5

// faultCounter counts the queries in a row that each server failed. Failures that it
// reports, such as SERVFAIL, count once for each registered domain: the nameservers of the
// domain may be the cause. The zero value is ready.
type faultCounter struct {
	mu     sync.Mutex
	faults map[string]*faultRow // by server
}

type faultRow struct {
	faults  int
	domains []string // with a failure that the server reported
}

// add counts a query, and reports whether its server is now suspected.
func (c *faultCounter) add(e transport.Event) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.Fault == "" {
		delete(c.faults, e.Server)
		return false
	}
	if c.faults == nil {
		c.faults = make(map[string]*faultRow)
	}
	row := c.faults[e.Server]
	if row == nil {
		row = new(faultRow)
		c.faults[e.Server] = row
	}
	if e.Fault.FromResponse() {
		domain := dnssec.RegisteredDomain(e.Name)
		if slices.Contains(row.domains, domain) {
			return false
		}
		row.domains = append(row.domains, domain)
	}
	row.faults++
	if row.faults < maxFaults {
		return false
	}
	delete(c.faults, e.Server)
	return true
}
