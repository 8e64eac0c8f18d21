package collector

import (
	"net/netip"
	"slices"
	"strconv"

	"dane_exporter/probe"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec"
)

// Limits on what is exported for one target. Zones and servers choose how much
// they publish, and every item costs series in Prometheus.
const (
	maxRecords   = 64 // per service
	maxHosts     = 50
	maxAddresses = 16 // per service
	maxZones     = 64

	maxDelegations = 16
)

// view is the part of a report that is exported: each service and lookup once,
// within the limits.
type view struct {
	services     []*service
	lookups      []*lookup
	zones        []zoneSignatures
	findings     []dane.Finding
	delegations  []*dane.Delegation
	maxEndpoints int             // per service
	truncated    map[string]bool // the lists that are exported only in part
}

// service is one port of one host. It merges all services of the report that have
// the same host and port.
type service struct {
	dane.ServiceVerdict
	port       string
	preference uint16
}

// lookup is one lookup for one host. It merges all lookups of the same kind and
// name, with the worst status.
type lookup struct {
	kind       dane.LookupKind
	name, host string
	status     dnssec.Status
	measured   bool // the status is about the zone, not about a failure of our own
	// signer and algorithm are those of the signature that proves the answer, or "".
	signer, algorithm string
}

// zoneSignatures is the validity of the signatures by one zone that the lookups
// depend on.
type zoneSignatures struct {
	Zone string
	dnssec.Validity
}

func newView(report *probe.Report) *view {
	v := &view{
		maxEndpoints: maxAddresses * max(1, len(report.Module.KeyTypes)),
		truncated:    make(map[string]bool),
	}
	for _, what := range report.Facts.Truncated {
		v.truncated[what] = true
	}
	v.delegations = report.Facts.Delegations
	if len(v.delegations) > maxDelegations {
		v.delegations, v.truncated["delegations"] = v.delegations[:maxDelegations], true
	}
	for _, d := range v.delegations {
		if d.Truncated {
			v.truncated["nameservers"] = true
		}
	}
	hosts := v.hosts(report)
	for i := range report.Verdict.Services {
		if verdict := &report.Verdict.Services[i]; slices.Contains(hosts, verdict.Host) {
			v.addService(verdict)
		}
	}
	for _, l := range append(report.Facts.Lookups(), report.Facts.RenewalLookups()...) {
		if l.Host == "" || slices.Contains(hosts, l.Host) {
			v.addLookup(l)
			v.addZones(l.Answer)
		}
	}
	for _, f := range report.Verdict.Findings {
		if v.includes(f, hosts) {
			v.findings = append(v.findings, f)
		}
	}
	return v
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

// hasNameserver reports whether the probe itself queried a nameserver for TLSA records, and
// measured whether it answers.
func (v *view) hasNameserver(server dane.NameserverVerdict) bool {
	return slices.ContainsFunc(v.services, func(s *service) bool {
		return slices.ContainsFunc(s.Nameservers, func(n dane.NameserverVerdict) bool {
			return n.Up != dane.NotMeasured && n.Zone == server.Zone && n.Name == server.Name && n.Address == server.Address
		})
	})
}

// addService adds a service. If it is present already, because two MX records name
// its host or two protocols share its port, the worse outcome, the lower preference
// and the additional addresses are merged into it.
func (v *view) addService(verdict *dane.ServiceVerdict) {
	s := v.service(verdict.Host, verdict.Port)
	if s == nil {
		s = &service{ServiceVerdict: *verdict, port: strconv.Itoa(int(verdict.Port)), preference: verdict.Service.Preference}
		s.Endpoints = nil
		v.services = append(v.services, s)
	}
	s.Outcome = dane.Worse(s.Outcome, verdict.Outcome)
	s.preference = min(s.preference, verdict.Service.Preference)
	for _, endpoint := range verdict.Endpoints {
		switch {
		case s.endpoint(endpoint.Address, keyTypeOf(endpoint)) != nil:
		case len(s.Endpoints) == v.maxEndpoints:
			v.truncated["addresses"] = true
		default:
			s.Endpoints = append(s.Endpoints, endpoint)
		}
	}
	if nameservers := verdict.Service.Nameservers; nameservers != nil && nameservers.Truncated {
		v.truncated["nameservers"] = true
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
func keyTypeOf(endpoint dane.EndpointVerdict) dane.KeyType {
	if endpoint.Facts == nil {
		return ""
	}
	return endpoint.Facts.KeyType
}

// hasAddress reports whether an endpoint with that address is exported.
func (s *service) hasAddress(address netip.Addr) bool {
	return slices.ContainsFunc(s.Endpoints, func(e dane.EndpointVerdict) bool { return e.Address == address })
}

// endpoint returns the endpoint that is exported for an address and key type, or nil.
func (s *service) endpoint(address netip.Addr, key dane.KeyType) *dane.EndpointVerdict {
	for i := range s.Endpoints {
		if s.Endpoints[i].Address == address && keyTypeOf(s.Endpoints[i]) == key {
			return &s.Endpoints[i]
		}
	}
	return nil
}

// addLookup adds a lookup, or merges it with one of the same kind, name and host: the
// worst status is exported.
func (v *view) addLookup(l dane.Lookup) {
	answer := l.Answer
	added := &lookup{
		kind: l.Kind, name: answer.Name, host: l.Host,
		status: answer.Status, measured: !dane.FailedLocally(answer),
		signer: answer.Signer, algorithm: answer.Algorithm,
	}
	for i, known := range v.lookups {
		if known.kind != added.kind || known.name != added.name || known.host != added.host {
			continue
		}
		measured := known.measured && added.measured
		if dnssec.Worst(known.status, added.status) != known.status {
			v.lookups[i] = added
		}
		v.lookups[i].measured = measured
		return
	}
	v.lookups = append(v.lookups, added)
}

// addZones adds the zones on the chain of trust of an answer that signed a part of it.
func (v *view) addZones(answer *dnssec.Answer) {
	for _, link := range answer.Chain {
		if link.Expiry.IsZero() {
			continue
		}
		at := slices.IndexFunc(v.zones, func(z zoneSignatures) bool { return z.Zone == link.Zone })
		switch {
		case at >= 0:
			v.zones[at].Validity = v.zones[at].Validity.And(link.Validity)
		case len(v.zones) == maxZones:
			v.truncated["zones"] = true
		default:
			v.zones = append(v.zones, zoneSignatures{link.Zone, link.Validity})
		}
	}
}

// includes reports whether a finding is about something that is exported.
func (v *view) includes(f dane.Finding, hosts []string) bool {
	if f.Host == "" {
		return true
	}
	if !slices.Contains(hosts, f.Host) {
		return false
	}
	s := v.service(f.Host, f.Port)
	return s == nil || !f.Address.IsValid() || s.hasAddress(f.Address)
}
