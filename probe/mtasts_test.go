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

	"dane_exporter/internal/lab/zone"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/mtasts"

	"github.com/miekg/dns"
)

// mtastsRecords returns an MTA-STS record and the addresses of the policy host.
func mtastsRecords(addresses ...string) string {
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

// nullMX means that no mail host is probed (RFC 7505 §3).
const nullMX = "@ MX 0 .\n"

// The policy is fetched from one address of the policy host after the other, IPv4
// first, as far as the module and access allow.
func TestProbePolicyHost(t *testing.T) {
	refused := errors.New("connection refused")
	for _, c := range []struct {
		name, why string
		records   string
		ip        IPProtocol
		allow     []string
		dialled   []string
		reasons   []dane.Reason
	}{
		{"two addresses", "the second is tried if the first refuses the connection",
			mtastsRecords("192.0.2.80", "192.0.2.81"), IPAuto, []string{"192.0.2.0/24"},
			[]string{"192.0.2.80:443", "192.0.2.81:443"}, []dane.Reason{dane.MTASTSPolicyUnavailable}},
		{"IPv4 and IPv6", "IPv4 comes first",
			mtastsRecords("2001:db8::80", "192.0.2.80"), IPAuto, []string{"192.0.2.0/24", "2001:db8::/32"},
			[]string{"192.0.2.80:443", "[2001:db8::80]:443"}, []dane.Reason{dane.MTASTSPolicyUnavailable}},
		{"IPv6 only", "ip_protocol of the module applies",
			mtastsRecords("2001:db8::80", "192.0.2.80"), IP6, []string{"192.0.2.0/24", "2001:db8::/32"},
			[]string{"[2001:db8::80]:443"}, []dane.Reason{dane.MTASTSPolicyUnavailable}},
		{"loopback address", "access forbids the connection",
			mtastsRecords("127.0.0.1"), IPAuto, nil,
			nil, []dane.Reason{dane.TargetNotAllowed}},
		{"one internal and one external address", "the external one is tried",
			mtastsRecords("10.0.0.1", "192.0.2.80"), IPAuto, []string{"192.0.2.0/24"},
			[]string{"192.0.2.80:443"}, []dane.Reason{dane.MTASTSPolicyUnavailable}},
		{"no address", "there is nothing to connect to",
			mtastsRecords(), IPAuto, nil, nil, []dane.Reason{dane.MTASTSPolicyUnavailable}},
		{"no record", "without a record there is no policy host",
			"mta-sts A 192.0.2.80\n", IPAuto, []string{"192.0.2.0/24"}, nil, nil},
		{"aliases", "the record may be an alias (RFC 8461 §3.1)",
			"_mta-sts CNAME sts.hoster\nsts.hoster TXT \"v=STSv1; id=1\"\nmta-sts CNAME web.hoster\nweb.hoster A 192.0.2.80\n", IPAuto, []string{"192.0.2.0/24"},
			[]string{"192.0.2.80:443"}, []dane.Reason{dane.MTASTSPolicyUnavailable}},
		{"record in several strings", "they are joined without spaces",
			"_mta-sts TXT \"v=ST\" \"Sv1; i\" \"d=1\"\nmta-sts A 192.0.2.80\n", IPAuto, []string{"192.0.2.0/24"},
			[]string{"192.0.2.80:443"}, []dane.Reason{dane.MTASTSPolicyUnavailable}},
		{"record with a tab", "it is white space on the wire, and an escape in zone files",
			"_mta-sts TXT \"v=STSv1;\\009id=1\"\nmta-sts A 192.0.2.80\n", IPAuto, []string{"192.0.2.0/24"},
			[]string{"192.0.2.80:443"}, []dane.Reason{dane.MTASTSPolicyUnavailable}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n := newInternet(t, nullMX+c.records)
			var mu sync.Mutex
			var dialled []string
			prober := newProberWithRoots(n, func(_ context.Context, _ netip.Addr, to netip.AddrPort) (net.Conn, error) {
				mu.Lock()
				defer mu.Unlock()
				dialled = append(dialled, to.String())
				return nil, refused
			}, c.allow...)
			module := mtaSTSModule(10 * time.Second)
			module.IPProtocol = c.ip
			report := prober.Probe(t.Context(), Target{Name: "example.org"}, module)
			if !slices.Equal(dialled, c.dialled) {
				t.Errorf("%s: dialled %v, want %v", c.why, dialled, c.dialled)
			}
			want := slices.Sorted(slices.Values(append([]dane.Reason{dane.NullMX}, c.reasons...)))
			if got := reasonsOf(report.Verdict); !slices.Equal(got, want) || report.Verdict.Outcome != dane.None {
				t.Errorf("%s: %s, reasons %v, want %v", c.why, report.Verdict.Outcome, got, want)
			}
			if !report.Facts.Complete {
				t.Errorf("%s: the facts are incomplete", c.why)
			}
		})
	}
}

// mtaSTSModule returns the module smtp_mx_mta_sts with a timeout.
func mtaSTSModule(timeout time.Duration) Module {
	m := mailModule(timeout)
	m.MTASTS = true
	return m
}

// newProberWithRoots returns a prober with an empty pool of Web PKI roots.
func newProberWithRoots(n *zone.Internet, dial dialer, allow ...string) *Prober {
	prober := newProber(n, n.Anchors(), dial, allow...)
	prober.env.Roots = x509.NewCertPool()
	return prober
}

// A silent policy host has time until the deadline, and delays nothing else. If the
// deadline comes before the minimum time, its silence is not its fault.
func TestSilentPolicyHost(t *testing.T) {
	for _, c := range []struct {
		timeout  time.Duration
		reason   dane.Reason
		complete bool
	}{
		{30 * time.Second, dane.MTASTSPolicyUnavailable, true},
		{time.Second, dane.ProbeDeadline, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			n := newInternet(t, "@ MX 10 mx\nmx A 192.0.2.25\n"+anyRecord+mtastsRecords("192.0.2.80"))
			dialSilent := silentServer()
			prober := newProberWithRoots(n, func(ctx context.Context, from netip.Addr, to netip.AddrPort) (net.Conn, error) {
				if to.Port() == 25 {
					return nil, errors.New("connection refused")
				}
				return dialSilent(ctx, from, to)
			}, "192.0.2.0/24")
			report := prober.Probe(t.Context(), Target{Name: "example.org"}, mtaSTSModule(c.timeout))
			want := slices.Sorted(slices.Values([]dane.Reason{dane.ConnectFailed, c.reason}))
			if got := reasonsOf(report.Verdict); report.Verdict.Outcome != dane.Unreachable || !slices.Equal(got, want) || report.Facts.Complete != c.complete {
				t.Errorf("timeout %s: %s, complete %t: %v", c.timeout, report.Verdict.Outcome, report.Facts.Complete, report.Verdict.Findings)
			}
			if report.Duration != c.timeout {
				t.Errorf("the probe took %s, want %s", report.Duration, c.timeout)
			}
			for _, phase := range report.Facts.Phases {
				if phase.End.After(report.Start) {
					t.Errorf("phase %s ended %s after the start", phase.Name, phase.End.Sub(report.Start))
				}
			}
		})
	}
}

// If a lookup leaves no time for the fetch, the standing of the policy is unknown.
func TestMTASTSLookupTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newInternet(t, nullMX+mtastsRecords("192.0.2.80"), zone.Silence(zone.Under("_mta-sts.example.org")))
		report := newProberWithRoots(n, failOnDial(t), "192.0.2.0/24").Probe(t.Context(), Target{Name: "example.org"}, mtaSTSModule(200*time.Millisecond))
		if report.Facts.Complete || report.Verdict.MTASTS.State != dane.PolicyUnknown || report.Verdict.Outcome != dane.None {
			t.Errorf("complete %t, standing %d, outcome %s: %v", report.Facts.Complete, report.Verdict.MTASTS.State, report.Verdict.Outcome, report.Verdict.Findings)
		}
	})
}

// A panic loses the facts about MTA-STS, and nothing else.
func TestPanicInMTASTS(t *testing.T) {
	n := newInternet(t, nullMX+mtastsRecords("192.0.2.80"))
	prober := newProberWithRoots(n, func(context.Context, netip.Addr, netip.AddrPort) (net.Conn, error) { panic("a defect") }, "192.0.2.0/24")
	report := prober.Probe(t.Context(), Target{Name: "example.org"}, mtaSTSModule(10*time.Second))
	if report.Verdict.Outcome != dane.None || !slices.Equal(reasonsOf(report.Verdict), []dane.Reason{dane.InternalError, dane.NullMX}) || len(report.Facts.Panics()) != 1 {
		t.Errorf("got %s, %v, panics %v", report.Verdict.Outcome, report.Verdict.Findings, report.Facts.Panics())
	}
}

// TXT strings lose their escapes (RFC 1035 §5.1). An incomplete escape is dropped.
func TestUnescape(t *testing.T) {
	for text, want := range map[string]string{
		`plain`: "plain", ``: "", `a\;b`: "a;b", `a\\b`: `a\b`, `\"`: `"`, `\009`: "\t", `\255x`: "\xffx", `\25`: "25", `\256`: "256", `\`: "",
	} {
		if got := unescape(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	// A record from the wire has the escapes of miekg/dns.
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
		t.Errorf("from the wire: %q, want %q", got, want)
	}
}

// The cause of a failed fetch is on our side or makes the policy invalid or
// unavailable.
func TestClassifyFetch(t *testing.T) {
	dial := func(err error) error { return &mtasts.DialError{Err: err} }
	for _, c := range []struct {
		name  string
		err   error
		early bool
		want  dane.Cause
	}{
		{"no error", nil, false, dane.CauseNone},
		{"address not allowed", fmt.Errorf("192.0.2.80: %w", ErrNotAllowed), true, dane.CauseNotAllowed},
		{"no roots", mtasts.ErrNoRoots, true, dane.CauseNoRoots},
		{"no local IPv6", dial(fmt.Errorf("%w: %w", ErrNoIPv6, syscall.ENETUNREACH)), true, dane.CauseIPv6Unavailable},
		{"no local route", dial(fmt.Errorf("%w: %w", ErrNoRoute, syscall.ENETUNREACH)), true, dane.CauseInternal},
		{"no file descriptors", dial(syscall.EMFILE), true, dane.CauseInternal},
		{"the deadline came early", dial(syscall.ECONNREFUSED), true, dane.CauseDeadline},
		{"proxy", dial(dane.WithCause(dane.CauseProxy, errors.New("the proxy failed"))), false, dane.CauseProxy},
		{"wrong media type", &mtasts.MediaTypeError{Got: "text/html"}, false, dane.CausePolicyInvalid},
		{"too large", mtasts.ErrTooLarge, false, dane.CausePolicyInvalid},
		{"connection refused", dial(syscall.ECONNREFUSED), false, dane.CausePolicyUnavailable},
		{"status 404", &mtasts.StatusError{Code: 404}, false, dane.CausePolicyUnavailable},
		{"untrusted certificate", x509.UnknownAuthorityError{}, false, dane.CausePolicyUnavailable},
	} {
		err := classifyFetch(&dane.PolicyFetch{Err: c.err, TimedOutEarly: c.early})
		if got := dane.CauseOf(err); got != c.want {
			t.Errorf("%s: cause %d, want %d", c.name, got, c.want)
		}
	}
}
