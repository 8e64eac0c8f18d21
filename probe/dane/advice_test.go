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
	leaf := func(life, left time.Duration) *certificate {
		return issue(t, name, root, nil, noon.Add(left-life), noon.Add(left))
	}
	year, quarter, expiring := leaf(365*day, 300*day), leaf(90*day, 60*day), leaf(90*day, 14*day)
	next := leaf(90*day, 90*day)
	ee := func(selector tlsa.Selector, of *certificate) string { return record(tlsa.DANEEE, selector, of) }
	singleHost := func(sent *certificate, records ...string) Facts {
		return Facts{MX: mxAnswer(dnssec.Secure, name), Hosts: []Host{host(10, addressAnswer(dnssec.Secure, name), Service{
			TLSA: []TLSALookup{tlsaLookup(dnssec.Secure, name, records...)}, Endpoints: []Endpoint{completed(chainOf(t, sent))}})}}
	}
	withParent := func(parent dnssec.Link, facts Facts) Facts {
		facts.MX.Chain = append([]dnssec.Link{parent}, facts.MX.Chain...)
		return facts
	}
	withAlgorithms := func(status dnssec.Status, algorithms ...uint8) Facts {
		facts := singleHost(year, ee(tlsa.SPKI, year))
		link := dnssec.Link{Zone: "example.org.", Status: status}
		for _, algorithm := range algorithms {
			link.DS = append(link.DS, dnssec.DS{Algorithm: algorithm})
		}
		facts.MX.Chain = []dnssec.Link{link}
		return facts
	}
	withIterations := func(zone string, iterations uint16) Facts {
		facts := singleHost(year, ee(tlsa.SPKI, year))
		facts.Hosts[0].A.Chain = []dnssec.Link{{Zone: "org."}, {Zone: "example.org."}}
		facts.Hosts[0].A.NSEC3 = []dnssec.NSEC3{{Zone: zone, Iterations: iterations}}
		return facts
	}
	unsigned := singleHost(year, ee(tlsa.SPKI, year))
	unsigned.MX = mxAnswer(dnssec.Insecure, name)

	for _, c := range []struct {
		name, why string
		facts     Facts
		want      []Topic
	}{
		{"no advice", "a certificate valid for a year, and a record of its key", singleHost(year, ee(tlsa.SPKI, year)), nil},
		{"PKIX usage", "a relay ignores it, and another record authenticates", singleHost(year, ee(tlsa.SPKI, year), record(tlsa.PKIXTA, tlsa.SPKI, root)), []Topic{PKIXUsageOnRelay}},
		{"full-certificate record, certificate valid for a year", "yearly renewal by hand is rare enough", singleHost(year, ee(tlsa.Cert, year)), nil},
		{"full-certificate record, certificate valid for 90 days", "every renewal invalidates the record", singleHost(quarter, ee(tlsa.Cert, quarter)), []Topic{ShortLivedCertificate}},
		{"full-certificate record and key record", "the key record survives a renewal", singleHost(quarter, ee(tlsa.Cert, quarter), ee(tlsa.SPKI, quarter)), nil},
		{"14 days to expiry", "there is no record of the next key", singleHost(expiring, ee(tlsa.SPKI, expiring)), []Topic{NoNextKey}},
		{"14 days to expiry, next key published", "nothing to do", singleHost(expiring, ee(tlsa.SPKI, expiring), ee(tlsa.SPKI, next)), nil},
		{"trust anchor in DNS only", "not every client accepts an anchor that the server does not send", singleHost(year, fullRecord(root)), []Topic{AnchorNotInChain}},
		{"zone signed with RSASHA1", "senders differ", withAlgorithms(dnssec.Insecure, 7), []Topic{SHA1Zone}},
		{"zone signed with RSASHA1 and ECDSA", "no sender needs RSASHA1", withAlgorithms(dnssec.Secure, 7, 13), nil},
		{"zone signed with ECDSA below one with RSASHA1", "the operator does not control the parent",
			withParent(dnssec.Link{Zone: "org.", DS: []dnssec.DS{{Algorithm: 7}}}, withAlgorithms(dnssec.Secure, 13)), nil},
		{"NSEC3 iterations", "RFC 9276 requires 0", withIterations("example.org.", 5), []Topic{NSEC3Iterations}},
		{"NSEC3 iterations in the parent zone", "the operator does not control the parent", withIterations("org.", 5), nil},
		{"NSEC3 without iterations", "as RFC 9276 requires", withIterations("example.org.", 0), nil},
		{"unsigned domain, signed MX host", "the host has DANE, but the domain is not signed", unsigned, []Topic{UnsignedBeforeSignedMX}},
		{"unsigned MX host of Microsoft 365", "Microsoft 365 offers a signed one", Facts{MX: mxAnswer(dnssec.Secure, microsoft), Hosts: []Host{
			host(10, addressAnswer(dnssec.Insecure, microsoft), Service{Endpoints: []Endpoint{completed(chainOf(t, year))}})}}, []Topic{MicrosoftUnsigned}},
	} {
		t.Run(c.name, func(t *testing.T) {
			verdict := Judge(&c.facts, Rules{Target: "example.org", Policy: SMTPRelay}, noon)
			var topics []Topic
			for _, advice := range verdict.Advice {
				topics = append(topics, advice.Topic)
				if advice.Detail == "" {
					t.Errorf("%s has no detail", advice.Topic)
				}
			}
			if !slices.Equal(topics, c.want) {
				t.Errorf("%s: got %v, want %v", c.why, topics, c.want)
			}
		})
	}
}

// Every topic of advice is in the table once, with all its texts.
func TestTopicTable(t *testing.T) {
	var seen []Topic
	for _, info := range Topics() {
		if slices.Contains(seen, info.Topic) || info.Text == "" || info.Remedy == "" {
			t.Errorf("%s is in the table twice, or has no text or remedy", info.Topic)
		}
		seen = append(seen, info.Topic)
	}
}
