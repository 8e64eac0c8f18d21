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

// srvModule looks up these services; all of them speak TLS at once.
func srvModule(services ...string) Module {
	m := Module{Name: "srv", Discover: DiscoverSRV, Policy: dane.Client, Timeout: 10 * time.Second, Require: dane.RequireDANE, IPProtocol: IPAuto}
	for _, service := range services {
		m.SRV = append(m.SRV, SRVSettings{service, "tls"})
	}
	return m
}

// Where SRV records lead, in the order in which a client goes there.
func TestDiscoverSRV(t *testing.T) {
	const hosts = "a A 192.0.2.1\nb A 192.0.2.2\n@ A 192.0.2.3\n"
	xmpp, mail := []string{"xmpp-client", "xmpps-client"}, []string{"imap", "imaps"}
	for _, story := range []struct {
		name, records string
		services      []string
		faults        []zone.Fault
		want          string // host:port priority/weight, … by host
		reasons       []dane.Reason
	}{
		{"by priority", "_imap._tcp SRV 10 0 143 a\n_imap._tcp SRV 5 0 1143 b\n_imap._tcp SRV 20 0 143 b\n", mail, nil,
			"b:1143 5/0 b:143 20/0 a:143 10/0", nil},
		{"what weighs more first", "_imap._tcp SRV 10 1 143 a\n_imap._tcp SRV 10 9 143 b\n", mail, nil, "b:143 10/9 a:143 10/1", nil},
		{"two services as if they were one", "_imap._tcp SRV 10 0 143 a\n_imaps._tcp SRV 5 0 993 b\n", mail, nil,
			"b:993 5/0 a:143 10/0", nil},
		{"one of two is not offered", "_imap._tcp SRV 0 0 0 .\n_imaps._tcp SRV 5 0 993 b\n", mail, nil, "b:993 5/0", nil},
		{"the same twice counts once, at its best", "_imap._tcp SRV 10 0 993 a\n_imaps._tcp SRV 5 0 993 a\n", mail, nil, "a:993 5/0", nil},
		{"none is offered", "_imap._tcp SRV 0 0 0 .\n_imaps._tcp SRV 0 0 0 .\n", mail, nil, "", []dane.Reason{dane.SRVNone}},
		{"mail has no records, and mail programs no other way", "", mail, nil, "", []dane.Reason{dane.NoSRV}},
		{"chat has no records: the domain itself", "", xmpp, nil, "example.org:5222 0/0", nil},
		{"chat servers too", "", []string{"xmpp-server"}, nil, "example.org:5269 0/0", nil},
		{"telephony too", "", []string{"sips"}, nil, "example.org:5061 0/0", nil},
		{"chat refuses TLS from the first byte, and says no more", "_xmpps-client._tcp SRV 0 0 0 .\n", xmpp, nil, "example.org:5222 0/0", nil},
		{"chat is not offered: nobody falls back", "_xmpp-client._tcp SRV 0 0 0 .\n", xmpp, nil, "", []dane.Reason{dane.NoSRV, dane.SRVNone}},
		{"one look-up fails: what the other names is left", "_imap._tcp SRV 10 0 143 a\n", mail,
			[]zone.Fault{zone.Rcode(zone.At("_imaps._tcp.example.org.", dns.TypeSRV), dns.RcodeServerFailure)}, "a:143 10/0", []dane.Reason{dane.ConnectFailed, dane.DNSFailure, dane.NoTLSA}},
		{"one look-up fails, and the other names nobody", "_imap._tcp SRV 0 0 0 .\n", mail,
			[]zone.Fault{zone.Rcode(zone.At("_imaps._tcp.example.org.", dns.TypeSRV), dns.RcodeServerFailure)}, "", []dane.Reason{dane.DNSFailure}},
		{"one is bogus, and the other is bogus", "_imap._tcp SRV 10 0 143 a\n_imaps._tcp SRV 10 0 993 a\n", mail,
			[]zone.Fault{zone.Corrupt(zone.At("_imap._tcp.example.org.", dns.TypeSRV)), zone.Corrupt(zone.At("_imaps._tcp.example.org.", dns.TypeSRV))}, "", []dane.Reason{dane.DNSSECBogus}},
		{"a look-up fails, and there would be a way to fall back", "", xmpp,
			[]zone.Fault{zone.Rcode(zone.At("_xmpp-client._tcp.example.org.", dns.TypeSRV), dns.RcodeServerFailure)}, "", []dane.Reason{dane.DNSFailure}},
		{"the other look-up fails, and there would be a way to fall back", "", xmpp,
			[]zone.Fault{zone.Rcode(zone.At("_xmpps-client._tcp.example.org.", dns.TypeSRV), dns.RcodeServerFailure)}, "", []dane.Reason{dane.DNSFailure}},
	} {
		t.Run(story.name, func(t *testing.T) {
			n := internet(t, hosts+story.records, story.faults...)
			dial := neverDials(t)
			if story.want != "" {
				dial = func(context.Context, netip.Addr, netip.AddrPort) (net.Conn, error) { return nil, errors.New("closed") }
			}
			report := proberOf(n, n.Anchors(), dial, "192.0.2.0/24").Probe(t.Context(), Target{Name: "example.org"}, srvModule(story.services...))
			var got []string
			for _, v := range report.Verdict.Services {
				got = append(got, fmt.Sprintf("%s:%d %d/%d", strings.TrimSuffix(v.Host, ".example.org"), v.Port, v.Service.Preference, v.Service.Weight))
			}
			if strings.Join(got, " ") != story.want {
				t.Errorf("got %q, want %q", got, story.want)
			}
			if story.want != "" && story.faults == nil {
				return // what comes of the look-ups of hosts is other stories' matter
			}
			if reasons := reasonsOf(report.Verdict); !slices.Equal(reasons, story.reasons) {
				t.Errorf("got %v, want %v", reasons, story.reasons)
			}
		})
	}
}

func TestSRVRecordsWithoutEnd(t *testing.T) {
	var records strings.Builder
	for i := range 3 * maxHosts {
		fmt.Fprintf(&records, "_imaps._tcp SRV 5 0 %d a\n", 1000+i)
	}
	n := internet(t, "a A 192.0.2.1\n"+records.String())
	dial := func(context.Context, netip.Addr, netip.AddrPort) (net.Conn, error) { return nil, errors.New("closed") }
	report := proberOf(n, n.Anchors(), dial, "192.0.2.0/24").Probe(t.Context(), Target{Name: "example.org"}, srvModule("imaps"))
	if got := len(report.Verdict.Services); got != maxHosts || !slices.Contains(reasonsOf(report.Verdict), dane.LimitExceeded) || report.Verdict.Success {
		t.Errorf("%d services were probed, and found was %v", got, reasonsOf(report.Verdict))
	}
}

// Several services of one host: what is the matter with the host is told once.
func TestHostFindingsOnce(t *testing.T) {
	n := internet(t, "mx TXT \"moved out\"\n")
	module := mailModule(10 * time.Second)
	module.Discover, module.Port, module.Protocol = DiscoverNone, 0, ""
	module.Services = []ServiceSettings{{Port: 25, Protocol: "smtp"}, {Port: 465, Protocol: "tls"}, {Port: 993, Protocol: "tls"}}
	v := proberOf(n, n.Anchors(), neverDials(t)).Probe(t.Context(), Target{Name: "mx.example.org"}, module).Verdict
	if v.Outcome != dane.None || len(v.Services) != 3 || len(v.Findings) != 1 || v.Findings[0].Reason != dane.NoAddress {
		t.Errorf("got %s, %v", v.Outcome, v.Findings)
	}
}
