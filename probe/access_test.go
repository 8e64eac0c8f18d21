package probe

import (
	"errors"
	"net/netip"
	"testing"
)

func TestAccessAddress(t *testing.T) {
	lab := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}
	for _, story := range []struct {
		address string
		listed  []netip.Prefix
		allowed bool
	}{
		{"1.1.1.1", nil, true},
		{"2606:4700::1111", nil, true},
		{"127.0.0.1", nil, false},
		{"169.254.169.254", nil, false},
		{"10.1.2.3", nil, false},
		{"100.64.0.1", nil, false},
		{"0.0.0.0", nil, false},
		{"224.0.0.1", nil, false},
		{"255.255.255.255", nil, false},
		{"::1", nil, false},
		{"::", nil, false},
		{"fe80::1%eth0", nil, false},
		{"fd00::1", nil, false},
		{"::ffff:127.0.0.1", nil, false},
		{"::127.0.0.1", nil, false},
		{"64:ff9b::7f00:1", nil, false},
		{"2002:7f00:1::", nil, false},
		{"192.0.2.1", nil, false},
		{"192.0.2.1", lab, true},
		{"::ffff:192.0.2.1", lab, true},
		{"2001:db8::1", lab, true},
		{"198.51.100.1", lab, false},
	} {
		err := Access{AllowNetworks: story.listed}.checkAddress(netip.MustParseAddr(story.address))
		if allowed := err == nil; allowed != story.allowed {
			t.Errorf("%s with %v: allowed %t, want %t", story.address, story.listed, allowed, story.allowed)
		}
		if err != nil && !errors.Is(err, ErrNotAllowed) {
			t.Errorf("%s: the error %q does not wrap ErrNotAllowed", story.address, err)
		}
	}
}

// What is denied is denied, though it is public, or allowed elsewhere.
func TestDeniedNetworks(t *testing.T) {
	access := Access{
		AllowNetworks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
		DenyNetworks:  []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("168.63.129.16/32"), netip.MustParsePrefix("2606:4700::/32")},
	}
	for address, allowed := range map[string]bool{
		"10.2.0.1": true, "10.1.0.1": false, "168.63.129.17": true, "168.63.129.16": false, "::ffff:168.63.129.16": false,
		"2606:4700::1": false, "2606:4701::1": true,
	} {
		if err := access.checkAddress(netip.MustParseAddr(address)); (err == nil) != allowed || err != nil && !errors.Is(err, ErrNotAllowed) {
			t.Errorf("%s: %v, want allowed: %t", address, err, allowed)
		}
	}
}

func TestAccessTargets(t *testing.T) {
	for _, story := range []struct {
		patterns []string
		name     string
		allowed  bool
	}{
		{[]string{"*"}, "mx.example.org", true},
		{[]string{"*.example.org"}, "mx.example.org", true},
		{[]string{"*.example.org"}, "example.org", false},
		{[]string{"example.org", "example.net"}, "example.net", true},
		{nil, "example.org", false},
	} {
		if allowed := (Access{Targets: story.patterns}).allowsTarget(Target{Name: story.name}); allowed != story.allowed {
			t.Errorf("%v and %s: allowed %t, want %t", story.patterns, story.name, allowed, story.allowed)
		}
	}
	pinned := Target{Name: "mx.example.org", Address: netip.MustParseAddr("203.0.113.5")}
	if (Access{Targets: []string{"*.example.org"}}).allowsTarget(pinned) {
		t.Error("an allowed name opened the way to any address")
	}
	if !(Access{Targets: []string{"*.example.org", "203.0.113.*"}}).allowsTarget(pinned) {
		t.Error("a listed address is denied")
	}
}
