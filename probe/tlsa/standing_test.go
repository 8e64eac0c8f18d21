package tlsa

import (
	"bytes"
	"strings"
	"testing"
)

func TestStandings(t *testing.T) {
	p := issue(t, nil, "anybody", nil)
	of := func(u Usage, s Selector, m MatchingType) Record { return record(t, p, u, s, m) }
	cut := func(r Record, n int) Record { r.Data = r.Data[:n]; return r }
	extended := of(DANEEE, SPKI, Full)
	extended.Data = append(bytes.Clone(extended.Data), 0)

	for _, story := range []struct {
		name   string
		set    []Record
		usages Usages
		want   []Standing
		says   string // in the first why
	}{
		{"every defined combination for a client", everyCombination(of), Client(), standingsByAgility(), ""},
		{"relays have no PKIX usages (RFC 7672 §3.1.3)",
			[]Record{of(PKIXTA, SPKI, SHA256), of(PKIXEE, SPKI, SHA256), of(DANETA, SPKI, SHA256), of(DANEEE, SPKI, SHA256)},
			SMTPRelay(), []Standing{Unusable, Unusable, Usable, Usable}, "PKIX-TA(0) is not for this kind of client"},
		{"SHA-512 supersedes SHA-256 of its usage and selector alone",
			[]Record{of(DANEEE, SPKI, SHA256), of(DANEEE, SPKI, SHA512), of(DANEEE, Cert, SHA256), of(DANETA, SPKI, SHA256)},
			SMTPRelay(), []Standing{Superseded, Usable, Usable, Usable}, "3 1 2"},
		{"full data neither supersedes nor is superseded",
			[]Record{of(DANEEE, SPKI, Full), of(DANEEE, SPKI, SHA256)}, SMTPRelay(), []Standing{Usable, Usable}, ""},
		{"a malformed SHA-512 supersedes nothing",
			[]Record{cut(of(DANEEE, SPKI, SHA512), 63), of(DANEEE, SPKI, SHA256)}, SMTPRelay(), []Standing{Unusable, Usable},
			"has 64 bytes, this one has 63"},
		{"a SHA-512 of a usage that does not count supersedes nothing",
			[]Record{of(PKIXEE, SPKI, SHA512), of(DANEEE, SPKI, SHA256)}, SMTPRelay(), []Standing{Unusable, Usable}, ""},
		{"a short SHA-256", []Record{cut(of(DANEEE, SPKI, SHA256), 20)}, Client(), []Standing{Unusable}, "32 bytes"},
		{"no data", []Record{cut(of(DANEEE, SPKI, SHA256), 0)}, Client(), []Standing{Unusable}, "no data"},
		{"no data, in full", []Record{cut(of(DANEEE, SPKI, Full), 0)}, Client(), []Standing{Unusable}, "no data"},
		{"a certificate cut short", []Record{cut(of(DANETA, Cert, Full), 100)}, Client(), []Standing{Unusable}, "no certificate"},
		{"a key cut short", []Record{cut(of(DANETA, SPKI, Full), 20)}, Client(), []Standing{Unusable}, "no public key"},
		{"a key and more", []Record{extended}, Client(), []Standing{Unusable}, "1 bytes more"},
		{"an unknown usage", []Record{{Usage: 4, Selector: SPKI, MatchingType: SHA256, Data: make([]byte, 32)}}, Client(), []Standing{Unusable}, "usage 4"},
		{"an unknown selector", []Record{{Usage: DANEEE, Selector: 2, MatchingType: SHA256, Data: make([]byte, 32)}}, Client(), []Standing{Unusable}, "selector 2"},
		{"an unknown matching type", []Record{{Usage: DANEEE, Selector: SPKI, MatchingType: 255, Data: make([]byte, 32)}}, Client(), []Standing{Unusable}, "matching type 255"},
		{"no records", nil, Client(), nil, ""},
	} {
		t.Run(story.name, func(t *testing.T) {
			standings, whys := Standings(story.set, story.usages)
			if len(standings) != len(story.want) || len(whys) != len(story.want) {
				t.Fatalf("%d records, %d standings, %d whys", len(story.want), len(standings), len(whys))
			}
			for i, want := range story.want {
				if standings[i] != want || (whys[i] == "") != (want == Usable) {
					t.Errorf("%s: standing %d, want %d (%q)", story.set[i], standings[i], want, whys[i])
				}
			}
			if len(whys) > 0 && !strings.Contains(whys[0], story.says) {
				t.Errorf("why is %q, want it to say %q", whys[0], story.says)
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

func standingsByAgility() []Standing {
	var want []Standing
	for range 4 * 2 {
		want = append(want, Usable, Superseded, Usable)
	}
	return want
}
