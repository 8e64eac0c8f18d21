package web

import (
	"testing"

	"dane_exporter/internal/report"
	"dane_exporter/probe/dane"
)

func TestComparisons(t *testing.T) {
	usable, superseded := report.Record{Standing: "usable"}, report.Record{Standing: "superseded"}
	match, noMatch := report.Match{Authenticates: true, Matches: true}, report.Match{}
	depth := 2
	issuer := report.Match{Authenticates: true, Matches: true, Depth: &depth}
	tests := []struct {
		name    string
		records []report.Record
		matches []report.Match
		want    []string // verdict and tone of each record
	}{
		{"match", []report.Record{usable}, []report.Match{match}, []string{"match good"}},
		{"no match", []report.Record{usable}, []report.Match{noMatch}, []string{"no match bad"}},
		{"match with an issuer", []report.Record{usable}, []report.Match{issuer}, []string{"match good"}},
		{"record of the next key", []report.Record{usable, usable}, []report.Match{match, noMatch}, []string{"match good", "no match, harmless plain"}},
		{"two records, no match", []report.Record{usable, usable}, []report.Match{noMatch, noMatch}, []string{"no match bad", "no match bad"}},
		{"match, but the name differs", []report.Record{usable}, []report.Match{{Matches: true}}, []string{"matches, but does not authenticate bad"}},
		{"superseded by a stronger digest", []report.Record{superseded}, []report.Match{noMatch}, []string{"not used plain"}},
		{"no handshake", []report.Record{usable}, nil, []string{"not compared plain"}},
	}
	for _, test := range tests {
		for i := range test.matches {
			test.matches[i].Record = i
		}
		for i, c := range compareEndpoint(report.Service{Records: test.records}, report.Endpoint{Matches: test.matches}, 100, 0).Shown {
			if got := c.Verdict + " " + c.Tone; got != test.want[i] {
				t.Errorf("%s: record %d: got %s, want %s", test.name, i, got, test.want[i])
			}
		}
	}
	if c := compareEndpoint(report.Service{Records: []report.Record{usable}}, report.Endpoint{Matches: []report.Match{issuer}}, 100, 0).Shown[0]; c.Place != "issuer 2" {
		t.Errorf("got certificate %q, want %q", c.Place, "issuer 2")
	}
}

// TestPairsAreBounded: a page shows a limited number of comparisons and bars. Those
// that decide the outcome come first.
func TestPairsAreBounded(t *testing.T) {
	service := report.Service{MoreRecords: 900}
	endpoint := report.Endpoint{MoreMatches: 900}
	for i := range 100 {
		service.Records = append(service.Records, report.Record{Standing: "usable"})
		endpoint.Matches = append(endpoint.Matches, report.Match{Record: i, Authenticates: i == 99, Matches: i == 99})
	}
	got := compareEndpoint(service, endpoint, 5, 2)
	if len(got.Shown) != 5 || got.More != 995 || got.Shown[0].Match.Record != 99 || got.Shown[0].Tone != "good" || !got.Shown[1].Bars || got.Shown[2].Bars {
		t.Errorf("got %d comparisons and %d more: %+v", len(got.Shown), got.More, got.Shown)
	}
	if got := compareEndpoint(service, report.Endpoint{}, 5, 2); len(got.Shown) != 5 || got.More != 995 || got.Shown[0].Verdict != "not compared" {
		t.Errorf("without a handshake: got %d comparisons and %d more", len(got.Shown), got.More)
	}
}

func TestBars(t *testing.T) {
	if got := bars("00ff"); len(got) != 2 || got[0] != (bar{0, 15, 1}) || got[1] != (bar{3, 0, 16}) {
		t.Errorf("00ff: got %v", got)
	}
	if got := barsPath("00ff"); got != "M0 15h2v1h-2zM3 0h2v16h-2z" {
		t.Errorf("00ff: got path %s", got)
	}
	if got := bars("sha256:80"); len(got) != 1 {
		t.Errorf("sha256:80: got %v", got)
	}
	if got := bars("no digest"); got != nil {
		t.Errorf("no digest: got %v", got)
	}
}

func TestPhases(t *testing.T) {
	d := &report.Document{Duration: 2, Phases: []report.Phase{{Name: "tls", Start: 1, End: 1.5}, {Name: "lookup", Start: 0, End: 0}}}
	got := phases(d)
	if got[0].X != 500 || got[0].Width != 250 || got[1].X != 0 || got[1].Width != 4 {
		t.Errorf("got %v", got)
	}
	if got := phases(&report.Document{Phases: []report.Phase{{}}}); got[0].Width != 0 {
		t.Errorf("duration 0: got %v", got)
	}
}

func TestLabel(t *testing.T) {
	for word, want := range map[string]string{
		"tlsa_mismatch": "TLSA mismatch", "mta_sts_record_invalid": "MTA-STS record invalid", "no_such_domain": "No such domain",
		"starttls_not_offered": "STARTTLS not offered", "": "",
	} {
		if got := label(word); got != want {
			t.Errorf("%s: got %q, want %q", word, got, want)
		}
	}
}

func TestEffectTone(t *testing.T) {
	tests := []struct {
		effect     dane.Effect
		word, tone string
	}{
		{dane.EffectError, "error", "bad"},
		{dane.EffectDegraded, "degraded", "fair"},
		{dane.EffectWarning, "warning", "fair"},
		{dane.EffectInternal, "internal", "internal"},
	}
	for _, test := range tests {
		word := string(test.effect)
		if gotTone := tone(word); word != test.word || gotTone != test.tone {
			t.Errorf("%s: tone %s, want %s in tone %s", word, gotTone, test.word, test.tone)
		}
	}
}
