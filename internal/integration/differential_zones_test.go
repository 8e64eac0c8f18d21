//go:build integration

package integration

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// manyZones lists the zones of the differential test: each algorithm, signed by
// each software that can, with each kind of denial, below top-level domains of
// every kind. Each has a signed and an unsigned child.
func manyZones() []*zone {
	list := []*zone{
		{name: ".", signer: signedByKnot, algorithm: "rsasha256"},
		{name: "test.", signer: signedByKnot, algorithm: "ecdsap256sha256", denial: nsec3OptOut},
		{name: "example.", signer: signedByBIND, algorithm: "ECDSAP256SHA256"},
		{name: "hashed.", signer: signedByBIND, algorithm: "ED25519", denial: nsec3, salt: "ab12"},
	}
	above := []string{"test.", "example.", "hashed."}
	denials := []denial{nsec, nsec3, nsec3OptOut}
	for i, algorithm := range []struct{ knot, bind string }{
		{"rsasha1", "RSASHA1"},
		{"rsasha1nsec3sha1", "NSEC3RSASHA1"},
		{"rsasha256", "RSASHA256"},
		{"rsasha512", "RSASHA512"},
		{"ecdsap256sha256", "ECDSAP256SHA256"},
		{"ecdsap384sha384", "ECDSAP384SHA384"},
		{"ed25519", "ED25519"},
	} {
		for j, software := range []signer{signedByKnot, signedByBIND} {
			z := &zone{
				name:      fmt.Sprintf("%s-%s.%s", software, algorithm.knot, above[(i+2*j)%3]),
				signer:    software,
				algorithm: algorithm.knot,
				denial:    denials[(i+j)%3],
				records:   assortment,
			}
			if software == signedByBIND {
				z.algorithm, z.salt = algorithm.bind, "ab12"
			}
			if algorithm.knot == "rsasha1" {
				z.denial = nsec // a zone with NSEC3 must not use the number 5 (RFC 5155 §2)
			}
			child := &zone{name: "signed." + z.name, signer: software, algorithm: "ecdsap256sha256",
				denial: z.denial, salt: z.salt, records: assortment}
			list = append(list, z, child, &zone{name: "unsigned." + z.name, records: assortment})
		}
	}
	return list
}

// assortment are records that DNSSEC treats each in its own way, with aliases
// that stay in the zone and that leave it.
const assortment = `
text          TXT   "one" "two"
two           A     192.0.2.250
two           A     192.0.2.251
mx            MX    10 two
mx            MX    20 mx
*.wild        TXT   "from a wildcard"
*.wild        A     192.0.2.250
not.wild      TXT   "the wildcard does not reach here"
a.b.empty     TXT   "b.empty is an empty non-terminal"
alias         CNAME text
again         CNAME alias
down          CNAME text.signed
out           CNAME text.unsigned
far           CNAME two.bind-ed25519.example.
farther       CNAME text.knot-rsasha256.hashed.
to-nothing    CNAME nothing
*.aliases     CNAME text
branch        DNAME signed
MiXeD         TXT   "upper and lower case"
_25._tcp.two  TLSA  3 1 1 0000000000000000000000000000000000000000000000000000000000000001
_443._tcp.two CNAME _25._tcp.two
*._tcp.mx     TLSA  3 1 1 0000000000000000000000000000000000000000000000000000000000000002
`

// manyQuestions are those of the other tests, and some for types that stand at
// aliases and cuts. Nobody is asked for the CNAME or DNAME of a name below a
// DNAME: Unbound then wants a signature over the CNAME that it made up itself,
// or answers for what that CNAME leads to. RFC 6672 §5.3.1: the DNAME's
// signature is enough.
func manyQuestions(t testing.TB, zones []*zone) []question {
	t.Helper()
	all := questions(t, zones)
	for _, z := range zones {
		if z.records == assortment {
			all = append(all, question{"_25._tcp.mx." + z.name, dns.TypeTLSA}, question{"_9._tcp.two." + z.name, dns.TypeTLSA})
		}
	}
	seen := make(map[string]bool)
	for _, q := range slices.Clone(all) {
		if seen[q.name] {
			continue
		}
		seen[q.name] = true
		all = append(all, question{q.name, dns.TypeAAAA})
		if !strings.Contains(q.name, ".branch.") {
			all = append(all, question{q.name, dns.TypeCNAME}, question{q.name, dns.TypeDNAME})
		}
	}
	return all
}
