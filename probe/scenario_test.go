package probe_test

import (
	"cmp"
	"context"
	"os"
	"slices"
	"testing"
	"time"

	"dane_exporter/internal/config"
	"dane_exporter/internal/lab"
	"dane_exporter/probe"
	"dane_exporter/probe/dane"
)

// TestScenarios probes every domain of the lab and wants the outcome, the
// success and the reasons that its story tells.
func TestScenarios(t *testing.T) {
	prober := labProber(t)
	builtIn := modules(t)
	for _, scenario := range lab.Scenarios() {
		t.Run(scenario.Name, func(t *testing.T) {
			t.Parallel()
			module, ok := builtIn[scenario.Module]
			if !ok {
				t.Fatalf("no module %q", scenario.Module)
			}
			if slices.Contains(scenario.Reasons, string(dane.Timeout)) {
				module.Timeout = 6 * time.Second // all of it is spent waiting
			}
			target, err := probe.ParseTarget(scenario.Target(), "", module)
			if err != nil {
				t.Fatal(err)
			}
			report := prober.Probe(context.Background(), target, module)
			verdict := report.Verdict
			if string(verdict.Outcome) != scenario.Outcome || verdict.Success != scenario.Success {
				t.Errorf("%s\ngot %s, success %t; want %s, %t", scenario.Description, verdict.Outcome, verdict.Success, scenario.Outcome, scenario.Success)
			}
			later := report.JudgedAt(report.Verdict.At.AddDate(0, 0, 14)).Later
			if want := cmp.Or(scenario.Later, scenario.Outcome); string(later.Outcome) != want {
				t.Errorf("%s\nin a fortnight %s, want %s", scenario.Description, later.Outcome, want)
			}
			var reasons []string
			for _, finding := range verdict.Findings {
				reasons = append(reasons, string(finding.Reason))
			}
			slices.Sort(reasons)
			reasons = slices.Compact(reasons)
			if want := slices.Sorted(slices.Values(scenario.Reasons)); !slices.Equal(reasons, want) {
				t.Errorf("%s\nreasons %v, want %v", scenario.Description, reasons, want)
			}
			var advice []string
			for _, a := range verdict.Advice {
				advice = append(advice, string(a.Topic))
			}
			slices.Sort(advice)
			if advice = slices.Compact(advice); !slices.Equal(advice, scenario.Advice) {
				t.Errorf("%s\nadvice %v, want %v", scenario.Description, advice, scenario.Advice)
			}
			if t.Failed() {
				for _, finding := range verdict.Findings {
					t.Logf("%s %s %s: %s", finding.Reason, finding.Host, finding.Lookup, finding.Detail)
				}
			}
		})
	}
}

// TestServerNames: which name a client asks for (RFC 7671 §7, RFC 7672 §8.1,
// RFC 7673 §4.1), and whether the certificate it is shown is for it.
func TestServerNames(t *testing.T) {
	builtIn := modules(t)
	prober := labProber(t)
	for _, story := range []struct{ module, target, sni string }{
		{"smtp_mx", "good", "mx.good.lab.test"},
		{"smtp_mx", "mx-cname", "host.mx-cname.lab.test"},
		{"smtp_mx", "mx-cname-tlsa-at-alias", "mx.mx-cname-tlsa-at-alias.lab.test"},
		{"xmpp_client", "srv-target-alias", "real.srv-target-alias.lab.test"},
		{"xmpp_client", "srv-host-insecure", "chat.plain.srv-host-insecure.lab.test"},
		{"xmpp_client", "xmpp-srv-insecure", "xmpp-srv-insecure.lab.test"},
		{"sip", "sip-no-srv", "sip-no-srv.lab.test"},
	} {
		t.Run(story.target, func(t *testing.T) {
			report := prober.Probe(t.Context(), probe.Target{Name: story.target + ".lab.test"}, builtIn[story.module])
			endpoint := report.Verdict.Services[0].Endpoints[0]
			if endpoint.Facts.SNI != story.sni || endpoint.NameMatch != dane.Yes {
				t.Errorf("asked for %q, name match %v; want %q", endpoint.Facts.SNI, endpoint.NameMatch, story.sni)
			}
		})
	}
}

// labProber probes in a lab of its own.
func labProber(t *testing.T) *probe.Prober {
	t.Helper()
	now := func() time.Time { return time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC) }
	world, err := lab.New(now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { world.Close() })
	return probe.New(probe.Environment{
		Now: now, Dial: world.Dial, DNS: world.DNS(), Query: world.Query, Anchors: world.Anchors(), Roots: world.Roots(),
	}, probe.Settings{Access: probe.Access{Targets: []string{"*"}, AllowNetworks: lab.Networks()}})
}

// modules are the built-in ones, and the lab's.
func modules(t *testing.T) map[string]probe.Module {
	t.Helper()
	example, err := os.ReadFile("../config.example.yml")
	if err != nil {
		t.Fatal(err)
	}
	builtIn, err := config.Defaults(example)
	if err != nil {
		t.Fatal(err)
	}
	all, err := config.Parse("the lab's modules", []byte(lab.Modules), builtIn)
	if err != nil {
		t.Fatal(err)
	}
	return all.Modules
}
