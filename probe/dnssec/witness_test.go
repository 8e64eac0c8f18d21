package dnssec

import (
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"
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

// TestWitnessesAreForgotten checks that domains that are no longer looked up make room, and
// that those that still are do not.
func TestWitnessesAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWitnesses()
		for i := range maxDomains {
			w.seen(fmt.Sprintf("z%d.org.", i))
		}
		time.Sleep(forgetAfter / 2)
		w.seen("z0.org.")
		w.seen("new.org.")
		if w.domains["new.org."] != nil {
			t.Error("a new domain replaces one that is still looked up")
		}
		time.Sleep(forgetAfter/2 + time.Second)
		w.seen("new.org.")
		if w.domains["z0.org."] == nil || w.domains["new.org."] == nil || len(w.domains) != 2 {
			t.Errorf("%d domains; the one in use is known: %t, the new one: %t", len(w.domains), w.domains["z0.org."] != nil, w.domains["new.org."] != nil)
		}
	})
}

// TestManyFail checks how witnesses are counted.
func TestManyFail(t *testing.T) {
	zone := func(i int, nameservers ...string) witness {
		domain := fmt.Sprintf("z%d.org.", i)
		return witness{domain: domain, zone: domain, nameservers: nameservers}
	}
	own := func(i int) witness { return zone(i, fmt.Sprintf("z%d.org.", i)) }
	elsewhere := func(i int) witness {
		domain := fmt.Sprintf("z%d.net.", i)
		return witness{domain: domain, zone: domain, nameservers: []string{domain}}
	}
	for _, c := range []struct {
		name   string
		own    witness
		others []witness
		states string // of the others: f, u, r, a
		want   bool
		parent string // state of org., the zone above; empty: not known
	}{
		{"no other", own(0), nil, "", false, ""},
		{"all answer", own(0), []witness{own(1), own(2)}, "aa", false, ""},
		{"one of three others fails", own(0), []witness{own(1), own(2), own(3)}, "faa", true, ""},
		{"one of six others fails", own(0), []witness{own(1), own(2), own(3), own(4), own(5), own(6)}, "faaaaa", false, ""},
		{"answers that are recent count", own(0), []witness{own(1), own(2), own(3), own(4), own(5), own(6)}, "frrrrr", false, ""},
		{"unclear ones do not count", own(0), []witness{own(1), own(2), own(3), own(4), own(5), own(6)}, "fuuuur", true, ""},
		{"the other has the same nameservers", zone(0, "a.", "b."), []witness{zone(1, "b.", "c.")}, "f", false, ""},
		{"the nameservers are linked by a third", zone(0, "a."), []witness{zone(1, "b."), zone(2, "a.", "b.")}, "ff", false, ""},
		{"nameservers in the domain of another", zone(0, "z1.org."), []witness{own(1)}, "f", false, ""},
		{"unknown nameservers may be the same", zone(0), []witness{zone(1), own(2)}, "fa", false, ""},
		{"another zone at the nameservers answers", zone(0, "a."), []witness{zone(1, "a."), own(2)}, "af", false, ""},
		{"a failing one of which the nameservers answer", own(0), []witness{zone(1, "a."), zone(2, "a.")}, "fa", false, ""},
		{"nameservers in one network", zone(0, "z0.org.", "192.0.2.0/24"), []witness{zone(1, "z1.org.", "192.0.2.0/24")}, "f", false, ""},
		{"nameservers in two networks", zone(0, "z0.org.", "192.0.2.0/24"), []witness{zone(1, "z1.org.", "198.51.100.0/24")}, "f", true, ""},
		{"the zone above fails", own(0), []witness{own(1), own(2)}, "ff", false, "f"},
		{"the zone above answers", own(0), []witness{own(1), own(2)}, "ff", true, "a"},
		{"the zone above fails, and one below it answers", own(0), []witness{own(1), own(2)}, "fa", true, "f"},
		{"the zone above fails, and zones elsewhere", own(0), []witness{own(1), elsewhere(2), elsewhere(3)}, "ffa", true, "f"},
		{"all zones elsewhere answer", own(0), []witness{own(1), elsewhere(2), elsewhere(3), elsewhere(4)}, "faaa", false, "a"},
		{"too few zones elsewhere answer", own(0), []witness{own(1), elsewhere(2), elsewhere(3)}, "faa", true, "a"},
		{"one zone elsewhere fails", own(0), []witness{own(1), elsewhere(2), elsewhere(3), elsewhere(4), elsewhere(5)}, "faaaf", true, "a"},
	} {
		states := make(map[string]controlState)
		parse := map[rune]controlState{'f': controlFails, 'u': controlUnclear, 'r': controlRecent, 'a': controlAnswers}
		for i, state := range c.states {
			states[c.others[i].zone] = parse[state]
		}
		var parents []string
		for _, state := range c.parent {
			parents, states["org."] = []string{"org."}, parse[state]
		}
		if got := manyFail(c.own, c.others, states, parents); got != c.want {
			t.Errorf("%s: %t", c.name, got)
		}
	}
}

// TestNetwork checks the networks of addresses.
func TestNetwork(t *testing.T) {
	for address, c := range map[string]struct {
		bits int
		want string
	}{
		"192.0.2.53":         {24, "192.0.2.0/24"},
		"2001:db8:1:2::53":   {48, "2001:db8:1::/48"},
		"::ffff:192.0.2.153": {24, "192.0.2.0/24"},
	} {
		if got := network(net.ParseIP(address), c.bits); got != c.want {
			t.Errorf("%s is in %s, want %s", address, got, c.want)
		}
	}
	if got := network(nil, 24); got != "" {
		t.Errorf("no address is in %s", got)
	}
}
