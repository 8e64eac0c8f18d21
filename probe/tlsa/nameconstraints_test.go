package tlsa

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net"
	"strings"
	"testing"
)

// der returns an element of the context-specific class.
func der(tag int, constructed bool, content ...string) string {
	all := strings.Join(content, "")
	class := asn1.ClassContextSpecific
	if tag >= 16 {
		class = asn1.ClassUniversal
	}
	b, err := asn1.Marshal(asn1.RawValue{Class: class, Tag: tag, IsCompound: constructed, Bytes: []byte(all)})
	if err != nil {
		panic(err)
	}
	return string(b)
}

func sequence(content ...string) string { return der(asn1.TagSequence, true, content...) }

// general returns a GeneralName of a primitive type.
func general(tag int, value string) string { return der(tag, false, value) }

// directory returns a directoryName of organizations, one in each RDN.
func directory(tag int, organizations ...string) string {
	var name pkix.RDNSequence
	for _, o := range organizations {
		name = append(name, pkix.RelativeDistinguishedNameSET{{Type: asn1.ObjectIdentifier{2, 5, 4, 10}, Value: asn1.RawValue{Tag: tag, Bytes: []byte(o)}}})
	}
	b, err := asn1.Marshal(name)
	if err != nil {
		panic(err)
	}
	return der(tagDirectoryName, true, string(b))
}

// other returns an otherName with a UTF8String.
func other(oid asn1.ObjectIdentifier, value string) string {
	id, err := asn1.Marshal(oid)
	if err != nil {
		panic(err)
	}
	return der(tagOtherName, true, string(id), der(0, true, der(asn1.TagUTF8String, false, value)))
}

// constraints returns the extension with one subtree for each base. The two lists are
// of the permitted and of the excluded subtrees.
func constraints(permitted, excluded []string) func(*x509.Certificate) {
	var lists []string
	for tag, bases := range [][]string{permitted, excluded} {
		var subtrees []string
		for _, base := range bases {
			subtrees = append(subtrees, sequence(base))
		}
		if len(bases) > 0 {
			lists = append(lists, der(tag, true, subtrees...))
		}
	}
	return extension(false, sequence(lists...), 2, 5, 29, 30)
}

func permit(bases ...string) func(*x509.Certificate)  { return constraints(bases, nil) }
func exclude(bases ...string) func(*x509.Certificate) { return constraints(nil, bases) }

func permitDNS(name string) func(*x509.Certificate)  { return permit(general(tagDNSName, name)) }
func excludeDNS(name string) func(*x509.Certificate) { return exclude(general(tagDNSName, name)) }

// subjectWith adds attributes to the subject.
func subjectWith(oid asn1.ObjectIdentifier, tag int, value string) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.Subject.ExtraNames = append(c.Subject.ExtraNames, pkix.AttributeTypeAndValue{Type: oid, Value: asn1.RawValue{Tag: tag, Bytes: []byte(value)}})
	}
}

// alternatives makes a certificate with dNSName mx and more names of any type.
func alternatives(names ...string) func(*x509.Certificate) {
	return extension(false, sequence(append(names, general(tagDNSName, mx))...), 2, 5, 29, 17)
}

// A nameCase is a leaf under an issuer with name constraints.
type nameCase struct {
	name    string
	issuer  func(*x509.Certificate)
	leaf    func(*x509.Certificate)
	failure Failure // None, ChainInvalid or Unmeasured
	middle  func(*x509.Certificate)
	same    bool // the certificate between them has the name of the issuer
}

// nameCases are judged as OpenSSL 3 does: the test with the tag integration compares.
func nameCases() []nameCase {
	const ok, refused, open = None, ChainInvalid, Unmeasured
	var (
		email           = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}
		organization    = asn1.ObjectIdentifier{2, 5, 4, 10}
		commonName      = asn1.ObjectIdentifier{2, 5, 4, 3}
		principal       = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3}
		smtpUTF8Mailbox = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 8, 9}
	)
	const utf8, ia5, printable = asn1.TagUTF8String, asn1.TagIA5String, asn1.TagPrintableString
	organized := all(host(mx), subjectWith(organization, utf8, "Example"))
	mailbox := func(address string) func(*x509.Certificate) { return alternatives(general(tagEmail, address)) }
	uri := func(text string) func(*x509.Certificate) { return alternatives(general(tagURI, text)) }
	ipv4 := func(address string, mask string) string {
		return general(tagIPAddress, string(net.ParseIP(address).To4())+string(net.ParseIP(mask).To4()))
	}
	ipv6 := general(tagIPAddress, string(net.ParseIP("2001:db8::"))+string(net.CIDRMask(32, 128)))
	address := func(text string) func(*x509.Certificate) {
		return alternatives(general(tagIPAddress, string(net.ParseIP(text).To4())))
	}
	permitEmail := func(base string) func(*x509.Certificate) { return permit(general(tagEmail, base)) }
	permitURI := func(base string) func(*x509.Certificate) { return permit(general(tagURI, base)) }
	ranged := func(field string) func(*x509.Certificate) {
		return extension(false, sequence(der(0, true, sequence(general(tagDNSName, "example.org"), field))), 2, 5, 29, 30)
	}
	return []nameCase{
		// dNSName
		{name: "permitted", issuer: permitDNS("example.org"), leaf: host(mx)},
		{name: "permitted in capitals", issuer: permitDNS("Example.ORG"), leaf: host(mx)},
		{name: "the first and last letters in capitals", issuer: permit(general(tagDNSName, "ORG"), general(tagDNSName, "AZ")), leaf: host(mx, "b.az")},
		{name: "permitted with a leading dot", issuer: permitDNS(".example.org"), leaf: host(mx)},
		{name: "the domain itself, permitted with a leading dot", issuer: permitDNS(".mx.example.org"), leaf: host(mx), failure: refused},
		{name: "the host is permitted", issuer: permitDNS(mx), leaf: host(mx)},
		{name: "every name is permitted", issuer: permitDNS(""), leaf: host(mx)},
		{name: "one of two is permitted", issuer: permit(general(tagDNSName, "example.net"), general(tagDNSName, "example.org")), leaf: host(mx)},
		{name: "one of two is permitted, the first", issuer: permit(general(tagDNSName, "example.org"), general(tagDNSName, "example.net")), leaf: host(mx)},
		{name: "another domain is permitted", issuer: permitDNS("example.net"), leaf: host(mx), failure: refused},
		{name: "another domain with the same end", issuer: permitDNS("ample.org"), leaf: host(mx), failure: refused},
		{name: "a longer name is permitted", issuer: permitDNS("a.mx.example.org"), leaf: host(mx), failure: refused},
		{name: "excluded", issuer: excludeDNS("example.org"), leaf: host(mx), failure: refused},
		{name: "excluded with a leading dot", issuer: excludeDNS(".example.org"), leaf: host(mx), failure: refused},
		{name: "another domain is excluded", issuer: excludeDNS("example.net"), leaf: host(mx)},
		{name: "the second is excluded", issuer: exclude(general(tagDNSName, "example.net"), general(tagDNSName, "example.org")), leaf: host(mx), failure: refused},
		{name: "permitted, but excluded", issuer: constraints([]string{general(tagDNSName, "org")}, []string{general(tagDNSName, "example.org")}), leaf: host(mx), failure: refused},
		{name: "not permitted, not excluded", issuer: constraints([]string{general(tagDNSName, "net")}, []string{general(tagDNSName, "example.net")}), leaf: host(mx), failure: refused},
		{name: "a second name is not permitted", issuer: permitDNS("example.org"), leaf: host(mx, "mx.example.net"), failure: refused},
		{name: "a wildcard covers an excluded host", issuer: excludeDNS(mx), leaf: host("*.example.org")},
		{name: "a wildcard covers a permitted host", issuer: permitDNS(mx), leaf: host("*.example.org"), failure: refused},
		{name: "a wildcard below a permitted domain", issuer: permitDNS("example.org"), leaf: host("*.example.org")},
		{name: "a wildcard below an excluded domain", issuer: excludeDNS("example.org"), leaf: host("*.example.org"), failure: refused},
		{name: "a second name with a space", issuer: permitDNS("example.org"), leaf: host(mx, "a b.example.org")},
		{name: "a second name with a final dot", issuer: permitDNS("example.org"), leaf: host(mx, "mx.example.org."), failure: refused},
		{name: "a second name with an underscore", issuer: permitDNS("example.org"), leaf: host(mx, "_x.example.org")},
		{name: "a second name that begins with a dot", issuer: permitDNS("example.org"), leaf: host(mx, ".example.org")},

		// Common names replace dNSNames if there are none.
		{name: "common name, permitted", issuer: permitDNS("example.org"), leaf: subjectWith(commonName, utf8, mx)},
		{name: "common name, not permitted", issuer: permitDNS("example.net"), leaf: subjectWith(commonName, utf8, mx), failure: refused},
		{name: "common name, excluded", issuer: excludeDNS("example.org"), leaf: subjectWith(commonName, utf8, mx), failure: refused},
		{name: "common name in capitals", issuer: excludeDNS("example.org"), leaf: subjectWith(commonName, printable, "MX.EXAMPLE.ORG"), failure: refused},
		{name: "a common name of one label does not count", issuer: permitDNS("example.org"), leaf: all(subjectWith(commonName, utf8, mx), subjectWith(commonName, utf8, "leaf"))},
		{name: "a common name with a space does not count", issuer: permitDNS("example.org"), leaf: all(subjectWith(commonName, utf8, mx), subjectWith(commonName, utf8, "a.example.net b"))},
		{name: "a common name with an empty label does not count", issuer: permitDNS("example.org"), leaf: all(subjectWith(commonName, utf8, mx), subjectWith(commonName, utf8, "a..example.net"))},
		{name: "a common name that ends in a dot does not count", issuer: permitDNS("example.org"), leaf: all(subjectWith(commonName, utf8, mx), subjectWith(commonName, utf8, "a.example.net."))},
		{name: "a common name with a hyphen next to a dot does not count", issuer: permitDNS("example.org"), leaf: all(subjectWith(commonName, utf8, mx), subjectWith(commonName, utf8, "a-.example.net"))},
		{name: "a common name with a hyphen after a dot does not count", issuer: permitDNS("example.org"), leaf: all(subjectWith(commonName, utf8, mx), subjectWith(commonName, utf8, "a.-example.net"))},
		{name: "a common name with a hyphen inside", issuer: permitDNS("example.org"), leaf: all(subjectWith(commonName, utf8, mx), subjectWith(commonName, utf8, "a-b.example.net")), failure: refused},
		{name: "a common name with an underscore", issuer: permitDNS("example.org"), leaf: all(subjectWith(commonName, utf8, mx), subjectWith(commonName, utf8, "_a.example.net")), failure: refused},
		{name: "a common name with digits", issuer: permitDNS("example.org"), leaf: all(subjectWith(commonName, utf8, mx), subjectWith(commonName, utf8, "09.example.net")), failure: refused},
		{name: "a common name with the last letters", issuer: permitDNS("example.org"), leaf: all(subjectWith(commonName, utf8, mx), subjectWith(commonName, utf8, "azAZ.example.net")), failure: refused},
		{name: "a common name that ends in NUL", issuer: permitDNS("example.org"), leaf: all(subjectWith(commonName, utf8, mx), subjectWith(commonName, utf8, "a.example.net\x00")), failure: refused},
		{name: "a common name with NUL inside", issuer: permitDNS("example.org"), leaf: all(subjectWith(commonName, utf8, mx), subjectWith(commonName, utf8, "a.example.org\x00b")), failure: refused},
		{name: "a common name with a dNSName does not count", issuer: permitDNS("example.org"), leaf: all(host(mx), subjectWith(commonName, utf8, "www.example.net"))},
		{name: "the common name of an issuer does not count", issuer: permitDNS("example.org"), middle: subjectWith(commonName, utf8, "ca.example.net"), leaf: host(mx)},

		// Issuers
		{name: "an issuer for another domain", issuer: permitDNS("example.org"), middle: host("ca.example.net"), leaf: host(mx), failure: refused},
		{name: "a self-issued certificate is exempt", issuer: permitDNS("example.org"), middle: host("ca.example.net"), same: true, leaf: host(mx)},
		{name: "a self-issued leaf is not exempt", issuer: excludeDNS("example.org"), leaf: all(host(mx), keyIDs("leaf", "root"), func(c *x509.Certificate) { c.Subject.CommonName = "Root" }), failure: refused},
		{name: "a constraint of the lower issuer", middle: permitDNS("example.net"), leaf: host(mx), failure: refused},
		{name: "a constraint of the lower issuer, satisfied", middle: permitDNS("example.org"), leaf: host(mx)},
		{name: "an issuer may not satisfy its constraint", middle: all(permitDNS("example.org"), host("ca.example.net")), leaf: host(mx)},

		// directoryName
		{name: "another directory is permitted", issuer: permit(directory(utf8, "Other")), leaf: organized, failure: refused},
		{name: "directory permitted", issuer: permit(directory(utf8, "Example")), leaf: all(host(mx), func(c *x509.Certificate) {
			c.Subject = pkix.Name{Organization: []string{"Example"}, CommonName: "leaf"}
		})},
		{name: "directory permitted, in capitals and another type", issuer: permit(directory(printable, " EXAMPLE")), leaf: all(host(mx), func(c *x509.Certificate) {
			c.Subject = pkix.Name{Organization: []string{"Example"}, CommonName: "leaf"}
		})},
		{name: "directory permitted, longer than the subject", issuer: permit(directory(utf8, "Example", "Unit")), leaf: all(host(mx), func(c *x509.Certificate) {
			c.Subject = pkix.Name{Organization: []string{"Example"}}
		}), failure: refused},
		{name: "directory excluded", issuer: exclude(directory(utf8, "Example")), leaf: all(host(mx), func(c *x509.Certificate) {
			c.Subject = pkix.Name{Organization: []string{"Example"}}
		}), failure: refused},
		{name: "another directory is excluded", issuer: exclude(directory(utf8, "Exam")), leaf: all(host(mx), func(c *x509.Certificate) {
			c.Subject = pkix.Name{Organization: []string{"Example"}}
		})},
		{name: "every directory is excluded", issuer: exclude(directory(utf8)), leaf: host(mx), failure: refused},
		{name: "an empty subject has no directory", issuer: exclude(directory(utf8)), leaf: all(host(mx), func(c *x509.Certificate) { c.RawSubject = []byte("\x30\x00") })},
		{name: "directory in the subjectAltName", issuer: exclude(directory(utf8, "Example")), leaf: alternatives(directory(utf8, "Example")), failure: refused},

		// rfc822Name
		{name: "no address, addresses are constrained", issuer: permitEmail("example.org"), leaf: host(mx)},
		{name: "address at a permitted host", issuer: permitEmail("Example.org"), leaf: mailbox("a@example.ORG")},
		{name: "address at another host", issuer: permitEmail("example.org"), leaf: mailbox("a@example.net"), failure: refused},
		{name: "address at a host below", issuer: permitEmail("example.org"), leaf: mailbox("a@mx.example.org"), failure: refused},
		{name: "address at a host below, leading dot", issuer: permitEmail(".example.org"), leaf: mailbox("a@mx.example.org")},
		{name: "address at the host, leading dot", issuer: permitEmail(".example.org"), leaf: mailbox("a@example.org"), failure: refused},
		{name: "the address", issuer: permitEmail("a@example.org"), leaf: mailbox("a@Example.org")},
		{name: "address without a local part", issuer: permitEmail("example.org"), leaf: mailbox("@example.org")},
		{name: "another address", issuer: permitEmail("a@example.org"), leaf: mailbox("b@example.org"), failure: refused},
		{name: "the address in capitals", issuer: permitEmail("a@example.org"), leaf: mailbox("A@example.org"), failure: refused},
		{name: "address in the subject alone", issuer: permitEmail("example.org"), leaf: all(host(mx), subjectWith(email, ia5, "a@example.net")), failure: refused},
		{name: "permitted address in the subject", issuer: permitEmail("example.org"), leaf: all(host(mx), subjectWith(email, ia5, "a@example.org"))},
		{name: "address in the subject as another type", issuer: permitDNS("example.org"), leaf: all(host(mx), subjectWith(email, utf8, "a@example.org")), failure: refused},
		{name: "excluded address in the subject", issuer: exclude(general(tagEmail, "example.org")), leaf: all(host(mx), subjectWith(email, ia5, "a@example.org")), failure: refused},
		{name: "no address in the subject's emailAddress", issuer: permitEmail("example.org"), leaf: all(host(mx), subjectWith(email, ia5, "example.org")), failure: refused},

		// URI
		{name: "URI at a permitted host", issuer: permitURI("www.example.org"), leaf: uri("https://WWW.example.org:443/a")},
		{name: "URI at another host", issuer: permitURI("www.example.org"), leaf: uri("https://www.example.net/"), failure: refused},
		{name: "URI at a host below", issuer: permitURI("example.org"), leaf: uri("https://www.example.org"), failure: refused},
		{name: "URI at a host below, leading dot", issuer: permitURI(".example.org"), leaf: uri("https://www.example.org")},
		{name: "URI at the host, leading dot", issuer: permitURI(".example.org"), leaf: uri("https://example.org"), failure: refused},
		{name: "URI with a user", issuer: permitURI("www.example.org"), leaf: uri("https://a@www.example.org/"), failure: open},
		{name: "URI with a colon in its path", issuer: permitURI("www.example.org"), leaf: uri("https://www.example.org/a:b"), failure: open},
		{name: "URN", issuer: permitURI("www.example.org"), leaf: uri("urn:a:b"), failure: open},

		// iPAddress
		{name: "address in a permitted network", issuer: permit(ipv4("192.0.2.0", "255.255.255.0")), leaf: address("192.0.2.7")},
		{name: "address in another network", issuer: permit(ipv4("192.0.2.0", "255.255.255.0")), leaf: address("198.51.100.7"), failure: refused},
		{name: "address in the next network", issuer: permit(ipv4("192.0.2.0", "255.255.255.0")), leaf: address("192.0.3.7"), failure: refused},
		{name: "address of IPv6 in a permitted network", issuer: permit(ipv6), leaf: alternatives(general(tagIPAddress, string(net.ParseIP("2001:db8::1"))))},
		{name: "address of IPv6 in an excluded network", issuer: exclude(ipv6), leaf: alternatives(general(tagIPAddress, string(net.ParseIP("2001:db8::1")))), failure: refused},
		{name: "address in an excluded network", issuer: exclude(ipv4("192.0.2.0", "255.255.255.0")), leaf: address("192.0.2.7"), failure: refused},
		{name: "address of IPv6, networks of IPv4", issuer: permit(ipv4("192.0.2.0", "255.255.255.0")), leaf: alternatives(general(tagIPAddress, string(net.ParseIP("2001:db8::1")))), failure: refused},
		{name: "address of IPv6, excluded network of IPv4", issuer: exclude(ipv4("0.0.0.0", "0.0.0.0")), leaf: alternatives(general(tagIPAddress, string(net.ParseIP("2001:db8::1"))))},
		{name: "no address, networks are constrained", issuer: permit(ipv4("192.0.2.0", "255.255.255.0")), leaf: host(mx)},

		// Other types, and what RFC 5280 does not allow.
		{name: "otherName of the type", issuer: permit(other(principal, "a")), leaf: alternatives(other(principal, "a")), failure: refused},
		{name: "otherName of another type", issuer: permit(other(email, "a")), leaf: alternatives(other(principal, "a"))},
		{name: "internationalized address", issuer: permitEmail("example.org"), leaf: alternatives(other(smtpUTF8Mailbox, "a@example.org")), failure: open},
		{name: "internationalized address, otherNames are constrained", issuer: permit(other(smtpUTF8Mailbox, "a")), leaf: alternatives(other(smtpUTF8Mailbox, "a@example.org"))},
		{name: "registeredID", issuer: permit(general(8, "\x2a\x03")), leaf: alternatives(general(8, "\x2a\x03")), failure: refused},
		{name: "no registeredID, they are constrained", issuer: permit(general(8, "\x2a\x03")), leaf: host(mx)},
		{name: "minimum", issuer: ranged(general(0, "\x01")), leaf: host(mx), failure: refused},
		{name: "maximum", issuer: ranged(general(1, "\x01")), leaf: host(mx), failure: refused},
		{name: "default minimum", issuer: ranged(general(0, "\x00")), leaf: host(mx)},
		{name: "maximum of a type without names", issuer: extension(false, sequence(der(0, true, sequence(general(tagEmail, "example.org"), general(1, "\x01")))), 2, 5, 29, 30), leaf: host(mx)},
		{name: "malformed directory", issuer: extension(true, "\x30\x06\xa0\x04\x30\x02\xa4\x00", 2, 5, 29, 30), leaf: host(mx), failure: open},
	}
}

// parties returns the certificates of a case, leaf first.
func (c nameCase) parties(t *testing.T) []*party {
	t.Helper()
	issuerChange := func(*x509.Certificate) {}
	if c.issuer != nil {
		issuerChange = c.issuer
	}
	root := issue(t, nil, "Root", authority(issuerChange, keyIDs("root", "root")))
	if c.middle == nil {
		return []*party{issue(t, root, "leaf", c.leaf), root}
	}
	name := "Middle"
	if c.same {
		name = "Root"
	}
	middle := issue(t, root, name, authority(c.middle, keyIDs("middle", "root"), func(c *x509.Certificate) { c.SerialNumber.SetInt64(99) }))
	return []*party{issue(t, middle, "leaf", c.leaf), middle, root}
}

func TestNameConstraints(t *testing.T) {
	for _, c := range nameCases() {
		t.Run(c.name, func(t *testing.T) {
			sent := c.parties(t)
			leaf, root := sent[0], sent[len(sent)-1]
			for what, m := range map[string]Match{
				"DANE-TA": matchOne(record(t, root, DANETA, Cert, SHA256), nil, sent...),
				"PKIX-EE": matchOne(record(t, leaf, PKIXEE, Cert, SHA256), poolOf(root), sent[:len(sent)-1]...),
			} {
				if m.Failure != c.failure || !m.Matches {
					t.Errorf("%s: failure %d (%s), want %d", what, m.Failure, m.Why, c.failure)
				}
			}
		})
	}
}

// The text names what the constraints do not allow.
func TestNameConstraintText(t *testing.T) {
	for want, change := range map[string]func(*x509.Certificate){
		`the name "mx.example.org" of the certificate of "CN=leaf"`: excludeDNS("example.org"),
		`the directory name of the certificate of "CN=leaf"`:        permit(directory(asn1.TagUTF8String, "Other")),
	} {
		root := issue(t, nil, "Root", authority(change))
		m := matchOne(record(t, root, DANETA, Cert, SHA256), nil, issue(t, root, "leaf", host(mx)), root)
		if !strings.Contains(m.Why, want) {
			t.Errorf("%q does not contain %q", m.Why, want)
		}
	}
}
