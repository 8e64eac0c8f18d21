//go:build integration

package integration

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// TestIntegration builds the world once and asks everything about it. What
// breaks the world comes last.
func TestIntegration(t *testing.T) {
	w := newWorld(t)
	e := startExporter(t, w)
	t.Run("dnssec", func(t *testing.T) { testDNSSEC(t, w) })
	t.Run("delv", func(t *testing.T) { testDelv(t, w) })
	t.Run("mail", func(t *testing.T) { testMail(t, w, e) })
	t.Run("nameservers", func(t *testing.T) { testNameservers(t, w, e) })
	t.Run("keys", func(t *testing.T) { testKeys(t, w, e) })
	t.Run("web", func(t *testing.T) { testWeb(t, w, e) })
	t.Run("protocols", func(t *testing.T) { testProtocols(t, w, e) })
	t.Run("resolver", func(t *testing.T) { testResolverLost(t, w, e) })
}

// ask sends one query, as a client that wants to know of DNSSEC, and returns the response.
func ask(t testing.TB, server netip.Addr, name string, qtype uint16) *dns.Msg {
	t.Helper()
	query := new(dns.Msg)
	query.SetQuestion(dns.Fqdn(name), qtype)
	query.SetEdns0(1232, true)
	client := dns.Client{Net: "tcp", Timeout: patience}
	response, _, err := client.Exchange(query, netip.AddrPortFrom(server, 53).String())
	if err != nil {
		t.Fatalf("ask %s for %s %s: %v", server, name, dns.TypeToString[qtype], err)
	}
	return response
}

// contains reports whether all wanted strings are in list.
func contains(list, wanted []string) bool {
	for _, w := range wanted {
		if !slices.Contains(list, w) {
			return false
		}
	}
	return true
}

func firstLabel(name string) string {
	label, _, _ := strings.Cut(name, ".")
	return label
}
