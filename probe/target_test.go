package probe

import (
	"net/netip"
	"strings"
	"testing"
)

// A target is parsed into its parts, or rejected with one printable line that says
// which form is valid.
func TestParseTarget(t *testing.T) {
	mx := Module{Name: "smtp_mx", Discover: DiscoverMX}
	host := Module{Name: "smtp", Discover: DiscoverNone}
	several := Module{Name: "mail_server", Discover: DiscoverNone, Services: []ServiceSettings{{Port: 25, Protocol: "smtp"}, {Port: 465, Protocol: "tls"}}}
	srv := Module{Name: "sip", Discover: DiscoverSRV}
	address := netip.MustParseAddr
	for _, c := range []struct {
		target, hostname string
		module           Module
		want             Target // Asked is the target as written
		wantErr          string // part of the error text
	}{
		{"example.org", "", mx, Target{Name: "example.org"}, ""},
		{"Example.ORG.", "", mx, Target{Name: "example.org"}, ""},
		{"bücher.example", "", mx, Target{Name: "xn--bcher-kva.example"}, ""},
		{"mx.example.org:2525", "", host, Target{Name: "mx.example.org", Port: 2525}, ""},
		{"_dmarc.example.org", "", host, Target{Name: "_dmarc.example.org"}, ""},
		{"192.0.2.1", "mx.example.org", host, Target{Name: "mx.example.org", Address: address("192.0.2.1")}, ""},
		{"192.0.2.1:465", "mx.example.org", host, Target{Name: "mx.example.org", Address: address("192.0.2.1"), Port: 465}, ""},
		{"2001:db8::1", "mx.example.org", host, Target{Name: "mx.example.org", Address: address("2001:db8::1")}, ""},
		{"[2001:db8::1]:25", "MX.example.org.", host, Target{Name: "mx.example.org", Address: address("2001:db8::1"), Port: 25}, ""},
		{"::ffff:192.0.2.1", "mx.example.org", host, Target{Name: "mx.example.org", Address: address("192.0.2.1")}, ""},

		{"", "", mx, Target{}, "empty"},
		{strings.Repeat("a", 2000), "", mx, Target{}, "2000 bytes"},
		{strings.Repeat("a.", 200) + "example", "", mx, Target{}, "not a domain name"},
		{strings.Repeat("a", 64) + ".example", "", mx, Target{}, "not a domain name"},
		{"https://example.org", "", mx, Target{}, "scheme"},
		{"example.org/path", "", mx, Target{}, "path"},
		{"user@example.org", "", mx, Target{}, "mail address"},
		{"example..org", "", mx, Target{}, "not a domain name"},
		{"example.org..", "", mx, Target{}, "not a domain name"},
		{".", "", mx, Target{}, "not a domain name"},
		{"exa mple.org", "", mx, Target{}, "not a domain name"},
		{"example.org\x00", "", mx, Target{}, "not a domain name"},
		{"exa\xffmple.org", "", mx, Target{}, "not a domain name"},
		{"example.org\n", "", mx, Target{}, "not a domain name"},
		{"mx.example.org:0", "", host, Target{}, "not a port"},
		{"mx.example.org:70000", "", host, Target{}, "not a port"},
		{"mx.example.org:smtp", "", host, Target{}, "not a port"},
		{"[2001:db8::1", "", host, Target{}, "bracket"},
		{"[192.0.2.1]:25", "", host, Target{}, "IPv6"},
		{"fe80::1%eth0", "mx.example.org", host, Target{}, "zone"},
		{"192.0.2.1", "", host, Target{}, "hostname"},
		{"mx.example.org", "other.example.org", host, Target{}, "hostname"},
		{"192.0.2.1", "mx.example.org", mx, Target{}, "not an address"},
		{"example.org:25", "", mx, Target{}, "without a port"},
		{"mx.example.org", "", several, Target{Name: "mx.example.org"}, ""},
		{"192.0.2.1", "mx.example.org", several, Target{Name: "mx.example.org", Address: address("192.0.2.1")}, ""},
		{"mx.example.org:25", "", several, Target{}, "module mail_server probes several services: give a host without a port"},
		{"example.org", "", srv, Target{Name: "example.org"}, ""},
		{"example.org:5061", "", srv, Target{}, "module sip looks up SRV records: give a domain without a port"},
		{"192.0.2.1", "example.org", srv, Target{}, "give a domain such as example.org, not an address"},
	} {
		t.Run(c.target, func(t *testing.T) {
			got, err := ParseTarget(c.target, c.hostname, c.module)
			if c.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), c.wantErr) {
					t.Fatalf("got %v, error %v; want an error with %q", got, err, c.wantErr)
				}
				if strings.ContainsAny(err.Error(), "\n\x00") || len(err.Error()) > 500 {
					t.Errorf("the error is not one printable line: %q", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			c.want.Asked = c.target
			if got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

// An accepted name is never empty, too long, in upper case, or with a final dot.
func FuzzParseTarget(f *testing.F) {
	for _, seed := range []string{"example.org", "[2001:db8::1]:25", "bücher.example:1", "::1", "xn--.", "a.", "[]:"} {
		f.Add(seed, "mx.example.org")
	}
	f.Fuzz(func(t *testing.T, target, hostname string) {
		got, err := ParseTarget(target, hostname, Module{Discover: DiscoverNone})
		if err == nil && (got.Name == "" || len(got.Name) > maxName || strings.ToLower(got.Name) != got.Name || strings.HasSuffix(got.Name, ".")) {
			t.Errorf("accepted %q as the name %q", target, got.Name)
		}
	})
}

// FuzzPlainName checks that DomainName returns a plain name as the IDNA profile does. A
// name is plain until a byte that only the profile accepts is added to it.
func FuzzPlainName(f *testing.F) {
	for _, name := range []string{"example.org", "a", "_dmarc.example.org", "-a.b-", "a--b.c", "1.2.3.4", "a..b", strings.Repeat("a.", 126) + "b", strings.Repeat("a", 64)} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if !isPlainName(name) || len(name) == maxName {
			return
		}
		upper := strings.ToUpper(name)
		if upper == name { // the profile sees the name only if it has a letter
			return
		}
		if got, err := DomainName(upper); got != name || err != nil {
			t.Errorf("DomainName(%q) = %q, %v; want %q", upper, got, err, name)
		}
	})
}
