package discovery

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// records parses records of the zone catalog.example.
func records(t testing.TB, text string) []dns.RR {
	t.Helper()
	var all []dns.RR
	parser := dns.NewZoneParser(strings.NewReader(text), "catalog.example.", "")
	parser.SetDefaultTTL(0)
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		all = append(all, rr)
	}
	if err := parser.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// collect adds records to a list of members.
func collect(l memberList, all []dns.RR) (reading, error) {
	for _, rr := range all {
		if err := l.add(rr); err != nil {
			return reading{}, err
		}
	}
	return l.list()
}

func TestCatalog(t *testing.T) {
	const version = "@ NS invalid.\nversion TXT 2\n"
	for _, c := range []struct {
		name, zone string
		want       []string
		bad        int
		err        error
	}{
		{"two members", version + "a.zones PTR example.com.\nb.zones PTR example.org.\n", []string{"example.com", "example.org"}, 0, nil},
		{"no members", version, []string{}, 0, nil},
		{"members in upper case", "Version TXT 2\nA.ZONES PTR EXAMPLE.com.\n", []string{"example.com"}, 0, nil},
		{"groups, custom properties and a change of ownership change nothing", version + "a.zones PTR example.com.\ngroup.a.zones TXT one\ngroup.a.zones TXT two\n" +
			"coo.a.zones PTR other.example.\nx.ext.a.zones PTR example.net.\nx.ext.a.zones PTR example.info.\ny.ext TXT 1\n", []string{"example.com"}, 0, nil},
		{"unknown properties and other types are ignored", version + "a.zones PTR example.com.\nprop.a.zones PTR example.net.\nprop.a.zones PTR b.example.\n@ PTR c.example.\nzones PTR d.example.\na.zones A 192.0.2.1\nversion A 192.0.2.1\n", []string{"example.com"}, 0, nil},
		{"a name that ends with zones is not a member", version + "a.otherzones PTR example.com.\nzones.example. PTR example.net.\n", []string{}, 0, nil},
		{"a member with odd bytes, and the root", version + `a.zones PTR a\"b\000.example.` + "\nb.zones PTR .\nc.zones PTR example.org.\n", []string{"example.org"}, 2, nil},
		{"a unique label with odd bytes", version + `\000\..zones PTR example.org.` + "\n", []string{"example.org"}, 0, nil},
		{"no version", "a.zones PTR example.com.\n", nil, 0, errNoVersion},
		{"two versions", version + "version TXT 1\na.zones PTR example.com.\n", nil, 0, errVersions},
		{"version 1", "version TXT 1\na.zones PTR example.com.\n", nil, 0, errWrongVersion},
		{"a version of two strings", `version TXT "2" ""` + "\n", nil, 0, errWrongVersion},
		{"an empty version", `version TXT ""` + "\n", nil, 0, errWrongVersion},
		{"a member node with two records", version + "a.zones PTR example.com.\nb.zones PTR example.net.\nA.zones PTR example.org.\n", nil, 0, errRepeated},
		{"two changes of ownership of a member", version + "a.zones PTR example.com.\ncoo.a.zones PTR b.example.\ncoo.a.zones PTR c.example.\n", nil, 0, errRepeated},
		{"a member twice", version + "a.zones PTR example.com.\nb.zones PTR example.net.\nc.zones PTR EXAMPLE.com.\n", nil, 0, errTwice},
	} {
		t.Run(c.name, func(t *testing.T) {
			read, err := collect(newCatalog("catalog.example."), records(t, c.zone))
			if !errors.Is(err, c.err) || c.err == nil && err != nil {
				t.Fatalf("%v, want %v", err, c.err)
			}
			if c.err == nil && (!slices.Equal(read.list.names(), c.want) || read.bad != c.bad) {
				t.Errorf("%q, %d invalid; want %q, %d", read.list.names(), read.bad, c.want, c.bad)
			}
		})
	}
}

func TestDelegations(t *testing.T) {
	read, err := collect(&delegations{zone: "catalog.example."}, records(t, `
@ NS ns1
@ NS ns2
ns1 A 192.0.2.1
B NS ns1
b NS ns2.other.example.
b DS 1 8 2 0000000000000000000000000000000000000000000000000000000000000000
a.co NS ns1
xn--bcher-kva NS ns1
`+`o\"dd NS ns1`+`
outside.example. NS ns1
b NS ns3
`))
	want := []string{"a.co.catalog.example", "b.catalog.example", "xn--bcher-kva.catalog.example"}
	if err != nil || !slices.Equal(read.list.names(), want) || read.bad != 1 {
		t.Errorf("%q, %d invalid, %v; want %q", read.list.names(), read.bad, err, want)
	}
	catalog := records(t, "@ NS invalid.\nversion TXT 2\na.zones PTR example.com.\n")
	if read, err := collect(&delegations{zone: "catalog.example."}, catalog); !errors.Is(err, errNoDelegations) {
		t.Errorf("a catalog zone: %q, %v", read.list.names(), err)
	}
}

// FuzzCatalog checks that a list has only names that a probe accepts, whatever the
// primary sends.
func FuzzCatalog(f *testing.F) {
	for _, zone := range []string{"version TXT 2\na.zones PTR example.org.\n", `version TXT 2` + "\n" + `\000.zones PTR \255.example.`} {
		message := new(dns.Msg)
		message.Answer = records(f, zone)
		wire, err := message.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(wire)
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		message := new(dns.Msg)
		if message.Unpack(wire) != nil {
			return
		}
		for _, l := range []memberList{newCatalog("catalog.example."), &delegations{zone: "catalog.example."}} {
			read, err := collect(l, message.Answer)
			if err != nil {
				continue
			}
			for _, name := range read.list.names() {
				if again, err := parseDomain(name); again != name || err != nil {
					t.Errorf("%q becomes %q, %v", name, again, err)
				}
			}
		}
	})
}
