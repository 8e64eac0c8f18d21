package dane

import (
	"crypto/x509"
	"fmt"
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
	longest, longer := leaf(100*day, 60*day), leaf(100*day+time.Second, 60*day)
	later, today := leaf(90*day, 14*day+time.Second), leaf(90*day, 0)
	late, due := leaf(160*time.Hour, 40*time.Hour), leaf(160*time.Hour, 80*time.Hour)
	lateDay, dueDay := leaf(day, 6*time.Hour), leaf(day, 8*time.Hour)
	late47, due47 := leaf(48*day, 12*day), leaf(48*day, 16*day)
	ee := func(selector tlsa.Selector, of *certificate) string { return record(tlsa.DANEEE, selector, of) }
	withChain := func(sent []*certificate, records ...string) Facts {
		return Facts{MX: mxAnswer(dnssec.Secure, name), Hosts: []Host{host(10, addressAnswer(dnssec.Secure, name), Service{
			TLSA: []TLSALookup{tlsaLookup(dnssec.Secure, name, records...)}, Endpoints: []Endpoint{completed(chainOf(t, sent...))}})}}
	}
	singleHost := func(sent *certificate, records ...string) Facts { return withChain([]*certificate{sent}, records...) }
	ta := func(of *certificate) string { return record(tlsa.DANETA, tlsa.Cert, of) }
	expired := issue(t, "expired", root, nil, noon.Add(-400*day), noon.Add(-day))
	underExpired := issue(t, name, expired, nil, noon.Add(-30*day), noon.Add(300*day))
	intermediate := issue(t, "intermediate", root, nil, noon.Add(-day), noon.Add(400*day))
	crossed := issue(t, "intermediate", issue(t, "other", nil, nil, noon.Add(-day), noon.Add(400*day)), intermediate.key, noon.Add(-day), noon.Add(400*day))
	privateCA := issue(t, "private", issue(t, "private root", nil, nil, noon.Add(-day), noon.Add(400*day)), nil, noon.Add(-day), noon.Add(400*day))
	belowPrivate := issue(t, name, privateCA, nil, noon.Add(-30*day), noon.Add(300*day))
	webPKI := x509.NewCertPool()
	webPKI.AddCert(root.Certificate)
	below := issue(t, name, intermediate, nil, noon.Add(-30*day), noon.Add(300*day))
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
		{"PKIX-EE usage", "a relay ignores it too", singleHost(year, ee(tlsa.SPKI, year), record(tlsa.PKIXEE, tlsa.SPKI, year)), []Topic{PKIXUsageOnRelay}},
		{"full-certificate record, certificate valid for a year", "yearly renewal by hand is rare enough", singleHost(year, ee(tlsa.Cert, year)), nil},
		{"full-certificate record, certificate valid for 90 days", "every renewal invalidates the record", singleHost(quarter, ee(tlsa.Cert, quarter)), []Topic{ShortLivedCertificate}},
		{"full-certificate record, certificate valid for 100 days", "the longest that counts as short-lived", singleHost(longest, ee(tlsa.Cert, longest)), []Topic{ShortLivedCertificate}},
		{"full-certificate record, certificate valid for longer", "it is renewed by hand", singleHost(longer, ee(tlsa.Cert, longer)), nil},
		{"full-certificate record and key record", "the key record survives a renewal", singleHost(quarter, ee(tlsa.Cert, quarter), ee(tlsa.SPKI, quarter)), nil},
		{"14 days to expiry", "there is no record of the next key", singleHost(expiring, ee(tlsa.SPKI, expiring)), []Topic{NoNextKey}},
		{"more than 14 days to expiry", "there is time", singleHost(later, ee(tlsa.SPKI, later)), nil},
		{"the last second", "the certificate is valid yet", singleHost(today, ee(tlsa.SPKI, today)), []Topic{NoNextKey}},
		{"six-day certificate, a quarter of its lifetime left", "its renewal is late", singleHost(late, ee(tlsa.SPKI, late)), []Topic{NoNextKey}},
		{"six-day certificate, half of its lifetime left", "it is renewed now", singleHost(due, ee(tlsa.SPKI, due)), nil},
		{"one-day certificate, a quarter of its lifetime left", "its renewal is late", singleHost(lateDay, ee(tlsa.SPKI, lateDay)), []Topic{NoNextKey}},
		{"one-day certificate, a third of its lifetime left", "it is renewed now", singleHost(dueDay, ee(tlsa.SPKI, dueDay)), nil},
		{"47-day certificate, a quarter of its lifetime left", "its renewal is late", singleHost(late47, ee(tlsa.SPKI, late47)), []Topic{NoNextKey}},
		{"47-day certificate, a third of its lifetime left", "it is renewed now", singleHost(due47, ee(tlsa.SPKI, due47)), nil},
		{"14 days to expiry, next key published", "nothing to do", singleHost(expiring, ee(tlsa.SPKI, expiring), ee(tlsa.SPKI, next)), nil},
		{"trust anchor in DNS only", "not every client accepts an anchor that the server does not send", singleHost(year, fullRecord(root)), []Topic{AnchorNotInChain}},
		{"expired anchor that is not self-issued", "clients differ", withChain([]*certificate{underExpired, expired}, ta(expired)), []Topic{AnchorOutOfDate}},
		{"expired anchor and a record of the leaf", "no client needs the anchor", withChain([]*certificate{underExpired, expired}, ta(expired), ee(tlsa.SPKI, underExpired)), nil},
		{"the path to another root comes first", "OpenSSL follows it only", withChain([]*certificate{below, crossed, intermediate, root}, ta(root)), []Topic{ChainOrder}},
		{"the path to another root comes first, record of the leaf", "no client needs a path", withChain([]*certificate{below, crossed, intermediate, root}, ta(root), ee(tlsa.SPKI, below)), nil},
		{"the path to another root comes second", "OpenSSL follows the first", withChain([]*certificate{below, intermediate, crossed, root}, ta(root)), nil},
		{"intermediate alone", "the CA may use another one for the next certificate", withChain([]*certificate{below, intermediate, root}, ta(intermediate)), []Topic{IssuerPinnedAlone}},
		{"intermediate of a private CA", "its operator is the domain's", withChain([]*certificate{belowPrivate, privateCA}, ta(privateCA)), nil},
		{"two intermediates alone", "the CA may use a third one", withChain([]*certificate{below, intermediate, root}, ta(intermediate), record(tlsa.DANETA, tlsa.SPKI, intermediate)), []Topic{IssuerPinnedAlone}},
		{"intermediate and root", "the root stays longer", withChain([]*certificate{below, intermediate, root}, ta(intermediate), ta(root)), nil},
		{"intermediate and leaf", "either authenticates if the other changes", withChain([]*certificate{below, intermediate, root}, ta(intermediate), ee(tlsa.SPKI, below)), nil},
		{"intermediate and next leaf", "the next key is published", withChain([]*certificate{below, intermediate, root}, ta(intermediate), ee(tlsa.SPKI, next)), nil},
		{"root alone", "its intermediates may change", withChain([]*certificate{below, intermediate, root}, ta(root)), nil},
		{"record of an issuer that is not sent", "clients do not fetch it", withChain([]*certificate{below, intermediate, root}, ee(tlsa.SPKI, below), ta(crossed)), []Topic{AnchorNotInChain}},
		{"record of the leaf with the usage of an issuer", "a leaf issues nothing", withChain([]*certificate{below, intermediate, root}, ee(tlsa.SPKI, below), ta(below)), []Topic{AnchorNotInChain}},
		{"12 records", "all senders accept them", singleHost(year, repeated(year, 12)...), nil},
		{"13 records", "some senders fail", singleHost(year, repeated(year, 13)...), []Topic{ManyRecords}},
		{"zone signed with RSASHA1", "senders differ", withAlgorithms(dnssec.Insecure, 7), []Topic{SHA1Zone}},
		{"zone signed with RSASHA1 and ECDSA", "no sender needs RSASHA1", withAlgorithms(dnssec.Secure, 7, 13), nil},
		{"zone signed with RSASHA1 and Ed448", "RFC 9904 recommends Ed448 for validation", withAlgorithms(dnssec.Secure, 7, 16), nil},
		{"zone signed with GOST", "validators do not support it, and treat the zone as unsigned", withAlgorithms(dnssec.Insecure, 12), []Topic{UnsupportedDS}},
		{"zone signed with GOST and ECDSA", "one algorithm that validators support is enough", withAlgorithms(dnssec.Secure, 12, 13), nil},
		{"unsigned zone below one signed with GOST", "the operator does not control the parent",
			withParent(dnssec.Link{Zone: "org.", Status: dnssec.Insecure, DS: []dnssec.DS{{Algorithm: 12}}}, withAlgorithms(dnssec.Insecure)), nil},
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
			verdict := Judge(&c.facts, Rules{Target: "example.org", Policy: SMTPRelay, Roots: webPKI}, noon)
			var topics []Topic
			for _, advice := range verdict.Advice {
				topics = append(topics, advice.Topic)
				if advice.Detail == "" {
					t.Errorf("%s has no detail", advice.Topic)
				}
				if advice.Topic == ShortLivedCertificate && advice.Detail != "the certificate is valid for 90 days" && advice.Detail != "the certificate is valid for 100 days" {
					t.Errorf("detail %q", advice.Detail)
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
		if got := info.Topic.Info(); got != info {
			t.Errorf("%s: got %+v", info.Topic, got)
		}
		seen = append(seen, info.Topic)
	}
}

// A record of a certificate above the 11th is a warning, as Postfix does not verify
// it. Clients other than mail servers have no such limit.
func TestChainTooDeep(t *testing.T) {
	const name = "mx.example.org"
	month := 30 * 24 * time.Hour
	root := issue(t, "root", nil, nil, noon.Add(-month), noon.Add(month))
	chain := []*certificate{root}
	for i := range 11 {
		chain = append([]*certificate{issue(t, fmt.Sprint("CA ", i), chain[0], nil, noon.Add(-month), noon.Add(month))}, chain...)
	}
	leaf := issue(t, name, chain[0], nil, noon.Add(-month), noon.Add(month))
	for _, c := range []struct {
		name    string
		records []string
		want    []Reason
	}{
		{"the 12th", []string{record(tlsa.DANETA, tlsa.Cert, root)}, []Reason{ChainTooDeep}},
		{"the 11th", []string{record(tlsa.DANETA, tlsa.Cert, chain[10])}, nil},
		{"the 11th and the 12th", []string{record(tlsa.DANETA, tlsa.Cert, root), record(tlsa.DANETA, tlsa.Cert, chain[10])}, nil},
		{"the 12th and the leaf", []string{record(tlsa.DANETA, tlsa.Cert, root), record(tlsa.DANEEE, tlsa.SPKI, leaf)}, nil},
	} {
		facts := &Facts{MX: mxAnswer(dnssec.Secure, name), Hosts: []Host{host(10, addressAnswer(dnssec.Secure, name), Service{
			TLSA: []TLSALookup{tlsaLookup(dnssec.Secure, name, c.records...)}, Endpoints: []Endpoint{completed(chainOf(t, append([]*certificate{leaf}, chain...)...))}})}}
		client := Judge(facts, Rules{Target: "example.org", Policy: Client, Require: RequireDANE}, noon)
		if got := reasonsOf(client); client.Outcome != Authenticated || len(got) > 0 || len(client.Advice) > 0 {
			t.Errorf("%s, client: outcome %s, reasons %v, advice %v", c.name, client.Outcome, got, client.Advice)
		}
		verdict := Judge(facts, Rules{Target: "example.org", Policy: SMTPRelay, Require: RequireDANE}, noon)
		if got := reasonsOf(verdict); verdict.Outcome != Authenticated || !verdict.Success || !slices.Equal(got, c.want) {
			t.Errorf("%s: outcome %s, reasons %v, want %v", c.name, verdict.Outcome, got, c.want)
		}
	}
}

// repeated returns n different records, of which the first is of the key of c.
func repeated(c *certificate, n int) []string {
	records := []string{record(tlsa.DANEEE, tlsa.SPKI, c)}
	for i := 1; i < n; i++ {
		records = append(records, fmt.Sprintf("3 1 1 %064x", i))
	}
	return records
}
