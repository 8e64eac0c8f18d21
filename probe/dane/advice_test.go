package dane

import (
	"slices"
	"testing"
	"time"

	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/tlsa"
)

func TestAdvice(t *testing.T) {
	const name, microsoft = "mx.example.org", "example-org.mail.protection.outlook.com"
	day := 24 * time.Hour
	root := issue(t, "root", nil, nil, noon.Add(-day), noon.Add(400*day))
	leaf := func(life, left time.Duration) *issued {
		return issue(t, name, root, nil, noon.Add(left-life), noon.Add(left))
	}
	year, quarter, ending := leaf(365*day, 300*day), leaf(90*day, 60*day), leaf(90*day, 14*day)
	next := leaf(90*day, 90*day)
	ee := func(selector tlsa.Selector, of *issued) string { return record(tlsa.DANEEE, selector, of) }
	one := func(sent *issued, records ...string) Facts {
		return Facts{MX: mx(dnssec.Secure, name), Hosts: []Host{host(10, addressed(dnssec.Secure, name), Service{
			TLSA: []TLSALookup{published(dnssec.Secure, name, records...)}, Endpoints: []Endpoint{shaken(chainOf(t, sent))}})}}
	}
	below := func(org dnssec.Link, facts Facts) Facts {
		facts.MX.Chain = append([]dnssec.Link{org}, facts.MX.Chain...)
		return facts
	}
	signed := func(status dnssec.Status, algorithms ...uint8) Facts {
		facts := one(year, ee(tlsa.SPKI, year))
		link := dnssec.Link{Zone: "example.org.", Status: status}
		for _, algorithm := range algorithms {
			link.DS = append(link.DS, dnssec.DS{Algorithm: algorithm})
		}
		facts.MX.Chain = []dnssec.Link{link}
		return facts
	}
	hashed := func(zone string, iterations uint16) Facts {
		facts := one(year, ee(tlsa.SPKI, year))
		facts.Hosts[0].A.Chain = []dnssec.Link{{Zone: "org."}, {Zone: "example.org."}}
		facts.Hosts[0].A.NSEC3 = []dnssec.NSEC3{{Zone: zone, Iterations: iterations}}
		return facts
	}
	unsigned := one(year, ee(tlsa.SPKI, year))
	unsigned.MX = mx(dnssec.Insecure, name)

	for _, story := range []struct {
		name, story string
		facts       Facts
		want        []Topic
	}{
		{"nothing to say", "a year's certificate under its key's record", one(year, ee(tlsa.SPKI, year)), nil},
		{"a PKIX usage", "beside one that authenticates", one(year, ee(tlsa.SPKI, year), record(tlsa.PKIXTA, tlsa.SPKI, root)), []Topic{PKIXUsageOnRelay}},
		{"a whole certificate that is renewed by hand", "once a year is rare enough", one(year, ee(tlsa.Cert, year)), nil},
		{"a whole certificate that lives for weeks", "every renewal breaks it", one(quarter, ee(tlsa.Cert, quarter)), []Topic{ShortLivedCertificate}},
		{"the same beside its key", "the key's record holds", one(quarter, ee(tlsa.Cert, quarter), ee(tlsa.SPKI, quarter)), nil},
		{"a fortnight left", "and no record of the next key", one(ending, ee(tlsa.SPKI, ending)), []Topic{NoNextKey}},
		{"a fortnight left, and the next key is published", "nothing to do", one(ending, ee(tlsa.SPKI, ending), ee(tlsa.SPKI, next)), nil},
		{"an issuer in DNS alone", "not every client takes it from there", one(year, fullRecord(root)), []Topic{AnchorNotInChain}},
		{"a zone of RSASHA1", "senders differ", signed(dnssec.Insecure, 7), []Topic{SHA1Zone}},
		{"a zone of RSASHA1 and ECDSA", "no sender needs the first", signed(dnssec.Secure, 7, 13), nil},
		{"a zone of ECDSA below one of RSASHA1", "the one above is not the operator's",
			below(dnssec.Link{Zone: "org.", DS: []dnssec.DS{{Algorithm: 7}}}, signed(dnssec.Secure, 13)), nil},
		{"hashes of hashes", "RFC 9276", hashed("example.org.", 5), []Topic{NSEC3Iterations}},
		{"hashes of hashes in the zone above", "it is not the operator's", hashed("org.", 5), nil},
		{"hashes", "as RFC 9276 wants them", hashed("example.org.", 0), nil},
		{"unsigned in front of signed", "the host does what it can", unsigned, []Topic{UnsignedBeforeSignedMX}},
		{"the old host of Microsoft 365", "there is a signed one", Facts{MX: mx(dnssec.Secure, microsoft), Hosts: []Host{
			host(10, addressed(dnssec.Insecure, microsoft), Service{Endpoints: []Endpoint{shaken(chainOf(t, year))}})}}, []Topic{MicrosoftUnsigned}},
	} {
		t.Run(story.name, func(t *testing.T) {
			verdict := Judge(&story.facts, Rules{Target: "example.org", Policy: SMTPRelay}, noon)
			var topics []Topic
			for _, advice := range verdict.Advice {
				topics = append(topics, advice.Topic)
				if advice.Detail == "" {
					t.Errorf("%s has no detail", advice.Topic)
				}
			}
			if !slices.Equal(topics, story.want) {
				t.Errorf("%s: got %v, want %v", story.story, topics, story.want)
			}
		})
	}
}

func TestEveryTopicIsTaught(t *testing.T) {
	var seen []Topic
	for _, info := range Topics() {
		if slices.Contains(seen, info.Topic) || info.Text == "" || info.Remedy == "" {
			t.Errorf("%s stands twice in the table, or lacks text or remedy", info.Topic)
		}
		seen = append(seen, info.Topic)
	}
}
