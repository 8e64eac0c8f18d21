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
	full, alone := completed(chainOf(t, leaf, root)), completed(chainOf(t, leaf))
	other := completed(chainOf(t, second, root))
	failed := failedAt(StageNone, errorWithCause(CauseIPv6Unavailable))
	eeKey, eeCert := record(tlsa.DANEEE, tlsa.SPKI, leaf), record(tlsa.DANEEE, tlsa.Cert, leaf)
	ta, eeNext := record(tlsa.DANETA, tlsa.SPKI, root), record(tlsa.DANEEE, tlsa.SPKI, next)

	for _, c := range []struct {
		name, why string
		records   []string
		endpoints []Endpoint
		rollover  Measure
		survives  Measure
		stale     int // -1: not measured
	}{
		{"one key record", "it is valid as long as the key is", []string{eeKey}, []Endpoint{alone}, No, Yes, 0},
		{"current and next key", "RFC 7671 §8.1", []string{eeKey, eeNext}, []Endpoint{alone}, Yes, Yes, 1},
		{"leaf key and trust anchor", "either authenticates if the other changes", []string{eeKey, ta}, []Endpoint{full}, Yes, Yes, 0},
		{"full certificate", "a renewal changes it", []string{eeCert}, []Endpoint{alone}, No, No, 0},
		{"full certificate and key", "the key record survives a renewal", []string{eeCert, eeKey}, []Endpoint{alone}, No, Yes, 0},
		{"trust anchor", "it issues the next certificate too", []string{ta}, []Endpoint{full}, No, Yes, 0},
		{"full certificate and an anchor that is not sent", "no next certificate matches the anchor record", []string{eeCert, ta}, []Endpoint{alone}, No, No, 0},
		{"leaf key and its record with the usage of an issuer", "a leaf never matches it", []string{eeKey, record(tlsa.DANETA, tlsa.SPKI, leaf)}, []Endpoint{full}, No, Yes, 0},
		{"an anchor that is not sent alone", "nothing matches", []string{ta}, []Endpoint{alone}, No, NotMeasured, 0},
		{"record of another key only", "it is stale, not a next key, because no record matches", []string{eeNext}, []Endpoint{alone}, No, NotMeasured, 1},
		{"two endpoints with one key each", "each record matches at one endpoint", []string{eeKey, record(tlsa.DANEEE, tlsa.SPKI, second)}, []Endpoint{full, other}, No, Yes, 0},
		{"two endpoints, full certificate of one", "a renewal breaks that endpoint", []string{eeKey, record(tlsa.DANEEE, tlsa.Cert, second)}, []Endpoint{full, other}, No, No, 0},
		{"no handshake", "nothing is measured", []string{eeKey}, []Endpoint{failed}, NotMeasured, NotMeasured, -1},
		{"no usable record", "no record authenticates", []string{record(tlsa.PKIXEE, tlsa.SPKI, leaf)}, []Endpoint{alone}, NotMeasured, NotMeasured, 0},
		{"no records", "no record authenticates", nil, []Endpoint{alone}, NotMeasured, NotMeasured, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			facts := &Facts{MX: mxAnswer(dnssec.Secure, name), Hosts: []Host{host(10, addressAnswer(dnssec.Secure, name),
				Service{TLSA: []TLSALookup{tlsaLookup(dnssec.Secure, name, c.records...)}, Endpoints: c.endpoints})}}
			verdict := Judge(facts, Rules{Target: "example.org", Policy: SMTPRelay}, noon)
			status := verdict.Services[0].RolloverStatus()
			stale := len(status.Stale)
			if !status.Measured {
				stale = -1
			}
			if status.RolloverReady != c.rollover || status.SurvivesRenewal != c.survives || stale != c.stale {
				t.Errorf("%s: got rollover %d, renewal %d, stale %d; want %d, %d, %d", c.why,
					status.RolloverReady, status.SurvivesRenewal, stale, c.rollover, c.survives, c.stale)
			}
		})
	}
}
