package config

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"dane_exporter/internal/discovery"
	"dane_exporter/probe"
	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/dnssec/transport"
)

// This file and module.go have one table for each section of the configuration
// file: its keys, where they are stored and which values they may have.

func (v value) config(c *Config) {
	modules := func() {}
	v.fields(map[string]decodeFunc{
		"resolver":  func(v value) { v.resolver(&c.Resolver) },
		"limits":    func(v value) { v.limits(&c.Limits) },
		"access":    func(v value) { v.access(&c.Access) },
		"discovery": func(v value) { v.discovery(&c.Discovery) },
		"modules":   func(v value) { modules = func() { v.modules(c) } },
	})
	modules() // last: their resolvers start as a copy of the section resolver
}

func (v value) resolver(r *probe.ResolverSettings) {
	v.fields(map[string]decodeFunc{
		"servers":       servers(&r.Servers),
		"timeout":       duration(&r.Timeout, 10*time.Millisecond, time.Minute),
		"attempts":      number(&r.Attempts, 1, 3), // RFC 9520 §3.1
		"trust_anchors": text(&r.TrustAnchors, `"builtin" or the path of a file`, checkNotEmpty),
		"sha1":          oneOf(&r.SHA1, []dnssec.SHA1{dnssec.SHA1Insecure, dnssec.SHA1Accept}),
		// RFC 5155 §10.3 never allowed more than 2500.
		"nsec3_max_iterations": number(&r.NSEC3MaxIterations, 1, 2500),
		// A million signed zones take about 2 GiB.
		"cache_mib": number(&r.CacheMiB, 1, 4096),
	})
}

func (v value) limits(l *Limits) {
	v.fields(map[string]decodeFunc{
		"probes":     number(&l.Probes, 1, 100_000),
		"queue_wait": duration(&l.QueueWait, 0, time.Minute),
		// With a longer time, probes would report an outdated state.
		"handshake_reuse": duration(&l.HandshakeReuse, 0, 10*time.Minute),
	})
}

func (v value) access(a *probe.Access) {
	v.fields(map[string]decodeFunc{
		"targets":        listOf(&a.Targets, `patterns such as "*.example.org"`, parsePattern),
		"ports":          listOf(&a.Ports, "ports such as 25 or 465", parsePort),
		"allow_networks": listOf(&a.AllowNetworks, "networks such as 10.0.0.0/8 or fd00::/8", parseNetwork),
		"deny_networks":  listOf(&a.DenyNetworks, "networks such as 198.51.100.0/24 or 2001:db8::/32", parseNetwork),
	})
}

func (v value) discovery(d *discovery.Settings) {
	v.fields(map[string]decodeFunc{
		"sources":     sources(&d.Sources),
		"mx_rate":     number(&d.MXRate, 1, 10_000),
		"mx_interval": duration(&d.MXInterval, time.Minute, 7*24*time.Hour),
	})
}

// sources decodes the sources of domains. Their names must be distinct.
func sources(into *[]discovery.Source) decodeFunc {
	decode := listFunc(into, "sources such as {name: customers, files: [/etc/dane_exporter/domains.txt]}", func(element value, earlier []discovery.Source) (s discovery.Source, ok bool) {
		element.fields(map[string]decodeFunc{
			"name":      text(&s.Name, "a name of a-z, 0-9, _ and -", checkSourceName),
			"files":     listOf(&s.Files, "paths or patterns such as /etc/dane_exporter/domains/*.txt", parsePathPattern),
			"zone":      text(&s.Zone, "the name of a zone", checkZone),
			"members":   oneOf(&s.Members, discovery.MembersValues()),
			"primary":   text(&s.Primary, "the address of a nameserver, such as 192.0.2.1 or tls://192.0.2.1#ns.example.net", checkNameserver),
			"tsig_file": text(&s.TSIGFile, "the path of a file", checkNotEmpty),
		})
		sameName := func(other discovery.Source) bool { return other.Name == s.Name }
		ofZone := element.has("zone") || element.has("members") || element.has("primary") || element.has("tsig_file")
		switch {
		case !element.has("name"):
			element.wrong("must have a name, such as {name: customers, files: [/etc/dane_exporter/domains.txt]}")
		case s.Name != "" && slices.ContainsFunc(earlier, sameName):
			element.wrong("duplicate name %s", s.Name)
		case element.has("files") == ofZone:
			element.wrong("must have files, or zone, primary and tsig_file")
		case ofZone && !element.has("zone", "primary", "tsig_file"):
			element.wrong("must have zone, primary and tsig_file, such as {name: hosting, zone: catalog.example, primary: 192.0.2.1, tsig_file: /etc/dane_exporter/transfer.key}")
		case !ofZone && len(s.Files) == 0:
			element.orAt("files").wrong("must have at least one path")
		default:
			if ofZone {
				s.Zone, _ = probe.DomainName(s.Zone) // A-labels; checkZone has reported an error
				s.Members = cmp.Or(s.Members, discovery.MembersCatalog)
			}
			return s, true
		}
		return s, false
	})
	return func(v value) {
		decode(v)
		if len(*into) > discovery.MaxSources {
			v.wrong("more than %d sources", discovery.MaxSources)
		}
	}
}

func checkSourceName(name string) error {
	if len(name) > 64 {
		return errors.New("longer than 64 characters")
	}
	if !consistsOf(name, "_-") {
		return errors.New("contains other characters, or none")
	}
	return nil
}

func checkZone(name string) error {
	_, err := probe.DomainName(name)
	return err
}

func checkNameserver(address string) error {
	if _, err := transport.ParseNameserver(address); err != nil {
		return errors.New("not a nameserver over TCP or TLS")
	}
	return nil
}

// parsePathPattern accepts the patterns of filepath.Match.
func parsePathPattern(pattern string) (string, error) {
	if pattern == "" {
		return "", errors.New("an empty path matches nothing; must be a path or a pattern such as /etc/dane_exporter/domains/*.txt")
	}
	if _, err := filepath.Match(pattern, ""); err != nil {
		return "", fmt.Errorf("%s is not a valid pattern: a [ is not closed, or it ends in a \\", quote(pattern))
	}
	return pattern, nil
}

// servers decodes the list of resolvers, which must not be empty.
func servers(into *[]string) decodeFunc {
	const items = `resolvers: "system", or addresses`
	decode := listOf(into, items, parseServer)
	return func(v value) {
		decode(v)
		if node := v.resolved(); node.Kind == yaml.SequenceNode && len(node.Content) == 0 {
			v.wrong("the list is empty; must be a list [a, b] of %s", items)
		}
	}
}

// parseServer accepts the resolvers that the transport can use. The addresses
// that "system" stands for are read when the resolver is made.
func parseServer(s string) (string, error) {
	if s == "system" {
		return s, nil
	}
	_, err := transport.New([]string{s}, transport.Options{})
	return s, err
}

// parsePattern accepts the patterns of path.Match and returns them in lower
// case, as target names are.
func parsePattern(s string) (string, error) {
	if s == "" {
		return "", errors.New("an empty pattern matches nothing; must be a pattern such as *.example.org")
	}
	if _, err := path.Match(s, ""); err != nil {
		return "", fmt.Errorf("%s is not a valid pattern: a [ is not closed, or it ends in a \\", quote(s))
	}
	return strings.ToLower(s), nil
}

func parsePort(s string) (uint16, error) {
	port, err := strconv.ParseUint(s, 10, 16)
	if err != nil || port == 0 {
		return 0, fmt.Errorf("%s is not a port; must be a whole number from 1 to 65535", quote(s))
	}
	return uint16(port), nil
}

func parseNetwork(s string) (netip.Prefix, error) {
	network, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%s is not a network; must be one such as 10.0.0.0/8 or fd00::/8", quote(s))
	}
	if network.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("%s is an IPv4-mapped IPv6 network; must be in IPv4 form, such as 10.0.0.0/8", quote(s))
	}
	if network != network.Masked() {
		return netip.Prefix{}, fmt.Errorf("%s has bits set beyond its prefix length; the network is %s", quote(s), network.Masked())
	}
	return network, nil
}

func checkNotEmpty(s string) error {
	if s == "" {
		return errors.New("the value is empty")
	}
	return nil
}
