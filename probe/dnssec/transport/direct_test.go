package transport_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"dane_exporter/probe/dnssec/transport"
)

func TestQueryServer(t *testing.T) {
	for _, test := range []struct {
		name     string
		server   *resolver
		want     string // response code, or part of the error
		networks string // of the queries that the server received
	}{
		{"an answer", &resolver{udp: respond()}, "NOERROR", "udp"},
		{"REFUSED is returned too", &resolver{udp: respond(rcode(dns.RcodeRefused))}, "REFUSED", "udp"},
		{"truncated over UDP", &resolver{udp: respond(truncated), tcp: respondTCP()}, "NOERROR", "udp tcp"},
		{"cut off without the TC bit", &resolver{udp: cutOff(2), tcp: respondTCP()}, "NOERROR", "udp tcp"},
		{"a forged response first", &resolver{udp: func(q *dns.Msg) [][]byte {
			return [][]byte{response(q, func(m *dns.Msg) { m.Id++ }), response(q)}
		}}, "NOERROR", "udp"},
		{"TCP: closed without a response", &resolver{udp: respond(truncated)}, "over tcp: EOF", "udp tcp"},
		{"TCP: another ID", &resolver{udp: respond(truncated), tcp: respondTCP(func(m *dns.Msg) { m.Id++ })}, "does not match the query", "udp tcp"},
		{"TCP: an empty message", &resolver{udp: respond(truncated), tcp: func(*dns.Msg) []byte { return []byte{0, 0} }}, "over tcp: ", "udp tcp"},
		{"TCP: still truncated", &resolver{udp: respond(truncated), tcp: respondTCP(truncated)}, "truncated even over TCP", "udp tcp"},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.server.start(t)
			response, err := transport.QueryServer(t.Context(), netip.MustParseAddrPort(test.server.address), query())
			got := ""
			if err != nil {
				got = err.Error()
			} else {
				got = dns.RcodeToString[response.Rcode]
			}
			if !strings.Contains(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
			var networks []string
			for _, request := range test.server.requests() {
				network, _, _ := strings.Cut(request, " ")
				networks = append(networks, network)
			}
			if got := strings.Join(networks, " "); got != test.networks {
				t.Errorf("the server was queried over %q, want %q", got, test.networks)
			}
		})
	}
}

func TestQueryServerContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	server := (&resolver{udp: func(*dns.Msg) [][]byte { cancel(); return nil }}).start(t)
	if _, err := transport.QueryServer(ctx, netip.MustParseAddrPort(server.address), query()); err == nil || len(server.requests()) != 1 {
		t.Errorf("got %v after the queries %v, want an error after one query", err, server.requests())
	}
}
