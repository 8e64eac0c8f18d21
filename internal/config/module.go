package config

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"dane_exporter/probe"
	"dane_exporter/probe/caa"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/handshake"
	"dane_exporter/probe/starttls"
)

// modules adds modules to those of the configuration. Each starts as a copy of
// DefaultModule. In the default configuration, which defines that module, those
// after it start as a copy of it.
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
		at.found(key.Line)
		module := start
		module.Name = name
		at.module(&module, c.Resolver)
		c.Modules[name] = module
		if !known && name == DefaultModule {
			start = module
		}
	})
}

func (v value) module(m *probe.Module, resolver probe.ResolverSettings) {
	v.fields(map[string]decodeFunc{
		"discover":            oneOf(&m.Discover, probe.Discoveries()),
		"protocol":            oneOf(&m.Protocol, starttls.Names()),
		"policy":              oneOf(&m.Policy, dane.Policies()),
		"port":                number(&m.Port, 1, 65535),
		"connect":             connect(&m.LookupsOnly),
		"timeout":             duration(&m.Timeout, 100*time.Millisecond, 5*time.Minute),
		"require":             oneOf(&m.Require, dane.Requirements()),
		"ip_protocol":         oneOf(&m.IPProtocol, probe.IPProtocols()),
		"series":              oneOf(&m.Series, probe.SeriesModes()),
		"per_address":         boolean(&m.PerAddress),
		"mta_sts":             boolean(&m.MTASTS),
		"nameservers":         boolean(&m.Nameservers),
		"renewal":             boolean(&m.Renewal),
		"issuers":             issuers(&m.Issuers),
		"key_types":           keyTypes(&m.KeyTypes),
		"smtp":                func(v value) { v.smtp(&m.SMTP) },
		"services":            services(&m.Services),
		"srv":                 srv(&m.SRV),
		"resolver":            moduleResolver(&m.Resolver, resolver),
		"proxy":               proxy(&m.Proxy),
		"proxy_password_file": text(&m.ProxyPasswordFile, "the path of a file", func(string) error { return nil }),
		"source_addresses":    sourceAddresses(&m.SourceAddresses),
	})
	v.checkModule(m)
}

// connect decodes whether a probe makes connections.
func connect(into *probe.LookupsOnly) decodeFunc {
	return func(v value) {
		connects := !bool(*into)
		boolean(&connects)(v)
		*into = probe.LookupsOnly(!connects)
	}
}

// moduleResolver decodes the resolver of a module. It starts as a copy of the section
// resolver. A module whose setting has no keys has no resolver of its own.
func moduleResolver(into **probe.ResolverSettings, resolver probe.ResolverSettings) decodeFunc {
	return func(v value) {
		v.resolver(&resolver)
		if *into = nil; len(v.resolved().Content) > 0 {
			*into = &resolver
		}
	}
}

func (v value) smtp(s *probe.SMTP) {
	v.fields(map[string]decodeFunc{
		"ehlo": text(&s.EHLO, `a hostname, an address literal such as "[192.0.2.1]", or ""`, checkEHLO),
	})
}

// checkModule reports settings of a module that exclude each other, at the line
// of the key if the module gives it. A module need not override what it inherits
// from DefaultModule: inherited settings that do not apply are cleared.
func (v value) checkModule(m *probe.Module) {
	given := func(keys ...string) (values []value) {
		for _, key := range keys {
			if at, ok := v.at(key); ok {
				values = append(values, at)
			}
		}
		return values
	}
	if m.Discover == probe.DiscoverSRV {
		for _, at := range given("port", "protocol", "services") {
			at.wrong("not allowed with discover: srv; the SRV records give the ports, and the key srv gives the protocols")
		}
		if len(m.SRV) == 0 {
			v.wrong("discover: srv needs a list of services, such as srv: [{service: imaps, protocol: tls}]")
		}
		if m.Policy != dane.Client {
			v.wrong("discover: srv needs policy: client (RFC 7673)")
		}
		m.Port, m.Protocol = 0, ""
	} else if len(m.SRV) > 0 {
		v.orAt("srv").wrong("allowed only with discover: srv")
	}
	if len(m.Services) > 0 {
		for _, at := range given("port", "protocol") {
			at.wrong("not allowed with services; give port and protocol, or services")
		}
		m.Port, m.Protocol = 0, ""
	}
	if m.ProxyPasswordFile != "" && (m.Proxy.User == "" || m.Proxy.Password != "") {
		v.orAt("proxy_password_file").wrong("needs a proxy with a user and without a password, such as proxy: socks5://user@192.0.2.1:1080")
	}
	if m.Series == probe.SeriesSummary && m.PerAddress {
		v.orAt("per_address").wrong("not allowed with series: summary, which has no series for each address")
	}
	if m.MTASTS && bool(m.LookupsOnly) {
		v.orAt("mta_sts").wrong("not allowed with connect: false; the policy is fetched over HTTPS")
	}
	if m.MTASTS && (m.Discover != probe.DiscoverMX || len(m.Services) > 0) {
		v.orAt("mta_sts").wrong("allowed only with discover: mx and without services; MTA-STS policies belong to mail domains, not to hosts")
	}
}

// services decodes the services of a host, each port at most once.
func services(into *[]probe.ServiceSettings) decodeFunc {
	return listFunc(into, "services such as {port: 25, protocol: smtp}", func(element value, earlier []probe.ServiceSettings) (s probe.ServiceSettings, ok bool) {
		element.fields(map[string]decodeFunc{
			"port":     number(&s.Port, 1, 65535),
			"protocol": oneOf(&s.Protocol, starttls.Names()),
			"policy":   oneOf(&s.Policy, dane.Policies()),
		})
		samePort := func(other probe.ServiceSettings) bool { return other.Port == s.Port }
		switch {
		case !element.has("port", "protocol"):
			element.wrong("must have a port and a protocol, such as {port: 25, protocol: smtp}")
			return s, false
		case slices.ContainsFunc(earlier, samePort):
			element.wrong("duplicate port %d", s.Port)
			return s, false
		}
		return s, true
	})
}

// srv decodes the services for which SRV records are looked up, each at most
// once.
func srv(into *[]probe.SRVSettings) decodeFunc {
	return listFunc(into, "services such as {service: imaps, protocol: tls}", func(element value, earlier []probe.SRVSettings) (s probe.SRVSettings, ok bool) {
		element.fields(map[string]decodeFunc{
			"service":  text(&s.Service, `the name of a service without its underscore, such as "imaps"`, checkServiceName),
			"protocol": oneOf(&s.Protocol, starttls.Names()),
		})
		sameService := func(other probe.SRVSettings) bool { return other.Service == s.Service }
		switch {
		case !element.has("service", "protocol"):
			element.wrong("must have a service and a protocol, such as {service: imaps, protocol: tls}")
			return s, false
		case slices.ContainsFunc(earlier, sameService):
			element.wrong("duplicate service %s", s.Service)
			return s, false
		}
		return s, true
	})
}

// issuers decodes a mapping of organizations to lists of issuer domain names.
func issuers(into *caa.Issuers) decodeFunc {
	return func(v value) {
		*into = nil
		v.mapping(func(organization string, _ *yaml.Node, at value) {
			var domains []string
			listOf(&domains, "domain names in CAA records", func(text string) (string, error) { return text, caa.CheckIssuer(text) })(at)
			switch {
			case organization == "":
				at.wrong("must be below the name of an organization")
			case at.resolved().Kind == yaml.SequenceNode && len(at.resolved().Content) == 0:
				at.wrong("must list at least one domain name")
			}
			*into = into.With(caa.Issuers{organization: domains})
		})
	}
}

// keyTypes decodes a list of key types, each at most once.
func keyTypes(into *[]dane.KeyType) decodeFunc {
	return listFunc(into, "key types: ecdsa, rsa", func(element value, earlier []dane.KeyType) (dane.KeyType, bool) {
		var key dane.KeyType
		oneOf(&key, dane.KeyTypes())(element)
		if slices.Contains(earlier, key) {
			element.wrong("duplicate key type %q", key)
			return "", false
		}
		return key, key != ""
	})
}

// proxy decodes a SOCKS5 proxy, or "" for none. Errors do not repeat the given
// value: it may contain a password.
func proxy(into *handshake.Proxy) decodeFunc {
	return func(v value) {
		given, ok := v.scalar("a proxy such as socks5://192.0.2.1:1080")
		if !ok {
			return
		}
		if given == "" {
			*into = handshake.Proxy{}
			return
		}
		parsed, err := handshake.ParseProxy(given)
		if err != nil {
			v.wrong("not a valid proxy: %v", err)
			return
		}
		*into = parsed
	}
}

// sourceAddresses decodes the local addresses of connections, at most one of
// each address family.
func sourceAddresses(into *[]netip.Addr) decodeFunc {
	return listFunc(into, "addresses of this machine", func(element value, earlier []netip.Addr) (netip.Addr, bool) {
		given, ok := element.scalar("an address of this machine")
		if !ok {
			return netip.Addr{}, false
		}
		addr, err := netip.ParseAddr(given)
		addr = addr.Unmap()
		sameFamily := func(other netip.Addr) bool { return other.Is4() == addr.Is4() }
		switch {
		case err != nil || addr.IsUnspecified() || addr.IsMulticast():
			element.wrong("%s is not an address of this machine; must be one such as 192.0.2.7", quote(given))
			return netip.Addr{}, false
		case slices.ContainsFunc(earlier, sameFamily):
			element.wrong("%s is the second address of its family; at most one IPv4 and one IPv6 address are allowed", quote(given))
			return netip.Addr{}, false
		}
		return addr, true
	})
}

// checkModuleName accepts names that need no quoting in a URL or a label.
func checkModuleName(name string) error {
	const limit = 64
	if len(name) > limit || !consistsOf(name, "_-") {
		return fmt.Errorf("not a valid module name; must be 1 to %d characters of a-z, 0-9, _ and -", limit)
	}
	return nil
}

// checkServiceName accepts the names of services (RFC 6335 §5.1).
func checkServiceName(name string) error {
	const limit = 15
	if len(name) > limit || !consistsOf(name, "-") {
		return fmt.Errorf("not 1 to %d characters of a-z, 0-9 and -", limit)
	}
	return nil
}

// consistsOf reports whether name is not empty and has only lower-case letters,
// digits and the characters of punctuation.
func consistsOf(name, punctuation string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && !strings.ContainsRune(punctuation, r)
	})
}

// checkEHLO accepts one word of a command line (RFC 5321 §4.1.1.1).
func checkEHLO(name string) error {
	const limit = 255
	if len(name) > limit {
		return fmt.Errorf("longer than %d characters", limit)
	}
	if strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return errors.New("contains characters that EHLO does not allow")
	}
	return nil
}
