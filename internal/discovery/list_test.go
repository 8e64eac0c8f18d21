package discovery

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// newList returns a list of names.
func newList(t testing.TB, names ...string) *List {
	t.Helper()
	var b builder
	for _, name := range names {
		if err := b.add(name); err != nil {
			t.Fatal(err)
		}
	}
	list, _ := b.list()
	return list
}

func (l *List) names() []string {
	names := []string{}
	for i := range l.Len() {
		names = append(names, string(l.At(i)))
	}
	return names
}

func TestList(t *testing.T) {
	for _, c := range []struct {
		name      string
		add, want []string
		duplicate string
	}{
		{"no names", nil, []string{}, ""},
		{"sorted", []string{"b.example", "a.example", "ab.example"}, []string{"a.example", "ab.example", "b.example"}, ""},
		{"each once", []string{"b", "a", "b", "b"}, []string{"a", "b"}, "b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b builder
			for _, name := range c.add {
				if err := b.add(name); err != nil {
					t.Fatal(err)
				}
			}
			list, duplicate := b.list()
			if got := list.names(); !slices.Equal(got, c.want) || duplicate != c.duplicate {
				t.Errorf("%q, duplicate %q; want %q, %q", got, duplicate, c.want, c.duplicate)
			}
			for i, name := range c.want {
				if at, found := list.find(name); !found || at != i {
					t.Errorf("%s is at %d, %t; want %d", name, at, found, i)
				}
			}
			if _, found := list.find("absent"); found {
				t.Error("the list has a name that was not added")
			}
			if !list.equal(newList(t, c.add...)) || list.equal(newList(t, "other")) || list.equal(nil) {
				t.Error("the list does not equal the same list, or equals another")
			}
		})
	}
}

func TestListIsBounded(t *testing.T) {
	var b builder
	for range maxNames {
		if err := b.add("a"); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.add("a"); !errors.Is(err, errTooManyNames) {
		t.Errorf("name %d: %v", maxNames+1, err)
	}
	b = builder{}
	long := strings.Repeat("a", 253)
	added := 0
	for b.add(long) == nil {
		added++
	}
	if got := added * len(long); got > maxText || got < maxText-len(long) {
		t.Errorf("a list has at most %d bytes, want %d", got, maxText)
	}
}

// TestListMemory checks and prints the memory of a list of a million names, while it is
// built and afterwards.
func TestListMemory(t *testing.T) {
	const names = 1_000_000
	heap := func() int {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	before := heap()
	var b builder
	for i := range names {
		if err := b.add(fmt.Sprintf("customer%07d.example", (i*7919)%names)); err != nil {
			t.Fatal(err)
		}
	}
	building := heap() - before
	list, duplicate := b.list()
	b = builder{}
	kept := heap() - before
	t.Logf("%d names of %d bytes: %.1f MiB before they are sorted, %.1f MiB as a list", list.Len(), len(list.At(0)), float64(building)/(1<<20), float64(kept)/(1<<20))
	if list.Len() != names || duplicate != "" {
		t.Errorf("%d names, duplicate %q", list.Len(), duplicate)
	}
	if kept > 50<<20 {
		t.Errorf("the list takes %d bytes", kept)
	}
	runtime.KeepAlive(list)
}

// TestMXMemory checks and prints the memory of the MX hosts of many domains: with the
// hosts of 20 hosters, and with a host of its own for each domain.
func TestMXMemory(t *testing.T) {
	const domains = 200_000
	var b builder
	for i := range domains {
		if err := b.add(fmt.Sprintf("customer%07d.example", i)); err != nil {
			t.Fatal(err)
		}
	}
	list, _ := b.list()
	heap := func() float64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	var kept []*mxTable
	for _, c := range []struct {
		name  string
		hosts func(i int) []string
		limit float64 // bytes for each domain
	}{
		{"20 hosters", func(i int) []string {
			return []string{fmt.Sprintf("mx1.hoster%02d.example", i%20), fmt.Sprintf("mx2.hoster%02d.example", i%20)}
		}, 20},
		{"a host for each", func(i int) []string { return []string{fmt.Sprintf("mail.customer%07d.example", i)} }, 400},
	} {
		before := heap()
		table := newMXTable(Environment{}, func() {})
		table.setDomains(list)
		for i := range domains {
			table.record(string(list.At(i)), c.hosts(i), nil)
		}
		kept = append(kept, table)
		got := (heap() - before) / domains
		t.Logf("%s: %.0f bytes for each domain", c.name, got)
		if got > c.limit {
			t.Errorf("%s: %.0f bytes for each domain, want at most %.0f", c.name, got, c.limit)
		}
	}
	runtime.KeepAlive(kept)
}
