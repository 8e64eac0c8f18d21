package report

import (
	"slices"
	"strings"

	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec"
)

func (c *composer) lookup(l dane.Lookup) Lookup {
	a := l.Answer
	signed := a.Zone.And(a.Parents)
	composed := Lookup{
		Kind: string(l.Kind), Name: short(a.Name), Host: short(l.Host), Status: a.Status.String(), Why: Printable(a.Why),
		Error: told(a.Err), Inconsistent: Printable(a.Inconsistent), Rcode: a.Rcode, Records: []string{}, Chain: []int{},
		Inception: known(signed.Inception), Expiry: known(signed.Expiry),
		TTL: a.TTL.Seconds(), Server: Printable(a.Server), RTT: a.RTT.Seconds(), Queries: a.Work.Queries,
	}
	if a.Canonical != a.Name {
		composed.Canonical = short(a.Canonical)
	}
	if composed.Error == composed.Why {
		composed.Error = ""
	}
	for i, record := range a.Records {
		if i == maxRecords {
			composed.MoreRecords = len(a.Records) - i
			break
		}
		composed.Records = append(composed.Records, short(strings.Join(strings.Fields(record.String()), " ")))
	}
	for _, alias := range a.Aliases {
		composed.Aliases = append(composed.Aliases, Alias{short(alias.From), short(alias.To), alias.Status.String()})
	}
	for _, ede := range a.EDE {
		composed.EDE = append(composed.EDE, short(ede))
	}
	for _, link := range a.Chain {
		composed.Chain = append(composed.Chain, c.zone(link))
	}
	return composed
}

// zone returns where a step of a chain stands in the Document. Where chains
// differ in the key that signs the answer alone, the first stands for all.
func (c *composer) zone(l dnssec.Link) int {
	zone := Zone{Zone: short(l.Zone), Status: l.Status.String(), Why: Printable(l.Why)}
	same := func(z Zone) bool { return z.Zone == zone.Zone && z.Status == zone.Status && z.Why == zone.Why }
	if i := slices.IndexFunc(c.d.Zones, same); i >= 0 {
		return i
	}
	for _, ds := range l.DS[:min(len(l.DS), maxRecords)] {
		zone.DS = append(zone.DS, DS{ds.Tag, ds.Algorithm, ds.DigestType, ds.Used})
	}
	for _, key := range l.Keys[:min(len(l.Keys), maxRecords)] {
		zone.Keys = append(zone.Keys, Key{key.Tag, key.Algorithm, key.SEP, key.Signing})
	}
	c.d.Zones = append(c.d.Zones, zone)
	return len(c.d.Zones) - 1
}
