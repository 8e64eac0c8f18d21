package web

import (
	"testing"

	"dane_exporter/internal/report"
)

// TestPairs: colours say what is wrong, and nothing else.
func TestPairs(t *testing.T) {
	usable, superseded := report.Record{Standing: "usable"}, report.Record{Standing: "superseded"}
	yes, no := report.Match{Authenticates: true, Matches: true}, report.Match{}
	depth := 2
	issuer := report.Match{Authenticates: true, Matches: true, Depth: &depth}
	tests := []struct {
		name    string
		records []report.Record
		matches []report.Match
		want    []string // verdict and tone of each
	}{
		{"the record matches", []report.Record{usable}, []report.Match{yes}, []string{"match good"}},
		{"it does not", []report.Record{usable}, []report.Match{no}, []string{"no match bad"}},
		{"an issuer's matches", []report.Record{usable}, []report.Match{issuer}, []string{"match good"}},
		{"the next key's stands beside it", []report.Record{usable, usable}, []report.Match{yes, no}, []string{"match good", "not this one plain"}},
		{"neither matches", []report.Record{usable, usable}, []report.Match{no, no}, []string{"no match bad", "no match bad"}},
		{"it matches, and the name does not", []report.Record{usable}, []report.Match{{Matches: true}}, []string{"matches, and does not authenticate bad"}},
		{"a stronger digest stands beside it", []report.Record{superseded}, []report.Match{no}, []string{"not used plain"}},
		{"there was no handshake", []report.Record{usable}, nil, []string{"not compared plain"}},
	}
	for _, test := range tests {
		for i, p := range pairs(test.records, report.Endpoint{Matches: test.matches}) {
			if got := p.Verdict + " " + p.Tone; got != test.want[i] {
				t.Errorf("%s: %s, want %s", test.name, got, test.want[i])
			}
		}
	}
	if p := pairs([]report.Record{usable}, report.Endpoint{Matches: []report.Match{issuer}})[0]; p.Place != "issuer 2" {
		t.Errorf("the certificate is called %s", p.Place)
	}
}

func TestBars(t *testing.T) {
	if got := bars("00ff"); len(got) != 2 || got[0] != (bar{0, 15, 1}) || got[1] != (bar{3, 0, 16}) {
		t.Errorf("got %v", got)
	}
	if got := bars("sha256:80"); len(got) != 1 {
		t.Errorf("got %v", got)
	}
	if got := bars("no digest"); got != nil {
		t.Errorf("got %v", got)
	}
}

func TestSpans(t *testing.T) {
	d := &report.Document{Duration: 2, Phases: []report.Phase{{Name: "tls", Start: 1, End: 1.5}, {Name: "lookup", Start: 0, End: 0}}}
	got := spans(d)
	if got[0].X != 500 || got[0].Width != 250 || got[1].X != 0 || got[1].Width != 4 {
		t.Errorf("got %v", got)
	}
	if got := spans(&report.Document{Phases: []report.Phase{{}}}); got[0].Width != 0 {
		t.Errorf("of no time at all: %v", got)
	}
}

func TestLabelOf(t *testing.T) {
	for word, want := range map[string]string{
		"tlsa_mismatch": "TLSA mismatch", "mta_sts_record_invalid": "MTA-STS record invalid", "no_such_domain": "No such domain",
		"starttls_not_offered": "STARTTLS not offered", "": "",
	} {
		if got := labelOf(word); got != want {
			t.Errorf("%s is %q, want %q", word, got, want)
		}
	}
}
