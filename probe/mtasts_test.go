package probe

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"dane_exporter/internal/lab"
	"dane_exporter/internal/lab/zone"

	"dane_exporter/probe/dane"
	"dane_exporter/probe/mtasts"

	"github.com/miekg/dns"
)

// announced are the MTA-STS record, and the policy host at these addresses.
func announced(addresses ...string) string {
	records := "_mta-sts TXT \"v=STSv1; id=1\"\n"
	for _, address := range addresses {
		kind := "A"
		if strings.Contains(address, ":") {
			kind = "AAAA"
		}
		records += "mta-sts " + kind + " " + address + "\n"
	}
	return records
}

const nullMX = "@ MX 0 .\n"

// TestProbeFindsPolicyHosts: which addresses are asked, in which order, and
// what counts of it.
func TestProbeFindsPolicyHosts(t *testing.T) {
	gone := errors.New("connection refused")
	for _, story := range []struct {
		name, story string
		records     string
		ip          IPProtocol
		allow       []string
		dialled     []string
		reasons     []dane.Reason
	}{
		{"two addresses", "the second is asked where the first takes no connection",
			announced("192.0.2.80", "192.0.2.81"), IPAuto, []string{"192.0.2.0/24"},
			[]string{"192.0.2.80:443", "192.0.2.81:443"}, []dane.Reason{dane.MTASTSPolicyUnavailable}},
		{"both families", "IPv4 comes first",
			announced("2001:db8::80", "192.0.2.80"), IPAuto, []string{"192.0.2.0/24", "2001:db8::/32"},
			[]string{"192.0.2.80:443", "[2001:db8::80]:443"}, []dane.Reason{dane.MTASTSPolicyUnavailable}},
		{"one family", "the module's choice holds here too",
			announced("2001:db8::80", "192.0.2.80"), IP6, []string{"192.0.2.0/24", "2001:db8::/32"},
			[]string{"[2001:db8::80]:443"}, []dane.Reason{dane.MTASTSPolicyUnavailable}},
		{"an address inside", "nobody fetches what access does not allow",
			announced("127.0.0.1"), IPAuto, nil,
			nil, []dane.Reason{dane.TargetNotAllowed}},
		{"an address inside beside one outside", "the other is asked",
			announced("10.0.0.1", "192.0.2.80"), IPAuto, []string{"192.0.2.0/24"},
			[]string{"192.0.2.80:443"}, []dane.Reason{dane.MTASTSPolicyUnavailable}},
		{"no address", "there is nothing to ask",
			announced(), IPAuto, nil, nil, []dane.Reason{dane.MTASTSPolicyUnavailable}},
		{"no record", "and so the policy host is none",
			"mta-sts A 192.0.2.80\n", IPAuto, []string{"192.0.2.0/24"}, nil, nil},
		{"an alias", "the record may be elsewhere (RFC 8461 §3.1)",
			"_mta-sts CNAME sts.hoster\nsts.hoster TXT \"v=STSv1; id=1\"\nmta-sts CNAME web.hoster\nweb.hoster A 192.0.2.80\n", IPAuto, []string{"192.0.2.0/24"},
			[]string{"192.0.2.80:443"}, []dane.Reason{dane.MTASTSPolicyUnavailable}},
		{"a record in pieces", "its strings are joined without spaces",
			"_mta-sts TXT \"v=ST\" \"Sv1; i\" \"d=1\"\nmta-sts A 192.0.2.80\n", IPAuto, []string{"192.0.2.0/24"},
			[]string{"192.0.2.80:443"}, []dane.Reason{dane.MTASTSPolicyUnavailable}},
		{"a tab in a record", "is white space on the wire, and an escape in zone files",
			"_mta-sts TXT \"v=STSv1;\\009id=1\"\nmta-sts A 192.0.2.80\n", IPAuto, []string{"192.0.2.0/24"},
			[]string{"192.0.2.80:443"}, []dane.Reason{dane.MTASTSPolicyUnavailable}},
	} {
		t.Run(story.name, func(t *testing.T) {
			t.Parallel()
			n := internet(t, nullMX+story.records)
			var mu sync.Mutex
			var dialled []string
			prober := proberWithRoots(n, func(_ context.Context, _ netip.Addr, to netip.AddrPort) (net.Conn, error) {
				mu.Lock()
				defer mu.Unlock()
				dialled = append(dialled, to.String())
				return nil, gone
			}, story.allow...)
			module := mtaSTSModule(10 * time.Second)
			module.IPProtocol = story.ip
			report := prober.Probe(t.Context(), Target{Name: "example.org"}, module)
			if !slices.Equal(dialled, story.dialled) {
				t.Errorf("%s: dialled %v, want %v", story.story, dialled, story.dialled)
			}
			want := slices.Sorted(slices.Values(append([]dane.Reason{dane.NullMX}, story.reasons...)))
			if got := reasonsOf(report.Verdict); !slices.Equal(got, want) || report.Verdict.Outcome != dane.None {
				t.Errorf("%s: %s, reasons %v, want %v", story.story, report.Verdict.Outcome, got, want)
			}
			if !report.Facts.Complete {
				t.Errorf("%s: not complete", story.story)
			}
		})
	}
}

func mtaSTSModule(timeout time.Duration) Module {
	m := mailModule(timeout)
	m.MTASTS = true
	return m
}

// proberWithRoots knows a Web PKI, if an empty one.
func proberWithRoots(n *zone.Internet, dial dialer, allow ...string) *Prober {
	prober := proberOf(n, n.Anchors(), dial, allow...)
	prober.env.Roots = x509.NewCertPool()
	return prober
}

// A policy host that says nothing has until the deadline; all else is measured
// long before. Where the deadline is too near, the silence is not its fault.
func TestProbeWithASilentPolicyHost(t *testing.T) {
	for _, story := range []struct {
		timeout  time.Duration
		reason   dane.Reason
		complete bool
	}{
		{30 * time.Second, dane.MTASTSPolicyUnavailable, true},
		{time.Second, dane.ProbeDeadline, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			n := internet(t, "@ MX 10 mx\nmx A 192.0.2.25\n"+anyRecord+announced("192.0.2.80"))
			silent := waits()
			prober := proberWithRoots(n, func(ctx context.Context, from netip.Addr, to netip.AddrPort) (net.Conn, error) {
				if to.Port() == 25 {
					return nil, errors.New("connection refused")
				}
				return silent(ctx, from, to)
			}, "192.0.2.0/24")
			report := prober.Probe(t.Context(), Target{Name: "example.org"}, mtaSTSModule(story.timeout))
			want := slices.Sorted(slices.Values([]dane.Reason{dane.ConnectFailed, story.reason}))
			if got := reasonsOf(report.Verdict); report.Verdict.Outcome != dane.Unreachable || !slices.Equal(got, want) || report.Facts.Complete != story.complete {
				t.Errorf("within %s: %s, complete %t: %v", story.timeout, report.Verdict.Outcome, report.Facts.Complete, report.Verdict.Findings)
			}
			if report.Duration != story.timeout {
				t.Errorf("it took %s of %s", report.Duration, story.timeout)
			}
			for _, phase := range report.Facts.Phases {
				if phase.End.After(report.Start) {
					t.Errorf("%s waited %s for the policy host", phase.Name, phase.End.Sub(report.Start))
				}
			}
		})
	}
}

// A look-up that takes the time of the fetch away is not the policy host's fault.
func TestProbeWithoutTimeForMTASTS(t *testing.T) {
	n := internet(t, nullMX+announced("192.0.2.80"), zone.Silence(zone.Under("_mta-sts.example.org")))
	report := proberWithRoots(n, neverDials(t), "192.0.2.0/24").Probe(t.Context(), Target{Name: "example.org"}, mtaSTSModule(200*time.Millisecond))
	if report.Facts.Complete || report.Verdict.MTASTS.Standing != dane.PolicyUnknown || report.Verdict.Outcome != dane.None {
		t.Errorf("complete %t, standing %d, outcome %s: %v", report.Facts.Complete, report.Verdict.MTASTS.Standing, report.Verdict.Outcome, report.Verdict.Findings)
	}
}

// A defect costs what is known of MTA-STS, and nothing else.
func TestProbeWithADefectInMTASTS(t *testing.T) {
	n := internet(t, nullMX+announced("192.0.2.80"))
	prober := proberWithRoots(n, func(context.Context, netip.Addr, netip.AddrPort) (net.Conn, error) { panic("a defect") }, "192.0.2.0/24")
	report := prober.Probe(t.Context(), Target{Name: "example.org"}, mtaSTSModule(10*time.Second))
	if report.Verdict.Outcome != dane.None || !slices.Equal(reasonsOf(report.Verdict), []dane.Reason{dane.InternalError, dane.NullMX}) || len(report.Facts.Panics()) != 1 {
		t.Errorf("got %s, %v, faults %v", report.Verdict.Outcome, report.Verdict.Findings, report.Facts.Panics())
	}
}

func TestUnescape(t *testing.T) {
	for text, want := range map[string]string{
		`plain`: "plain", ``: "", `a\;b`: "a;b", `a\\b`: `a\b`, `\"`: `"`, `\009`: "\t", `\255x`: "\xffx", `\25`: "25", `\256`: "256", `\`: "",
	} {
		if got := unescape(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	// And the same way round as the wire has it.
	wire := make([]byte, 512)
	n, err := dns.PackRR(&dns.TXT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeTXT, Class: dns.ClassINET}, Txt: []string{`\000\255"\\; `}}, wire, 0, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	rr, _, err := dns.UnpackRR(wire[:n], 0)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := unescape(rr.(*dns.TXT).Txt[0]), "\x00\xff\"\\; "; got != want {
		t.Errorf("off the wire: %q, want %q", got, want)
	}
}

// TestSendersInTheLab probes the lab's domains that have to do with MTA-STS.
func TestSendersInTheLab(t *testing.T) {
	now := func() time.Time { return noon }
	world, err := lab.New(now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(world.Close)
	prober := New(Environment{Now: now, Dial: world.Dial, DNS: world.DNS(), Anchors: world.Anchors(), Roots: world.Roots()},
		Settings{Access: Access{Targets: []string{"*"}, AllowNetworks: lab.Networks()}})
	wanted := map[string]struct {
		standing        dane.PolicyStanding
		covered, passes dane.Measure
		mtaSTS, both    dane.Outcome
	}{
		"mta-sts-good":              {dane.PolicyEnforced, dane.Yes, dane.Yes, dane.Authenticated, dane.Authenticated},
		"mta-sts-wildcard-unsigned": {dane.PolicyEnforced, dane.Yes, dane.Yes, dane.Authenticated, dane.Authenticated},
		"mta-sts-no-record":         {dane.PolicyNone, dane.NotMeasured, dane.Yes, dane.Opportunistic, dane.Authenticated},
		"mta-sts-no-tlsrpt":         {dane.PolicyEnforced, dane.Yes, dane.Yes, dane.Authenticated, dane.Authenticated},
		"mta-sts-tlsrpt-invalid":    {dane.PolicyEnforced, dane.Yes, dane.Yes, dane.Authenticated, dane.Authenticated},
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
			want, known := wanted[scenario.Name]
			if !known {
				t.Fatal("what senders make of it is not said here")
			}
			delete(wanted, scenario.Name)
			report := prober.Probe(t.Context(), Target{Name: scenario.Target()}, mtaSTSModule(30*time.Second))
			got := report.Verdict.MTASTS
			if senders := (dane.Senders{DANE: dane.Outcome(scenario.Outcome), MTASTS: want.mtaSTS, Both: want.both}); got.Senders != senders {
				t.Errorf("%s\nsenders %v, want %v", scenario.Description, got.Senders, senders)
			}
			host := got.Services[0]
			if got.Standing != want.standing || host.Covered != want.covered || host.Endpoints[0].Passes != want.passes {
				t.Errorf("%s\nstanding %d, covered %d, passes %d", scenario.Description, got.Standing, host.Covered, host.Endpoints[0].Passes)
			}
			tlsrpt := slices.Contains([]string{"mta-sts-good", "mta-sts-wildcard-unsigned", "mta-sts-testing"}, scenario.Name)
			if found := report.Facts.MTASTS; (found.TLSRPTErr == nil) != tlsrpt || (found.TLSRPT.RUA != nil) != tlsrpt {
				t.Errorf("%s\nTLSRPT %v, %v", scenario.Description, found.TLSRPT, found.TLSRPTErr)
			}
			if policy := report.Facts.MTASTS.Policy; policy != nil && policy.MaxAge != 7*24*time.Hour {
				t.Errorf("%s\npolicy %+v", scenario.Description, policy)
			}
		})
	}
	for name := range wanted {
		t.Errorf("the lab has no %s", name)
	}
}

func TestClassifyFetch(t *testing.T) {
	dial := func(err error) error { return &mtasts.DialError{Err: err} }
	for _, c := range []struct {
		name  string
		err   error
		early bool
		want  dane.Cause
	}{
		{"no error", nil, false, dane.CauseNone},
		{"a forbidden address", fmt.Errorf("192.0.2.80: %w", ErrNotAllowed), true, dane.CauseNotAllowed},
		{"no roots", mtasts.ErrNoRoots, true, dane.CauseNoRoots},
		{"no IPv6", dial(fmt.Errorf("%w: %w", ErrNoIPv6, syscall.ENETUNREACH)), true, dane.CauseIPv6Unavailable},
		{"no descriptors", dial(syscall.EMFILE), true, dane.CauseInternal},
		{"the deadline came early", dial(syscall.ECONNREFUSED), true, dane.CauseDeadline},
		{"the proxy", dial(dane.WithCause(dane.CauseProxy, errors.New("the proxy failed"))), false, dane.CauseProxy},
		{"a wrong media type", &mtasts.MediaTypeError{Got: "text/html"}, false, dane.CausePolicyInvalid},
		{"too large", mtasts.ErrTooLarge, false, dane.CausePolicyInvalid},
		{"connection refused", dial(syscall.ECONNREFUSED), false, dane.CausePolicyUnavailable},
		{"status 404", &mtasts.StatusError{Code: 404}, false, dane.CausePolicyUnavailable},
		{"an untrusted certificate", x509.UnknownAuthorityError{}, false, dane.CausePolicyUnavailable},
	} {
		err := classifyFetch(&dane.PolicyFetch{Err: c.err, TimedOutEarly: c.early})
		if got := dane.CauseOf(err); got != c.want {
			t.Errorf("%s: cause %d, want %d", c.name, got, c.want)
		}
	}
}
