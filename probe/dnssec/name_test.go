package dnssec

import (
	"testing"

	"github.com/miekg/dns"
)

// TestNamesByLabel holds the functions on names to those of miekg/dns: labels
// count, not letters.
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
				t.Errorf("the last %d labels of %s: %s, wanted %s", n, name, got, want)
			}
		}
		for _, zone := range names {
			if got, want := within(name, zone), dns.IsSubDomain(zone, name); got != want {
				t.Errorf("%s within %s: %v, wanted %v", name, zone, got, want)
			}
		}
	}
}
