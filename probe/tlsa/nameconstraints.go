package tlsa

import (
	"bytes"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// The tags of a GeneralName (RFC 5280 §4.2.1.6).
const (
	tagOtherName     = 0
	tagEmail         = 1 // rfc822Name
	tagDNSName       = 2
	tagDirectoryName = 4
	tagURI           = 6
	tagIPAddress     = 7
)

// A generalName is a name of a certificate, or the base of a name constraint.
type generalName struct {
	tag   int
	value string // of a directoryName: in canonical form
	kind  string // of an otherName: its type-id
}

func (g generalName) String() string {
	if g.tag == tagDirectoryName {
		return "the directory name"
	}
	return fmt.Sprintf("the name %q", truncate(g.value))
}

// parseGeneralName returns the GeneralName of an element in DER.
func parseGeneralName(v asn1.RawValue) (generalName, error) {
	g := generalName{tag: v.Tag, value: string(v.Bytes)}
	if v.Class != asn1.ClassContextSpecific {
		return g, errMalformedName
	}
	var err error
	switch v.Tag {
	case tagDirectoryName:
		_, g.value, err = parseName(v.Bytes)
	case tagOtherName:
		var oid asn1.ObjectIdentifier
		_, err = asn1.Unmarshal(v.Bytes, &oid)
		g.kind = oid.String()
	}
	return g, err
}

// parseNames returns the names of n to which name constraints apply: those in the
// subject, then those in the subjectAltName.
func (n *node) parseNames() ([]generalName, error) {
	var names []generalName
	attributes, canonical, err := parseName(n.RawSubject)
	if err != nil {
		return nil, err
	}
	if len(attributes) > 0 {
		names = append(names, generalName{tag: tagDirectoryName, value: canonical})
	}
	for _, a := range attributes {
		if !a.Type.Equal(oidEmailAddress) {
			continue
		}
		if a.Value.Tag != asn1.TagIA5String {
			return nil, fmt.Errorf("the subject of %s has an emailAddress that is not an IA5String", subject(n.Certificate))
		}
		names = append(names, generalName{tag: tagEmail, value: string(a.Value.Bytes)})
	}
	for _, extension := range n.Extensions {
		if !extension.Id.Equal(oidSubjectAltName) {
			continue
		}
		var alternatives []asn1.RawValue
		if rest, err := asn1.Unmarshal(extension.Value, &alternatives); err != nil || len(rest) > 0 {
			return nil, errMalformedName
		}
		for _, v := range alternatives {
			g, err := parseGeneralName(v)
			if err != nil {
				return nil, err
			}
			names = append(names, g)
		}
	}
	return names, nil
}

// commonNames returns the common names of the subject of n that look like the name
// of a host of two labels or more. They replace dNSNames if n has none.
func (n *node) commonNames() ([]generalName, error) {
	if len(n.DNSNames) > 0 {
		return nil, nil
	}
	var names []generalName
	for _, name := range presentedNames(n.Certificate) {
		name = strings.TrimRight(name, "\x00")
		if strings.Contains(name, "\x00") {
			return nil, fmt.Errorf("a common name of %s contains a NUL", subject(n.Certificate))
		}
		if isHostname(name) {
			names = append(names, generalName{tag: tagDNSName, value: name})
		}
	}
	return names, nil
}

// isHostname reports whether OpenSSL treats a common name as a hostname. Such a name
// has two labels or more of ASCII letters, digits, underscores, and hyphens inside.
func isHostname(name string) bool {
	labels := strings.Split(name, ".")
	return len(labels) > 1 && !slices.ContainsFunc(labels, func(label string) bool {
		return label == "" || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.ContainsFunc(label, func(r rune) bool { return !isLetterOrDigit(r) && r != '_' && r != '-' })
	})
}

func isLetterOrDigit(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}

// nameConstraints is the extension of RFC 5280 §4.2.1.10.
type nameConstraints struct{ permitted, excluded []subtree }

type subtree struct {
	base   generalName
	ranged bool // it has a minimum or maximum, which RFC 5280 does not allow
}

// parseConstraints returns the name constraints of n. There are none if n does not
// have the extension.
func (n *node) parseConstraints() (nameConstraints, error) {
	var constraints nameConstraints
	for _, extension := range n.Extensions {
		if !extension.Id.Equal(oidNameConstraints) {
			continue
		}
		var sequences []asn1.RawValue
		if rest, err := asn1.Unmarshal(extension.Value, &sequences); err != nil || len(rest) > 0 {
			return constraints, errMalformedName
		}
		for _, sequence := range sequences {
			subtrees, err := parseSubtrees(sequence.Bytes)
			switch {
			case err != nil:
				return constraints, err
			case sequence.Tag == 0:
				constraints.permitted = subtrees
			default:
				constraints.excluded = subtrees
			}
		}
	}
	return constraints, nil
}

func parseSubtrees(der []byte) ([]subtree, error) {
	var subtrees []subtree
	for len(der) > 0 {
		var fields []asn1.RawValue
		var err error
		if der, err = asn1.Unmarshal(der, &fields); err != nil || len(fields) == 0 {
			return nil, errMalformedName
		}
		base, err := parseGeneralName(fields[0])
		if err != nil {
			return nil, err
		}
		isDefault := func(minimum asn1.RawValue) bool { return minimum.Tag == 0 && bytes.Equal(minimum.Bytes, []byte{0}) }
		subtrees = append(subtrees, subtree{base, len(fields) > 2 || len(fields) == 2 && !isDefault(fields[1])})
	}
	return subtrees, nil
}

// maxNameChecks is the number of comparisons of the names of one certificate with the
// constraints of another that OpenSSL makes (NAME_CHECK_MAX).
const maxNameChecks = 1 << 20

// checkNames returns an error if the name constraints of issuer do not allow a name
// of child. It follows OpenSSL: X509_V_ERR_UNSUPPORTED_CONSTRAINT_TYPE and the like are
// errors too. leaf says that child is the certificate of the server.
func (c *checker) checkNames(child, issuer *node, leaf bool) error {
	constraints, err := issuer.constraints()
	if err != nil {
		return err
	}
	names, err := child.names()
	if err != nil {
		return err
	}
	checks := len(names) * (len(constraints.permitted) + len(constraints.excluded))
	if checks > maxNameChecks {
		return errTooManyChecks
	}
	return c.once(namesKey{child.fingerprint, issuer.fingerprint, leaf}, 1+checks/namesPerCost, func() error {
		all := names
		if leaf {
			common, err := child.commonNames()
			if err != nil {
				return err
			}
			all = append(slices.Clip(names), common...)
		}
		for _, name := range all {
			allowed, err := constraints.allow(name)
			switch {
			case err != nil:
				return fmt.Errorf("the name constraints of %s: %w", subject(issuer.Certificate), err)
			case !allowed:
				return fmt.Errorf("the name constraints of %s do not allow %s of %s", subject(issuer.Certificate), name, subject(child.Certificate))
			}
		}
		return nil
	})
}

// allow reports whether a name is in none of the excluded subtrees of its type. If
// there are permitted subtrees, the name must also be in one of them.
func (c nameConstraints) allow(name generalName) (bool, error) {
	permitted, inside, err := within(name, c.permitted)
	if err != nil || permitted && !inside {
		return false, err
	}
	_, inside, err = within(name, c.excluded)
	return !inside, err
}

// within reports whether any of the subtrees are of the type of a name, and whether
// the name is in one of them.
func within(name generalName, subtrees []subtree) (ofType, inside bool, err error) {
	const smtpUTF8Mailbox = "1.3.6.1.5.5.7.8.9" // RFC 8398 §3
	for _, s := range subtrees {
		if name.kind == smtpUTF8Mailbox && s.base.tag == tagEmail {
			return true, false, errUnsupported // RFC 8398 §6
		}
		if s.base.tag != name.tag || s.base.kind != name.kind || name.kind == smtpUTF8Mailbox {
			continue
		}
		ofType = true
		if s.ranged {
			return true, false, errors.New("a constraint has a minimum or maximum")
		}
		if inside {
			continue
		}
		if inside, err = s.base.contains(name); err != nil {
			return true, false, err
		}
	}
	return ofType, inside, nil
}

// contains reports whether a name of the same type is in the subtree of a base.
func (g generalName) contains(name generalName) (bool, error) {
	switch base := g.value; g.tag {
	case tagDNSName:
		return base == "" || hasSuffixFold(name.value, base) && isLabelStart(name.value, len(name.value)-len(base), base), nil
	case tagDirectoryName:
		return strings.HasPrefix(name.value, base), nil
	case tagEmail:
		return containsEmail(base, name.value)
	case tagURI:
		host, ok := hostOfURI(name.value)
		if !ok {
			return false, errUnsupported
		}
		return isHostWithin(host, base), nil
	case tagIPAddress:
		return containsAddress(base, name.value)
	default:
		return false, errors.New("senders with OpenSSL do not support constraints on names of this type")
	}
}

// isLabelStart reports whether a suffix of a name, which begins at an offset, is the
// name or begins a label or with a dot.
func isLabelStart(name string, offset int, suffix string) bool {
	return offset == 0 || suffix[0] == '.' || name[offset-1] == '.'
}

// isHostWithin reports whether a host is the base, or below a base with a leading dot.
func isHostWithin(host, base string) bool {
	if strings.HasPrefix(base, ".") {
		return len(host) > len(base) && hasSuffixFold(host, base)
	}
	return equalFold(host, base)
}

// containsEmail reports whether an address is in the subtree of a base (RFC 5280
// §4.2.1.10). The base is the address, its host, or a domain above its host with a
// leading dot.
func containsEmail(base, address string) (bool, error) {
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return false, fmt.Errorf("the name %q is not an email address", truncate(address))
	}
	baseAt := strings.LastIndexByte(base, '@')
	switch {
	case baseAt < 0 && strings.HasPrefix(base, "."):
		return isHostWithin(address, base), nil
	case baseAt > 0 && base[:baseAt] != address[:at]:
		return false, nil
	default:
		return equalFold(address[at+1:], base[baseAt+1:]), nil
	}
}

// containsAddress reports whether an IP address has the prefix of a base, which is an
// address and a mask.
func containsAddress(base, address string) (bool, error) {
	switch size := len(address); {
	case size != 4 && size != 16, len(base) != 8 && len(base) != 32:
		return false, errors.New("the length of an IP address is wrong")
	case len(base) != 2*size:
		return false, nil
	}
	for i := range len(address) {
		if mask := base[len(address)+i]; address[i]&mask != base[i]&mask {
			return false, nil
		}
	}
	return true, nil
}

// hostOfURI returns the host of a URI. It is false for URIs in which versions of
// OpenSSL find different hosts, or none.
func hostOfURI(uri string) (host string, ok bool) {
	scheme, rest, found := strings.Cut(uri, "://")
	authority, path, _ := strings.Cut(rest, "/")
	host, port, _ := strings.Cut(authority, ":")
	other := func(r rune) bool { return !isLetterOrDigit(r) && !strings.ContainsRune("-._", r) }
	ok = found && scheme != "" && host != "" && !strings.ContainsFunc(scheme+host+port, other) && !strings.Contains(path, ":")
	return host, ok
}

// hasSuffixFold is strings.HasSuffix without regard to the case of ASCII letters.
func hasSuffixFold(text, suffix string) bool {
	return len(text) >= len(suffix) && equalFold(text[len(text)-len(suffix):], suffix)
}

// equalFold compares strings without regard to the case of ASCII letters.
func equalFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if foldByte(a[i]) != foldByte(b[i]) {
			return false
		}
	}
	return true
}
