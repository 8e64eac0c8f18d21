package command

import (
	"context"
	"crypto/x509"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"dane_exporter/internal/config"
	"dane_exporter/internal/lab/zone"
	"dane_exporter/probe"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/dnssec/transport"
)

// sites is an environment whose resolvers see different zones with the same root.
type sites struct {
	internet
	at map[string]*site // by server, as it is configured
}

// site has the zones of one resolver.
type site struct {
	*zone.Internet
	rootQueries atomic.Int32 // queries for the keys of the root
}

func newSite(t *testing.T, records string) *site {
	t.Helper()
	n, err := zone.New(time.Now, zone.Zone{Apex: "org"}, zone.Zone{Apex: "example.org", Records: records})
	if err != nil {
		t.Fatal(err)
	}
	return &site{Internet: n}
}

func (s *site) Exchange(ctx context.Context, query *dns.Msg) (*dns.Msg, string, error) {
	if question := query.Question[0]; question.Name == "." && question.Qtype == dns.TypeDNSKEY {
		s.rootQueries.Add(1)
	}
	return s.Internet.Exchange(ctx, query)
}

func (s *sites) build() probe.Environment {
	refuse := func(context.Context, netip.Addr, netip.AddrPort) (net.Conn, error) { return nil, syscall.ECONNREFUSED }
	return probe.Environment{Now: time.Now, Dial: refuse}
}

// siteTransport is the transport to the resolver of one site.
type siteTransport struct {
	*site
	server string
}

func (s siteTransport) Servers() []string { return []string{s.server} }

func (s *sites) transport(settings probe.ResolverSettings, _ *x509.CertPool, _ func(transport.Event)) (dnssec.Transport, error) {
	server := settings.Servers[0]
	return siteTransport{s.at[server], server}, nil
}

func (s *sites) anchors(probe.ResolverSettings) ([]dnssec.Anchor, error) {
	return s.at["192.0.2.1"].Anchors(), nil
}

// TestViews reloads configurations with modules that have their own resolvers. Equal
// settings share one resolver, and a reload keeps the caches of what has not changed.
func TestViews(t *testing.T) {
	const mail = "@ MX 10 mx\nmx A 198.18.0.25\n"
	ours, public := newSite(t, mail+"_25._tcp.mx TLSA 3 1 1 "+strings.Repeat("aa", 32)+"\n"), newSite(t, mail)
	env := &sites{at: map[string]*site{"192.0.2.1": ours, "192.0.2.2": public}}
	const (
		access   = "access: {allow_networks: [198.18.0.0/15]}\n"
		resolver = "resolver: {servers: [192.0.2.1]}\n"
		view     = "modules: {view_a: {resolver: {servers: [192.0.2.2]}}, view_b: {resolver: {servers: [192.0.2.2]}}"
		same     = ", same: {resolver: {servers: [192.0.2.1]}}}\n"
	)
	defaults, err := config.Defaults(defaultConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	i, _, _ := newInstance(t, env, resolver)
	var before dnssec.Stats
	for _, step := range []struct {
		name, text string
		views      int  // distinct
		cold       bool // the public resolver has a new cache
	}{
		{"views added", access + resolver + view + same, 2, true},
		{"no change", access + resolver + view + same, 2, false},
		{"access changed", resolver + "access: {allow_networks: [198.18.0.0/16]}\n" + view + same, 2, false},
		{"one view changed", access + resolver + view + ", view_c: {resolver: {servers: [192.0.2.2], timeout: 3s}}" + same, 3, false},
		{"cache of a view enlarged", access + resolver + view + ", view_c: {resolver: {servers: [192.0.2.2], cache_mib: 64}}" + same, 3, false},
		{"all views changed", access + "resolver: {servers: [192.0.2.1], timeout: 4s}\n" + view + same, 2, true},
	} {
		c, err := config.Parse("test.yml", []byte(step.text), defaults)
		if err != nil {
			t.Fatal(err)
		}
		if err := i.applyConfig(c); err != nil {
			t.Fatal(err)
		}
		active := i.active.Load()
		if n := len(active.views.distinct()); n != step.views {
			t.Errorf("%s: %d distinct views, want %d", step.name, n, step.views)
		}
		public.rootQueries.Store(0)
		for module, want := range map[string]bool{config.DefaultModule: true, "same": true, "view_a": false, "view_b": false} {
			report := active.prober.Probe(t.Context(), probe.Target{Name: "example.org"}, c.Modules[module])
			published := slices.ContainsFunc(report.Facts.Lookups(), func(l dane.Lookup) bool { return l.Kind == dane.LookupTLSA && len(l.Answer.Records) > 0 })
			if report.Verdict.Outcome != dane.Unreachable || published != want {
				t.Errorf("%s: %s: %s, TLSA records %t, want %t", step.name, module, report.Verdict.Outcome, published, want)
			}
		}
		if cold := public.rootQueries.Load() > 0; cold != step.cold {
			t.Errorf("%s: cold cache %t, want %t", step.name, cold, step.cold)
		}
		if same := active.prober.Resolver("same") == active.prober.Resolver(""); !same {
			t.Errorf("%s: two resolvers with equal settings", step.name)
		}
		after := i.resolverStats()
		if after.CacheMisses <= before.CacheMisses && step.cold || after.CacheMisses < before.CacheMisses || after.CacheHits <= before.CacheHits {
			t.Errorf("%s: statistics %+v after %+v", step.name, after, before)
		}
		before = after
	}
}
