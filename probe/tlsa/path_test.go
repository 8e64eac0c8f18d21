package tlsa

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"strings"
	"testing"
	"time"
)

// extension adds an extension with a value in DER.
func extension(critical bool, der string, oid ...int) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: oid, Critical: critical, Value: []byte(der)})
	}
}

func netscapeCertType(bits string) func(*x509.Certificate) {
	return extension(false, "\x03\x02\x00"+bits, 2, 16, 840, 1, 113730, 1, 1)
}

func extKeyUsage(usages ...x509.ExtKeyUsage) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.ExtKeyUsage = usages }
}

func keyUsage(usage x509.KeyUsage) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.KeyUsage = usage }
}

// keyIDs sets the key identifiers of a certificate and of its issuer.
func keyIDs(own, issuer string) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.SubjectKeyId, c.AuthorityKeyId = []byte(own), []byte(issuer) }
}

// matchOne matches one record against a chain, for mx at now.
func matchOne(r Record, roots *x509.CertPool, sent ...*party) Match {
	return Verifier{Usages: Client(), Names: []string{mx}, Roots: roots, At: now}.Match([]Record{r}, chainOf(sent...))[0]
}

// The dates of an anchor count only if it is self-issued. The integration test
// TestChains compares the same chains with OpenSSL and Postfix.
func TestAnchorDates(t *testing.T) {
	past, ahead := notAfter(now.Add(-day)), notBefore(now.Add(day))
	root, other := issue(t, nil, "Root", authority()), issue(t, nil, "Other", authority())
	sub := issue(t, root, "Issuer", authority())
	leaf := issue(t, sub, "leaf", host(mx))
	oldSub, newSub := issue(t, root, "Old Issuer", authority(past)), issue(t, root, "New Issuer", authority(ahead))
	underOld, underNew := issue(t, oldSub, "leaf", host(mx)), issue(t, newSub, "leaf", host(mx))
	oldRoot, newRoot := issue(t, nil, "Old Root", authority(past)), issue(t, nil, "New Root", authority(ahead))
	crossed := issueFor(t, other, root.key, "Root", authority(past))
	rolled := issue(t, issue(t, nil, "Rolling", authority()), "Rolling", authority(keyIDs("current", "former"), past))
	leafExpiry := now.Add(60 * day)

	for _, test := range []struct {
		name    string
		sent    []*party
		record  Record
		failure Failure
		advice  string // part of AnchorOutOfDate
	}{
		{"an expired intermediate is the anchor", []*party{underOld, oldSub}, record(t, oldSub, DANETA, Cert, SHA256), None, "Old Issuer"},
		{"an intermediate that is not valid yet is the anchor", []*party{underNew, newSub}, record(t, newSub, DANETA, SPKI, SHA256), None, "not valid before"},
		{"an expired intermediate below the anchor", []*party{underOld, oldSub, root}, record(t, root, DANETA, Cert, SHA256), Expired, ""},
		{"an intermediate below the anchor that is not valid yet", []*party{underNew, newSub, root}, record(t, root, DANETA, Cert, SHA256), NotYetValid, ""},
		{"an expired self-signed root", []*party{issue(t, oldRoot, "leaf", host(mx)), oldRoot}, record(t, oldRoot, DANETA, Cert, SHA256), Expired, ""},
		{"a self-signed root that is not valid yet", []*party{issue(t, newRoot, "leaf", host(mx)), newRoot}, record(t, newRoot, DANETA, Cert, SHA256), NotYetValid, ""},
		{"an expired cross-signed root", []*party{leaf, sub, crossed}, record(t, crossed, DANETA, Cert, SHA256), None, "Root"},
		{"an expired cross-signed root in DNS", []*party{leaf, sub}, record(t, crossed, DANETA, Cert, Full), None, "Root"},
		{"an expired self-signed root in DNS", []*party{issue(t, oldRoot, "leaf", host(mx))}, record(t, oldRoot, DANETA, Cert, Full), Expired, ""},
		{"an expired intermediate in DNS", []*party{underOld}, record(t, oldSub, DANETA, Cert, Full), None, "Old Issuer"},
		{"a root that its former key signed, expired", []*party{issue(t, rolled, "leaf", host(mx)), rolled}, record(t, rolled, DANETA, Cert, SHA256), None, "Rolling"},
		{"a bare key above an expired intermediate", []*party{underOld, oldSub}, record(t, root, DANETA, SPKI, Full), Expired, ""},
		{"an intermediate that is valid", []*party{leaf, sub}, record(t, sub, DANETA, Cert, SHA256), None, ""},
	} {
		m := matchOne(test.record, nil, test.sent...)
		expiry := leafExpiry
		if test.failure != None {
			expiry = time.Time{}
		}
		if !m.Matches || m.Failure != test.failure || !m.Expiry.Equal(expiry) {
			t.Errorf("%s: matches %v, failure %d, until %s (%s); want failure %d, until %s", test.name, m.Matches, m.Failure, m.Expiry, m.Why, test.failure, expiry)
		}
		if (m.AnchorOutOfDate == "") != (test.advice == "") || !strings.Contains(m.AnchorOutOfDate, test.advice) {
			t.Errorf("%s: the anchor is out of date: %q, want %q", test.name, m.AnchorOutOfDate, test.advice)
		}
	}
}

// A certificate must be for the purpose of a TLS server, under all usages but
// DANE-EE, as OpenSSL requires.
func TestPurpose(t *testing.T) {
	server, client, anyUsage := x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageAny
	const sgc, netscapeSGC = x509.ExtKeyUsageMicrosoftServerGatedCrypto, x509.ExtKeyUsageNetscapeServerGatedCrypto
	root := issue(t, nil, "Root", authority())
	sub := issue(t, root, "Issuer", authority())

	for _, test := range []struct {
		name   string
		change func(*x509.Certificate)
		leaf   bool // it may be the certificate of a server
		issuer bool // it may be an issuer below the anchor
		anchor bool // it may be the anchor
	}{
		{"serverAuth", extKeyUsage(server), true, true, true},
		{"clientAuth", extKeyUsage(client), false, false, false},
		{"clientAuth and serverAuth", extKeyUsage(client, server), true, true, true},
		{"anyExtendedKeyUsage", extKeyUsage(anyUsage), false, false, false},
		{"anyExtendedKeyUsage and serverAuth", extKeyUsage(anyUsage, server), true, true, true},
		{"Microsoft SGC", extKeyUsage(sgc), true, true, true},
		{"Netscape SGC", extKeyUsage(netscapeSGC), true, true, true},
		{"an unknown extended key usage", func(c *x509.Certificate) { c.UnknownExtKeyUsage = []asn1.ObjectIdentifier{{1, 2, 3}} }, false, false, false},
		{"empty extended key usage", extension(false, "\x30\x00", 2, 5, 29, 37), false, false, false},
		{"nsCertType client", netscapeCertType("\x80"), false, true, true},
		{"nsCertType server", netscapeCertType("\x40"), true, true, true},
		{"critical nsCertType server", extension(true, "\x03\x02\x06\x40", 2, 16, 840, 1, 113730, 1, 1), true, true, true},
		{"nsCertType sslCA", netscapeCertType("\x04"), false, true, true},
		{"malformed nsCertType", extension(false, "\x04\x00", 2, 16, 840, 1, 113730, 1, 1), false, false, false},
		{"keyCertSign and digitalSignature", keyUsage(x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature), true, true, true},
		{"keyCertSign and keyEncipherment", keyUsage(x509.KeyUsageCertSign | x509.KeyUsageKeyEncipherment), true, true, true},
		{"keyCertSign and keyAgreement", keyUsage(x509.KeyUsageCertSign | x509.KeyUsageKeyAgreement), true, true, true},
		{"keyCertSign alone", keyUsage(x509.KeyUsageCertSign), false, true, true},
		{"nonRepudiation alone", keyUsage(x509.KeyUsageContentCommitment), false, false, false},
		{"cRLSign alone", keyUsage(x509.KeyUsageCRLSign), false, false, false},
		{"no key usage", keyUsage(0), true, true, true},
		{"empty key usage", extension(true, "\x03\x01\x00", 2, 5, 29, 15), false, false, false},
		{"no basic constraints, keyCertSign and digitalSignature", func(c *x509.Certificate) {
			c.IsCA, c.BasicConstraintsValid, c.KeyUsage = false, false, x509.KeyUsageCertSign|x509.KeyUsageDigitalSignature
		}, true, false, true},
		{"no basic constraints, no key usage", func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid, c.KeyUsage = false, false, 0 }, true, false, false},
		{"no basic constraints, nsCertType server and sslCA", all(netscapeCertType("\x44"), func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid, c.KeyUsage = false, false, 0 }), true, false, true},
		{"no CA", all(keyUsage(0), func(c *x509.Certificate) { c.IsCA = false }), true, false, false},
		{"unknown critical extension", extension(true, "\x05\x00", 1, 2, 3), false, false, false},
		{"unknown extension", all(keyUsage(0), extension(false, "\x05\x00", 1, 2, 3)), true, true, true},
		{"proxy certificate", all(keyUsage(0), extension(false, "\x30\x00", 1, 3, 6, 1, 5, 5, 7, 1, 14)), false, false, false},
		{"critical name of an unknown kind", all(keyUsage(0), extension(true, "\x30\x04\x88\x02\x2a\x03", 2, 5, 29, 17)), true, true, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			// The certificate is the leaf. Its name is in the subject, as some changes are of the names.
			base := keyUsage(x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature)
			leaf := issue(t, sub, mx, authority(base, test.change))
			issuer := issue(t, root, "Middle", authority(base, test.change))
			below := issue(t, issuer, "leaf", host(mx))
			for _, c := range []struct {
				what    string
				r       Record
				roots   *x509.CertPool
				sent    []*party
				want    bool
				failure Failure
			}{
				{"DANE-EE", record(t, leaf, DANEEE, Cert, SHA256), nil, []*party{leaf, sub}, true, None},
				{"leaf, DANE-TA", record(t, sub, DANETA, Cert, SHA256), nil, []*party{leaf, sub}, test.leaf, ChainInvalid},
				{"leaf, anchor in DNS", record(t, sub, DANETA, Cert, Full), nil, []*party{leaf}, test.leaf, ChainInvalid},
				{"leaf, key in DNS", record(t, sub, DANETA, SPKI, Full), nil, []*party{leaf}, test.leaf, ChainInvalid},
				{"leaf, PKIX-EE", record(t, leaf, PKIXEE, Cert, SHA256), poolOf(root), []*party{leaf, sub}, test.leaf, ChainInvalid},
				{"leaf, PKIX-TA", record(t, sub, PKIXTA, Cert, SHA256), poolOf(root), []*party{leaf, sub}, test.leaf, ChainInvalid},
				{"issuer", record(t, root, DANETA, Cert, SHA256), nil, []*party{below, issuer, root}, test.issuer, ChainInvalid},
				{"issuer, PKIX-EE", record(t, below, PKIXEE, Cert, SHA256), poolOf(root), []*party{below, issuer}, test.issuer, ChainInvalid},
				{"anchor", record(t, issuer, DANETA, Cert, SHA256), nil, []*party{below, issuer, root}, test.anchor, ChainInvalid},
				{"anchor in DNS", record(t, issuer, DANETA, Cert, Full), nil, []*party{below}, test.anchor, ChainInvalid},
			} {
				m := matchOne(c.r, c.roots, c.sent...)
				if m.Authenticates() != c.want {
					t.Errorf("%s: authenticates: %v, want %v (failure %d, %s)", c.what, m.Authenticates(), c.want, m.Failure, m.Why)
				}
				failure := c.failure
				if c.roots != nil && strings.HasPrefix(test.name, "malformed") { // there is no path
					failure = PKIXUntrusted
				}
				if !c.want && m.Failure != failure && m.Failure != Mismatch {
					t.Errorf("%s: failure %d, want %d (%s)", c.what, m.Failure, failure, m.Why)
				}
			}
		})
	}
}

// Names, key identifiers and path lengths decide which certificate may have issued another.
func TestLinks(t *testing.T) {
	root := issue(t, nil, "Root", authority())
	sub := issue(t, root, "Two  Words", authority())
	// as returns the issuer with a subject that leaves write as their issuer.
	as := func(tag int, text string) *party {
		copied := *sub.Certificate
		name, err := asn1.Marshal(pkix.RDNSequence{{{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: asn1.RawValue{Tag: tag, Bytes: []byte(text)}}}})
		if err != nil {
			t.Fatal(err)
		}
		copied.RawSubject = name
		return &party{&copied, sub.key}
	}
	otherKey := *sub.Certificate
	otherKey.SubjectKeyId = []byte("another key")
	zero := authority(func(c *x509.Certificate) { c.MaxPathLenZero = true })
	short := issue(t, nil, "Short", zero)
	again := issue(t, short, "Short", authority(keyIDs("next", string(short.SubjectKeyId))))
	longer := issue(t, short, "Longer", authority())
	akid := func(der string) func(*x509.Certificate) { return extension(false, der, 2, 5, 29, 35) }
	serial := fmt.Sprintf("\x30\x03\x82\x01%c", sub.SerialNumber.Bytes()[0])
	generalNames := func(names string) string {
		value, err := asn1.Marshal(struct {
			Issuer asn1.RawValue
			Serial asn1.RawValue
		}{
			asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 1, IsCompound: true, Bytes: []byte(names)},
			asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 2, Bytes: sub.SerialNumber.Bytes()},
		})
		if err != nil {
			t.Fatal(err)
		}
		return string(value)
	}
	issuerName := func(der []byte) string { return "\xa4" + string([]byte{byte(len(der))}) + string(der) }
	plain := issue(t, root, "Plain", func(c *x509.Certificate) { // crypto/x509 adds a key identifier to CAs that it knows as such
		c.KeyUsage = x509.KeyUsageCertSign
		extension(true, "\x30\x03\x01\x01\xff", 2, 5, 29, 19)(c)
	})
	// old has no basic constraints, so that it does not limit the length of a path.
	old := issue(t, root, "Old", keyUsage(x509.KeyUsageCertSign))
	upper := issue(t, old, "Upper", authority())
	middle := issue(t, upper, "Middle", authority())
	lower := issue(t, middle, "Lower", authority())
	leafOf := func(issuer *party, changes ...func(*x509.Certificate)) *party {
		return issue(t, issuer, "leaf", all(append(changes, host(mx))...))
	}
	for _, test := range []struct {
		name   string
		sent   []*party
		anchor *party
		want   bool
	}{
		{"same name", []*party{leafOf(sub), sub}, sub, true},
		{"another string type", []*party{leafOf(as(asn1.TagUTF8String, "Two  Words")), sub}, sub, true},
		{"another case", []*party{leafOf(as(asn1.TagPrintableString, "two  WORDS")), sub}, sub, true},
		{"other white space", []*party{leafOf(as(asn1.TagPrintableString, " Two Words  ")), sub}, sub, true},
		{"T61String", []*party{leafOf(as(asn1.TagT61String, "Two Words")), sub}, sub, true},
		{"BMPString", []*party{leafOf(as(asn1.TagBMPString, "\x00T\x00w\x00o\x00 \x00W\x00o\x00r\x00d\x00s")), sub}, sub, true},
		{"another name", []*party{leafOf(as(asn1.TagPrintableString, "TwoWords")), sub}, sub, false},
		{"authority key identifier of another key", []*party{leafOf(&party{&otherKey, sub.key}), sub}, sub, false},
		{"authority serial number", []*party{leafOf(sub, akid(serial)), sub}, sub, true},
		{"another authority serial number", []*party{leafOf(sub, akid("\x30\x03\x82\x01\x7e")), sub}, sub, false},
		{"authority issuer", []*party{leafOf(sub, akid(generalNames(issuerName(root.RawSubject)))), sub}, sub, true},
		{"another authority issuer", []*party{leafOf(sub, akid(generalNames(issuerName(sub.RawSubject)))), sub}, sub, false},
		{"another authority issuer after a name of another kind", []*party{leafOf(sub, akid(generalNames("\x82\x01a"+issuerName(sub.RawSubject)))), sub}, sub, false},
		{"authority issuer of another kind", []*party{leafOf(sub, akid(generalNames("\x82\x01a"))), sub}, sub, true},
		{"authority key identifier, the issuer has none", []*party{leafOf(plain, keyIDs("", "some key")), plain}, plain, true},
		{"path length 0", []*party{leafOf(short), short}, short, true},
		{"one issuer below path length 0", []*party{leafOf(longer), longer, short}, short, false},
		{"three issuers below an anchor without basic constraints", []*party{leafOf(lower), lower, middle, upper, old}, old, true},
		{"a self-issued certificate does not count", []*party{leafOf(again), again, short}, short, true},
	} {
		m := matchOne(record(t, test.anchor, DANETA, Cert, SHA256), nil, test.sent...)
		if m.Authenticates() != test.want || !m.Matches {
			t.Errorf("%s: authenticates: %v, want %v (%s)", test.name, m.Authenticates(), test.want, m.Why)
		}
	}
}

func TestSinglePath(t *testing.T) {
	root, other := issue(t, nil, "Root", authority()), issue(t, nil, "Other", authority())
	sub := issue(t, root, "Issuer", authority())
	leaf := issue(t, sub, "leaf", host(mx))
	crossed := issueFor(t, other, sub.key, "Issuer", authority())
	expired := issueFor(t, other, sub.key, "Issuer", authority(notAfter(now.Add(-day))))
	ahead := issueFor(t, other, sub.key, "Issuer", authority(notBefore(now.Add(day))))
	client := issueFor(t, other, sub.key, "Issuer", authority(extKeyUsage(x509.ExtKeyUsageClientAuth)))
	wrongName := issue(t, sub, "leaf", host("www.example.org"))
	deep := []*party{root}
	for i := range 110 {
		deep = append([]*party{issue(t, deep[0], fmt.Sprint("Deep ", i), authority())}, deep...)
	}
	chainBelow := func(intermediates int) []*party { // with the root
		issuers := deep[len(deep)-1-intermediates:]
		return append([]*party{issue(t, issuers[0], "leaf", host(mx))}, issuers...)
	}
	ta := func(of *party) Record { return record(t, of, DANETA, Cert, SHA256) }
	for _, test := range []struct {
		name    string
		sent    []*party
		records []Record
		depth   int
		failure string // part of Failure; empty: authenticates
		roots   *x509.CertPool
	}{
		{"root", []*party{leaf, sub, root}, []Record{ta(root)}, 2, "", nil},
		{"it stops at the first anchor", []*party{leaf, sub, root}, []Record{ta(root), ta(sub)}, 1, "", nil},
		{"the certificate to the root comes first", []*party{leaf, sub, crossed, root}, []Record{ta(root)}, 2, "", nil},
		{"the certificate to another root comes first", []*party{leaf, crossed, sub, root}, []Record{ta(root)}, 1, "no record describes", nil},
		{"another root is an anchor too", []*party{leaf, crossed, sub, root, other}, []Record{ta(root), ta(other)}, 2, "", nil},
		{"an expired certificate is passed over", []*party{leaf, expired, sub, root}, []Record{ta(root)}, 2, "", nil},
		{"a certificate that is not valid yet is passed over", []*party{leaf, ahead, sub, root}, []Record{ta(root)}, 2, "", nil},
		{"all have expired or are not valid yet: the last to expire counts", []*party{leaf, expired, ahead}, []Record{ta(ahead)}, 1, "", nil},
		{"the first has the wrong purpose", []*party{leaf, client, sub}, []Record{record(t, sub, DANETA, SPKI, SHA256)}, 1, "serverAuth", nil},
		{"a certificate in DNS comes before those sent", []*party{leaf, sub}, []Record{ta(sub), record(t, client, DANETA, Cert, Full)}, 1, "serverAuth", nil},
		{"a key in DNS", []*party{leaf, sub}, []Record{record(t, root, DANETA, SPKI, Full)}, 2, "", nil},
		{"a key in DNS that did not sign the last certificate", []*party{leaf, sub, root}, []Record{record(t, other, DANETA, SPKI, Full)}, 2, "no record describes", nil},
		{"a record that a stronger digest supersedes", []*party{leaf, sub}, []Record{ta(sub), record(t, other, DANETA, Cert, SHA512)}, 1, "no record describes", nil},
		{"another name", []*party{wrongName, sub}, []Record{ta(sub)}, 1, "www.example.org", nil},
		{"11 certificates above the leaf", chainBelow(10), []Record{ta(root)}, 11, "", nil},
		{"43 certificates above the leaf", chainBelow(42), []Record{ta(root)}, 43, "", nil},
		{"101 certificates above the leaf", chainBelow(100), []Record{ta(root)}, 101, "", nil},
		{"102 certificates above the leaf", chainBelow(101), []Record{ta(root)}, 101, "no record describes", nil},
		{"101 certificates above the leaf and a key in DNS", chainBelow(101)[:102], []Record{record(t, root, DANETA, SPKI, Full)}, 101, "no record describes", nil},
		{"100 certificates above the leaf and a key in DNS", chainBelow(100)[:101], []Record{record(t, root, DANETA, SPKI, Full)}, 101, "", nil},
		{"records of other usages do not count", []*party{leaf, sub}, []Record{record(t, leaf, DANEEE, Cert, SHA256), record(t, sub, PKIXTA, Cert, SHA256)}, 1, "no record describes", nil},
		{"the leaf, under a system root", []*party{leaf, sub}, []Record{record(t, leaf, PKIXEE, Cert, SHA256)}, 2, "", poolOf(root)},
		{"an issuer, under a system root", []*party{leaf, sub}, []Record{record(t, sub, PKIXTA, Cert, SHA256)}, 2, "", poolOf(root)},
		{"a system root that was not sent", []*party{leaf, sub}, []Record{record(t, root, PKIXTA, Cert, SHA256)}, 2, "", poolOf(root)},
		{"another system root than that of the record", []*party{leaf, sub}, []Record{record(t, other, PKIXTA, Cert, SHA256)}, 2, "no record describes", poolOf(root, other)},
		{"no path to the system roots", []*party{leaf, sub}, []Record{record(t, leaf, PKIXEE, Cert, SHA256)}, 1, "no record describes", poolOf(other)},
		{"the certificate to another root than the system's comes first", []*party{leaf, crossed, sub}, []Record{record(t, leaf, PKIXEE, Cert, SHA256)}, 1, "no record describes", poolOf(root)},
		{"the certificate to the system root comes first", []*party{leaf, sub, crossed}, []Record{record(t, leaf, PKIXEE, Cert, SHA256)}, 2, "", poolOf(root)},
		{"no certificate", nil, []Record{ta(root)}, 0, "no certificate", nil},
	} {
		v := Verifier{Usages: Client(), Names: []string{mx}, Roots: test.roots, At: now}
		got := v.SinglePath(test.records, chainOf(test.sent...))
		if got.Depth != test.depth || (got.Failure == "") != (test.failure == "") || !strings.Contains(got.Failure, test.failure) {
			t.Errorf("%s: depth %d, failure %q; want %d, %q", test.name, got.Depth, got.Failure, test.depth, test.failure)
		}
	}
}

// Signatures that OpenSSL 3 refuses do not count, except that of the anchor.
func TestWeakSignatures(t *testing.T) {
	for algorithm, weak := range map[x509.SignatureAlgorithm]bool{
		x509.MD5WithRSA: true, x509.SHA1WithRSA: true, x509.ECDSAWithSHA1: true, x509.SHA256WithRSA: false, x509.ECDSAWithSHA384: false, x509.PureEd25519: false,
	} {
		if isWeak(algorithm) != weak {
			t.Errorf("%s: weak %v, want %v", algorithm, !weak, weak)
		}
	}
	root := issue(t, nil, "Root", authority())
	// ECDSA with SHA-1: crypto/x509 makes such a certificate.
	old := func(c *x509.Certificate) { c.SignatureAlgorithm = x509.ECDSAWithSHA1 }
	sub := issue(t, root, "Issuer", authority(old))
	below := issue(t, sub, "leaf", host(mx))
	for _, test := range []struct {
		name string
		r    Record
		sent []*party
		want bool
	}{
		{"the leaf", record(t, root, DANETA, Cert, SHA256), []*party{issue(t, root, "leaf", all(host(mx), old)), root}, false},
		{"an intermediate", record(t, root, DANETA, Cert, SHA256), []*party{below, sub, root}, false},
		{"the anchor", record(t, sub, DANETA, Cert, SHA256), []*party{below, sub, root}, true},
		{"by a key in DNS", record(t, root, DANETA, SPKI, Full), []*party{below, sub}, true},
	} {
		if m := matchOne(test.r, nil, test.sent...); m.Authenticates() != test.want {
			t.Errorf("SHA-1 signature of %s: authenticates: %v, want %v (%s)", test.name, m.Authenticates(), test.want, m.Why)
		}
	}
}

// Of several paths that fail, the result is that of the one that came closest. A path
// that is not judged, or not found, may be valid.
func TestBestPath(t *testing.T) {
	root, sub := issue(t, nil, "Root", authority()), issue(t, nil, "Issuer", authority())
	variant := func(changes ...func(*x509.Certificate)) *party {
		return issueFor(t, root, sub.key, "Issuer", authority(append(changes, keyIDs("sub", ""))...))
	}
	expired, ahead := variant(notAfter(now.Add(-day))), variant(notBefore(now.Add(day)))
	client := variant(extKeyUsage(x509.ExtKeyUsageClientAuth))
	open := variant(permit(general(tagURI, "example.org")))
	valid := variant()
	uri := alternatives(general(tagURI, "urn:a:b"))
	for _, test := range []struct {
		name    string
		leaf    func(*x509.Certificate)
		issuers []*party
		failure Failure
	}{
		{"wrong purpose, expired", host(mx), []*party{client, expired}, Expired},
		{"expired, wrong purpose", host(mx), []*party{expired, client}, Expired},
		{"wrong purpose, not valid yet", host(mx), []*party{client, ahead}, NotYetValid},
		{"expired, wrong name", host("mx.example.net"), []*party{expired, valid}, NameMismatch},
		{"wrong name, expired", host("mx.example.net"), []*party{valid, expired}, NameMismatch},
		{"expired, not judged", uri, []*party{expired, open}, Unmeasured},
		{"not judged, expired", uri, []*party{open, expired}, Unmeasured},
		{"not judged, valid", uri, []*party{open, valid}, None},
		{"valid, not judged", uri, []*party{valid, open}, None},
	} {
		sent := append(append([]*party{issue(t, &party{valid.Certificate, sub.key}, "leaf", test.leaf)}, test.issuers...), root)
		if m := matchOne(record(t, root, DANETA, Cert, SHA256), nil, sent...); m.Failure != test.failure {
			t.Errorf("%s: failure %d (%s), want %d", test.name, m.Failure, m.Why, test.failure)
		}
	}
}

// A hostile server sends certificates of one name and key, which form more paths
// than are followed: the verdict is open, in bounded time.
func TestPathLimits(t *testing.T) {
	root := issue(t, nil, "Mesh", authority(keyIDs("", "")))
	anchor := issue(t, nil, "Anchor", authority())
	sent := []*party{issue(t, root, "leaf", host(mx)), anchor}
	for i := range 40 {
		sent = append(sent, issueFor(t, root, root.key, "Mesh", authority(func(c *x509.Certificate) { c.NotAfter = now.Add(time.Duration(i+1) * day) })))
	}
	m := matchOne(record(t, anchor, DANETA, Cert, SHA256), nil, sent...)
	if m.Failure != Unmeasured || !strings.Contains(m.Why, "too many") {
		t.Errorf("failure %d (%s), want %d", m.Failure, m.Why, Unmeasured)
	}
	// Some paths to this anchor are found, and all of them have expired.
	old := issueFor(t, root, root.key, "Mesh", authority(notAfter(now.Add(-day))))
	sent = append([]*party{sent[0], old}, sent[1:]...)
	for what, m := range map[string]Match{
		"sent":   matchOne(record(t, old, DANETA, Cert, SHA256), nil, sent...),
		"in DNS": matchOne(record(t, issueFor(t, root, root.key, "Mesh", authority(notAfter(now.Add(-2*day)))), DANETA, Cert, Full), nil, sent...),
		"PKIX":   matchOne(record(t, anchor, PKIXTA, Cert, SHA256), poolOf(root), sent...),
	} {
		if m.Failure != Unmeasured || !strings.Contains(m.Why, "too many") {
			t.Errorf("%s: failure %d (%s), want %d", what, m.Failure, m.Why, Unmeasured)
		}
	}
	chain := chainOf(sent...)
	if paths := chain.pathSet(nil); len(paths.all) > maxPaths || chain.memo.made > 43 {
		t.Errorf("%d paths and %d checks; the limit is %d paths, and there are 43 certificates of one issuer", len(paths.all), chain.memo.made, maxPaths)
	}
}

// The type of the issuer's key must be that of the signature. Types that crypto/x509
// does not know are left open.
func TestKeyAlgorithms(t *testing.T) {
	for _, c := range []struct {
		signature x509.SignatureAlgorithm
		key       x509.PublicKeyAlgorithm
		want      bool
	}{
		{x509.SHA256WithRSA, x509.RSA, true},
		{x509.SHA256WithRSAPSS, x509.RSA, true},
		{x509.ECDSAWithSHA384, x509.ECDSA, true},
		{x509.PureEd25519, x509.Ed25519, true},
		{x509.DSAWithSHA256, x509.DSA, true},
		{x509.SHA256WithRSA, x509.ECDSA, false},
		{x509.ECDSAWithSHA256, x509.RSA, false},
		{x509.PureEd25519, x509.ECDSA, false},
		{x509.UnknownSignatureAlgorithm, x509.RSA, true},
		{x509.SHA256WithRSA, x509.UnknownPublicKeyAlgorithm, true},
	} {
		n := newNode(&x509.Certificate{SignatureAlgorithm: c.signature, PublicKeyAlgorithm: c.key})
		if got := n.selfIssued(); got != c.want {
			t.Errorf("signature %s, key %s: self-issued %v, want %v", c.signature, c.key, got, c.want)
		}
	}
}

// The topmost certificate may be an old root of version 1.
func TestVersion1(t *testing.T) {
	root := &x509.Certificate{Version: 1}
	other := &x509.Certificate{Version: 1, RawIssuer: []byte("other")}
	for _, c := range []struct {
		name          string
		certificate   *x509.Certificate
		topmost, want bool
	}{
		{"self-signed root", root, true, true},
		{"intermediate", root, false, false},
		{"not self-signed", other, true, false},
		{"version 3", &x509.Certificate{Version: 3}, true, false},
	} {
		if err := newNode(c.certificate).checkCA(c.topmost); (err == nil) != c.want {
			t.Errorf("%s: %v, want CA: %v", c.name, err, c.want)
		}
	}
}

func TestCheckIssuer(t *testing.T) {
	root := issue(t, nil, "Root", authority())
	for _, c := range []struct {
		name string
		of   *party
		want bool
	}{
		{"root", root, true},
		{"intermediate", issue(t, root, "Issuer", authority()), true},
		{"expired intermediate", issue(t, root, "Issuer", authority(notAfter(now.Add(-day)))), true},
		{"expired root", issue(t, nil, "Old", authority(notAfter(now.Add(-day)))), false},
		{"root that is not valid yet", issue(t, nil, "New", authority(notBefore(now.Add(day)))), false},
		{"leaf", issue(t, root, "leaf", host(mx)), false},
		{"no basic constraints, keyCertSign", issue(t, root, "Old CA", keyUsage(x509.KeyUsageCertSign)), true},
		{"CA for clients", issue(t, root, "Clients", authority(extKeyUsage(x509.ExtKeyUsageClientAuth))), false},
		{"unknown critical extension", issue(t, root, "Strange", authority(extension(true, "\x05\x00", 1, 2, 3))), false},
	} {
		if err := CheckIssuer(c.of.Certificate, now); (err == nil) != c.want {
			t.Errorf("%s: %v, want an issuer: %v", c.name, err, c.want)
		}
	}
}

// A signature that crypto/x509 cannot check leaves the verdict open.
func TestUnsupportedSignature(t *testing.T) {
	root := issue(t, nil, "Root", authority())
	leaf := issue(t, root, "leaf", host(mx))
	unsupported := *root.Certificate
	unsupported.PublicKey, unsupported.PublicKeyAlgorithm = nil, x509.UnknownPublicKeyAlgorithm // as of an Ed448 key
	chain := chainOf(leaf, &party{&unsupported, root.key})
	r := record(t, root, DANETA, Cert, SHA256)
	v := Verifier{Usages: Client(), Names: []string{mx}, At: now}
	if m := v.Match([]Record{r}, chain)[0]; m.Failure != Unmeasured || !m.Matches {
		t.Errorf("failure %d (%s), want %d", m.Failure, m.Why, Unmeasured)
	}
	v.Roots = poolOf(issue(t, nil, "Other", authority()))
	if m := v.Match([]Record{record(t, leaf, PKIXEE, Cert, SHA256)}, chain)[0]; m.Failure != Unmeasured || !m.Matches {
		t.Errorf("PKIX-EE: failure %d (%s), want %d", m.Failure, m.Why, Unmeasured)
	}
}
