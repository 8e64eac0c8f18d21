//go:build integration

package integration

import (
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Addresses of the resolvers of TestViews.
var (
	oursAddress   = netip.MustParseAddr("127.0.0.61")
	publicAddress = netip.MustParseAddr("127.0.0.62") // over TLS and HTTPS too
	forgerAddress = netip.MustParseAddr("127.0.0.63")
	namedAddress  = netip.MustParseAddr("127.0.0.64") // over TLS and HTTPS
)

// TestViews judges one domain through three Unbounds, one over UDP, one over TLS and HTTPS,
// and one that forges a record, and through BIND over TLS and HTTPS.
func TestViews(t *testing.T) {
	tb := &testbed{dir: tempDir(t), zones: zones()}
	configureLoopback(t)
	tb.zone(t, "good.test.").records += fmt.Sprintf("view MX 10 mx.view\nmx.view A %s\n", unusedAddress)
	tb.publish(t)
	authority := newAuthority(t, tb.dir)
	certificate := authority.issue(t, "Resolver", authority.root, "leaf", certificate{names: []string{"dns.example.net"}})
	newUnbound(t, tb, "iterator", oursAddress).start(t)
	newUnbound(t, tb, "iterator", publicAddress,
		fmt.Sprintf("interface: %s@853", publicAddress), "tls-port: 853", fmt.Sprintf("interface: %s@443", publicAddress), "https-port: 443", "http-endpoint: /dns-query",
		fmt.Sprintf("tls-service-pem: %q", certificate), fmt.Sprintf("tls-service-key: %q", keyOf(certificate))).start(t)
	newUnbound(t, tb, "iterator", forgerAddress,
		fmt.Sprintf(`local-data: "_25._tcp.mx.view.good.test. TLSA 3 1 1 %s"`, strings.Repeat("aa", 32))).start(t)
	startNamedResolver(t, tb, certificate)

	// A server that is silent for half of the timeout gets a second connection, and the test counts connections.
	config := writeFile(t, tb.dir, "exporter.yml", fmt.Sprintf(`resolver: {servers: [%q], timeout: 5s, trust_anchors: %q}
access: {allow_networks: [192.0.2.0/24]}
modules:
  view_tls: {resolver: {servers: ["tls://%[3]s#dns.example.net"]}}
  view_https: {resolver: {servers: ["https://%[3]s/dns-query#dns.example.net"]}}
  view_bind_tls: {resolver: {servers: ["tls://%[5]s#dns.example.net"]}}
  view_bind_https: {resolver: {servers: ["https://%[5]s/dns-query#dns.example.net"]}}
  view_forged: {resolver: {servers: [%[4]q]}}
`, oursAddress, writeFile(t, tb.dir, "anchors", tb.anchor+"\n"), publicAddress, forgerAddress, namedAddress))
	command := exec.Command(os.Getenv(binaryEnv), "serve", "--config.file", config, "--web.listen-address", exporterAddress)
	command.Env = append(os.Environ(), "SSL_CERT_FILE="+authority.root, "SSL_CERT_DIR=/nonexistent")
	start(t, tb.dir, command, exporterAddress)
	e := &exporter{url: "http://" + exporterAddress}

	views := []struct {
		module, server, outcome, reason string
	}{
		{"smtp_mx", "127.0.0.61:53", "unreachable", "connect_failed"},
		{"view_tls", "tls://127.0.0.62:853#dns.example.net", "unreachable", "connect_failed"},
		{"view_https", "https://127.0.0.62:443/dns-query#dns.example.net", "unreachable", "connect_failed"},
		{"view_bind_tls", "tls://127.0.0.64:853#dns.example.net", "unreachable", "connect_failed"},
		{"view_bind_https", "https://127.0.0.64:443/dns-query#dns.example.net", "unreachable", "connect_failed"},
		{"view_forged", "127.0.0.63:53", "refused", "dnssec_bogus"},
	}
	probe := func(when string) {
		t.Helper()
		for _, v := range views {
			got := e.probe(t, "view.good.test", v.module)
			if got.outcome(t) != v.outcome || !contains(got.reasons(), []string{v.reason}) {
				t.Errorf("%s: %s: %s %q, want %s %q", when, v.module, got.outcome(t), got.reasons(), v.outcome, v.reason)
			}
			// The MX lookup is validated through each of the resolvers.
			if secure := got.activeLabels("dane_dnssec_info", map[string]string{"lookup": "mx"}, "status"); !slices.Equal(secure, []string{"secure"}) {
				t.Errorf("%s: %s: MX lookup %q", when, v.module, secure)
			}
		}
	}
	probe("at the start")
	for _, v := range views {
		module := v.module
		if module == "smtp_mx" {
			module = ""
		}
		for _, series := range []string{
			fmt.Sprintf("dane_exporter_resolver_ok{module=%q,server=%q} 1", module, v.server),
			fmt.Sprintf("dane_exporter_trust_anchor_ok{module=%q} 1", module),
		} {
			waitFor(t, series, func() bool { return strings.Contains(e.metrics(t), series) })
		}
	}

	cached := func() int {
		size := regexp.MustCompile(`(?m)^dane_exporter_dns_cache_entries (\d+)$`).FindStringSubmatch(e.metrics(t))
		if size == nil {
			t.Fatal("no dane_exporter_dns_cache_entries")
		}
		n, err := strconv.Atoi(size[1])
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := cached()
	response, err := http.Post(e.url+"/-/reload", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	response.Body.Close()
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("reload: %s %s, %v", response.Status, body, err)
	}
	if after := cached(); after < before {
		t.Errorf("%d cached names after a reload, %d before", after, before)
	}
	for range 5 {
		probe("after a reload")
	}
	for _, address := range []string{publicAddress.String(), namedAddress.String()} {
		for _, port := range []string{"443", "853"} {
			connections := run(t, "ss", "-Htn", "state", "established", "dst", address, "dport", "=", ":"+port)
			if n := strings.Count(connections, "\n"); n != 1 {
				t.Errorf("%d connections to port %s of %s, want 1:\n%s", n, port, address, connections)
			}
		}
	}
}

// startNamedResolver starts BIND as a resolver over TLS and HTTPS. It does not validate.
func startNamedResolver(t *testing.T, tb *testbed, certificate string) {
	t.Helper()
	addAddress(t, namedAddress) // BIND listens at addresses of interfaces alone
	dir := filepath.Join(tb.dir, "named")
	hints := writeFile(t, dir, "root.hints", fmt.Sprintf(". 3600 NS ns.\nns. 3600 A %s\n", knotAddress))
	config := writeFile(t, dir, "named.conf", fmt.Sprintf(`
tls local { cert-file %[1]q; key-file %[2]q; };
http local { endpoints { "/dns-query"; }; };
options {
	directory %[3]q;
	listen-on port 853 tls local { %[4]s; };
	listen-on port 443 tls local http local { %[4]s; };
	listen-on-v6 { none; };
	pid-file none;
	session-keyfile none;
	dnssec-validation no;
	empty-zones-enable no;
};
controls { };
zone "." { type hint; file %[5]q; };
`, certificate, keyOf(certificate), dir, namedAddress, hints))
	start(t, tb.dir, exec.Command(program(t, "named"), "-g", "-n", "1", "-c", config), namedAddress.String()+":443", namedAddress.String()+":853")
}
