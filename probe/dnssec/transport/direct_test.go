package transport_test

import (
	"context"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"

	"dane_exporter/probe/dnssec/transport"
)

func TestAsk(t *testing.T) {
	var lost atomic.Bool
	for _, story := range []struct {
		name   string
		server *resolver
		want   string // an rcode, or a part of the error
		heard  string
	}{
		{"an answer", &resolver{udp: says()}, "NOERROR", "udp"},
		{"a refusal is one too", &resolver{udp: says(rcode(dns.RcodeRefused))}, "REFUSED", "udp"},
		{"too long for UDP", &resolver{udp: says(truncated), tcp: saysTCP()}, "NOERROR", "udp tcp"},
		{"rubbish once", &resolver{udp: func(q *dns.Msg) [][]byte {
			if lost.CompareAndSwap(false, true) {
				wire := reply(q)
				return [][]byte{wire[:len(wire)-2]}
			}
			return [][]byte{reply(q)}
		}}, "NOERROR", "udp udp"},
		{"a forgery first", &resolver{udp: func(q *dns.Msg) [][]byte {
			return [][]byte{reply(q, func(m *dns.Msg) { m.Id++ }), reply(q)}
		}}, "NOERROR", "udp"},
		{"TCP: closes without a word", &resolver{udp: says(truncated)}, "over tcp: EOF", "udp tcp"},
		{"TCP: somebody else's answer", &resolver{udp: says(truncated), tcp: saysTCP(func(m *dns.Msg) { m.Id++ })}, "does not fit the query", "udp tcp"},
		{"TCP: an empty message", &resolver{udp: says(truncated), tcp: func(*dns.Msg) []byte { return []byte{0, 0} }}, "over tcp: ", "udp tcp"},
		{"TCP: truncated still", &resolver{udp: says(truncated), tcp: saysTCP(truncated)}, "truncated even over TCP", "udp tcp"},
	} {
		t.Run(story.name, func(t *testing.T) {
			story.server.start(t)
			response, err := transport.Ask(t.Context(), netip.MustParseAddrPort(story.server.address), query())
			got := ""
			if err != nil {
				got = err.Error()
			} else {
				got = dns.RcodeToString[response.Rcode]
			}
			if !strings.Contains(got, story.want) {
				t.Errorf("got %q, want %q", got, story.want)
			}
			var networks []string
			for _, what := range story.server.asked() {
				network, _, _ := strings.Cut(what, " ")
				networks = append(networks, network)
			}
			if heard := strings.Join(networks, " "); heard != story.heard {
				t.Errorf("it was asked over %q, want %q", heard, story.heard)
			}
		})
	}
}

func TestAskEndsWithItsCaller(t *testing.T) {
	ctx, leave := context.WithCancel(t.Context())
	server := (&resolver{udp: func(*dns.Msg) [][]byte { leave(); return nil }}).start(t)
	if _, err := transport.Ask(ctx, netip.MustParseAddrPort(server.address), query()); err == nil || len(server.asked()) != 1 {
		t.Errorf("asked %v, got %v", server.asked(), err)
	}
}
