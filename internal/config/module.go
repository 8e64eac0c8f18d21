package config

import (
	"errors"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"dane_exporter/probe"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/starttls"
)

// The settings of a module that say which services are probed, and which of
// its settings go together.

// services reads the services of a host, each port once.
func services(into *[]probe.ServiceSettings) read {
	return func(v value) {
		var all []probe.ServiceSettings
		v.list("services, as {port: 25, protocol: smtp}", func(element value) {
			var s probe.ServiceSettings
			element.fields(map[string]read{
				"port":     number(&s.Port, 1, 65535),
				"protocol": oneOf(&s.Protocol, starttls.Names()),
				"policy":   oneOf(&s.Policy, dane.Policies()),
			})
			twin := func(other probe.ServiceSettings) bool { return other.Port == s.Port }
			switch {
			case !element.has("port", "protocol"):
				element.wrong("wanted a port and a protocol, as {port: 25, protocol: smtp}")
			case slices.ContainsFunc(all, twin):
				element.wrong("port %d is given twice", s.Port)
			default:
				all = append(all, s)
			}
		})
		*into = all
	}
}

// srv reads the services that SRV records are looked up for, each once.
func srv(into *[]probe.SRVSettings) read {
	return func(v value) {
		var all []probe.SRVSettings
		v.list("services, as {service: imaps, protocol: tls}", func(element value) {
			var s probe.SRVSettings
			element.fields(map[string]read{
				"service":  text(&s.Service, `the name of a service without its underscore, as "imaps"`, checkService),
				"protocol": oneOf(&s.Protocol, starttls.Names()),
			})
			twin := func(other probe.SRVSettings) bool { return other.Service == s.Service }
			switch {
			case !element.has("service", "protocol"):
				element.wrong("wanted a service and a protocol, as {service: imaps, protocol: tls}")
			case slices.ContainsFunc(all, twin):
				element.wrong("service %s is given twice", s.Service)
			default:
				all = append(all, s)
			}
		})
		*into = all
	}
}

// checkService wants the name of a service (RFC 6335 §5.1).
func checkService(name string) error {
	const most = 15
	legal := func(r rune) bool { return r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' }
	if name == "" || len(name) > most || strings.ContainsFunc(name, func(r rune) bool { return !legal(r) }) {
		return errors.New("1 to 15 of a to z, 0 to 9 and -")
	}
	return nil
}

// fits complains of settings of a module that do not go together, each where
// it stands. What a module leaves out it has from DefaultModule, which no
// module need contradict: what does not apply to it is emptied.
func (v value) fits(m *probe.Module) {
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
			at.wrong("with discover: srv, the records name the ports, and srv the protocols")
		}
		if len(m.SRV) == 0 {
			v.wrong("discover: srv wants srv to name services, as srv: [{service: imaps, protocol: tls}]")
		}
		if m.Policy != dane.Client {
			v.wrong("discover: srv is for clients (RFC 7673); wanted policy: client")
		}
		m.Port, m.Protocol = 0, ""
	} else if len(m.SRV) > 0 {
		v.orAt("srv").wrong("SRV records are looked up with discover: srv alone")
	}
	if len(m.Services) > 0 {
		for _, at := range given("port", "protocol") {
			at.wrong("services name their own; wanted port and protocol, or services")
		}
		m.Port, m.Protocol = 0, ""
	}
	if m.MTASTS && (m.Discover != probe.DiscoverMX || len(m.Services) > 0) {
		v.orAt("mta_sts").wrong("a mail domain has an MTA-STS policy, a host has none; allowed with discover: mx alone, and without services")
	}
}

// at returns the value under a key of a mapping.
func (v value) at(key string) (value, bool) {
	node := v.resolved()
	if node.Kind != yaml.MappingNode {
		return value{}, false
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == key {
			return v.child(key, node.Content[i+1]), true
		}
	}
	return value{}, false
}

// has reports whether a mapping has all of these keys.
func (v value) has(keys ...string) bool {
	return !slices.ContainsFunc(keys, func(key string) bool { _, ok := v.at(key); return !ok })
}

// orAt is the value under a key, or v where the key is not given.
func (v value) orAt(key string) value {
	if at, ok := v.at(key); ok {
		return at
	}
	return v
}
