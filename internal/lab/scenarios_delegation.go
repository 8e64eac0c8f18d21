package lab

import (
	"fmt"
	"net/netip"

	"dane_exporter/internal/lab/zone"
	"github.com/miekg/dns"
)

// delegationScenarios returns scenarios about the delegation of a zone by its parent.
func delegationScenarios() []Scenario {
	return []Scenario{
		{
			Name: "first.same-tags", OwnTLD: true,
			Description: "The top-level domain publishes three keys with one tag. Two of its six nameservers return a signature over the DS record that none of these keys validates. Resolvers retry with another nameserver.",
			Module:      "smtp_mx_full", Outcome: "authenticated", Success: true, Reasons: []string{"parent_inconsistent"},
			Series: []string{`dane_nameserver_ds_consistent{zone="same-tags",nameserver="ns6.same-tags"} 0`, `dane_nameserver_ds_consistent{zone="same-tags",nameserver="ns1.same-tags"} 1`},
			build: func(b *builder) {
				wrong := b.sameTags(6)[4:]
				for _, server := range wrong {
					b.inject(zone.From(netip.AddrPortFrom(server, 53).String(), zone.Garble(zone.At(b.domain, dns.TypeDS))))
				}
				b.ownZone(zone.Zone{})
				b.goodMX()
			},
		},
		{
			Name: "first.ds-removed", OwnTLD: true,
			Description: "The registrar removed the DS records of all its domains. The zone is still signed, but validators treat it as unsigned: DANE no longer applies to the domain.",
			Module:      "smtp_mx_full", Outcome: "opportunistic", Reasons: []string{"address_insecure", "mx_insecure"}, Advice: []string{"keys_without_ds"},
			Series: []string{`dane_delegation_ds_records{zone="first.ds-removed"} 0`, `dane_delegation_keys{zone="first.ds-removed"} 2`},
			build: func(b *builder) {
				b.zones = append(b.zones, zone.Zone{Apex: "ds-removed.", Records: fmt.Sprintf("ns A %s\n", b.address())})
				b.withoutDS()
			},
		},
		{
			Name: "second.ds-removed", OwnTLD: true,
			Description: "Another domain of the same registrar, without its DS record.",
			Module:      "smtp_mx_full", Outcome: "opportunistic", Reasons: []string{"address_insecure", "mx_insecure"}, Advice: []string{"keys_without_ds"},
			build: func(b *builder) { b.withoutDS() },
		},
		{
			Name:        "anycast-stale-keys",
			Description: "One node of an anycast nameserver still has the keys of last year, which no DS record matches. Resolvers that reach this node retry with the other nameserver.",
			Module:      "smtp_mx_full", Outcome: "authenticated", Success: true, Reasons: []string{"nameserver_inconsistent"},
			Series: []string{`dane_nameserver_keys_valid{zone="anycast-stale-keys.lab.test",nameserver="ns2.anycast-stale-keys.lab.test"} 0`},
			build: func(b *builder) {
				second := b.twoNameservers()
				stale := zone.Zone{Apex: b.domain, Records: b.text.String(), Keys: []zone.Key{b.key("last year ksk", dns.ZONE|dns.SEP), b.key("last year zsk", dns.ZONE)}}
				b.copies = append(b.copies, zone.Copy{Server: second, Zone: stale})
			},
		},
		{
			Name:        "cds-differs",
			Description: "A key rollover in which one of two nameservers does not have the CDS record of the new key. The parent must not change the DS record (RFC 9975).",
			Module:      "smtp_mx_full", Outcome: "authenticated", Success: true, Reasons: []string{"cds_inconsistent"},
			Series: []string{`dane_delegation_cds_consistent{zone="cds-differs.lab.test"} 0`},
			Absent: []string{`dane_delegation_cds_pending{zone="cds-differs.lab.test"}`},
			build: func(b *builder) {
				second := b.twoNameservers()
				records := b.text.String()
				b.cds(b.key("ksk", dns.ZONE|dns.SEP), b.key("next ksk", dns.ZONE|dns.SEP))
				b.copies = append(b.copies, zone.Copy{Server: second, Zone: zone.Zone{Apex: b.domain, Records: records + b.cdsText(b.key("ksk", dns.ZONE|dns.SEP))}})
			},
		},
		{
			Name:        "cds-pending",
			Description: "The zone requests the DS record of its next key by CDS, and the parent has not changed it yet.",
			Module:      "smtp_mx_full", Outcome: "authenticated", Success: true, Advice: []string{"cds_pending"},
			Series: []string{`dane_delegation_cds_consistent{zone="cds-pending.lab.test"} 1`, `dane_delegation_cds_pending{zone="cds-pending.lab.test"} 1`},
			build: func(b *builder) {
				b.twoNameservers()
				b.cds(b.key("ksk", dns.ZONE|dns.SEP), b.key("next ksk", dns.ZONE|dns.SEP))
			},
		},
		{
			Name:        "lame-delegation",
			Description: "The parent also delegates the zone to a nameserver of a former provider, which does not serve it. Resolvers query the other nameservers.",
			Module:      "smtp_mx_full", Outcome: "authenticated", Success: true, Reasons: []string{"lame_delegation"}, Advice: []string{"delegation_differs"},
			Series: []string{`dane_nameserver_up{zone="lame-delegation.lab.test",nameserver="ns.lab.test"} 0`, `dane_delegation_nameservers_consistent{zone="lame-delegation.lab.test"} 0`},
			build: func(b *builder) {
				b.twoNameservers()
				b.atParent("NS ns1.%[1]s", "NS ns2.%[1]s", "NS ns."+origin)
			},
		},
		{
			Name:        "ds-left-over",
			Description: "In addition to the valid DS record, the parent has one of the former key and one with a SHA-1 digest. DANE clients authenticate the server.",
			Module:      "smtp_mx_full", Outcome: "authenticated", Success: true, Advice: []string{"ds_without_key", "obsolete_ds"},
			Series: []string{`dane_delegation_ds_info{zone="ds-left-over.lab.test",digest_type="SHA1",matches="yes"} 1`, `dane_delegation_ds_info{zone="ds-left-over.lab.test",digest_type="SHA256",matches="no"} 1`},
			build: func(b *builder) {
				b.twoNameservers()
				current, former := b.key("ksk", dns.ZONE|dns.SEP), b.key("former", dns.ZONE|dns.SEP)
				b.atParent(dsData(current, dns.SHA256), dsData(current, dns.SHA1), dsData(former, dns.SHA256))
			},
		},
	}
}

// sameTags adds the top-level domain of the scenario, with a number of nameservers and three
// zone-signing keys with the same tag, one of which signs. It returns the addresses of the
// nameservers.
func (b *builder) sameTags(nameservers int) (servers []netip.Addr) {
	apex := b.domain[len("first."):]
	z := zone.Zone{Apex: apex}
	for i := range nameservers {
		servers = append(servers, b.address())
		z.Records += fmt.Sprintf("@ NS ns%d\nns%[1]d A %[2]s\n", i+1, servers[i])
	}
	for _, role := range []struct {
		name  string
		flags uint16
	}{{"ksk", dns.ZONE | dns.SEP}, {"zsk", dns.ZONE}} {
		key, err := zone.NewKey(apex, role.name, dns.ECDSAP256SHA256, role.flags)
		if err != nil {
			b.fail(err)
		}
		z.Keys = append(z.Keys, key)
	}
	for n := 1; n <= 2; n++ {
		twin, err := z.Keys[1].Twin(n)
		if err != nil {
			b.fail(err)
		}
		z.Keys = append(z.Keys, twin)
	}
	b.zones = append(b.zones, z)
	return servers
}

// withoutDS makes the domain a signed zone without a DS record, with a working mail server.
func (b *builder) withoutDS() {
	b.ownZone(zone.Zone{Delegation: zone.Insecure})
	b.add("ns A %s", b.address())
	b.goodMX()
}

// key returns the key of the domain's zone for a role.
func (b *builder) key(role string, flags uint16) zone.Key {
	key, err := zone.NewKey(b.domain, role, dns.ECDSAP256SHA256, flags)
	if err != nil {
		b.fail(err)
	}
	return key
}

// cds adds the CDS records of keys.
func (b *builder) cds(keys ...zone.Key) { b.text.WriteString(b.cdsText(keys...)) }

func (b *builder) cdsText(keys ...zone.Key) (text string) {
	for _, key := range keys {
		text += "@ C" + dsData(key, dns.SHA256) + "\n"
	}
	return text
}

// dsData returns the DS record of a key in presentation format, without its owner.
func dsData(key zone.Key, digestType uint8) string {
	ds := key.Public.ToDS(digestType)
	return fmt.Sprintf("DS %d %d %d %s", ds.KeyTag, ds.Algorithm, ds.DigestType, ds.Digest)
}

// atParent adds records to the parent at the name of the domain. They replace those that the
// lab derives from the zone. The verb %[1]s is the domain.
func (b *builder) atParent(records ...string) {
	for _, record := range records {
		fmt.Fprintf(&b.records, "%[1]s "+record+"\n", b.domain)
	}
}
