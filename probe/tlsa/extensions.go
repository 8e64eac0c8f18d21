package tlsa

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"sync"
	"unicode/utf16"
	"unicode/utf8"
)

// The extensions that decide what a certificate may be used for. crypto/x509
// judges some of them otherwise than senders do, and does not parse all.
var (
	oidSubjectKeyIdentifier   = asn1.ObjectIdentifier{2, 5, 29, 14} // RFC 5280 §4.2.1.2
	oidSubjectAltName         = asn1.ObjectIdentifier{2, 5, 29, 17} // RFC 5280 §4.2.1.6
	oidKeyUsage               = asn1.ObjectIdentifier{2, 5, 29, 15} // RFC 5280 §4.2.1.3
	oidNameConstraints        = asn1.ObjectIdentifier{2, 5, 29, 30} // RFC 5280 §4.2.1.10
	oidAuthorityKeyIdentifier = asn1.ObjectIdentifier{2, 5, 29, 35} // RFC 5280 §4.2.1.1
	oidExtendedKeyUsage       = asn1.ObjectIdentifier{2, 5, 29, 37} // RFC 5280 §4.2.1.12
	oidProxyCertInfo          = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 14}
	oidNetscapeCertType       = asn1.ObjectIdentifier{2, 16, 840, 1, 113730, 1, 1}
)

// The attributes of a subject that name a host or a mailbox (RFC 5280 appendix A.1).
var (
	oidCommonName   = asn1.ObjectIdentifier{2, 5, 4, 3}
	oidEmailAddress = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}
)

// oidsIgnored are critical extensions that OpenSSL accepts and crypto/x509 does
// not: they do not restrict a path to a TLS server that was checked otherwise.
var oidsIgnored = []asn1.ObjectIdentifier{
	oidNetscapeCertType,             // checkPurpose
	oidSubjectAltName,               // without a name that crypto/x509 knows
	{2, 5, 29, 33},                  // policyMappings: only with a policy check, which senders do not ask for
	{2, 5, 29, 36},                  // policyConstraints
	{2, 5, 29, 54},                  // inhibitAnyPolicy
	{1, 3, 6, 1, 5, 5, 7, 48, 1, 5}, // id-pkix-ocsp-nocheck
	{2, 5, 29, 32},                  // certificatePolicies
	{2, 5, 29, 31},                  // cRLDistributionPoints
	oidSubjectKeyIdentifier,
	oidAuthorityKeyIdentifier,
	oidNameConstraints, // path.checkNames
}

// Bits of nsCertType, an obsolete extension of Netscape that OpenSSL still checks.
const (
	netscapeServer = 1
	netscapeSSLCA  = 5
)

// A node is a certificate and what paths through it depend on.
type node struct {
	*x509.Certificate
	subject, issuer string // canonical
	keyUsage        *asn1.BitString
	extKeyUsage     bool // present
	netscapeType    *asn1.BitString
	proxy           bool
	malformed       bool // an extension that counts cannot be parsed
	authority       authorityKeyIdentifier
	authorityIssuer string // canonical; empty if the identifier has no directoryName

	fingerprint fingerprint
	key         publicKey
	constrains  bool                            // it has name constraints
	names       func() ([]generalName, error)   // parsed once
	constraints func() (nameConstraints, error) // parsed once
	data        func() associations             // computed once
}

// authorityKeyIdentifier is the extension of RFC 5280 §4.2.1.1.
type authorityKeyIdentifier struct {
	KeyID  []byte        `asn1:"optional,tag:0"`
	Issuer asn1.RawValue `asn1:"optional,tag:1"`
	Serial *big.Int      `asn1:"optional,tag:2"`
}

func newNode(c *x509.Certificate) *node {
	n := &node{Certificate: c, subject: canonicalName(c.RawSubject), issuer: canonicalName(c.RawIssuer),
		fingerprint: sha256.Sum256(c.Raw), key: publicKey{c.PublicKey, sha256.Sum256(c.RawSubjectPublicKeyInfo)}}
	n.names, n.constraints = sync.OnceValues(n.parseNames), sync.OnceValues(n.parseConstraints)
	n.data = sync.OnceValue(n.associations)
	for _, extension := range c.Extensions {
		var err error
		switch {
		case extension.Id.Equal(oidKeyUsage):
			n.keyUsage, err = parseBits(extension.Value)
		case extension.Id.Equal(oidNetscapeCertType):
			n.netscapeType, err = parseBits(extension.Value)
		case extension.Id.Equal(oidExtendedKeyUsage):
			n.extKeyUsage = true
		case extension.Id.Equal(oidProxyCertInfo):
			n.proxy = true
		case extension.Id.Equal(oidNameConstraints):
			n.constrains = true
		case extension.Id.Equal(oidAuthorityKeyIdentifier):
			_, err = asn1.Unmarshal(extension.Value, &n.authority)
			n.authorityIssuer = n.authority.issuerName()
		}
		n.malformed = n.malformed || err != nil
	}
	return n
}

func newNodes(certificates []*x509.Certificate) []*node {
	nodes := make([]*node, len(certificates))
	for i, c := range certificates {
		nodes[i] = newNode(c)
	}
	return nodes
}

func parseBits(der []byte) (*asn1.BitString, error) {
	bits := new(asn1.BitString)
	_, err := asn1.Unmarshal(der, bits)
	return bits, err
}

// mayHaveIssued reports whether the names, the key identifiers and the type of the
// key allow that n issued child. Senders follow no other link between certificates.
func (n *node) mayHaveIssued(child *node) bool {
	a := child.authority
	switch {
	case n.subject != child.issuer, n.malformed, child.malformed:
		return false
	case len(a.KeyID) > 0 && len(n.SubjectKeyId) > 0 && !bytes.Equal(a.KeyID, n.SubjectKeyId):
		return false
	case a.Serial != nil && a.Serial.Cmp(n.SerialNumber) != 0:
		return false
	case child.authorityIssuer != "" && child.authorityIssuer != n.issuer:
		return false
	}
	want := keyAlgorithmOf(child.SignatureAlgorithm)
	return want == x509.UnknownPublicKeyAlgorithm || n.PublicKeyAlgorithm == x509.UnknownPublicKeyAlgorithm || want == n.PublicKeyAlgorithm
}

// issuerName returns the canonical form of the first directoryName of the identifier.
func (a authorityKeyIdentifier) issuerName() string {
	for rest := a.Issuer.Bytes; len(rest) > 0; {
		var name asn1.RawValue
		var err error
		if rest, err = asn1.Unmarshal(rest, &name); err != nil {
			break
		}
		if name.Class == asn1.ClassContextSpecific && name.Tag == tagDirectoryName {
			return canonicalName(name.Bytes)
		}
	}
	return ""
}

// selfIssued reports whether n appears to be its own issuer.
func (n *node) selfIssued() bool { return n.mayHaveIssued(n) }

// sameNames reports whether the subject of n is its issuer: "self-issued" in RFC 5280.
func (n *node) sameNames() bool { return n.subject == n.issuer }

// allowsKeyUsage reports whether n has no keyUsage extension, or one with any of the bits.
func (n *node) allowsKeyUsage(usage x509.KeyUsage) bool {
	return n.keyUsage == nil || n.KeyUsage&usage != 0
}

// checkPurpose returns an error if n may not be the certificate of a TLS server, or
// of a CA that issues such certificates. The rule is that of OpenSSL's purpose
// "sslserver", which all senders with OpenSSL apply to every certificate of a path,
// the anchor too. An extended key usage of any purpose alone does not suffice.
func (n *node) checkPurpose(leaf bool) error {
	serverAuth := func(u x509.ExtKeyUsage) bool {
		return u == x509.ExtKeyUsageServerAuth || u == x509.ExtKeyUsageMicrosoftServerGatedCrypto || u == x509.ExtKeyUsageNetscapeServerGatedCrypto
	}
	switch {
	case n.extKeyUsage && !slices.ContainsFunc(n.ExtKeyUsage, serverAuth):
		return fmt.Errorf("%s may not be used for TLS servers: its extended key usage lacks serverAuth", subject(n.Certificate))
	case !leaf:
		return nil
	case n.netscapeType != nil && n.netscapeType.At(netscapeServer) == 0:
		return fmt.Errorf("%s may not be used for TLS servers: its nsCertType lacks server", subject(n.Certificate))
	case !n.allowsKeyUsage(x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment | x509.KeyUsageKeyAgreement):
		return fmt.Errorf("%s may not be used for TLS servers: its key usage admits neither digital signatures nor key encipherment or agreement", subject(n.Certificate))
	default:
		return nil
	}
}

// checkCA returns an error if n may not issue certificates. The topmost certificate
// of a path may lack basicConstraints, as in OpenSSL. It must then be self-issued
// and of version 1, or have the key usage or the nsCertType of a CA.
func (n *node) checkCA(topmost bool) error {
	switch {
	case n.malformed:
		return fmt.Errorf("%s has a malformed extension", subject(n.Certificate))
	case !n.allowsKeyUsage(x509.KeyUsageCertSign):
		return fmt.Errorf("%s may not issue certificates: its key usage lacks keyCertSign", subject(n.Certificate))
	case n.BasicConstraintsValid && n.IsCA:
		return nil
	case n.BasicConstraintsValid || !topmost:
		return fmt.Errorf("%s is not that of a CA", subject(n.Certificate))
	case n.Version == 1 && n.selfIssued(), n.keyUsage != nil, n.netscapeType != nil && n.netscapeType.At(netscapeSSLCA) != 0:
		return nil
	default:
		return fmt.Errorf("%s is not that of a CA: it has no basic constraints", subject(n.Certificate))
	}
}

// checkCritical returns an error if n has a critical extension that senders do not
// know (RFC 5280 §4.2). It also returns an error for a proxy certificate, which TLS
// clients do not accept.
func (n *node) checkCritical() error {
	if n.proxy {
		return fmt.Errorf("%s is a proxy certificate", subject(n.Certificate))
	}
	for _, oid := range n.UnhandledCriticalExtensions {
		if !slices.ContainsFunc(oidsIgnored, oid.Equal) {
			return fmt.Errorf("%s has an unknown critical extension %s", subject(n.Certificate), oid)
		}
	}
	return nil
}

// canonicalName returns a form of a distinguished name that is equal for names that
// senders consider equal. It does not depend on the string type, the case of ASCII
// letters and the amount of white space (RFC 5280 §7.1). It returns the DER itself
// if that cannot be parsed.
func canonicalName(der []byte) string {
	_, canonical, err := parseName(der)
	if err != nil {
		return string(der)
	}
	return canonical
}

// A nameAttribute is an AttributeTypeAndValue of a distinguished name.
type nameAttribute struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

var errMalformedName = unmeasuredError{"not judged: a name or name constraint cannot be parsed", ErrUnsupported}

// parseName parses a distinguished name. The canonical form of a name begins with
// those of the names above it.
func parseName(der []byte) (attributes []nameAttribute, canonical string, err error) {
	type attributesSET []nameAttribute // encoding/asn1 takes the suffix for a SET
	var name []attributesSET
	if rest, err := asn1.Unmarshal(der, &name); err != nil || len(rest) > 0 {
		return nil, "", errMalformedName
	}
	var text strings.Builder
	for _, set := range name {
		parts := make([]string, len(set))
		for i, a := range set {
			parts[i] = a.Type.String() + "=" + canonicalValue(a.Value)
		}
		slices.Sort(parts)
		for _, part := range parts {
			fmt.Fprintf(&text, "%d:%s,", len(part), part)
		}
		text.WriteByte(';')
		attributes = append(attributes, set...)
	}
	return attributes, text.String(), nil
}

func canonicalValue(v asn1.RawValue) string {
	var text string
	switch v.Tag {
	case asn1.TagUTF8String, asn1.TagPrintableString, asn1.TagIA5String, 26: // VisibleString
		text = string(v.Bytes)
	case asn1.TagT61String:
		var latin1 strings.Builder
		for _, b := range v.Bytes {
			latin1.WriteRune(rune(b))
		}
		text = latin1.String()
	case asn1.TagBMPString:
		units := make([]uint16, len(v.Bytes)/2)
		for i := range units {
			units[i] = uint16(v.Bytes[2*i])<<8 | uint16(v.Bytes[2*i+1])
		}
		text = string(utf16.Decode(units))
	default:
		return "#" + string(v.FullBytes)
	}
	if !utf8.ValidString(text) {
		return "#" + string(v.FullBytes)
	}
	isSpace := func(r rune) bool { return strings.ContainsRune(" \t\n\v\f\r", r) }
	return foldASCII(strings.Join(strings.FieldsFunc(text, isSpace), " "))
}

// foldASCII returns text with its ASCII letters in lower case.
func foldASCII(text string) string {
	folded := []byte(text)
	for i, b := range folded {
		folded[i] = foldByte(b)
	}
	return string(folded)
}

func foldByte(b byte) byte {
	if 'A' <= b && b <= 'Z' {
		return b + 'a' - 'A'
	}
	return b
}

// keyAlgorithmOf returns the type of the key that makes signatures of a kind.
func keyAlgorithmOf(algorithm x509.SignatureAlgorithm) x509.PublicKeyAlgorithm {
	switch algorithm {
	case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA,
		x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS:
		return x509.RSA
	case x509.DSAWithSHA1, x509.DSAWithSHA256:
		return x509.DSA
	case x509.ECDSAWithSHA1, x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512:
		return x509.ECDSA
	case x509.PureEd25519:
		return x509.Ed25519
	default:
		return x509.UnknownPublicKeyAlgorithm
	}
}
