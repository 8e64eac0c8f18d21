package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dane_exporter/internal/lab/zone"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec"

	"github.com/miekg/dns"
)

// srvModule returns a module for these SRV services, all with implicit TLS.
func srvModule(services ...string) Module {
	m := Module{Name: "srv", Discover: DiscoverSRV, Policy: dane.Client, Timeout: 10 * time.Second, Require: dane.RequireDANE, IPProtocol: IPAuto}
	for _, service := range services {
		m.SRV = append(m.SRV, SRVSettings{service, "tls"})
	}
	return m
}

// The hosts that SRV records name are in the order in which a client tries them.
func TestDiscoverSRV(t *testing.T) {
	const hosts = "a A 192.0.2.1\nb A 192.0.2.2\n@ A 192.0.2.3\n"
	xmpp, mail := []string{"xmpp-client", "xmpps-client"}, []string{"imap", "imaps"}
	for _, c := range []struct {
		name, records string
		services      []string
		faults        []zone.Fault
		want          string // host:port priority/weight of each service
		reasons       []dane.Reason
	}{
		{"order by priority", "_imap._tcp SRV 10 0 143 a\n_imap._tcp SRV 5 0 1143 b\n_imap._tcp SRV 20 0 143 b\n", mail, nil,
			"b:1143 5/0 b:143 20/0 a:143 10/0", nil},
		{"equal priority: order by weight", "_imap._tcp SRV 10 1 143 a\n_imap._tcp SRV 10 9 143 b\n", mail, nil, "b:143 10/9 a:143 10/1", nil},
		{"two services: one common order", "_imap._tcp SRV 10 0 143 a\n_imaps._tcp SRV 5 0 993 b\n", mail, nil,
			"b:993 5/0 a:143 10/0", nil},
		{"one of two services has the target .", "_imap._tcp SRV 0 0 0 .\n_imaps._tcp SRV 5 0 993 b\n", mail, nil, "b:993 5/0", nil},
		{"the same host and port twice: its best priority", "_imap._tcp SRV 10 0 993 a\n_imaps._tcp SRV 5 0 993 a\n", mail, nil, "a:993 5/0", nil},
		{"both services have the target .", "_imap._tcp SRV 0 0 0 .\n_imaps._tcp SRV 0 0 0 .\n", mail, nil, "", []dane.Reason{dane.SRVNone}},
		{"mail: no records, no fallback", "", mail, nil, "", []dane.Reason{dane.NoSRV}},
		{"XMPP clients: no records, fall back to the domain", "", xmpp, nil, "example.org:5222 0/0", nil},
		{"XMPP servers: no records, fall back to the domain", "", []string{"xmpp-server"}, nil, "example.org:5269 0/0", nil},
		{"SIP: no records, fall back to the domain", "", []string{"sips"}, nil, "example.org:5061 0/0", nil},
		{"XMPP: target . for implicit TLS only, fall back to the domain", "_xmpps-client._tcp SRV 0 0 0 .\n", xmpp, nil, "example.org:5222 0/0", nil},
		{"XMPP: target . for STARTTLS, no fallback", "_xmpp-client._tcp SRV 0 0 0 .\n", xmpp, nil, "", []dane.Reason{dane.NoSRV, dane.SRVNone}},
		{"one lookup fails, the other names a host", "_imap._tcp SRV 10 0 143 a\n", mail,
			[]zone.Fault{zone.Rcode(zone.At("_imaps._tcp.example.org.", dns.TypeSRV), dns.RcodeServerFailure)}, "a:143 10/0", []dane.Reason{dane.ConnectFailed, dane.DNSFailure, dane.NoTLSA}},
		{"one lookup fails, the other has the target .", "_imap._tcp SRV 0 0 0 .\n", mail,
			[]zone.Fault{zone.Rcode(zone.At("_imaps._tcp.example.org.", dns.TypeSRV), dns.RcodeServerFailure)}, "", []dane.Reason{dane.DNSFailure}},
		{"both lookups are bogus", "_imap._tcp SRV 10 0 143 a\n_imaps._tcp SRV 10 0 993 a\n", mail,
			[]zone.Fault{zone.Corrupt(zone.At("_imap._tcp.example.org.", dns.TypeSRV)), zone.Corrupt(zone.At("_imaps._tcp.example.org.", dns.TypeSRV))}, "", []dane.Reason{dane.DNSSECBogus}},
		{"XMPP: lookup for STARTTLS fails, no fallback", "", xmpp,
			[]zone.Fault{zone.Rcode(zone.At("_xmpp-client._tcp.example.org.", dns.TypeSRV), dns.RcodeServerFailure)}, "", []dane.Reason{dane.DNSFailure}},
		{"XMPP: lookup for implicit TLS fails, no fallback", "", xmpp,
			[]zone.Fault{zone.Rcode(zone.At("_xmpps-client._tcp.example.org.", dns.TypeSRV), dns.RcodeServerFailure)}, "", []dane.Reason{dane.DNSFailure}},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newInternet(t, hosts+c.records, c.faults...)
			dial := failOnDial(t)
			if c.want != "" {
				dial = func(context.Context, netip.Addr, netip.AddrPort) (net.Conn, error) { return nil, errors.New("closed") }
			}
			report := newProber(n, n.Anchors(), dial, "192.0.2.0/24").Probe(t.Context(), Target{Name: "example.org"}, srvModule(c.services...))
			var got []string
			for _, v := range report.Verdict.Services {
				got = append(got, fmt.Sprintf("%s:%d %d/%d", strings.TrimSuffix(v.Host, ".example.org"), v.Port, v.Service.Preference, v.Service.Weight))
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if c.want != "" && c.faults == nil {
				return // the lookups and handshakes of the hosts are not the subject
			}
			if reasons := reasonsOf(report.Verdict); !slices.Equal(reasons, c.reasons) {
				t.Errorf("got %v, want %v", reasons, c.reasons)
			}
		})
	}
}

// A probe examines maxHosts services, and reports that it left out others.
func TestDiscoverSRVLimit(t *testing.T) {
	var records strings.Builder
	for i := range 3 * maxHosts {
		fmt.Fprintf(&records, "_imaps._tcp SRV 5 0 %d a\n", 1000+i)
	}
	n := newInternet(t, "a A 192.0.2.1\n"+records.String())
	dial := func(context.Context, netip.Addr, netip.AddrPort) (net.Conn, error) { return nil, errors.New("closed") }
	report := newProber(n, n.Anchors(), dial, "192.0.2.0/24").Probe(t.Context(), Target{Name: "example.org"}, srvModule("imaps"))
	if got := len(report.Verdict.Services); got != maxHosts || !slices.Contains(reasonsOf(report.Verdict), dane.LimitExceeded) || report.Verdict.Success {
		t.Errorf("%d services were probed, reasons %v", got, reasonsOf(report.Verdict))
	}
}

// A finding about a host with several services is reported once.
func TestHostFindingsOnce(t *testing.T) {
	n := newInternet(t, "mx TXT \"no address\"\n")
	module := mailModule(10 * time.Second)
	module.Discover, module.Port, module.Protocol = DiscoverNone, 0, ""
	module.Services = []ServiceSettings{{Port: 25, Protocol: "smtp"}, {Port: 465, Protocol: "tls"}, {Port: 993, Protocol: "tls"}}
	v := newProber(n, n.Anchors(), failOnDial(t)).Probe(t.Context(), Target{Name: "mx.example.org"}, module).Verdict
	if v.Outcome != dane.None || len(v.Services) != 3 || len(v.Findings) != 1 || v.Findings[0].Reason != dane.NoAddress {
		t.Errorf("got %s, %v", v.Outcome, v.Findings)
	}
}

// recordingResolver records the names that are queried.
type recordingResolver struct {
	dnssec.Transport
	mu    sync.Mutex
	names []string
}

func (r *recordingResolver) Exchange(ctx context.Context, query *dns.Msg) (*dns.Msg, string, error) {
	r.mu.Lock()
	r.names = append(r.names, query.Question[0].Name)
	r.mu.Unlock()
	return r.Transport.Exchange(ctx, query)
}

// The prober sends no query for a name that cannot be a host's, and does not connect
// to it.
func TestFaultyHosts(t *testing.T) {
	for _, c := range []struct {
		name, records, target, forbidden string
		discover                         Discovery
		want                             dane.Outcome
		reasons                          []dane.Reason
	}{
		{"MX: localhost", "@ MX 10 localhost.", "example.org", "localhost.", DiscoverMX, dane.None, []dane.Reason{dane.SpecialUseName}},
		{"MX: below invalid", "@ MX 10 mx.invalid.", "example.org", "invalid.", DiscoverMX, dane.None, []dane.Reason{dane.SpecialUseName}},
		{"MX: not a hostname", `@ MX 10 b\195\188cher`, "example.org", `b\195\188cher.example.org.`, DiscoverMX, dane.None, []dane.Reason{dane.InvalidHostname}},
		{"MX: null MX twice", "@ MX 0 .\n@ MX 10 .", "example.org", "", DiscoverMX, dane.None, []dane.Reason{dane.NullMXConflict}},
		{"MX: null MX of another preference", "@ MX 10 .", "example.org", "", DiscoverMX, dane.None, []dane.Reason{dane.NullMX}},
		{"SRV: localhost", "_imap._tcp SRV 0 0 143 localhost.", "example.org", "localhost.", DiscoverSRV, dane.None, []dane.Reason{dane.SpecialUseName}},
		{"SRV: an address", "_imap._tcp SRV 0 0 143 192.0.2.1.", "example.org", "192.0.2.1.", DiscoverSRV, dane.None, []dane.Reason{dane.InvalidHostname}},
		{"the target, by MX", "", "mail.onion", "onion.", DiscoverMX, dane.None, []dane.Reason{dane.SpecialUseName}},
		{"the target, by SRV", "", "chat.local", "local.", DiscoverSRV, dane.None, []dane.Reason{dane.SpecialUseName}},
		{"the target is a host", "", "localhost", "localhost.", DiscoverNone, dane.None, []dane.Reason{dane.SpecialUseName}},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newInternet(t, c.records+"\n")
			resolver := &recordingResolver{Transport: n}
			module := srvModule("imap")
			if module.Discover = c.discover; c.discover != DiscoverSRV {
				module = mailModule(10 * time.Second)
				module.Discover = c.discover
			}
			report := newProber(resolver, n.Anchors(), failOnDial(t)).Probe(t.Context(), Target{Name: c.target}, module)
			if got := reasonsOf(report.Verdict); report.Verdict.Outcome != c.want || !slices.Equal(got, c.reasons) || report.Verdict.Success {
				t.Errorf("got %s, success %t, %v; want %s, %v", report.Verdict.Outcome, report.Verdict.Success, report.Verdict.Findings, c.want, c.reasons)
			}
			for _, name := range resolver.names {
				if c.forbidden != "" && dns.IsSubDomain(c.forbidden, name) {
					t.Errorf("queried for %s", name)
				}
			}
		})
	}
}

// An MX record that names an address leads to it, without queries and without an SNI.
func TestMXNamesAddress(t *testing.T) {
	n := newInternet(t, "@ MX 10 192.0.2.25.\n")
	resolver := &recordingResolver{Transport: n}
	var dialled []netip.AddrPort
	dial := func(_ context.Context, _ netip.Addr, to netip.AddrPort) (net.Conn, error) {
		dialled = append(dialled, to)
		return nil, errors.New("closed")
	}
	report := newProber(resolver, n.Anchors(), dial, "192.0.2.0/24").Probe(t.Context(), Target{Name: "example.org"}, mailModule(10*time.Second))
	if got := reasonsOf(report.Verdict); report.Verdict.Outcome != dane.Unreachable || !slices.Equal(got, []dane.Reason{dane.ConnectFailed, dane.MXNamesAddress}) {
		t.Errorf("got %s, %v", report.Verdict.Outcome, report.Verdict.Findings)
	}
	if !slices.Equal(dialled, []netip.AddrPort{netip.MustParseAddrPort("192.0.2.25:25")}) {
		t.Errorf("connected to %v", dialled)
	}
	for _, name := range resolver.names {
		if strings.HasPrefix(name, "192.") || strings.HasPrefix(name, "_25.") {
			t.Errorf("queried for %s", name)
		}
	}
	if limited := newProber(n, n.Anchors(), failOnDial(t)).Probe(t.Context(), Target{Name: "example.org"}, mailModule(10*time.Second)); limited.Verdict.Outcome != dane.Unknown {
		t.Errorf("an address that access forbids: got %s, %v", limited.Verdict.Outcome, limited.Verdict.Findings)
	}
}
