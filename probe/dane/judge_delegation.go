package dane

import (
	"fmt"
	"net/netip"
	"slices"

	"dane_exporter/probe/dnssec"

	"github.com/miekg/dns"
)

// judgeDelegations judges the delegations of the zones that the lookups depend on. Each
// finding is a warning, because most resolvers that get a bad answer from one nameserver query
// another one. If all nameservers are bad, the lookups fail too.
func (j *judge) judgeDelegations() {
	own := j.ownZones()
	for _, d := range j.facts.Delegations {
		j.findBadServers(d)
		if d.CDS.Agree == No {
			j.find(Finding{Reason: CDSInconsistent, Zone: d.Zone, Detail: fmt.Sprintf("the nameservers of %s request different DS records: %s", d.Zone, d.CDS.Why)})
		}
		if slices.Contains(own, d.Zone) {
			j.adviseOnDelegation(d)
		}
	}
}

// findBadServers reports nameservers of a zone and its parent that make lookups fail. If
// neither a server nor the resolvers return valid data, the zone is bogus and no server
// differs, so it reports only lame ones.
func (j *judge) findBadServers(d *Delegation) {
	var parents, lame, bogus []string
	valid := func(v NameserverVerdict) bool { return v.Consistent == Yes }
	parentValid := d.DSKnown || slices.ContainsFunc(d.ParentServers, valid)
	zoneValid := d.KeysKnown || slices.ContainsFunc(d.Servers, valid)
	for _, v := range d.ParentServers {
		if v.Consistent == No && parentValid || v.Lame {
			parents = append(parents, describeServer(v))
		}
	}
	for _, v := range d.Servers {
		switch {
		case j.hasInconsistent(d.Zone, v.Address):
		case v.Lame:
			lame = append(lame, describeServer(v))
		case v.Consistent == No && zoneValid:
			bogus = append(bogus, describeServer(v))
		}
	}
	find := func(reason Reason, zone, format string, servers []string) {
		if len(servers) > 0 {
			j.find(Finding{Reason: reason, Zone: zone, Detail: fmt.Sprintf(format, zone, d.Zone, firstFew(servers))})
		}
	}
	find(ParentInconsistent, d.Parent, "of the nameservers of %s, these differ on the delegation of %s: %s", parents)
	find(LameDelegation, d.Zone, "of the nameservers of %s, these do not serve the zone %s: %s", lame)
	find(NameserverInconsistent, d.Zone, "of the nameservers of %s, these return keys of %s that do not validate: %s", bogus)
}

func describeServer(v NameserverVerdict) string {
	return fmt.Sprintf("%s (%s): %s", v.Name, v.Address, v.Why)
}

// hasInconsistent reports whether a nameserver has a finding from the check of TLSA records.
func (j *judge) hasInconsistent(zone string, address netip.Addr) bool {
	return slices.ContainsFunc(j.verdict.Services, func(v ServiceVerdict) bool {
		return v.Service.Nameservers != nil && v.Service.Nameservers.Zone == zone &&
			slices.ContainsFunc(v.Nameservers, func(n NameserverVerdict) bool {
				return n.Address == address && (n.Consistent == No || n.Lame)
			})
	})
}

// ownZones returns the zones that contain the answers. The operator of a target cannot change
// the zones above them, so only these zones get advice.
func (j *judge) ownZones() []string {
	var zones []string
	for _, lookup := range j.facts.Lookups() {
		zones = append(zones, TextName(deepestLink(lookup.Answer, lookup.Answer.Canonical).Zone))
	}
	return zones
}

// adviseOnDelegation adds advice on a delegation. None of it affects mail now.
func (j *judge) adviseOnDelegation(d *Delegation) {
	var unmatched, obsolete []string
	matched := 0
	for _, ds := range d.DS {
		switch {
		case ds.Used:
			matched++
		case ds.Compared:
			unmatched = append(unmatched, ds.String())
		}
		if isObsolete(ds.DS) {
			obsolete = append(obsolete, ds.String())
		}
	}
	if matched > 0 && len(unmatched) > 0 { // if none matches, the zone is bogus
		j.addAdvice(DSWithoutKey, nil, "%s: %s", d.Zone, firstFew(unmatched))
	}
	if len(obsolete) > 0 {
		j.addAdvice(ObsoleteDS, nil, "%s: %s", d.Zone, firstFew(obsolete))
	}
	if d.DSKnown && len(d.DS) == 0 && len(d.Keys) > 0 {
		j.addAdvice(KeysWithoutDS, nil, "%s has %d keys, and %s has no DS record for it", d.Zone, len(d.Keys), d.Parent)
	} else if d.CDSPending == Yes {
		j.addAdvice(CDSPending, nil, "%s requests %s", d.Zone, d.Requested)
	}
	if d.NS.Agree == No {
		j.addAdvice(DelegationDiffers, nil, "%s: %s", d.Zone, d.NS.Why)
	}
}

// isObsolete reports whether a delegation must not, or should not, use the algorithm or the
// digest type of a DS record (the IANA registries of RFC 9904 §2, with RFC 9905 §5 and RFC 9906 §5).
func isObsolete(ds dnssec.DS) bool {
	switch ds.Algorithm {
	case dns.RSAMD5, dns.DSA, dns.RSASHA1, dns.DSANSEC3SHA1, dns.RSASHA1NSEC3SHA1, dns.RSASHA512, dns.ECCGOST:
		return true
	}
	return ds.DigestType == dns.SHA1 || ds.DigestType == dns.GOST94
}
