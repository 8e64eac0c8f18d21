package tlsa

import (
	"bytes"
	"strings"
	"testing"
)

func TestAssess(t *testing.T) {
	p := issue(t, nil, "subject", nil)
	of := func(u Usage, s Selector, m MatchingType) Record { return record(t, p, u, s, m) }
	cut := func(r Record, n int) Record { r.Data = r.Data[:n]; return r }
	extended := of(DANEEE, SPKI, Full)
	extended.Data = append(bytes.Clone(extended.Data), 0)

	for _, test := range []struct {
		name   string
		set    []Record
		usages Usages
		want   []Usability
		why    string // substring of the first Why
	}{
		{"every defined combination for a client", everyCombination(of), Client(), usabilityByAgility(), ""},
		{"relays have no PKIX usages (RFC 7672 §3.1.3)",
			[]Record{of(PKIXTA, SPKI, SHA256), of(PKIXEE, SPKI, SHA256), of(DANETA, SPKI, SHA256), of(DANEEE, SPKI, SHA256)},
			SMTPRelay(), []Usability{Unusable, Unusable, Usable, Usable}, "do not support the usage PKIX-TA(0)"},
		{"SHA-512 supersedes SHA-256 of the same usage and selector only",
			[]Record{of(DANEEE, SPKI, SHA256), of(DANEEE, SPKI, SHA512), of(DANEEE, Cert, SHA256), of(DANETA, SPKI, SHA256)},
			SMTPRelay(), []Usability{Superseded, Usable, Usable, Usable}, "3 1 2"},
		{"full data neither supersedes nor is superseded",
			[]Record{of(DANEEE, SPKI, Full), of(DANEEE, SPKI, SHA256)}, SMTPRelay(), []Usability{Usable, Usable}, ""},
		{"a malformed SHA-512 supersedes nothing",
			[]Record{cut(of(DANEEE, SPKI, SHA512), 63), of(DANEEE, SPKI, SHA256)}, SMTPRelay(), []Usability{Unusable, Usable},
			"has 64 bytes, this one has 63"},
		{"a SHA-512 of an unsupported usage supersedes nothing",
			[]Record{of(PKIXEE, SPKI, SHA512), of(DANEEE, SPKI, SHA256)}, SMTPRelay(), []Usability{Unusable, Usable}, ""},
		{"a short SHA-256", []Record{cut(of(DANEEE, SPKI, SHA256), 20)}, Client(), []Usability{Unusable}, "32 bytes"},
		{"no data", []Record{cut(of(DANEEE, SPKI, SHA256), 0)}, Client(), []Usability{Unusable}, "no data"},
		{"no data, in full", []Record{cut(of(DANEEE, SPKI, Full), 0)}, Client(), []Usability{Unusable}, "no data"},
		{"a truncated certificate", []Record{cut(of(DANETA, Cert, Full), 100)}, Client(), []Usability{Unusable}, "not a certificate"},
		{"a truncated key", []Record{cut(of(DANETA, SPKI, Full), 20)}, Client(), []Usability{Unusable}, "not a public key"},
		{"a key and another byte", []Record{extended}, Client(), []Usability{Unusable}, "followed by 1 bytes"},
		{"an unknown usage", []Record{{Usage: 4, Selector: SPKI, MatchingType: SHA256, Data: make([]byte, 32)}}, Client(), []Usability{Unusable}, "usage 4"},
		{"an unknown selector", []Record{{Usage: DANEEE, Selector: 2, MatchingType: SHA256, Data: make([]byte, 32)}}, Client(), []Usability{Unusable}, "selector 2"},
		{"an unknown matching type", []Record{{Usage: DANEEE, Selector: SPKI, MatchingType: 255, Data: make([]byte, 32)}}, Client(), []Usability{Unusable}, "matching type 255"},
		{"no records", nil, Client(), nil, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := Assess(test.set, test.usages)
			if len(got) != len(test.want) {
				t.Fatalf("%d records, %d assessments", len(test.want), len(got))
			}
			for i, want := range test.want {
				a := got[i]
				if a.Usability != want || (a.Why == "") != (want == Usable) || a.Record.String() != test.set[i].String() {
					t.Errorf("%s: got %s of %s, want %s (%q)", test.set[i], a.Usability, a.Record, want, a.Why)
				}
			}
			if len(got) > 0 && !strings.Contains(got[0].Why, test.why) {
				t.Errorf("Why is %q, want it to contain %q", got[0].Why, test.why)
			}
		})
	}
}

func everyCombination(of func(Usage, Selector, MatchingType) Record) []Record {
	var set []Record
	for u := PKIXTA; u <= DANEEE; u++ {
		for s := Cert; s <= SPKI; s++ {
			for m := Full; m <= SHA512; m++ {
				set = append(set, of(u, s, m))
			}
		}
	}
	return set
}

func usabilityByAgility() []Usability {
	var want []Usability
	for range 4 * 2 {
		want = append(want, Usable, Superseded, Usable)
	}
	return want
}
