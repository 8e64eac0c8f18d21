package report

import (
	"fmt"
	"slices"
	"strings"

	"dane_exporter/probe"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec"
)

// lookups shows each look-up, and then the zones that their chains of trust
// lead through, each once.
func (p *page) lookups(r *probe.Report) {
	all := r.Facts.Lookups()
	if len(all) == 0 {
		return
	}
	p.heading("Look-ups")
	for _, lookup := range all {
		p.lookup(lookup)
	}
	p.zones(all)
}

// maxRecords is how many records of one answer are shown.
const maxRecords = 100

func (p *page) lookup(l dane.Lookup) {
	a := l.Answer
	p.line(2, "%s %s: %s", strings.ToUpper(string(l.Kind)), a.Name, a.Status)
	if a.Why != "" {
		p.line(4, "%s", a.Why)
	}
	if a.Err != nil && a.Err.Error() != a.Why {
		p.line(4, "failed: %v", a.Err)
	}
	for _, alias := range a.Aliases {
		p.line(4, "%s is an alias of %s: %s", alias.From, alias.To, alias.Status)
	}
	for i, record := range a.Records {
		if i == maxRecords {
			p.line(4, "… and %d more", len(a.Records)-i)
			break
		}
		p.line(4, "%s", strings.Join(strings.Fields(record.String()), " "))
	}
	if len(a.Chain) > 0 {
		p.line(4, "chain %s", strings.Join(zonesOf(a.Chain), " > "))
	}
	if !a.Zone.Expiry.IsZero() {
		p.line(4, "signatures valid until %s", moment(a.Zone.And(a.Parents).Expiry))
	}
	for _, ede := range a.EDE {
		p.line(4, "the resolver says: %s", ede)
	}
	if a.Server != "" {
		p.line(4, "answered by %s in %s", a.Server, round(a.RTT))
	}
	if a.TTL > 0 {
		p.line(4, "kept for %s", a.TTL)
	}
	p.line(4, "cost: queries %d, signatures checked %d, hashes computed %d", a.Work.Queries, a.Work.Signatures, a.Work.Hashes)
}

func zonesOf(chain []dnssec.Link) []string {
	zones := make([]string, len(chain))
	for i, link := range chain {
		zones[i] = link.Zone
	}
	return zones
}

// zones shows each step of the chains of trust once, from the root down. Where
// chains differ in the key that signs the answer alone, the first stands for all.
func (p *page) zones(all []dane.Lookup) {
	var shown []string
	for _, lookup := range all {
		for _, link := range lookup.Answer.Chain {
			text := fmt.Sprint(link.Zone, link.Status, link.Why)
			if slices.Contains(shown, text) {
				continue
			}
			if len(shown) == 0 {
				p.heading("Chain of trust")
			}
			shown = append(shown, text)
			p.link(link)
		}
	}
}

func (p *page) link(l dnssec.Link) {
	p.line(2, "%s: %s", l.Zone, l.Status)
	if l.Why != "" {
		p.line(4, "%s", l.Why)
	}
	for _, ds := range l.DS {
		used := ""
		if ds.Used {
			used = ", leads to a key in use"
		}
		p.line(4, "DS %d, algorithm %d, digest type %d%s", ds.Tag, ds.Algorithm, ds.DigestType, used)
	}
	for _, key := range l.Keys {
		notes := ""
		if key.SEP {
			notes += ", secure entry point"
		}
		if key.Signing {
			notes += ", signs"
		}
		p.line(4, "key %d, algorithm %d%s", key.Tag, key.Algorithm, notes)
	}
}
