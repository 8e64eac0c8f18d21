package handshake

import (
	"fmt"
	"strings"
	"testing"
)

func TestParseProxy(t *testing.T) {
	for text, want := range map[string]string{
		"socks5://192.0.2.1:1080":                                  "socks5://192.0.2.1:1080",
		"socks5://[2001:db8::1]:1080":                              "socks5://[2001:db8::1]:1080",
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
			t.Errorf("the password shows: %s", shown)
		}
	}
}
