package collector

import (
	"iter"
	"net/netip"
	"slices"
	"strconv"

	"dane_exporter/probe"
	"dane_exporter/probe/dnssec"
)

// Limits on what is exported for one target. Zones and servers choose how much
// they publish, and every item costs series in Prometheus.
const (
	maxRecords   = 64 // per service
	maxHosts     = 50
	maxAddresses = 16 // per service
)

// view is the part of a report that is exported: each service and lookup once,
// within the limits.
type view struct {
	services     []*service
	lookups      []*lookup
	findings     []probe.Finding
	maxEndpoints int             // per service
	truncated    map[string]bool // whether there was more of it than is exported
}

// service is one port of one host. It merges all services of the report that have
// the same host and port.
type service struct {
	probe.ServiceVerdict
	port  string
	facts *probe.Service
}

// lookup is one lookup for one host. It merges all lookups of the same kind and
// name, with the worst status.
type lookup struct {
	kind       probe.LookupKind
	name, host string
	status     dnssec.Status
	measured   bool // the status is about the zone, not about a failure of our own
	zone       dnssec.Validity
	parents    dnssec.Validity
}

func newView(report *probe.Report) *view {
	v := &view{
		maxEndpoints: maxAddresses * max(1, len(report.Module.KeyTypes)),
		truncated:    map[string]bool{"tlsa_records": false, "hosts": false, "addresses": false},
	}
	for _, what := range report.Facts.Truncated {
		v.truncated[what] = true
	}
	hosts := v.hosts(report)
	for verdict, facts := range judgedServices(report) {
		if slices.Contains(hosts, verdict.Host) {
			v.addService(verdict, facts)
		}
	}
	for _, l := range report.Facts.Lookups() {
		if l.Host == "" || slices.Contains(hosts, l.Host) {
			v.addLookup(l)
		}
	}
	for _, f := range report.Verdict.Findings {
		if v.includes(f, hosts) {
			v.findings = append(v.findings, f)
		}
	}
	return v
}

// judgedServices pairs the verdict on each service with the facts that it is based
// on. There is one verdict per service, in the order of the hosts and their services.
// Host and port do not identify a service: two protocols may share a port. The facts
// are nil if the report has fewer services than verdicts.
func judgedServices(report *probe.Report) iter.Seq2[*probe.ServiceVerdict, *probe.Service] {
	return func(yield func(*probe.ServiceVerdict, *probe.Service) bool) {
		var facts []*probe.Service
		for i := range report.Facts.Hosts {
			services := report.Facts.Hosts[i].Services
			for j := range services {
				facts = append(facts, &services[j])
			}
		}
		for i := range report.Verdict.Services {
			var of *probe.Service
			if i < len(facts) {
				of = facts[i]
			}
			if !yield(&report.Verdict.Services[i], of) {
				return
			}
		}
	}
}

// hosts returns the names of the hosts that are exported: the first maxHosts, which
// clients try first.
func (v *view) hosts(report *probe.Report) []string {
	var names []string
	for i := range report.Facts.Hosts {
		name := report.Facts.Hosts[i].Name
		if slices.Contains(names, name) {
			continue
		}
		if len(names) == maxHosts {
			v.truncated["hosts"] = true
			break
		}
		names = append(names, name)
	}
	return names
}

// addService adds a service. If it is present already, because two MX records name
// its host or two protocols share its port, the worse outcome, the lower preference
// and the additional addresses are merged into it.
func (v *view) addService(verdict *probe.ServiceVerdict, facts *probe.Service) {
	s := v.service(verdict.Host, verdict.Port)
	if s == nil {
		s = &service{ServiceVerdict: *verdict, port: strconv.Itoa(int(verdict.Port)), facts: facts}
		s.Endpoints = nil
		v.services = append(v.services, s)
	}
	s.Outcome = worse(s.Outcome, verdict.Outcome)
	s.Preference = min(s.Preference, verdict.Preference)
	for _, endpoint := range verdict.Endpoints {
		switch {
		case s.endpoint(endpoint.Address, keyTypeOf(endpoint)) != nil:
		case len(s.Endpoints) == v.maxEndpoints:
			v.truncated["addresses"] = true
		default:
			s.Endpoints = append(s.Endpoints, endpoint)
		}
	}
	if facts != nil && facts.Authority != nil {
		v.truncated["nameservers"] = v.truncated["nameservers"] || facts.Authority.Truncated
	}
	if len(s.Records) > maxRecords {
		v.truncated["tlsa_records"] = true
		s.Records = s.Records[:maxRecords]
	}
}

// service returns the service that is exported for a host and port, or nil.
func (v *view) service(host string, port uint16) *service {
	for _, s := range v.services {
		if s.Host == host && s.Port == port {
			return s
		}
	}
	return nil
}

// keyTypeOf returns the key type that the handshake was restricted to, or "".
func keyTypeOf(endpoint probe.EndpointVerdict) probe.KeyType {
	if endpoint.Facts == nil {
		return ""
	}
	return endpoint.Facts.KeyType
}

// hasAddress reports whether an endpoint with that address is exported.
func (s *service) hasAddress(address netip.Addr) bool {
	return slices.ContainsFunc(s.Endpoints, func(e probe.EndpointVerdict) bool { return e.Address == address })
}

// endpoint returns the endpoint that is exported for an address and key type, or nil.
func (s *service) endpoint(address netip.Addr, key probe.KeyType) *probe.EndpointVerdict {
	for i := range s.Endpoints {
		if s.Endpoints[i].Address == address && keyTypeOf(s.Endpoints[i]) == key {
			return &s.Endpoints[i]
		}
	}
	return nil
}

// worse returns the worse of two outcomes.
func worse(a, b probe.Outcome) probe.Outcome {
	order := probe.Outcomes()
	if slices.Index(order, a) < slices.Index(order, b) {
		return b
	}
	return a
}

// addLookup adds a lookup, or merges it with one of the same kind, name and host.
func (v *view) addLookup(l probe.Lookup) {
	answer := l.Answer
	added := &lookup{
		kind: l.Kind, name: label(answer.Name), host: l.Host,
		status: answer.Status, measured: !isLocalFailure(answer.Err),
		zone: answer.Zone, parents: answer.Parents,
	}
	for _, known := range v.lookups {
		if known.kind == added.kind && known.name == added.name && known.host == added.host {
			known.status = dnssec.Worst(known.status, added.status)
			known.measured = known.measured && added.measured
			known.zone = known.zone.And(added.zone)
			known.parents = known.parents.And(added.parents)
			return
		}
	}
	v.lookups = append(v.lookups, added)
}

// includes reports whether a finding is about something that is exported.
func (v *view) includes(f probe.Finding, hosts []string) bool {
	if f.Host == "" {
		return true
	}
	if !slices.Contains(hosts, f.Host) {
		return false
	}
	s := v.service(f.Host, f.Port)
	return s == nil || !f.Address.IsValid() || s.hasAddress(f.Address)
}
