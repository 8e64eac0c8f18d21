package collector

import (
	"net/netip"
	"slices"
	"strconv"

	"dane_exporter/probe"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec"
)

// The most that is exported of one target. Zones and servers choose these
// numbers, and each is worth series in somebody's Prometheus.
const (
	maxRecords   = 64 // of a service
	maxHosts     = 50
	maxAddresses = 16 // of a service
)

// excerpt is what of a report is exported: each service and look-up once, and
// no more of anything than the limits allow.
type excerpt struct {
	services  []*service
	lookups   []*lookup
	findings  []dane.Finding
	endpoints int             // the most of a service
	over      map[string]bool // what there was too much of
}

// service is one port of one host, wherever the report has it.
type service struct {
	dane.ServiceVerdict
	port  string
	facts *dane.Service
}

// lookup is one look-up for one host, with the status of the worst where there
// were several.
type lookup struct {
	kind       dane.LookupKind
	name, host string
	status     dnssec.Status
	measured   bool // it says something of the zone, not of our own trouble
	zone       dnssec.Validity
	parents    dnssec.Validity
}

func newExcerpt(report *probe.Report) *excerpt {
	x := &excerpt{endpoints: maxAddresses * max(1, len(report.Module.KeyTypes)), over: map[string]bool{"tlsa_records": false, "hosts": false, "addresses": false}}
	for _, what := range report.Facts.Truncated {
		x.over[what] = true
	}
	hosts := x.hosts(report)
	facts := factsOf(report)
	for _, verdict := range report.Verdict.Services {
		if slices.Contains(hosts, verdict.Host) {
			x.addService(verdict, facts[place{verdict.Host, verdict.Port}])
		}
	}
	for _, found := range report.Facts.Lookups() {
		if found.Host == "" || slices.Contains(hosts, found.Host) {
			x.addLookup(found)
		}
	}
	for _, found := range report.Verdict.Findings {
		if x.shows(found, hosts) {
			x.findings = append(x.findings, found)
		}
	}
	return x
}

// place is a service's place in the report.
type place struct {
	host string
	port uint16
}

// factsOf finds what was measured at each service.
func factsOf(report *probe.Report) map[place]*dane.Service {
	facts := make(map[place]*dane.Service)
	for i := range report.Facts.Hosts {
		host := &report.Facts.Hosts[i]
		for j := range host.Services {
			facts[place{host.Name, host.Services[j].Port}] = &host.Services[j]
		}
	}
	return facts
}

// hosts names the hosts that are exported, those tried first.
func (x *excerpt) hosts(report *probe.Report) []string {
	var names []string
	for i := range report.Facts.Hosts {
		name := report.Facts.Hosts[i].Name
		if slices.Contains(names, name) {
			continue
		}
		if len(names) == maxHosts {
			x.over["hosts"] = true
			break
		}
		names = append(names, name)
	}
	return names
}

// addService takes a service in. One that is there already, because two MX
// records name its host, gets the worse outcome, the lower preference and the further addresses.
func (x *excerpt) addService(verdict dane.ServiceVerdict, facts *dane.Service) {
	s := x.service(verdict.Host, verdict.Port)
	if s == nil {
		s = &service{ServiceVerdict: verdict, port: strconv.Itoa(int(verdict.Port)), facts: facts}
		s.Endpoints = nil
		x.services = append(x.services, s)
	}
	s.Outcome = worse(s.Outcome, verdict.Outcome)
	s.Service.Preference = min(s.Service.Preference, verdict.Service.Preference)
	for _, endpoint := range verdict.Endpoints {
		switch {
		case s.endpoint(endpoint.Address, keyTypeOf(endpoint)) != nil:
		case len(s.Endpoints) == x.endpoints:
			x.over["addresses"] = true
		default:
			s.Endpoints = append(s.Endpoints, endpoint)
		}
	}
	if facts != nil && facts.Nameservers != nil {
		x.over["nameservers"] = x.over["nameservers"] || facts.Nameservers.Truncated
	}
	if len(s.Records) > maxRecords {
		x.over["tlsa_records"] = true
		s.Records = s.Records[:maxRecords]
	}
}

func (x *excerpt) service(host string, port uint16) *service {
	for _, s := range x.services {
		if s.Host == host && s.Port == port {
			return s
		}
	}
	return nil
}

// keyTypeOf is the key type that a handshake was made for, if for one.
func keyTypeOf(endpoint dane.EndpointVerdict) dane.KeyType {
	if endpoint.Facts == nil {
		return ""
	}
	return endpoint.Facts.KeyType
}

// at says whether an endpoint at that address is exported.
func (s *service) at(address netip.Addr) bool {
	return slices.ContainsFunc(s.Endpoints, func(e dane.EndpointVerdict) bool { return e.Address == address })
}

func (s *service) endpoint(address netip.Addr, key dane.KeyType) *dane.EndpointVerdict {
	for i := range s.Endpoints {
		if s.Endpoints[i].Address == address && keyTypeOf(s.Endpoints[i]) == key {
			return &s.Endpoints[i]
		}
	}
	return nil
}

// worse returns the worse of two outcomes.
func worse(a, b dane.Outcome) dane.Outcome {
	order := dane.Outcomes()
	if slices.Index(order, a) < slices.Index(order, b) {
		return b
	}
	return a
}

// addLookup takes a look-up in, merged with one of the same kind, name and host.
func (x *excerpt) addLookup(found dane.Lookup) {
	answer := found.Answer
	added := &lookup{
		kind: found.Kind, name: label(answer.Name), host: found.Host,
		status: answer.Status, measured: !ours(answer.Err),
		zone: answer.Zone, parents: answer.Parents,
	}
	for _, known := range x.lookups {
		if known.kind == added.kind && known.name == added.name && known.host == added.host {
			known.status = dnssec.Worst(known.status, added.status)
			known.measured = known.measured && added.measured
			known.zone = known.zone.And(added.zone)
			known.parents = known.parents.And(added.parents)
			return
		}
	}
	x.lookups = append(x.lookups, added)
}

// shows says whether a finding is about something that is exported.
func (x *excerpt) shows(found dane.Finding, hosts []string) bool {
	if found.Host == "" {
		return true
	}
	if !slices.Contains(hosts, found.Host) {
		return false
	}
	s := x.service(found.Host, found.Port)
	return s == nil || !found.Address.IsValid() || s.at(found.Address)
}
