package dnssec

import (
	"fmt"
	"testing"
)

// TestRegisteredDomain checks domains below public suffixes of one and two labels,
// of companies, and below none.
func TestRegisteredDomain(t *testing.T) {
	for name, want := range map[string]string{
		"_25._tcp.mx.example.org.": "example.org.",
		"example.org.":             "example.org.",
		"mx.example.co.uk.":        "example.co.uk.",
		"co.uk.":                   "co.uk.",
		"org.":                     "org.",
		".":                        ".",
		"a.customer.github.io.":    "github.io.",
		"mx.good.lab.test.":        "lab.test.",
		"test.":                    "test.",
		`a\.b.example.org.`:        "example.org.",
	} {
		if got := registeredDomain(name); got != want {
			t.Errorf("%s belongs to %s, want %s", name, got, want)
		}
	}
}

// TestWitnessesAreBounded checks that new zones do not replace known ones, that memory
// is bounded, and that the queue never blocks a lookup.
func TestWitnessesAreBounded(t *testing.T) {
	w := newWitnesses()
	for i := range 2 * maxDomains {
		w.seen(fmt.Sprintf("z%d.org.", i))
		w.seen(fmt.Sprintf("sub.z%d.org.", i))
	}
	if len(w.domains) != maxDomains || w.domains["z0.org."] == nil || len(w.queue) != maxQueue {
		t.Errorf("%d domains, %d queued", len(w.domains), len(w.queue))
	}
	for _, zone := range []string{".", "org.", "co.uk."} {
		w.seen(zone)
		if w.domains[zone] != nil && labels(zone) < 2 {
			t.Errorf("%s is a witness", zone)
		}
	}
}

// TestManyFail checks how witnesses are counted.
func TestManyFail(t *testing.T) {
	zone := func(i int, nameservers ...string) witness {
		domain := fmt.Sprintf("z%d.org.", i)
		return witness{domain: domain, zone: domain, nameservers: nameservers}
	}
	own := func(i int) witness { return zone(i, fmt.Sprintf("z%d.org.", i)) }
	for _, c := range []struct {
		name   string
		own    witness
		others []witness
		states string // of the others: f, u, r, a
		want   bool
	}{
		{"no other", own(0), nil, "", false},
		{"all answer", own(0), []witness{own(1), own(2)}, "aa", false},
		{"one of three others fails", own(0), []witness{own(1), own(2), own(3)}, "faa", true},
		{"one of six others fails", own(0), []witness{own(1), own(2), own(3), own(4), own(5), own(6)}, "faaaaa", false},
		{"answers that are recent count", own(0), []witness{own(1), own(2), own(3), own(4), own(5), own(6)}, "frrrrr", false},
		{"unclear ones do not count", own(0), []witness{own(1), own(2), own(3), own(4), own(5), own(6)}, "fuuuur", true},
		{"the other has the same nameservers", zone(0, "a.", "b."), []witness{zone(1, "b.", "c.")}, "f", false},
		{"the nameservers are linked by a third", zone(0, "a."), []witness{zone(1, "b."), zone(2, "a.", "b.")}, "ff", false},
		{"nameservers in the domain of another", zone(0, "z1.org."), []witness{own(1)}, "f", false},
		{"unknown nameservers may be the same", zone(0), []witness{zone(1), own(2)}, "fa", false},
		{"another zone at the nameservers answers", zone(0, "a."), []witness{zone(1, "a."), own(2)}, "af", false},
		{"a failing one of which the nameservers answer", own(0), []witness{zone(1, "a."), zone(2, "a.")}, "fa", false},
	} {
		states := make(map[string]controlState)
		for i, state := range c.states {
			states[c.others[i].zone] = map[rune]controlState{'f': controlFails, 'u': controlUnclear, 'r': controlRecent, 'a': controlAnswers}[state]
		}
		if got := manyFail(c.own, c.others, states, nil); got != c.want {
			t.Errorf("%s: %t", c.name, got)
		}
	}
}
