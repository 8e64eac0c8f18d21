//go:build integration

package integration

import (
	"bufio"
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	verifier "dane_exporter/probe/tlsa"
)

// A party is a certificate and its key.
type party struct {
	*x509.Certificate
	key crypto.Signer
}

type alteration = func(*x509.Certificate)

// A forge makes certificates. It keeps no state but the time and the test.
type forge struct {
	t   *testing.T
	now time.Time
}

// issue makes a certificate with a new P-256 key; self-signed without an issuer.
func (f forge) issue(issuer *party, name string, changes ...alteration) *party {
	f.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.t.Fatal(err)
	}
	return f.issueFor(issuer, key, name, changes...)
}

// issueFor makes a certificate for a key.
func (f forge) issueFor(issuer *party, key crypto.Signer, name string, changes ...alteration) *party {
	f.t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		f.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: f.now.AddDate(0, -1, 0), NotAfter: f.now.AddDate(1, 0, 0),
	}
	for _, c := range changes {
		c(template)
	}
	parent, signer := template, key
	if issuer != nil {
		parent, signer = issuer.Certificate, issuer.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		f.t.Fatalf("%s: %v", name, err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		f.t.Fatalf("%s: %v", name, err)
	}
	return &party{certificate, key}
}

func ca(c *x509.Certificate) {
	c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
}

func (f forge) expired(c *x509.Certificate) { c.NotAfter = f.now.AddDate(0, 0, -1) }
func (f forge) future(c *x509.Certificate)  { c.NotBefore = f.now.AddDate(0, 0, 1) }

func keyUsage(usage x509.KeyUsage) alteration {
	return func(c *x509.Certificate) { c.KeyUsage = usage }
}

func extKeyUsage(usages ...x509.ExtKeyUsage) alteration {
	return func(c *x509.Certificate) { c.ExtKeyUsage = usages }
}

// extension adds an extension with a value in DER.
func extension(critical bool, value string, oid ...int) alteration {
	return func(c *x509.Certificate) {
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: oid, Critical: critical, Value: []byte(value)})
	}
}

// nsCertType is the obsolete extension of Netscape.
func nsCertType(bits byte) alteration {
	return extension(false, "\x03\x02\x00"+string([]byte{bits}), 2, 16, 840, 1, 113730, 1, 1)
}

// subjectAs encodes the subject as a string of another type and text.
func subjectAs(tag int, text string) alteration {
	return func(c *x509.Certificate) {
		name, err := asn1.Marshal(pkix.RDNSequence{{{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: asn1.RawValue{Tag: tag, Bytes: []byte(text)}}}})
		if err != nil {
			panic(err)
		}
		c.RawSubject = name
	}
}

func pathLength(n int) alteration {
	return func(c *x509.Certificate) { c.MaxPathLen, c.MaxPathLenZero = n, n == 0 }
}

// A verdict of a peer.
type verdict string

const (
	yes verdict = "authenticated"
	no  verdict = "refused"
)

func verdictOf(authenticated bool) verdict {
	if authenticated {
		return yes
	}
	return no
}

// A chainCase is a chain, records, and the verdicts on them.
type chainCase struct {
	name    string
	sent    []*party
	records []string
	want    bool // the records authenticate the server, for us and for OpenSSL
	// The verdicts of SinglePath, of openssl s_client and of Postfix, if they differ.
	single, openssl, postfix verdict
	difference               string // the reason
}

func tlsaOf(usage verifier.Usage, selector verifier.Selector, matching verifier.MatchingType, of *party) string {
	r, err := verifier.NewRecord(of.Certificate, usage, selector, matching)
	if err != nil {
		panic(err)
	}
	return r.String()
}

func ta(of *party) string { return tlsaOf(verifier.DANETA, verifier.Cert, verifier.SHA256, of) }

// mxName is the name that every leaf is for.
const mxName = "mx.chains.test"

func mxLeaf(c *x509.Certificate) { c.DNSNames = []string{mxName} }

// chainCases returns the table of chains.
func chainCases(f forge) []chainCase {
	root := f.issue(nil, "Root", ca)
	sub := f.issue(root, "Issuer", ca)
	leaf := f.issue(sub, "leaf", mxLeaf)
	authenticates := func(name string, sent []*party, records ...string) chainCase {
		return chainCase{name: name, sent: sent, records: records, want: true}
	}
	refuses := func(name string, sent []*party, records ...string) chainCase {
		return chainCase{name: name, sent: sent, records: records}
	}
	differs := func(c chainCase) chainCase {
		c.single, c.openssl, c.postfix = no, no, no
		c.difference = "OpenSSL takes the first certificate that may have issued the last one, and tries no other path"
		return c
	}
	cases := []chainCase{
		authenticates("root", []*party{leaf, sub, root}, ta(root)),
		authenticates("intermediate", []*party{leaf, sub}, ta(sub)),
		authenticates("order of the chain", []*party{leaf, root, sub}, ta(root)),
		refuses("intermediate missing", []*party{leaf, root}, ta(root)),
		refuses("record of the leaf", []*party{leaf, sub, root}, ta(leaf)),
	}

	// Dates.
	oldSub, newSub := f.issue(root, "Old Issuer", ca, f.expired), f.issue(root, "New Issuer", ca, f.future)
	oldRoot, newRoot := f.issue(nil, "Old Root", ca, f.expired), f.issue(nil, "New Root", ca, f.future)
	underOldSub, underNewSub := f.issue(oldSub, "leaf", mxLeaf), f.issue(newSub, "leaf", mxLeaf)
	underOldRoot, underNewRoot := f.issue(oldRoot, "leaf", mxLeaf), f.issue(newRoot, "leaf", mxLeaf)
	other := f.issue(nil, "Other", ca)
	crossedOld := f.issueFor(other, root.key, "Root", ca, f.expired)
	oldLeaf := f.issue(sub, "leaf", mxLeaf, f.expired)
	// A root certified by its former key: self-issued by its names, but not self-signed.
	skid := func(id string) alteration { return func(c *x509.Certificate) { c.SubjectKeyId = []byte(id) } }
	formerKey := f.issue(nil, "Rolling", ca, skid("former"))
	akid := func(id string) alteration { return func(c *x509.Certificate) { c.AuthorityKeyId = []byte(id) } }
	rolledOld := f.issue(formerKey, "Rolling", ca, skid("current"), akid("former"), f.expired)
	underRolled := f.issue(rolledOld, "leaf", mxLeaf)
	sameNameOld := f.issue(f.issue(nil, "Same", ca, skid("")), "Same", ca, skid(""), f.expired)
	underSameName := f.issue(sameNameOld, "leaf", mxLeaf)
	cases = append(cases,
		authenticates("expired intermediate as anchor", []*party{underOldSub, oldSub}, ta(oldSub)),
		authenticates("intermediate as anchor, not valid yet", []*party{underNewSub, newSub}, ta(newSub)),
		authenticates("expired intermediate as anchor, by key", []*party{underOldSub, oldSub, root}, tlsaOf(2, 1, 1, oldSub)),
		refuses("expired intermediate below the anchor", []*party{underOldSub, oldSub, root}, ta(root)),
		authenticates("expired intermediate as anchor, records of it and the root", []*party{underOldSub, oldSub, root}, ta(root), ta(oldSub)),
		refuses("expired root", []*party{underOldRoot, oldRoot}, ta(oldRoot)),
		refuses("root not valid yet", []*party{underNewRoot, newRoot}, ta(newRoot)),
		authenticates("expired cross-signed root", []*party{leaf, sub, crossedOld}, ta(crossedOld)),
		authenticates("expired cross-signed root, in DNS", []*party{leaf, sub}, tlsaOf(2, 0, 0, crossedOld)),
		authenticates("expired intermediate, in DNS", []*party{underOldSub}, tlsaOf(2, 0, 0, oldSub)),
		refuses("expired root, in DNS", []*party{underOldRoot}, tlsaOf(2, 0, 0, oldRoot)),
		authenticates("key of an expired root, in DNS", []*party{underOldRoot}, tlsaOf(2, 1, 0, oldRoot)),
		refuses("key in DNS, expired intermediate", []*party{underOldSub, oldSub}, tlsaOf(2, 1, 0, root)),
		refuses("expired leaf", []*party{oldLeaf, sub}, ta(sub)),
		authenticates("expired root with the former key's signature", []*party{underRolled, rolledOld}, ta(rolledOld)),
		refuses("expired anchor that seems self-signed by its names", []*party{underSameName, sameNameOld}, ta(sameNameOld)),
		authenticates("expired leaf, record of the leaf too", []*party{oldLeaf, sub}, ta(sub), tlsaOf(3, 1, 1, oldLeaf)),
	)

	// Purposes of the leaf.
	server, client, anyUsage := x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageAny
	purpose := func(name string, want bool, changes ...alteration) {
		l := f.issue(sub, "leaf", append([]alteration{mxLeaf}, changes...)...)
		cases = append(cases,
			chainCase{name: "leaf: " + name, sent: []*party{l, sub}, records: []string{ta(sub)}, want: want},
			chainCase{name: "leaf: " + name + ", DANE-EE", sent: []*party{l, sub}, records: []string{tlsaOf(3, 1, 1, l)}, want: true})
	}
	purpose("serverAuth", true, extKeyUsage(server))
	purpose("clientAuth", false, extKeyUsage(client))
	purpose("serverAuth and clientAuth", true, extKeyUsage(client, server))
	purpose("anyExtendedKeyUsage", false, extKeyUsage(anyUsage))
	purpose("anyExtendedKeyUsage and serverAuth", true, extKeyUsage(anyUsage, server))
	purpose("emailProtection", false, extKeyUsage(x509.ExtKeyUsageEmailProtection))
	purpose("unknown usage", false, func(c *x509.Certificate) { c.UnknownExtKeyUsage = []asn1.ObjectIdentifier{{1, 2, 3, 4}} })
	purpose("Microsoft SGC", true, extKeyUsage(x509.ExtKeyUsageMicrosoftServerGatedCrypto))
	purpose("Netscape SGC", true, extKeyUsage(x509.ExtKeyUsageNetscapeServerGatedCrypto))
	purpose("empty extended key usage", false, extension(false, "\x30\x00", 2, 5, 29, 37))
	purpose("critical clientAuth", false, extension(true, "\x30\x0a\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x02", 2, 5, 29, 37))
	purpose("nsCertType client", false, nsCertType(0x80))
	purpose("nsCertType server", true, nsCertType(0x40))
	purpose("nsCertType client and server", true, nsCertType(0xc0))
	purpose("nsCertType sslCA", false, nsCertType(0x04))
	purpose("critical nsCertType server", true, extension(true, "\x03\x02\x06\x40", 2, 16, 840, 1, 113730, 1, 1))
	purpose("digitalSignature", true, keyUsage(x509.KeyUsageDigitalSignature))
	purpose("keyEncipherment", true, keyUsage(x509.KeyUsageKeyEncipherment))
	purpose("keyAgreement", true, keyUsage(x509.KeyUsageKeyAgreement))
	purpose("nonRepudiation", false, keyUsage(x509.KeyUsageContentCommitment))
	purpose("dataEncipherment", false, keyUsage(x509.KeyUsageDataEncipherment))
	purpose("keyCertSign", false, keyUsage(x509.KeyUsageCertSign))
	purpose("keyCertSign and digitalSignature", true, keyUsage(x509.KeyUsageCertSign|x509.KeyUsageDigitalSignature))
	purpose("encipherOnly", false, keyUsage(x509.KeyUsageEncipherOnly))
	purpose("empty key usage", false, extension(true, "\x03\x01\x00", 2, 5, 29, 15))
	purpose("a CA", true, ca, keyUsage(x509.KeyUsageCertSign|x509.KeyUsageDigitalSignature))
	purpose("unknown critical extension", false, extension(true, "\x05\x00", 1, 2, 3, 4))
	purpose("unknown extension", true, extension(false, "\x05\x00", 1, 2, 3, 4))

	// Purposes of the anchor and of an intermediate.
	issuerPurpose := func(name string, anchor, intermediate bool, changes ...alteration) {
		i := f.issue(root, "Issuer", append([]alteration{ca}, changes...)...)
		l := f.issue(i, "leaf", mxLeaf)
		cases = append(cases,
			chainCase{name: "anchor: " + name, sent: []*party{l, i}, records: []string{ta(i)}, want: anchor},
			chainCase{name: "anchor in DNS: " + name, sent: []*party{l}, records: []string{tlsaOf(2, 0, 0, i)}, want: anchor},
			chainCase{name: "key of the anchor in DNS: " + name, sent: []*party{l}, records: []string{tlsaOf(2, 1, 0, i)}, want: true},
			chainCase{name: "intermediate: " + name, sent: []*party{l, i, root}, records: []string{ta(root)}, want: intermediate},
			chainCase{name: "below a key in DNS: " + name, sent: []*party{l, i}, records: []string{tlsaOf(2, 1, 0, root)}, want: anchor})
	}
	withoutCA := func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid, c.KeyUsage = false, false, 0 }
	issuerPurpose("serverAuth", true, true, extKeyUsage(server))
	issuerPurpose("clientAuth", false, false, extKeyUsage(client))
	issuerPurpose("anyExtendedKeyUsage", false, false, extKeyUsage(anyUsage))
	issuerPurpose("empty extended key usage", false, false, extension(false, "\x30\x00", 2, 5, 29, 37))
	issuerPurpose("Microsoft SGC", true, true, extKeyUsage(x509.ExtKeyUsageMicrosoftServerGatedCrypto))
	issuerPurpose("nsCertType client", true, true, nsCertType(0x80))
	issuerPurpose("cRLSign", false, false, keyUsage(x509.KeyUsageCRLSign))
	issuerPurpose("digitalSignature", false, false, keyUsage(x509.KeyUsageDigitalSignature))
	issuerPurpose("no key usage", true, true, keyUsage(0))
	issuerPurpose("no basic constraints and no key usage", false, false, withoutCA)
	issuerPurpose("no basic constraints, keyCertSign", true, false, withoutCA, keyUsage(x509.KeyUsageCertSign))
	issuerPurpose("not a CA", false, false, func(c *x509.Certificate) { c.IsCA = false })
	issuerPurpose("unknown critical extension", false, false, extension(true, "\x05\x00", 1, 2, 3, 4))

	// Path lengths.
	short := f.issue(nil, "Short", ca, pathLength(0))
	below := f.issue(short, "Below", ca)
	shortKey := f.issue(nil, "Short", ca)
	selfIssued := f.issueFor(short, shortKey.key, "Short", ca, skid("next"), akid(string(short.SubjectKeyId)))
	seemsSelfSigned := f.issueFor(short, shortKey.key, "Short", ca)
	cases = append(cases,
		refuses("path too long", []*party{f.issue(below, "leaf", mxLeaf), below, short}, ta(short)),
		authenticates("path length 0", []*party{f.issue(short, "leaf", mxLeaf), short}, ta(short)),
		authenticates("path length 0 of the intermediate that is the anchor", []*party{f.issue(below, "leaf", mxLeaf), below, short}, ta(below)),
		authenticates("a self-issued certificate does not lengthen the path", []*party{f.issue(selfIssued, "leaf", mxLeaf), selfIssued, short}, ta(short)),
		differs(authenticates("a certificate that seems self-signed by its names", []*party{f.issue(seemsSelfSigned, "leaf", mxLeaf), seemsSelfSigned, short}, ta(short))),
	)

	// Names of issuers and key identifiers.
	renamed := *sub
	renamedTo := func(tag int, text string) *party {
		r, c := renamed, *renamed.Certificate
		subjectAs(tag, text)(&c)
		r.Certificate = &c
		return &r
	}
	const printableTag, utf8Tag, ia5Tag, bmpTag = asn1.TagPrintableString, asn1.TagUTF8String, asn1.TagIA5String, asn1.TagBMPString
	wrongSKID := *sub.Certificate
	wrongSKID.SubjectKeyId = []byte("another key")
	for name, issuer := range map[string]*party{
		"as UTF8String":      renamedTo(utf8Tag, "Issuer"),
		"in capitals":        renamedTo(printableTag, "ISSUER"),
		"with spaces":        renamedTo(printableTag, "  Issuer "),
		"as BMPString":       renamedTo(bmpTag, "\x00I\x00s\x00s\x00u\x00e\x00r"),
		"as IA5 in capitals": renamedTo(ia5Tag, "iSSUER"),
	} {
		cases = append(cases, authenticates("issuer name "+name, []*party{f.issue(issuer, "leaf", mxLeaf), sub}, ta(sub)))
	}
	spaced := f.issue(root, "Two  Words", ca)
	spacedAs := *spaced
	spacedCopy := *spaced.Certificate
	subjectAs(printableTag, "two words")(&spacedCopy)
	spacedAs.Certificate = &spacedCopy
	cases = append(cases,
		authenticates("issuer name with one space for two", []*party{f.issue(&spacedAs, "leaf", mxLeaf), spaced}, ta(spaced)),
		refuses("issuer name differs", []*party{f.issue(renamedTo(printableTag, "Issue"), "leaf", mxLeaf), sub}, ta(sub)),
		refuses("authority key identifier of another key", []*party{f.issue(&party{&wrongSKID, sub.key}, "leaf", mxLeaf), sub}, ta(sub)),
		refuses("authority serial number of another certificate", []*party{
			f.issue(sub, "leaf", mxLeaf, extension(false, "\x30\x03\x82\x01\x05", 2, 5, 29, 35)), sub}, ta(sub)),
	)

	// Name constraints.
	permits := func(domain string) alteration {
		return func(c *x509.Certificate) {
			c.PermittedDNSDomains, c.PermittedDNSDomainsCritical = []string{domain}, true
		}
	}
	inside, outside := f.issue(root, "Inside", ca, permits("chains.test")), f.issue(root, "Outside", ca, permits("example.org"))
	dotted, capitals, exact := f.issue(root, "Dotted", ca, permits(".chains.test")), f.issue(root, "Capitals", ca, permits("Chains.TEST")), f.issue(root, "Exact", ca, permits(mxName))
	excluding := f.issue(root, "Excluding", ca, func(c *x509.Certificate) { c.ExcludedDNSDomains = []string{"chains.test"} })
	cases = append(cases,
		authenticates("name constraint met", []*party{f.issue(inside, "leaf", mxLeaf), inside, root}, ta(root)),
		authenticates("name constraint of the anchor met", []*party{f.issue(inside, "leaf", mxLeaf), inside}, ta(inside)),
		refuses("name constraint not met", []*party{f.issue(outside, "leaf", mxLeaf), outside, root}, ta(root)),
		refuses("name constraint of the anchor not met", []*party{f.issue(outside, "leaf", mxLeaf), outside}, ta(outside)),
		authenticates("name constraint met by the common name", []*party{f.issue(inside, mxName), inside}, ta(inside)),
		refuses("name constraint not met by the common name", []*party{f.issue(outside, mxName), outside}, ta(outside)),
		refuses("common name excluded", []*party{f.issue(excluding, mxName), excluding}, ta(excluding)),
		authenticates("name constraint not met by a common name beside a dNSName", []*party{f.issue(inside, "www.example.org", mxLeaf), inside}, ta(inside)),
		authenticates("name constraint with a leading dot", []*party{f.issue(dotted, "leaf", mxLeaf), dotted}, ta(dotted)),
		authenticates("name constraint with a leading dot, common name", []*party{f.issue(dotted, mxName), dotted}, ta(dotted)),
		authenticates("name constraint in capitals", []*party{f.issue(capitals, "leaf", mxLeaf), capitals}, ta(capitals)),
		authenticates("name constraint met by the host itself", []*party{f.issue(exact, "leaf", mxLeaf), exact}, ta(exact)),
		refuses("second name outside of the constraint", []*party{f.issue(inside, "leaf", func(c *x509.Certificate) { c.DNSNames = []string{mxName, "www.example.org"} }), inside}, ta(inside)),
		authenticates("name constraint met by a wildcard", []*party{f.issue(inside, "leaf", func(c *x509.Certificate) { c.DNSNames = []string{"*.chains.test"} }), inside}, ta(inside)),
		authenticates("name constraint met by a name with an underscore", []*party{f.issue(inside, "leaf", func(c *x509.Certificate) { c.DNSNames = []string{mxName, "a_b.chains.test"} }), inside}, ta(inside)),
		refuses("name excluded", []*party{f.issue(excluding, "leaf", mxLeaf), excluding}, ta(excluding)),
	)

	// Keys and signatures.
	rsaKey := func(bits int) *rsa.PrivateKey {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			f.t.Fatal(err)
		}
		return key
	}
	_, edKey, _ := ed25519.GenerateKey(rand.Reader)
	p521, _ := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	rsaCA := f.issueFor(root, rsaKey(2048), "RSA", ca)
	weakCA := f.issueFor(root, rsaKey(1024), "RSA 1024", ca)
	edCA, p521CA := f.issueFor(root, edKey, "Ed25519", ca), f.issueFor(root, p521, "P-521", ca)
	algorithm := func(a x509.SignatureAlgorithm) alteration {
		return func(c *x509.Certificate) { c.SignatureAlgorithm = a }
	}
	sha1Sub := f.issue(rsaCA, "SHA-1", ca, algorithm(x509.SHA1WithRSA))
	cases = append(cases,
		authenticates("RSA", []*party{f.issue(rsaCA, "leaf", mxLeaf), rsaCA}, ta(rsaCA)),
		authenticates("RSA-PSS signature", []*party{f.issue(rsaCA, "leaf", mxLeaf, algorithm(x509.SHA256WithRSAPSS)), rsaCA}, ta(rsaCA)),
		authenticates("Ed25519", []*party{f.issue(edCA, "leaf", mxLeaf), edCA}, ta(edCA)),
		authenticates("P-521", []*party{f.issue(p521CA, "leaf", mxLeaf), p521CA, root}, ta(root)),
		refuses("SHA-1 signature of the leaf", []*party{f.issue(rsaCA, "leaf", mxLeaf, algorithm(x509.SHA1WithRSA)), rsaCA}, ta(rsaCA)),
		refuses("SHA-1 signature of an intermediate", []*party{f.issue(sha1Sub, "leaf", mxLeaf), sha1Sub, rsaCA}, ta(rsaCA)),
		authenticates("SHA-1 signature of the anchor", []*party{f.issue(sha1Sub, "leaf", mxLeaf), sha1Sub, rsaCA}, ta(sha1Sub)),
		authenticates("SHA-1 signature by a key in DNS", []*party{f.issue(sha1Sub, "leaf", mxLeaf), sha1Sub}, tlsaOf(2, 1, 0, rsaCA)),
		chainCase{name: "RSA-1024 as anchor", sent: []*party{f.issue(weakCA, "leaf", mxLeaf), weakCA}, records: []string{ta(weakCA)}, want: true,
			openssl: no, difference: "Postfix sets security level 1, Debian's default is 2"},
	)

	// Names of the leaf.
	cases = append(cases,
		refuses("another name", []*party{f.issue(sub, "leaf", func(c *x509.Certificate) { c.DNSNames = []string{"www.chains.test"} }), sub}, ta(sub)),
		authenticates("wildcard", []*party{f.issue(sub, "leaf", func(c *x509.Certificate) { c.DNSNames = []string{"*.chains.test"} }), sub}, ta(sub)),
		authenticates("common name only", []*party{f.issue(sub, mxName), sub}, ta(sub)),
	)

	// Orders of cross-signed certificates. OpenSSL follows one path.
	crossed := f.issueFor(other, sub.key, "Issuer", ca)
	crossedExpired := f.issueFor(other, sub.key, "Issuer", ca, f.expired)
	crossedClient := f.issueFor(other, sub.key, "Issuer", ca, extKeyUsage(client))
	crossedRoot := f.issueFor(other, root.key, "Root", ca)
	stranger := f.issue(root, "Issuer", ca) // same name, another key
	// crypto/x509 adds a key identifier to each CA that it knows as one.
	plainCA := func(c *x509.Certificate) {
		c.KeyUsage = x509.KeyUsageCertSign
		extension(true, "\x30\x03\x01\x01\xff", 2, 5, 29, 19)(c)
	}
	withoutSKID, strangerWithoutSKID := f.issue(root, "Plain", plainCA), f.issue(root, "Plain", plainCA)
	plainRoot, strangerRoot := f.issue(nil, "Plain Root", plainCA), f.issue(nil, "Plain Root", plainCA)
	underPlainRoot := f.issue(plainRoot, "Below", plainCA)
	plainLeaf := f.issue(withoutSKID, "leaf", mxLeaf)
	cases = append(cases,
		authenticates("cross-signed, the path to the anchor first", []*party{leaf, sub, crossed, root}, ta(root)),
		differs(authenticates("cross-signed, the other path first", []*party{leaf, crossed, sub, root}, ta(root))),
		differs(authenticates("cross-signed, the other path first, with its root", []*party{leaf, crossed, other, sub, root}, ta(root))),
		authenticates("cross-signed, the other path first, record of both roots", []*party{leaf, crossed, other, sub, root}, ta(root), ta(other)),
		authenticates("cross-signed, the other path first, expired", []*party{leaf, crossedExpired, sub, root}, ta(root)),
		differs(authenticates("cross-signed, the other path first, wrong purpose", []*party{leaf, crossedClient, sub, root}, ta(root), tlsaOf(2, 1, 1, sub))),
		authenticates("cross-signed, record of the key", []*party{leaf, crossed, sub, root}, tlsaOf(2, 1, 1, sub)),
		differs(authenticates("cross-signed root first", []*party{leaf, sub, crossedRoot, root}, ta(root))),
		authenticates("cross-signed root last", []*party{leaf, sub, root, crossedRoot}, ta(root)),
		differs(authenticates("cross-signed root last, record of its issuer", []*party{leaf, sub, root, crossedRoot, other}, ta(other))),
		authenticates("issuer with another key first, key identifiers differ", []*party{leaf, stranger, sub}, ta(sub)),
		differs(authenticates("issuer with another key first, no key identifiers", []*party{plainLeaf, strangerWithoutSKID, withoutSKID, root}, ta(root))),
		differs(authenticates("certificate in DNS that the path prefers", []*party{leaf, sub, root}, ta(root), tlsaOf(2, 0, 0, crossedClient))),
		authenticates("leaf sent twice", []*party{leaf, leaf, sub}, ta(sub)),
		differs(authenticates("key in DNS that signed below the topmost certificate", []*party{f.issue(underPlainRoot, "leaf", mxLeaf), underPlainRoot, strangerRoot}, tlsaOf(2, 1, 0, plainRoot))),
	)

	// Depth. Postfix follows 9 certificates more.
	deep := func(intermediates int) []*party {
		issuer, chain := root, []*party{root}
		for i := range intermediates {
			issuer = f.issue(issuer, fmt.Sprintf("Deep %d", i), ca)
			chain = append(chain, issuer)
		}
		chain = append(chain, f.issue(issuer, "leaf", mxLeaf))
		slices.Reverse(chain)
		return chain
	}
	for _, n := range []int{7, 8, 9, 10, 11, 31, 42, 99, 100, 101} {
		sent := deep(n)
		c := authenticates(fmt.Sprintf("%d intermediates", n), sent, ta(root))
		inDNS := authenticates(fmt.Sprintf("%d intermediates, root in DNS", n), sent[:n+1], tlsaOf(2, 0, 0, root))
		key := authenticates(fmt.Sprintf("%d intermediates, key in DNS", n), sent[:n+1], tlsaOf(2, 1, 0, root))
		for _, c := range []chainCase{c, inDNS, key} {
			if n > 10 {
				c.postfix, c.difference = no, "smtp_tls_scert_verifydepth is 9; Postfix accepts an anchor at depth 11 at most"
			}
			if n > 100 {
				c.openssl, c.single = no, no // the default verification depth of OpenSSL is 100
			}
			cases = append(cases, c)
		}
	}
	long := deep(11)
	cases = append(cases, authenticates("11 intermediates, DANE-EE", long, tlsaOf(3, 1, 1, long[0]), ta(root)))
	return cases
}

// TestChains compares the verdict on chains with those of openssl s_client and of
// Postfix's posttls-finger.
func TestChains(t *testing.T) {
	configureLoopback(t)
	dir := tempDir(t)
	resolveWith(t, dir, validatorAddress)
	writeFile(t, filepath.Join(dir, "postfix"), "main.cf", fmt.Sprintf(postfixMain, filepath.Join(dir, "postfix")))
	address := netip.MustParseAddr("127.0.0.77")
	roots := writeFile(t, dir, "none.pem", pemOf(forge{t, time.Now()}.issue(nil, "Unrelated", ca).Raw))
	cases := chainCases(forge{t, time.Now()})
	server, zone := newChainServer(t, netip.AddrPortFrom(address, 25)), newChainZone(t, address)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var set []verifier.Record
			for _, text := range c.records {
				r, err := verifier.ParseRecord(text)
				if err != nil {
					t.Fatal(err)
				}
				set = append(set, r)
			}
			var sent []*x509.Certificate
			for _, p := range c.sent {
				sent = append(sent, p.Certificate)
			}
			chain := verifier.NewChain(sent)
			v := verifier.Verifier{Usages: verifier.SMTPRelay(), Names: []string{mxName}, At: time.Now()}
			var ours bool
			var why []string
			for _, m := range v.Match(set, chain) {
				ours = ours || m.Authenticates()
				why = append(why, m.Why)
			}
			single := v.SinglePath(set, chain)

			server.serve(c.sent)
			zone.publish(c.records)
			client := sClient{base: mxName, records: c.records, roots: roots, options: []string{"-starttls", "smtp"}}
			openssl, text := client.verify(t, netip.AddrPortFrom(address, 25))
			postfix, finger := postTLSFinger(t, dir, "dane", "["+mxName+"]")
			got := [4]verdict{verdictOf(ours), verdictOf(single.Failure == ""), verdictOf(openssl), verdictOf(postfix == verified)}
			all := verdictOf(c.want)
			want := [4]verdict{all, cmp.Or(c.single, all), cmp.Or(c.openssl, all), cmp.Or(c.postfix, all)}
			if isTA := !slices.ContainsFunc(c.records, func(r string) bool { return !strings.HasPrefix(r, "2 ") }); !isTA {
				want[1] = got[1] // SinglePath is of DANE-TA records
			}
			if want[0] != want[3] && c.difference == "" {
				t.Error("the table gives no reason for the difference")
			}
			if got != want {
				t.Errorf("ours, single path, openssl and Postfix: %s, want %s\n%q\n%+v\n%s\n%s", got, want, why, single, text, finger)
			}
		})
	}
}

// TestPKIXChains compares the verdict on PKIX usages with that of openssl s_client.
// Postfix does not support these usages.
func TestPKIXChains(t *testing.T) {
	configureLoopback(t)
	dir := tempDir(t)
	f := forge{t, time.Now()}
	at := netip.MustParseAddrPort("127.0.0.78:25")
	server := newChainServer(t, at)
	root, oldRoot, private := f.issue(nil, "Root", ca), f.issue(nil, "Old Root", ca, f.expired), f.issue(nil, "Private Root", ca)
	roots := writeFile(t, dir, "roots.pem", pemOf(root.Raw)+pemOf(oldRoot.Raw))
	pool := x509.NewCertPool()
	pool.AddCert(root.Certificate)
	pool.AddCert(oldRoot.Certificate)
	client := extKeyUsage(x509.ExtKeyUsageClientAuth)
	sub, oldSub, clientSub := f.issue(root, "Issuer", ca), f.issue(root, "Old", ca, f.expired), f.issue(root, "Client", ca, client)
	capital := *sub.Certificate
	subjectAs(asn1.TagUTF8String, "ISSUER")(&capital)
	crossed := f.issueFor(private, sub.key, "Issuer", ca)
	leaf := f.issue(sub, "leaf", mxLeaf)
	for _, c := range []struct {
		name  string
		leaf  *party
		above []*party
		want  bool // for us; SinglePath and openssl agree unless the order of the chain differs
	}{
		{"complete", leaf, []*party{sub}, true},
		{"with the root", leaf, []*party{sub, root}, true},
		{"intermediate missing", leaf, nil, false},
		{"private root", f.issue(private, "leaf", mxLeaf), []*party{private}, false},
		{"expired root", f.issue(oldRoot, "leaf", mxLeaf), nil, false},
		{"expired intermediate", f.issue(oldSub, "leaf", mxLeaf), []*party{oldSub}, false},
		{"expired leaf", f.issue(sub, "leaf", mxLeaf, f.expired), []*party{sub}, false},
		{"clientAuth", f.issue(sub, "leaf", mxLeaf, client), []*party{sub}, false},
		{"anyExtendedKeyUsage", f.issue(sub, "leaf", mxLeaf, extKeyUsage(x509.ExtKeyUsageAny)), []*party{sub}, false},
		{"Microsoft SGC", f.issue(sub, "leaf", mxLeaf, extKeyUsage(x509.ExtKeyUsageMicrosoftServerGatedCrypto)), []*party{sub}, true},
		{"intermediate for clients", f.issue(clientSub, "leaf", mxLeaf), []*party{clientSub}, false},
		{"nsCertType client", f.issue(sub, "leaf", mxLeaf, nsCertType(0x80)), []*party{sub}, false},
		{"nonRepudiation", f.issue(sub, "leaf", mxLeaf, keyUsage(x509.KeyUsageContentCommitment)), []*party{sub}, false},
		{"another name", f.issue(sub, "leaf"), []*party{sub}, false},
		{"issuer name in capitals", f.issue(&party{&capital, sub.key}, "leaf", mxLeaf), []*party{sub}, true},
		{"cross-signed, the public path second", leaf, []*party{crossed, sub}, true}, // openssl follows the other path
		{"cross-signed, the public path first", leaf, []*party{sub, crossed}, true},
	} {
		sent := append([]*party{c.leaf}, c.above...)
		records := []string{tlsaOf(verifier.PKIXEE, verifier.SPKI, verifier.SHA256, c.leaf)}
		if len(c.above) > 0 {
			records = append(records, tlsaOf(verifier.PKIXTA, verifier.SPKI, verifier.SHA256, c.above[0]))
		}
		server.serve(sent)
		for _, text := range records {
			var certificates []*x509.Certificate
			for _, p := range sent {
				certificates = append(certificates, p.Certificate)
			}
			r, err := verifier.ParseRecord(text)
			if err != nil {
				t.Fatal(err)
			}
			v := verifier.Verifier{Usages: verifier.Client(), Names: []string{mxName}, Roots: pool, At: time.Now()}
			m := v.Match([]verifier.Record{r}, verifier.NewChain(certificates))[0]
			theirs, output := sClient{base: mxName, records: []string{text}, roots: roots, options: []string{"-starttls", "smtp"}}.verify(t, at)
			single := v.SinglePath([]verifier.Record{r}, verifier.NewChain(certificates))
			wantTheirs := c.want && (len(c.above) == 0 || c.above[0] != crossed)
			if m.Authenticates() != c.want || theirs != wantTheirs || (single.Failure == "") != wantTheirs {
				t.Errorf("%s, usage %s: ours %v (%s), single path %+v, openssl %v; want %v and %v\n%s", c.name, r.Usage, m.Authenticates(), m.Why, single, theirs, c.want, wantTheirs, output)
			}
		}
	}
}

func pemOf(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// A chainServer is an SMTP server that presents one chain.
type chainServer struct{ chains chan tls.Certificate }

func newChainServer(t *testing.T, at netip.AddrPort) *chainServer {
	t.Helper()
	listener, err := net.Listen("tcp", at.String())
	if err != nil {
		t.Fatal(err)
	}
	s := &chainServer{make(chan tls.Certificate, 1)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.session(conn)
		}
	}()
	t.Cleanup(func() {
		listener.Close()
		<-done
	})
	return s
}

func (s *chainServer) serve(sent []*party) {
	certificate := tls.Certificate{PrivateKey: sent[0].key}
	for _, p := range sent {
		certificate.Certificate = append(certificate.Certificate, p.Raw)
	}
	select {
	case <-s.chains:
	default:
	}
	s.chains <- certificate
}

// session speaks just enough SMTP for STARTTLS.
func (s *chainServer) session(conn net.Conn) {
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	certificate := <-s.chains
	s.chains <- certificate
	fmt.Fprintf(conn, "220 %s ESMTP\r\n", mxName)
	lines := bufio.NewReader(conn)
	encrypted := false
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		switch verb := strings.ToUpper(strings.TrimSpace(line)); {
		case strings.HasPrefix(verb, "EHLO") && !encrypted:
			fmt.Fprintf(conn, "250-%s\r\n250 STARTTLS\r\n", mxName)
		case strings.HasPrefix(verb, "EHLO"):
			fmt.Fprintf(conn, "250 %s\r\n", mxName)
		case verb == "STARTTLS":
			fmt.Fprint(conn, "220 ready\r\n")
			session := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{certificate}})
			if session.Handshake() != nil {
				return
			}
			conn, lines, encrypted = session, bufio.NewReader(session), true
		case verb == "QUIT":
			fmt.Fprint(conn, "221 bye\r\n")
			return
		default:
			fmt.Fprint(conn, "250 ok\r\n")
		}
	}
}

// A chainZone answers for mxName as a validating resolver does. posttls-finger
// trusts the AD bit.
type chainZone struct{ records chan []string }

func newChainZone(t *testing.T, address netip.Addr) *chainZone {
	t.Helper()
	conn, err := net.ListenPacket("udp", netip.AddrPortFrom(validatorAddress, 53).String())
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", netip.AddrPortFrom(validatorAddress, 53).String())
	if err != nil {
		t.Fatal(err)
	}
	z := &chainZone{make(chan []string, 1)}
	z.records <- nil
	answer := func(w dns.ResponseWriter, q *dns.Msg) {
		reply := new(dns.Msg).SetReply(q)
		reply.AuthenticatedData, reply.RecursionAvailable = true, true
		name := q.Question[0].Name
		var texts []string
		switch q.Question[0].Qtype {
		case dns.TypeA:
			texts = []string{name + " A " + address.String()}
		case dns.TypeTLSA:
			records := <-z.records
			z.records <- records
			for _, r := range records {
				texts = append(texts, name+" TLSA "+r)
			}
		}
		for _, text := range texts {
			rr, err := dns.NewRR(text)
			if err != nil {
				panic(err)
			}
			reply.Answer = append(reply.Answer, rr)
		}
		if opt := q.IsEdns0(); opt != nil {
			reply.SetEdns0(4096, opt.Do())
			if w.LocalAddr().Network() == "udp" {
				reply.Truncate(int(opt.UDPSize()))
			}
		}
		w.WriteMsg(reply)
	}
	udp := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(answer)}
	tcp := &dns.Server{Listener: listener, Handler: dns.HandlerFunc(answer)}
	done := make(chan error, 2)
	go func() { done <- udp.ActivateAndServe() }()
	go func() { done <- tcp.ActivateAndServe() }()
	t.Cleanup(func() {
		err := errors.Join(udp.Shutdown(), tcp.Shutdown(), <-done, <-done)
		if err != nil {
			t.Error(err)
		}
	})
	return z
}

func (z *chainZone) publish(records []string) {
	<-z.records
	z.records <- records
}
