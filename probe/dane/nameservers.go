package dane

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"dane_exporter/probe/dnssec"

	"github.com/miekg/dns"
)

// Nameservers is the zone that holds a service's TLSA records, and what each of
// its nameservers answers when it is queried directly. A resolver shows the
// answer of one nameserver; another may have missed a zone transfer.
type Nameservers struct {
	Zone      string         // in the form of Host.Name
	NS        *dnssec.Answer // the lookup of its NS records
	Servers   []Nameserver   // each address of each nameserver, ordered by name
	Truncated bool           // there are more addresses than a probe queries
	// Unresolved are the names of nameservers whose addresses could not be looked up, or
	// of which only the parent zone may have addresses.
	Unresolved []string
}

// Nameserver is one address of a nameserver, and how it answered.
type Nameserver struct {
	Name          string
	Address       netip.Addr
	Err           error // why there is no authoritative answer; CauseOf classifies it
	Skipped       bool  // not queried: no IPv6 here
	TimedOutEarly bool  // the probe's deadline came before the server had the minimum time to answer
	// TLSA and SOA are the server's own answers, validated with the zone's keys as
	// the resolvers return them; nil if it did not answer.
	TLSA, SOA *dnssec.Answer
	// Alias is the same for the CNAME record; nil also if it was not queried.
	Alias *dnssec.Answer
	// Expiry is when the first RRset in its answers loses its last signature, by
	// the dates in the signatures; zero if there were none.
	Expiry time.Time
}

// Serial returns the serial number of the zone on this server; known is false
// if the server did not return one.
func (n *Nameserver) Serial() (serial uint32, known bool) {
	if soa := n.soa(); soa != nil {
		return soa.Serial, true
	}
	return 0, false
}

// NegativeTTL returns how long resolvers keep the denial of a record (RFC 2308 §5);
// known is false if the server did not return an SOA record.
func (n *Nameserver) NegativeTTL() (ttl time.Duration, known bool) {
	if soa := n.soa(); soa != nil {
		return time.Duration(min(soa.Minttl, soa.Hdr.Ttl)) * time.Second, true
	}
	return 0, false
}

// AliasTarget returns the target of the CNAME record, fully qualified. It is empty if the
// server did not return one.
func (n *Nameserver) AliasTarget() string {
	if n.Alias == nil || len(n.Alias.Records) == 0 {
		return ""
	}
	if alias, ok := n.Alias.Records[0].(*dns.CNAME); ok {
		return dns.CanonicalName(alias.Target)
	}
	return ""
}

func (n *Nameserver) soa() *dns.SOA {
	if n.SOA == nil || len(n.SOA.Records) != 1 {
		return nil
	}
	soa, _ := n.SOA.Records[0].(*dns.SOA)
	return soa
}

// ZoneOf returns the fully qualified name of the zone that holds name, which is one step
// of an answer, and whose keys are validated: the deepest zone of the chain. It is empty
// if the chain ends in an insecure delegation or broke between zones.
func ZoneOf(answer *dnssec.Answer, name string) string {
	deepest := deepestLink(answer, name)
	if deepest.Status != dnssec.Secure || answer.Status == dnssec.Insecure {
		return ""
	}
	return deepest.Zone
}

// deepestLink returns the last link of the chain to name, as far as the chain leads.
func deepestLink(answer *dnssec.Answer, name string) dnssec.Link {
	for _, link := range slices.Backward(answer.Chain) { // a parent precedes its children
		if dns.IsSubDomain(link.Zone, name) {
			return link
		}
	}
	return dnssec.Link{}
}

// NameserverVerdict is the verdict on one address of a nameserver.
type NameserverVerdict struct {
	Zone    string // the zone that it serves, in the form of TextName
	Name    string
	Address netip.Addr
	Up      Measure // the server answers with authority
	// Consistent: its TLSA records are those that the resolver returned or, if the
	// resolver returned none that validate, their signatures are at least valid. For the
	// nameservers of a Delegation, see there.
	Consistent  Measure
	Lame        bool   // it is not up because it answers without authority
	Why         string // why it is not up or not consistent
	Serial      uint32
	SerialKnown bool
	Expiry      time.Time // as in Nameserver
}

// judgeNameservers judges the nameservers of the zone that holds a service's
// records. A difference is a warning: it breaks mail only from senders whose
// resolver queries that nameserver.
func (j *judge) judgeNameservers(host *Host, service *Service) []NameserverVerdict {
	if service.Nameservers == nil {
		return nil
	}
	var verdicts []NameserverVerdict
	if detail := service.Nameservers.limited(); detail != "" {
		j.find(Finding{Reason: LimitExceeded, Host: host.Name, Port: service.Port, Lookup: LookupTLSA,
			Detail: fmt.Sprintf("not all nameservers of %s were checked: %s", service.Nameservers.Zone, detail)})
	}
	for i := range service.Nameservers.Servers {
		server := &service.Nameservers.Servers[i]
		v := judgeNameserver(server, &service.TLSAResult.Lookup.Answer)
		v.Zone = service.Nameservers.Zone
		verdicts = append(verdicts, v)
		if v.Consistent == No || v.Lame {
			j.find(Finding{Reason: NameserverInconsistent, Host: host.Name, Port: service.Port, Lookup: LookupTLSA,
				Detail: fmt.Sprintf("nameserver %s (%s) of %s: %s", v.Name, v.Address, service.Nameservers.Zone, v.Why)})
		}
	}
	return verdicts
}

// limited returns which limit of the probe ended the checks, if one did.
func (n *Nameservers) limited() string {
	if n.NS != nil && errors.Is(n.NS.Err, dnssec.ErrLimit) {
		return n.NS.Err.Error()
	}
	for i := range n.Servers {
		if err := n.Servers[i].Err; CauseOf(err) == CauseLimit {
			return err.Error()
		}
	}
	return ""
}

// judgeNameserver compares one server's answers with the resolver's.
func judgeNameserver(server *Nameserver, resolved *dnssec.Answer) NameserverVerdict {
	v := judgeReachable(server)
	v.Serial, v.SerialKnown = server.Serial()
	if server.TLSA == nil {
		return v
	}
	var why string
	v.Consistent, why = compareAnswers(server.TLSA, resolved)
	v.Why = cmp.Or(why, v.Why)
	return v
}

// judgeReachable judges whether a server answers with authority.
func judgeReachable(server *Nameserver) NameserverVerdict {
	v := NameserverVerdict{Name: server.Name, Address: server.Address, Expiry: server.Expiry}
	if server.Err == nil {
		v.Up = Yes
		return v
	}
	v.Why = server.Err.Error()
	if server.responsible() {
		v.Up, v.Lame = No, CauseOf(server.Err) == CauseNotAuthoritative
	}
	return v
}

// responsible reports whether the server itself is the cause of n.Err.
func (n *Nameserver) responsible() bool {
	if n.Skipped || n.TimedOutEarly {
		return false
	}
	cause := CauseOf(n.Err)
	return cause != CauseNotAllowed && cause != CauseInternal && cause != CauseLimit
}

// compareAnswers compares a nameserver's TLSA answer with the resolver's.
func compareAnswers(direct, resolved *dnssec.Answer) (consistent Measure, why string) {
	switch {
	case FailedLocally(direct), direct.Err != nil && direct.Status != dnssec.Bogus:
		return NotMeasured, direct.Err.Error() // the zone's keys are not known
	case direct.Status != dnssec.Secure:
		return No, "its answer is " + direct.Status.String() + ": " + direct.Why
	case resolved.Status != dnssec.Secure:
		return Yes, ""
	}
	own, others := recordTexts(direct), recordTexts(resolved)
	if slices.Equal(own, others) {
		return Yes, ""
	}
	return No, fmt.Sprintf("its TLSA records differ from the resolver's: missing %s; extra %s",
		cmp.Or(firstFew(without(others, own)), "none"), cmp.Or(firstFew(without(own, others)), "none"))
}

// recordTexts returns the TLSA records of an answer as sorted text, each once.
func recordTexts(answer *dnssec.Answer) []string {
	var texts []string
	for _, record := range TLSARecords(answer) {
		texts = append(texts, record.String())
	}
	slices.Sort(texts)
	return slices.Compact(texts)
}

// without returns the elements of list that are not in other.
func without(list, other []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(element string) bool { return slices.Contains(other, element) })
}

// firstFew joins the first elements of a list and says how many it left out.
func firstFew(list []string) string {
	const few = 8
	if len(list) <= few {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:few], ", "), len(list)-few)
}
