package probe

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"dane_exporter/probe/dnssec"
)

// NameserverVerdict is the verdict on one address of a name server.
type NameserverVerdict struct {
	Name    string
	Address netip.Addr
	Up      Measure // it answers with authority
	// Consistent: its TLSA records are those that the resolver gave, or where
	// that gave none that validate, their signatures are valid at least.
	Consistent  Measure
	Why         string // where it is not up or not consistent, in words
	Serial      uint32
	SerialKnown bool
	Expiry      time.Time // as in Nameserver
}

// nameservers judges the servers of the zone that holds a service's records.
// That one of them differs is a warning: a sender is as lucky as its resolver.
func (j *judgement) nameservers(host *Host, service *Service) []NameserverVerdict {
	if service.Authority == nil {
		return nil
	}
	_, lookup := decideTLSA(service.TLSA)
	var verdicts []NameserverVerdict
	for i := range service.Authority.Servers {
		v := nameserver(&service.Authority.Servers[i], &lookup.Answer)
		verdicts = append(verdicts, v)
		if v.Consistent == No || v.Up == No && errors.Is(service.Authority.Servers[i].Err, errNoAuthority) {
			j.find(Finding{Reason: NameserverInconsistent, Host: host.Name, Port: service.Port, Lookup: LookupTLSA,
				Detail: fmt.Sprintf("%s (%s), which serves %s: %s", v.Name, v.Address, service.Authority.Zone, v.Why)})
		}
	}
	return verdicts
}

// nameserver judges one server by what the resolver gave.
func nameserver(server *Nameserver, resolved *dnssec.Answer) NameserverVerdict {
	v := NameserverVerdict{Name: server.Name, Address: server.Address, Expiry: server.Expiry}
	v.Serial, v.SerialKnown = server.Serial()
	if server.Err != nil {
		v.Why = server.Err.Error()
		if !ourFault(server) {
			v.Up = No
		}
	} else {
		v.Up = Yes
	}
	if server.TLSA == nil {
		return v
	}
	var why string
	v.Consistent, why = agrees(server.TLSA, resolved)
	v.Why = cmp.Or(why, v.Why)
	return v
}

// ourFault reports whether a server was not asked, or not for long enough.
func ourFault(server *Nameserver) bool {
	var fault *Fault
	return server.Skipped || server.Hurried || errors.Is(server.Err, ErrNotAllowed) || errors.As(server.Err, &fault) || isExhausted(server.Err)
}

// agrees compares what a server says with what the resolver gave.
func agrees(said, resolved *dnssec.Answer) (agrees Measure, why string) {
	switch {
	case said.Err != nil && said.Status != dnssec.Bogus:
		return NotMeasured, said.Err.Error() // its zone's keys could not be had
	case said.Status != dnssec.Secure:
		return No, "its answer is " + said.Status.String() + ": " + said.Why
	case resolved.Status != dnssec.Secure:
		return Yes, ""
	}
	own, others := recordData(said), recordData(resolved)
	if slices.Equal(own, others) {
		return Yes, ""
	}
	return No, fmt.Sprintf("its TLSA records are not those that the resolver gave: it lacks %s, and has of its own %s",
		cmp.Or(listed(without(others, own)), "none"), cmp.Or(listed(without(own, others)), "none"))
}

// recordData lists the TLSA records of an answer in an order of their own.
func recordData(answer *dnssec.Answer) []string {
	var list []string
	for _, record := range tlsaRecords(answer) {
		list = append(list, record.String())
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// without lists what of a list is not in another.
func without(list, other []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(one string) bool { return slices.Contains(other, one) })
}
