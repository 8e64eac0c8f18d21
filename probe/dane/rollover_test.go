package dane

import (
	"testing"
	"time"

	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/tlsa"
)

func TestRolloverStatus(t *testing.T) {
	const name = "mx.example.org"
	day := 24 * time.Hour
	root := issue(t, "root", nil, nil, noon.Add(-day), noon.Add(400*day))
	leaf := issue(t, name, root, nil, noon.Add(-day), noon.Add(90*day))
	second := issue(t, name, root, nil, noon.Add(-day), noon.Add(90*day))
	next := issue(t, name, root, nil, noon, noon.Add(90*day))
	full, alone := shaken(chainOf(t, leaf, root)), shaken(chainOf(t, leaf))
	other := shaken(chainOf(t, second, root))
	closed := stuck(StageNone, caused(CauseIPv6Unavailable))
	eeKey, eeCert := record(tlsa.DANEEE, tlsa.SPKI, leaf), record(tlsa.DANEEE, tlsa.Cert, leaf)
	ta, eeNext := record(tlsa.DANETA, tlsa.SPKI, root), record(tlsa.DANEEE, tlsa.SPKI, next)

	for _, story := range []struct {
		name, story string
		records     []string
		endpoints   []Endpoint
		rollover    Measure
		survives    Measure
		stale       int // -1: not measured
	}{
		{"one record of the key", "it holds as long as the key", []string{eeKey}, []Endpoint{alone}, No, Yes, 0},
		{"today's and tomorrow's key", "RFC 7671 §8.1", []string{eeKey, eeNext}, []Endpoint{alone}, Yes, Yes, 1},
		{"the leaf's key and an issuer", "they back each other", []string{eeKey, ta}, []Endpoint{full}, Yes, Yes, 0},
		{"the whole certificate", "renewed, it is another", []string{eeCert}, []Endpoint{alone}, No, No, 0},
		{"the whole certificate and the key", "the key's record stays", []string{eeCert, eeKey}, []Endpoint{alone}, No, Yes, 0},
		{"an issuer", "it issues the next one too", []string{ta}, []Endpoint{full}, No, Yes, 0},
		{"the whole certificate, and an issuer not sent", "the issuer's record is of no use", []string{eeCert, ta}, []Endpoint{alone}, Yes, No, 1},
		{"only another key", "a stale record, and no next key beside one that matches", []string{eeNext}, []Endpoint{alone}, No, NotMeasured, 1},
		{"two endpoints with a key each", "each record matches somewhere", []string{eeKey, record(tlsa.DANEEE, tlsa.SPKI, second)}, []Endpoint{full, other}, No, Yes, 0},
		{"two endpoints, one pinned whole", "that one breaks", []string{eeKey, record(tlsa.DANEEE, tlsa.Cert, second)}, []Endpoint{full, other}, No, No, 0},
		{"no handshake", "nothing is measured", []string{eeKey}, []Endpoint{closed}, NotMeasured, NotMeasured, -1},
		{"none usable", "there is nothing to keep", []string{record(tlsa.PKIXEE, tlsa.SPKI, leaf)}, []Endpoint{alone}, NotMeasured, NotMeasured, 0},
		{"no records", "there is nothing to keep", nil, []Endpoint{alone}, NotMeasured, NotMeasured, -1},
	} {
		t.Run(story.name, func(t *testing.T) {
			facts := &Facts{MX: mx(dnssec.Secure, name), Hosts: []Host{host(10, addressed(dnssec.Secure, name),
				Service{TLSA: []TLSALookup{published(dnssec.Secure, name, story.records...)}, Endpoints: story.endpoints})}}
			verdict := Judge(facts, Rules{Target: "example.org", Policy: SMTPRelay}, noon)
			p := verdict.Services[0].RolloverStatus()
			stale := len(p.Stale)
			if !p.Measured {
				stale = -1
			}
			if p.RolloverReady != story.rollover || p.SurvivesRenewal != story.survives || stale != story.stale {
				t.Errorf("%s: got rollover %d, renewal %d, stale %d; want %d, %d, %d", story.story,
					p.RolloverReady, p.SurvivesRenewal, stale, story.rollover, story.survives, story.stale)
			}
		})
	}
}
