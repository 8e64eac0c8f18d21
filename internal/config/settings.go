package config

import (
	"errors"
	"fmt"
	"net/netip"
	"path"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"dane_exporter/probe"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/dnssec/transport"
	"dane_exporter/probe/starttls"
)

// What may be set, section by section, and within which bounds.

func (v value) config(c *Config) {
	v.fields(map[string]read{
		"resolver": func(v value) { v.resolver(&c.Resolver) },
		"limits":   func(v value) { v.limits(&c.Limits) },
		"access":   func(v value) { v.access(&c.Access) },
		"modules":  func(v value) { v.modules(c) },
	})
}

func (v value) resolver(r *Resolver) {
	v.fields(map[string]read{
		"servers":       servers(&r.Servers),
		"timeout":       duration(&r.Timeout, 10*time.Millisecond, time.Minute),
		"attempts":      number(&r.Attempts, 1, 10),
		"trust_anchors": text(&r.TrustAnchors, `"builtin", or the path of a file`, checkNotEmpty),
		"sha1":          oneOf(&r.SHA1, []dnssec.SHA1{dnssec.SHA1Insecure, dnssec.SHA1Accept}),
		// More than 2500 no signer was ever allowed (RFC 5155 §10.3).
		"nsec3_max_iterations": number(&r.NSEC3MaxIterations, 1, 2500),
	})
}

func (v value) limits(l *Limits) {
	v.fields(map[string]read{
		"probes":     number(&l.Probes, 1, 100_000),
		"queue_wait": duration(&l.QueueWait, 0, time.Minute),
		// Longer, and a probe would tell of the past.
		"handshake_reuse": duration(&l.HandshakeReuse, 0, 10*time.Minute),
	})
}

func (v value) access(a *probe.Access) {
	v.fields(map[string]read{
		"targets":        listOf(&a.Targets, `patterns, as "*.example.org"`, parsePattern),
		"ports":          listOf(&a.Ports, "ports, as 25 or 465", parsePort),
		"allow_networks": listOf(&a.AllowNetworks, "networks, as 10.0.0.0/8 or fd00::/8", parseNetwork),
		"deny_networks":  listOf(&a.DenyNetworks, "networks, as 198.51.100.0/24 or 2001:db8::/32", parseNetwork),
	})
}

// modules adds to those that are there; each starts as a copy of DefaultModule.
// The default configuration has nothing to start from until that one is read.
func (v value) modules(c *Config) {
	if c.Modules == nil {
		c.Modules = make(map[string]probe.Module)
	}
	start, known := c.Modules[DefaultModule]
	v.mapping(func(name string, key *yaml.Node, at value) {
		if err := checkModuleName(name); err != nil {
			v.fail(key.Line, at.path, err.Error())
			return
		}
		module := start
		module.Name = name
		at.module(&module)
		c.Modules[name] = module
		if !known && name == DefaultModule {
			start = module
		}
	})
}

func (v value) module(m *probe.Module) {
	v.fields(map[string]read{
		"discover":    oneOf(&m.Discover, probe.Discoveries()),
		"protocol":    oneOf(&m.Protocol, starttls.Names()),
		"policy":      oneOf(&m.Policy, dane.Policies()),
		"port":        number(&m.Port, 1, 65535),
		"timeout":     duration(&m.Timeout, 100*time.Millisecond, 5*time.Minute),
		"require":     oneOf(&m.Require, dane.Requirements()),
		"ip_protocol": oneOf(&m.IPProtocol, probe.IPProtocols()),
		"per_address": yesNo(&m.PerAddress),
		"mta_sts":     yesNo(&m.MTASTS),
		"nameservers": yesNo(&m.Nameservers),
		"key_types":   keyTypes(&m.KeyTypes),
		"smtp":        func(v value) { v.smtp(&m.SMTP) },

		"services":         services(&m.Services),
		"srv":              srv(&m.SRV),
		"proxy":            proxy(&m.Proxy),
		"source_addresses": sources(&m.SourceAddresses),
	})
	v.fits(m)
}

func (v value) smtp(s *probe.SMTP) {
	v.fields(map[string]read{
		"ehlo": text(&s.EHLO, `a host name, an address literal as "[192.0.2.1]", or ""`, checkEHLO),
	})
}

// servers reads the list of resolvers, which is never empty.
func servers(into *[]string) read {
	const wanted = `resolvers: "system", or addresses`
	list := listOf(into, wanted, parseServer)
	return func(v value) {
		list(v)
		if node := v.resolved(); node.Kind == yaml.SequenceNode && len(node.Content) == 0 {
			v.wrong("an empty list; wanted %s", wanted)
		}
	}
}

// parseServer leaves what can be asked to who asks. What "system" stands for
// is read when it is needed.
func parseServer(s string) (string, error) {
	if s == "system" {
		return s, nil
	}
	_, err := transport.New([]string{s}, transport.Options{})
	return s, err
}

// parsePattern accepts what path.Match understands. Target names are compared
// in lower case.
func parsePattern(s string) (string, error) {
	if s == "" {
		return "", errors.New("an empty pattern matches nothing; wanted one such as *.example.org")
	}
	if _, err := path.Match(s, ""); err != nil {
		return "", fmt.Errorf("pattern %s: a [ is not closed, or a \\ stands at the end", quote(s))
	}
	return strings.ToLower(s), nil
}

func parsePort(s string) (uint16, error) {
	port, err := strconv.ParseUint(s, 10, 16)
	if err != nil || port == 0 {
		return 0, fmt.Errorf("%s is no port; wanted a whole number from 1 to 65535", quote(s))
	}
	return uint16(port), nil
}

func parseNetwork(s string) (netip.Prefix, error) {
	network, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%s is no network; wanted one such as 10.0.0.0/8 or fd00::/8", quote(s))
	}
	if network.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("%s is an IPv4 network in IPv6 form; wanted its IPv4 form, such as 10.0.0.0/8", quote(s))
	}
	if network != network.Masked() {
		return netip.Prefix{}, fmt.Errorf("%s has bits beyond its length; the network is %s", quote(s), network.Masked())
	}
	return network, nil
}

// checkModuleName keeps names to what needs no quoting in a URL or a label.
func checkModuleName(name string) error {
	const most = 64
	legal := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' || r == '-'
	}
	if name == "" || len(name) > most || strings.ContainsFunc(name, func(r rune) bool { return !legal(r) }) {
		return fmt.Errorf("no name for a module; allowed: 1 to %d of a to z, 0 to 9, _ and -", most)
	}
	return nil
}

// checkEHLO keeps the name to one word of a command line (RFC 5321 §4.1.1.1).
func checkEHLO(name string) error {
	const most = 255
	if len(name) > most {
		return fmt.Errorf("longer than %d characters", most)
	}
	if strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return errors.New("characters that cannot stand in EHLO")
	}
	return nil
}

func checkNotEmpty(s string) error {
	if s == "" {
		return errors.New("empty")
	}
	return nil
}
