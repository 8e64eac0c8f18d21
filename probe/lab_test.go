package probe_test

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"dane_exporter/internal/config"
	"dane_exporter/internal/lab"
	"dane_exporter/probe"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec"
)

// TestScenarios probes every domain of the lab and checks the outcome, the
// success, the reasons and the advice that the scenario expects. Probes of servers
// that do not answer take all of their time, so they start first and are checked last.
func TestScenarios(t *testing.T) {
	t.Parallel()
	prober := labProber(t)
	var quick, slow []lab.Scenario
	for _, scenario := range lab.Scenarios() {
		if slices.Contains(scenario.Reasons, string(dane.Timeout)) {
			slow = append(slow, scenario)
		} else {
			quick = append(quick, scenario)
		}
	}
	results := make(map[string]chan *probe.Report)
	for _, scenario := range slow {
		target, module := labTarget(t, scenario)
		// Lookups may take half of it. A server has the rest, however busy this machine is: it is at
		// fault if it is silent for five seconds.
		module.Timeout = 10 * time.Second
		result := make(chan *probe.Report, 1)
		results[scenario.Name] = result
		go func() { result <- prober.Probe(context.Background(), target, module) }()
	}
	for _, scenario := range append(quick, slow...) {
		t.Run(scenario.Name, func(t *testing.T) {
			var report *probe.Report
			if result, started := results[scenario.Name]; started {
				report = <-result
			} else {
				target, module := labTarget(t, scenario)
				report = prober.Probe(t.Context(), target, module)
			}
			verdict := report.Verdict
			if string(verdict.Outcome) != scenario.Outcome || verdict.Success != scenario.Success {
				t.Errorf("%s\ngot %s, success %t; want %s, %t", scenario.Description, verdict.Outcome, verdict.Success, scenario.Outcome, scenario.Success)
			}
			later := report.JudgedAt(report.Verdict.At.AddDate(0, 0, 14)).Later
			if want := cmp.Or(scenario.Later, scenario.Outcome); string(later.Outcome) != want {
				t.Errorf("%s\nin 14 days %s, want %s", scenario.Description, later.Outcome, want)
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

// The SNI is the TLSA base domain (RFC 7671 §7, RFC 7672 §8.1). It is the service
// domain if SRV records name the host and no TLSA record is usable (RFC 7673 §4.1).
// The certificate that the server sends is valid for a reference identifier.
func TestServerNames(t *testing.T) {
	prober := labProber(t)
	for _, c := range []struct{ module, target, sni string }{
		{"smtp_mx", "good", "mx.good.lab.test"},
		{"smtp_mx", "mx-cname", "host.mx-cname.lab.test"},
		{"smtp_mx", "mx-cname-tlsa-at-alias", "mx.mx-cname-tlsa-at-alias.lab.test"},
		{"xmpp_client", "srv-target-alias", "real.srv-target-alias.lab.test"},
		{"xmpp_client", "srv-host-insecure", "srv-host-insecure.lab.test"},
		{"xmpp_client", "srv-unusable-tlsa", "srv-unusable-tlsa.lab.test"},
		{"xmpp_client", "srv-certificate-of-domain", "chat.srv-certificate-of-domain.lab.test"},
		{"xmpp_client", "xmpp-srv-insecure", "xmpp-srv-insecure.lab.test"},
		{"sip", "sip-no-srv", "sip-no-srv.lab.test"},
	} {
		t.Run(c.target, func(t *testing.T) {
			report := prober.Probe(t.Context(), probe.Target{Name: c.target + ".lab.test"}, labModules(t)[c.module])
			endpoint := report.Verdict.Services[0].Endpoints[0]
			if endpoint.Facts.SNI != c.sni || endpoint.NameMatch != dane.Yes {
				t.Errorf("SNI %q, name match %v; want %q, %v", endpoint.Facts.SNI, endpoint.NameMatch, c.sni, dane.Yes)
			}
		})
	}
}

// TestMTASTSScenarios probes the domains of the lab for MTA-STS and checks what
// senders that use DANE, MTA-STS or both do.
func TestMTASTSScenarios(t *testing.T) {
	prober := labProber(t)
	verdicts := map[string]struct {
		standing        dane.PolicyState
		covered, passes dane.Measure
		mtaSTS, both    dane.Outcome
	}{
		"mta-sts-good":              {dane.PolicyEnforced, dane.Yes, dane.Yes, dane.Authenticated, dane.Authenticated},
		"mta-sts-wildcard-unsigned": {dane.PolicyEnforced, dane.Yes, dane.Yes, dane.Authenticated, dane.Authenticated},
		"mta-sts-no-record":         {dane.PolicyNone, dane.NotMeasured, dane.Yes, dane.Opportunistic, dane.Authenticated},
		"mta-sts-no-tlsrpt":         {dane.PolicyEnforced, dane.Yes, dane.Yes, dane.Authenticated, dane.Authenticated},
		"mta-sts-tlsrpt-invalid":    {dane.PolicyEnforced, dane.Yes, dane.Yes, dane.Authenticated, dane.Authenticated},
		"mta-sts-syntax":            {dane.PolicyEnforced, dane.Yes, dane.Yes, dane.Authenticated, dane.Authenticated},
		"mta-sts-extension-empty":   {dane.PolicyNone, dane.NotMeasured, dane.Yes, dane.Opportunistic, dane.Authenticated},
		"mta-sts-tlsrpt-schemes":    {dane.PolicyEnforced, dane.Yes, dane.Yes, dane.Authenticated, dane.Authenticated},
		"mta-sts-several-records":   {dane.PolicyNone, dane.NotMeasured, dane.Yes, dane.Opportunistic, dane.Authenticated},
		"mta-sts-record-invalid":    {dane.PolicyNone, dane.NotMeasured, dane.Yes, dane.Opportunistic, dane.Authenticated},
		"mta-sts-record-bogus":      {dane.PolicyNone, dane.NotMeasured, dane.Yes, dane.Opportunistic, dane.Authenticated},
		"mta-sts-testing":           {dane.PolicyTesting, dane.Yes, dane.No, dane.Opportunistic, dane.Authenticated},
		"mta-sts-mode-none":         {dane.PolicyNone, dane.NotMeasured, dane.Yes, dane.Opportunistic, dane.Authenticated},
		"mta-sts-policy-missing":    {dane.PolicyNone, dane.NotMeasured, dane.Yes, dane.Opportunistic, dane.Authenticated},
		"mta-sts-no-policy-host":    {dane.PolicyNone, dane.NotMeasured, dane.Yes, dane.Opportunistic, dane.Authenticated},
		"mta-sts-redirect":          {dane.PolicyNone, dane.NotMeasured, dane.Yes, dane.Opportunistic, dane.Authenticated},
		"mta-sts-wrong-media-type":  {dane.PolicyNone, dane.NotMeasured, dane.Yes, dane.Opportunistic, dane.Authenticated},
		"mta-sts-oversized":         {dane.PolicyNone, dane.NotMeasured, dane.Yes, dane.Opportunistic, dane.Authenticated},
		"mta-sts-policy-malformed":  {dane.PolicyNone, dane.NotMeasured, dane.Yes, dane.Opportunistic, dane.Authenticated},
		"mta-sts-wrong-certificate": {dane.PolicyNone, dane.NotMeasured, dane.Yes, dane.Opportunistic, dane.Authenticated},
		"mta-sts-host-not-covered":  {dane.PolicyEnforced, dane.No, dane.Yes, dane.Refused, dane.Authenticated},
		"mta-sts-dane-refuses":      {dane.PolicyEnforced, dane.Yes, dane.Yes, dane.Authenticated, dane.Refused},
		"mta-sts-pkix-refuses":      {dane.PolicyEnforced, dane.Yes, dane.No, dane.Refused, dane.Authenticated},
		"mta-sts-all-refuse":        {dane.PolicyEnforced, dane.Yes, dane.No, dane.Refused, dane.Refused},
		"mta-sts-expired":           {dane.PolicyEnforced, dane.Yes, dane.No, dane.Refused, dane.Authenticated},
		"mta-sts-no-starttls":       {dane.PolicyEnforced, dane.Yes, dane.No, dane.Refused, dane.Refused},
		"mta-sts-domain-name-only":  {dane.PolicyEnforced, dane.Yes, dane.No, dane.Refused, dane.Authenticated},
	}
	for _, scenario := range lab.Scenarios() {
		if scenario.Module != "smtp_mx_mta_sts" {
			continue
		}
		t.Run(scenario.Name, func(t *testing.T) {
			want, known := verdicts[scenario.Name]
			if !known {
				t.Fatal("the table of this test has no verdict for the scenario")
			}
			delete(verdicts, scenario.Name)
			target, module := labTarget(t, scenario)
			module.Timeout = 30 * time.Second
			report := prober.Probe(t.Context(), target, module)
			got := report.Verdict.MTASTS
			if senders := (dane.Senders{DANE: dane.Outcome(scenario.Outcome), MTASTS: want.mtaSTS, Both: want.both}); got.Senders != senders {
				t.Errorf("%s\nsenders %v, want %v", scenario.Description, got.Senders, senders)
			}
			host := got.Services[0]
			if got.State != want.standing || host.Covered != want.covered || host.Endpoints[0].Passes != want.passes {
				t.Errorf("%s\nstanding %d, covered %d, passes %d", scenario.Description, got.State, host.Covered, host.Endpoints[0].Passes)
			}
			tlsrpt := slices.Contains([]string{"mta-sts-good", "mta-sts-wildcard-unsigned", "mta-sts-testing", "mta-sts-tlsrpt-schemes"}, scenario.Name)
			if found := report.Facts.MTASTS; (found.TLSRPT.Err == nil) != tlsrpt || (found.TLSRPT.Record.RUA != nil) != tlsrpt {
				t.Errorf("%s\nTLSRPT %v, %v", scenario.Description, found.TLSRPT.Record, found.TLSRPT.Err)
			}
			if policy := report.Facts.MTASTS.Policy; policy != nil && policy.MaxAge != 7*24*time.Hour {
				t.Errorf("%s\npolicy %+v", scenario.Description, policy)
			}
		})
	}
	for name := range verdicts {
		t.Errorf("the lab has no scenario %s", name)
	}
}

// june is the current time of the lab.
func june() time.Time { return time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC) }

// startLab starts the lab that the tests share: to sign its zones and to issue
// its certificates takes long.
var startLab = sync.OnceValues(func() (*lab.Lab, error) { return lab.New(june) })

// parseModules parses the built-in modules and those of the lab.
var parseModules = sync.OnceValues(func() (map[string]probe.Module, error) {
	example, err := os.ReadFile("../config.example.yml")
	if err != nil {
		return nil, err
	}
	builtIn, err := config.Defaults(example)
	if err != nil {
		return nil, err
	}
	all, err := config.Parse("modules of the lab", []byte(lab.Modules), builtIn)
	if err != nil {
		return nil, err
	}
	return all.Modules, nil
})

func labModules(t *testing.T) map[string]probe.Module {
	t.Helper()
	modules, err := parseModules()
	if err != nil {
		t.Fatal(err)
	}
	return modules
}

// labTarget returns the target of a scenario and the module that it is for.
func labTarget(t *testing.T, scenario lab.Scenario) (probe.Target, probe.Module) {
	t.Helper()
	module, ok := labModules(t)[scenario.Module]
	if !ok {
		t.Fatalf("scenario %s: no module %q", scenario.Name, scenario.Module)
	}
	target, err := probe.ParseTarget(scenario.Target(), "", module)
	if err != nil {
		t.Fatal(err)
	}
	return target, module
}

// labEnvironment returns the environment of the lab.
func labEnvironment(t *testing.T) probe.Environment {
	t.Helper()
	l, err := startLab()
	if err != nil {
		t.Fatal(err)
	}
	return probe.Environment{Now: june, Dial: l.Dial, DNS: l.DNS(), Query: l.Query, Anchors: l.Anchors(), Roots: l.Roots()}
}

// newLabProber returns a prober that may connect to the servers of the lab only.
func newLabProber(env probe.Environment) *probe.Prober {
	return probe.New(env, probe.Settings{Access: probe.Access{Targets: []string{"*"}, AllowNetworks: lab.Networks()}})
}

func labProber(t *testing.T) *probe.Prober {
	t.Helper()
	return newLabProber(labEnvironment(t))
}

// TestLookupMX checks the MX hosts of domains of the lab. Hosts to
// which clients do not connect are left out.
func TestLookupMX(t *testing.T) {
	prober := labProber(t)
	for _, c := range []struct {
		scenario string
		want     string // hosts
		err      string // part of the error
	}{
		{"good", "mx.good.lab.test", ""},
		{"two-mx-one-broken", "mx.two-mx-one-broken.lab.test mx2.two-mx-one-broken.lab.test", ""},
		{"null-mx", "", ""},
		{"no-such-domain", "", ""},
		{"no-mx", "no-mx.lab.test", ""},
		{"unsigned", "mx.unsigned.lab.test", ""},
		{"mx-is-address", "", ""},
		{"mx-localhost", "", ""},
		{"mx-not-a-hostname", "mx.mx-not-a-hostname.lab.test", ""},
		{"mx-servfail", "", "SERVFAIL"},
		{"expired-signature", "", "expired"},
	} {
		hosts, err := prober.LookupMX(t.Context(), c.scenario+".lab.test")
		if got := strings.Join(hosts, " "); got != c.want || (err != nil) != (c.err != "") || err != nil && (!strings.Contains(err.Error(), c.err) || errors.Is(err, probe.ErrNotLookedUp)) {
			t.Errorf("%s: %q, %v; want %q, %q", c.scenario, got, err, c.want, c.err)
		}
	}
}

// silentFor is a transport whose resolvers do not answer for some names.
type silentFor struct {
	dnssec.Transport
	silent func(name string) bool
}

func (s silentFor) Exchange(ctx context.Context, query *dns.Msg) (*dns.Msg, string, error) {
	if s.silent(query.Question[0].Name) {
		return nil, "", errors.New("no response")
	}
	return s.Transport.Exchange(ctx, query)
}

func (s silentFor) ExchangeWith(ctx context.Context, server string, query *dns.Msg) (*dns.Msg, error) {
	if s.silent(query.Question[0].Name) {
		return nil, errors.New("no response")
	}
	return s.Transport.ExchangeWith(ctx, server, query)
}

// TestLookupMXWithoutAnswer: if the resolvers answer for other zones, the nameservers of the
// domain are silent. Otherwise nothing is known about the domain, even if the resolvers
// have the keys of the root in their caches.
func TestLookupMXWithoutAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		silent      func(name string) bool
		notLookedUp bool
	}{
		"for one domain":             {func(name string) bool { return strings.HasSuffix(name, "good.lab.test.") }, false},
		"for all names":              {func(string) bool { return true }, true},
		"for all names but the root": {func(name string) bool { return name != "." }, true},
	} {
		t.Run(name, func(t *testing.T) {
			env := labEnvironment(t)
			env.DNS = silentFor{env.DNS, c.silent}
			hosts, err := newLabProber(env).LookupMX(t.Context(), "good.lab.test")
			if hosts != nil || err == nil || errors.Is(err, probe.ErrNotLookedUp) != c.notLookedUp {
				t.Errorf("%q, %v; not looked up: want %t", hosts, err, c.notLookedUp)
			}
		})
	}
	env := labEnvironment(t)
	env.Pool = probe.NewPool(1)
	if _, err := newLabProber(env).LookupMX(t.Context(), "good.lab.test"); !errors.Is(err, probe.ErrNotLookedUp) {
		t.Errorf("without memory: %v", err)
	}
}

// TestLookupsOnly probes domains of the lab with connect: false. No connection is made. The
// outcome is that of the lookups where they decide it.
func TestLookupsOnly(t *testing.T) {
	env := labEnvironment(t)
	env.Dial = func(context.Context, netip.Addr, netip.AddrPort) (net.Conn, error) {
		t.Error("a connection is made")
		return nil, errors.New("not expected")
	}
	prober := newLabProber(env)
	for _, c := range []struct {
		scenario string
		outcome  dane.Outcome
		success  bool
	}{
		{"good", dane.Undecided, true},
		{"tlsa-mismatch", dane.Undecided, true},
		{"no-mx", dane.Undecided, true},
		{"connection-refused", dane.Undecided, true},
		{"pkix-usages-only", dane.Undecided, true},
		{"no-tlsa", dane.Opportunistic, true},
		{"unsigned", dane.Opportunistic, true},
		{"insecure-mx-secure-host", dane.Undecided, true},
		{"expired-signature", dane.Refused, false},
		{"bogus-signature", dane.Refused, false},
		{"tlsa-denial-bogus", dane.Refused, false},
		{"mx-servfail", dane.Refused, false},
		{"null-mx", dane.None, true},
		{"no-such-domain", dane.None, true},
		{"no-address", dane.None, true},
		{"null-mx-twice", dane.None, false},
	} {
		module := labModules(t)["smtp_mx_dns"]
		report := prober.Probe(t.Context(), probe.Target{Name: c.scenario + ".lab.test"}, module)
		if v := report.Verdict; v.Outcome != c.outcome || v.Success != c.success || !report.Facts.Complete {
			t.Errorf("%s: %s, success %t, complete %t; want %s, %t\n%v", c.scenario, v.Outcome, v.Success, report.Facts.Complete, c.outcome, c.success, v.Findings)
		}
	}
	for name, target := range map[string]string{"denied by access.targets": "denied.example", "special-use": "localhost"} {
		prober := probe.New(env, probe.Settings{Access: probe.Access{Targets: []string{"localhost"}}})
		if v := prober.Probe(t.Context(), probe.Target{Name: target}, labModules(t)["smtp_mx_dns"]).Verdict; v.Success {
			t.Errorf("%s: a probe without a lookup succeeds: %s", name, v.Outcome)
		}
	}
}
