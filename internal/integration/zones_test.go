//go:build integration

package integration

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"text/template"

	"github.com/miekg/dns"
)

// A signer is the software that signs and serves a zone.
type signer string

const (
	signedByKnot signer = "knot"
	signedByBIND signer = "bind"
	signedByNone signer = "" // unsigned; Knot serves it
)

// A zone describes a zone of the testbed.
type zone struct {
	name      string
	desc      string
	signer    signer
	algorithm string // in the syntax of the signer
	denial    denial
	salt      string // of its NSEC3 records, in hexadecimal; BIND only
	expired   bool   // its signatures expired an hour ago
	wrongDS   bool   // the DS in its parent matches none of its keys
	records   string
	server    netip.Addr // of its nameserver; the default is the address of all zones of the signer
}

// A denial is how a zone proves that names and types do not exist.
type denial string

const (
	nsec        denial = ""
	nsec3       denial = "nsec3"
	nsec3OptOut denial = "nsec3 opt-out"
)

// zoneRecords are records of which each is a different case for a validator.
const zoneRecords = `
text          TXT   "one" "two"
two           A     192.0.2.250
two           A     192.0.2.251
*.wild        TXT   "from a wildcard"
*.wild        A     192.0.2.250
not.wild      TXT   "the wildcard does not reach here"
a.b.empty     TXT   "b.empty is an empty non-terminal"
alias         CNAME text
far           CNAME text.nsec3.test.
to-unsigned   CNAME text.unsigned.example.
to-bogus      CNAME text.wrongds.test.
to-nothing    CNAME nothing
*.aliases     CNAME text
branch        DNAME deep.good.test.
MiXeD         TXT   "upper and lower case"
`

// zones returns the zones of the testbed. The parent of a zone is its closest ancestor.
func zones() []*zone {
	return []*zone{
		{name: ".", signer: signedByKnot, algorithm: "rsasha256",
			desc: "the root, like the real one: RSA and NSEC"},
		{name: "test.", signer: signedByKnot, algorithm: "ecdsap256sha256", denial: nsec3OptOut,
			desc: "a top-level domain with opt-out: unsigned delegations have no NSEC3 records"},
		{name: "example.", signer: signedByBIND, algorithm: "ECDSAP256SHA256",
			desc: "a top-level domain on another server, with NSEC records for all delegations"},

		{name: "good.test.", signer: signedByKnot, algorithm: "ecdsap256sha256", records: zoneRecords,
			desc: "an ordinary signed zone"},
		{name: "deep.good.test.", signer: signedByKnot, algorithm: "ecdsap256sha256", records: zoneRecords,
			desc: "a zone and its parent on one server, so that resolvers get no referral"},
		{name: "nsec3.test.", signer: signedByKnot, algorithm: "rsasha256", denial: nsec3, records: zoneRecords,
			desc: "RSA and hashed denial of existence"},
		{name: "p384.test.", signer: signedByKnot, algorithm: "ecdsap384sha384", records: zoneRecords,
			desc: "ECDSA P-384"},
		{name: "ed25519.test.", signer: signedByKnot, algorithm: "ed25519", denial: nsec3, records: zoneRecords,
			desc: "Ed25519"},
		{name: "knot.example.", signer: signedByKnot, algorithm: "ecdsap256sha256", denial: nsec3OptOut, records: zoneRecords,
			desc: "delegated from BIND to Knot"},
		{name: "bind.test.", signer: signedByBIND, algorithm: "ECDSAP256SHA256", denial: nsec3OptOut, records: zoneRecords,
			desc: "delegated from Knot to BIND"},
		{name: "rsasha512.example.", signer: signedByBIND, algorithm: "RSASHA512", denial: nsec3, records: zoneRecords,
			desc: "an algorithm that is not recommended"},
		{name: "rsasha1.example.", signer: signedByBIND, algorithm: "NSEC3RSASHA1", denial: nsec3, records: zoneRecords,
			desc: "a deprecated algorithm"},
		{name: "ed448.example.", signer: signedByBIND, algorithm: "ED448", records: zoneRecords,
			desc: "Ed448"},

		{name: "unsigned.test.", records: zoneRecords,
			desc: "unsigned below NSEC3 with opt-out"},
		{name: "unsigned.example.", records: zoneRecords,
			desc: "unsigned below NSEC"},
		{name: "island.unsigned.example.", signer: signedByKnot, algorithm: "ecdsap256sha256", records: zoneRecords,
			desc: "signed, but below an unsigned zone: without a chain of trust"},
		{name: "wrongds.test.", signer: signedByKnot, algorithm: "ecdsap256sha256", wrongDS: true, records: zoneRecords,
			desc: "new keys, old DS in the parent"},
		{name: "expired.example.", signer: signedByBIND, algorithm: "ECDSAP256SHA256", expired: true, records: zoneRecords,
			desc: "expired signatures"},
	}
}

// address returns the address of the zone's nameserver.
func (z *zone) address() netip.Addr {
	if z.server.IsValid() {
		return z.server
	}
	if z.signer == signedByBIND {
		return bindAddress
	}
	return knotAddress
}

// addresses returns the addresses at which a program serves its zones, each followed by
// suffix. It adds them to the loopback interface.
func addresses(t testing.TB, main netip.Addr, zones []*zone, suffix, separator string) string {
	t.Helper()
	list := []string{main.String() + suffix}
	for _, z := range zones {
		if z.server.IsValid() {
			addAddress(t, z.server)
			list = append(list, z.server.String()+suffix)
		}
	}
	return strings.Join(list, separator)
}

// file returns the name of the zone file.
func (z *zone) file() string {
	if z.name == "." {
		return "root.zone"
	}
	return z.name + "zone"
}

// nameserver returns the name of the zone's only nameserver.
func (z *zone) nameserver() string { return strings.TrimRight("ns."+z.name, ".") + "." }

// text returns the zone file before it is signed.
func (z *zone) text() string {
	return fmt.Sprintf("$ORIGIN %s\n$TTL 300\n@ SOA %s hostmaster.invalid. 1 3600 600 86400 60\n@ NS %[2]s\n%[2]s A %s\n%s",
		z.name, z.nameserver(), z.address(), z.records)
}

// delegate adds a delegation to child, with its DS records if it has any.
func (z *zone) delegate(child *zone, ds string) {
	z.records += fmt.Sprintf("%s NS %s\n%[2]s A %s\n%s", child.name, child.nameserver(), child.address(), ds)
}

// add adds the records of a site, which are relative to the name of the site.
func (z *zone) add(t testing.TB, s *site) {
	t.Helper()
	functions := template.FuncMap{"tlsa": func(usage, selector, matching int, file string) (string, error) {
		return tlsa(t, usage, selector, matching, file)
	}}
	records, err := template.New(s.name).Funcs(functions).Parse(s.records)
	if err != nil {
		t.Fatalf("%s: %v", s.name, err)
	}
	var text strings.Builder
	if err := records.Execute(&text, s); err != nil {
		t.Fatalf("%s: %v", s.name, err)
	}
	z.records += fmt.Sprintf("$ORIGIN %s.%s\n%s\n$ORIGIN %[2]s\n", s.name, z.name, text.String())
}

// differentialZones returns the zones of the differential test: each algorithm,
// signed by Knot and by BIND, with each kind of denial, below each top-level
// domain. Each zone has a signed and an unsigned child.
func differentialZones() []*zone {
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
		{"ed448", "ED448"},
	} {
		for j, software := range []signer{signedByKnot, signedByBIND} {
			z := &zone{
				name:      fmt.Sprintf("%s-%s.%s", software, algorithm.knot, above[(i+2*j)%3]),
				signer:    software,
				algorithm: algorithm.knot,
				denial:    denials[(i+j)%3],
				records:   differentialRecords,
			}
			if software == signedByBIND {
				z.algorithm, z.salt = algorithm.bind, "ab12"
			}
			if algorithm.knot == "rsasha1" {
				z.denial = nsec // algorithm 5 must not be used with NSEC3 (RFC 5155 §2)
			}
			child := &zone{name: "signed." + z.name, signer: software, algorithm: "ecdsap256sha256",
				denial: z.denial, salt: z.salt, records: differentialRecords}
			list = append(list, z, child, &zone{name: "unsigned." + z.name, records: differentialRecords})
		}
	}
	return list
}

// differentialRecords are records of which each is a different case for a
// validator, with aliases within the zone and to others.
const differentialRecords = `
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

// differentialQuestions returns the questions of the other tests, and more types at
// aliases and cuts. None asks for the CNAME or DNAME of a name below a DNAME: there
// Unbound requires a signature of the CNAME that it synthesized itself, or answers
// for the target of that CNAME. The signature of the DNAME is enough (RFC 6672
// §5.3.1).
func differentialQuestions(t testing.TB, zones []*zone) []question {
	t.Helper()
	all := questions(t, zones)
	for _, z := range zones {
		if z.records == differentialRecords {
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
