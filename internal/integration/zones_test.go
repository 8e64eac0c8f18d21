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

// signer says whose software signs a zone; it serves it, too.
type signer string

const (
	signedByKnot signer = "knot"
	signedByBIND signer = "bind"
	signedByNone signer = "" // Knot serves it
)

// A zone is a zone of the world, as its owner would describe it.
type zone struct {
	name      string
	desc      string
	signer    signer
	algorithm string // as the signer names it
	denial    denial
	salt      string // of its NSEC3 records, in hexadecimal; BIND only
	expired   bool   // its signatures ended an hour ago
	wrongDS   bool   // its parent's DS matches none of its keys
	records   string
}

// denial says how a zone proves what does not exist.
type denial string

const (
	nsec        denial = ""
	nsec3       denial = "nsec3"
	nsec3OptOut denial = "nsec3 opt-out"
)

// zoneRecords are records that DNSSEC treats each in its own way.
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

// zones lists the zones of the world. A zone's parent is the nearest above it.
func zones() []*zone {
	return []*zone{
		{name: ".", signer: signedByKnot, algorithm: "rsasha256",
			desc: "the root, as the real one: RSA and NSEC"},
		{name: "test.", signer: signedByKnot, algorithm: "ecdsap256sha256", denial: nsec3OptOut,
			desc: "a top-level domain that leaves unsigned delegations out of its proofs"},
		{name: "example.", signer: signedByBIND, algorithm: "ECDSAP256SHA256",
			desc: "a top-level domain on another server, where every delegation has its NSEC"},

		{name: "good.test.", signer: signedByKnot, algorithm: "ecdsap256sha256", records: zoneRecords,
			desc: "the ordinary signed zone"},
		{name: "deep.good.test.", signer: signedByKnot, algorithm: "ecdsap256sha256", records: zoneRecords,
			desc: "a zone below another, both on one server, so that no referral is ever seen"},
		{name: "nsec3.test.", signer: signedByKnot, algorithm: "rsasha256", denial: nsec3, records: zoneRecords,
			desc: "hashed denial of existence"},
		{name: "p384.test.", signer: signedByKnot, algorithm: "ecdsap384sha384", records: zoneRecords,
			desc: "the larger curve"},
		{name: "ed25519.test.", signer: signedByKnot, algorithm: "ed25519", denial: nsec3, records: zoneRecords,
			desc: "the modern curve"},
		{name: "knot.example.", signer: signedByKnot, algorithm: "ecdsap256sha256", denial: nsec3OptOut, records: zoneRecords,
			desc: "delegated from one software to the other"},
		{name: "bind.test.", signer: signedByBIND, algorithm: "ECDSAP256SHA256", denial: nsec3OptOut, records: zoneRecords,
			desc: "and the other way round"},
		{name: "rsasha512.example.", signer: signedByBIND, algorithm: "RSASHA512", denial: nsec3, records: zoneRecords,
			desc: "an algorithm that is going out of use"},
		{name: "rsasha1.example.", signer: signedByBIND, algorithm: "NSEC3RSASHA1", denial: nsec3, records: zoneRecords,
			desc: "an algorithm that is out of use"},
		{name: "ed448.example.", signer: signedByBIND, algorithm: "ED448", records: zoneRecords,
			desc: "an algorithm that a validator may leave out"},

		{name: "unsigned.test.", records: zoneRecords,
			desc: "unsigned below NSEC3 with opt-out"},
		{name: "unsigned.example.", records: zoneRecords,
			desc: "unsigned below NSEC"},
		{name: "island.unsigned.example.", signer: signedByKnot, algorithm: "ecdsap256sha256", records: zoneRecords,
			desc: "signed, but below an unsigned zone: no chain leads here"},
		{name: "wrongds.test.", signer: signedByKnot, algorithm: "ecdsap256sha256", wrongDS: true, records: zoneRecords,
			desc: "its keys were changed and its parent does not know"},
		{name: "expired.example.", signer: signedByBIND, algorithm: "ECDSAP256SHA256", expired: true, records: zoneRecords,
			desc: "nobody signed it again in time"},
	}
}

// address returns the address of the zone's name server.
func (z *zone) address() netip.Addr {
	if z.signer == signedByBIND {
		return bindAddress
	}
	return knotAddress
}

// file names the zone's file.
func (z *zone) file() string {
	if z.name == "." {
		return "root.zone"
	}
	return z.name + "zone"
}

// nameServer returns the name of the zone's only name server.
func (z *zone) nameServer() string { return strings.TrimRight("ns."+z.name, ".") + "." }

// text returns the zone as its owner writes it, before it is signed.
func (z *zone) text() string {
	return fmt.Sprintf("$ORIGIN %s\n$TTL 300\n@ SOA %s hostmaster.invalid. 1 3600 600 86400 60\n@ NS %[2]s\n%[2]s A %s\n%s",
		z.name, z.nameServer(), z.address(), z.records)
}

// delegate adds a delegation to child, with its DS records if it has any.
func (z *zone) delegate(child *zone, ds string) {
	z.records += fmt.Sprintf("%s NS %s\n%[2]s A %s\n%s", child.name, child.nameServer(), child.address(), ds)
}

// add adds the records of a site, which are relative to its own name.
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

// differentialZones lists the zones of the differential test: each algorithm, signed by
// each software that can, with each kind of denial, below top-level domains of
// every kind. Each has a signed and an unsigned child.
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
				z.denial = nsec // a zone with NSEC3 must not use the number 5 (RFC 5155 §2)
			}
			child := &zone{name: "signed." + z.name, signer: software, algorithm: "ecdsap256sha256",
				denial: z.denial, salt: z.salt, records: differentialRecords}
			list = append(list, z, child, &zone{name: "unsigned." + z.name, records: differentialRecords})
		}
	}
	return list
}

// differentialRecords are records that DNSSEC treats each in its own way, with aliases
// that stay in the zone and that leave it.
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

// differentialQuestions are those of the other tests, and some for types that stand at
// aliases and cuts. Unused is asked for the CNAME or DNAME of a name below a
// DNAME: Unbound then wants a signature over the CNAME that it made up itself,
// or answers for what that CNAME leads to. RFC 6672 §5.3.1: the DNAME's
// signature is fullRun.
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
