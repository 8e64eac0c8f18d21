package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"dane_exporter/internal/lab/zone"
	"dane_exporter/probe/dane"

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
