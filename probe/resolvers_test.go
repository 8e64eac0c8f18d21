package probe

import (
	"strings"
	"testing"
	"time"

	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec"
)

// Modules with their own resolver judge what that resolver returns. All modules share the
// handshakes.
func TestResolverOfModule(t *testing.T) {
	host := newMailHost(t, 1)
	prober := host.prober(host.dial, time.Minute)
	public := newInternet(t, "mx A 192.0.2.25\nd0 MX 10 mx\n")
	other := public.Anchors()
	for i := range other {
		other[i].Digest = strings.Repeat("00", 32)
	}
	resolver := func(anchors []dnssec.Anchor) *dnssec.Resolver {
		return dnssec.New(public, anchors, func() time.Time { return noon }, dnssec.Options{})
	}
	prober = prober.WithResolvers(map[string]*dnssec.Resolver{
		"": prober.Resolver(""), "view_public": resolver(public.Anchors()), "view_wrong": resolver(other),
	})
	for _, c := range []struct {
		module  string
		outcome dane.Outcome
		reason  dane.Reason
	}{
		{"smtp_mx", dane.Authenticated, ""},
		{"view_public", dane.Opportunistic, dane.NoTLSA},
		{"view_wrong", dane.Unknown, dane.RootBogus},
		{"without_a_resolver", dane.Authenticated, ""},
	} {
		module := mailModule(10 * time.Second)
		module.Name = c.module
		v := prober.Probe(t.Context(), domain(0), module).Verdict
		if reasons := reasonsOf(v); v.Outcome != c.outcome || len(reasons) > 0 && reasons[0] != c.reason || len(reasons) == 0 && c.reason != "" {
			t.Errorf("%s: %s %q, want %s %q", c.module, v.Outcome, reasons, c.outcome, c.reason)
		}
	}
	if n := host.connections.Load(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}
