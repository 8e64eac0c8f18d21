package dnssec

import (
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// TestNamesByLabel compares the functions on names with those of miekg/dns. Names
// are compared by label, not by character.
func TestNamesByLabel(t *testing.T) {
	names := []string{".", "org.", "example.org.", "mx.example.org.", "anexample.org.", `a\.example.org.`, `a\\.example.org.`, `a\\\.example.org.`,
		`\..org.`, "*.org.", "*.", `x.\..`, `\\.`, "_25._tcp.mx.example.org."}
	for _, name := range names {
		offsets := dns.Split(name)
		for n := -1; n <= len(offsets)+1; n++ {
			want := name
			switch {
			case n <= 0:
				want = "."
			case n < len(offsets):
				want = name[offsets[len(offsets)-n]:]
			}
			if got := suffix(name, n); got != want {
				t.Errorf("the last %d labels of %s: %s, want %s", n, name, got, want)
			}
		}
		for _, zone := range names {
			if got, want := within(name, zone), dns.IsSubDomain(zone, name); got != want {
				t.Errorf("%s within %s: %v, want %v", name, zone, got, want)
			}
		}
	}
}

// TestWireNameLength checks that names have at most 255 octets, including the
// length octets and the root (RFC 1035 §2.3.4), even if they are escaped.
func TestWireNameLength(t *testing.T) {
	for _, c := range []struct {
		name   string
		letter string
	}{
		{"in letters", "a"},
		{"escaped", `\001`},
	} {
		t.Run(c.name, func(t *testing.T) {
			label := func(n int) string { return strings.Repeat(c.letter, n) + "." }
			three := label(63) + label(63) + label(63) // 192 octets
			for last, ok := range map[int]bool{60: true, 61: true, 62: false, 63: false} {
				wire, err := appendName([]byte("before"), three+label(last))
				if (err == nil) != ok || ok && len(wire) != len("before")+192+1+last+1 {
					t.Errorf("%d octets: %d in wire form, %v", 192+1+last+1, len(wire)-len("before"), err)
				}
			}
		})
	}
}
