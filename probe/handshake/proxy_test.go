package handshake

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"dane_exporter/internal/socks"
	"dane_exporter/probe/dane"
)

// A proxy is printed without its password, and errors do not contain it.
func TestParseProxy(t *testing.T) {
	for text, want := range map[string]string{
		"socks5://192.0.2.1:1080":                                  "socks5://192.0.2.1:1080",
		"socks5://[2001:db8::1]:1080":                              "socks5://[2001:db8::1]:1080",
		"socks5://me@192.0.2.1:1080":                               "socks5://me@192.0.2.1:1080",
		"socks5://me:key@192.0.2.1:1080":                           "socks5://me:<secret>@192.0.2.1:1080",
		"socks5://m%40:k%3Aey@192.0.2.1:1080":                      "socks5://m%40:<secret>@192.0.2.1:1080",
		"http://192.0.2.1:1080":                                    "",
		"socks5://proxy.example.org:1080":                          "",
		"socks5://192.0.2.1":                                       "",
		"socks5://192.0.2.1:0":                                     "",
		"socks5://192.0.2.1:1080/path":                             "",
		"socks5://:key@192.0.2.1:1080":                             "",
		"socks5://me:key@192.0.2.1:1080?x=1":                       "",
		"socks5://me:key%zz@192.0.2.1:1080":                        "",
		"socks5://" + strings.Repeat("u", 256) + "@192.0.2.1:1080": "",
	} {
		proxy, err := ParseProxy(text)
		if (err == nil) != (want != "") || err == nil && proxy.String() != want {
			t.Errorf("%s: got %s, %v; want %q", text, proxy, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "key") {
			t.Errorf("the error contains the password: %v", err)
		}
		if shown := fmt.Sprintf("%v %+v", proxy, struct{ Proxy Proxy }{proxy}); strings.Contains(shown, "key") || strings.Contains(shown, "k:ey") {
			t.Errorf("the password is printed: %s", shown)
		}
	}
}

// A failure that the proxy reports is its own, the server's, or a lack of IPv6,
// which counts like that of this machine.
func TestClassifyProxyError(t *testing.T) {
	ip4, ip6 := netip.MustParseAddrPort("192.0.2.25:25"), netip.MustParseAddrPort("[2001:db8::25]:25")
	reply := func(code socks.Code) error { return &socks.ReplyError{Code: code} }
	for _, c := range []struct {
		name string
		err  error
		to   netip.AddrPort
		want dane.Cause
	}{
		{"no SOCKS5 proxy", errors.New("unexpected EOF"), ip4, dane.CauseProxy},
		{"general failure", reply(socks.GeneralFailure), ip4, dane.CauseProxy},
		{"not allowed by the proxy", reply(socks.NotAllowed), ip4, dane.CauseProxy},
		{"network unreachable, IPv4", reply(socks.NetworkUnreachable), ip4, dane.CauseNone},
		{"network unreachable, IPv6", reply(socks.NetworkUnreachable), ip6, dane.CauseIPv6Unavailable},
		{"address type unsupported, IPv4", reply(socks.AddressTypeUnsupported), ip4, dane.CauseProxy},
		{"address type unsupported, IPv6", reply(socks.AddressTypeUnsupported), ip6, dane.CauseIPv6Unavailable},
		{"host unreachable", reply(socks.HostUnreachable), ip6, dane.CauseNone},
		{"connection refused", reply(socks.ConnectionRefused), ip6, dane.CauseNone},
		{"TTL expired", reply(socks.TTLExpired), ip6, dane.CauseNone},
	} {
		if got := dane.CauseOf(classifyProxyError(c.err, c.to)); got != c.want {
			t.Errorf("%s: cause %d, want %d", c.name, got, c.want)
		}
	}
}
