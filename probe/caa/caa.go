// Package caa judges CAA records: whether they admit a certification authority (CA).
//
// A domain lists the CAs that may issue certificates for it (RFC 8659). A CA looks for
// records at the name itself, then at each parent. The first RRset that it finds counts
// (RFC 8659 §3). The package makes no lookups.
package caa

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Record is one CAA record (RFC 8659 §4.1).
type Record struct {
	Critical   bool
	Tag, Value string
}

// Admit returns nil if an RRset admits a CA that recognizes the issuer domain names of
// issuers. For a wildcard name, issuewild records count instead of issue records, if there
// are any (RFC 8659 §4.3). Otherwise the error quotes the records that forbid it. An empty
// RRset admits all CAs.
func Admit(set []Record, issuers []string, wildcard bool) error {
	tag := "issue"
	if isWild := func(r Record) bool { return strings.EqualFold(r.Tag, "issuewild") }; wildcard && slices.ContainsFunc(set, isWild) {
		tag = "issuewild"
	}
	var restricted []string
	for _, record := range set {
		if !strings.EqualFold(record.Tag, tag) {
			continue
		}
		if slices.Contains(issuers, issuerDomain(record.Value)) {
			return criticalError(set)
		}
		restricted = append(restricted, fmt.Sprintf("%.100q", record.Value))
	}
	const shown = 5 // a zone may have hundreds of records
	if more := len(restricted) - shown; more > 0 {
		restricted = append(restricted[:shown], fmt.Sprintf("and %d more", more))
	}
	if len(restricted) > 0 {
		return fmt.Errorf("the records admit %s, not %s", strings.Join(restricted, ", "), strings.Join(issuers, " or "))
	}
	return criticalError(set)
}

// tags are those that CAs must recognize (CA/Browser Forum, Baseline Requirements,
// section 3.2.2.8), and others in the registry of the IANA, which some CAs recognize. It is
// never modified.
var tags = []string{"issue", "issuewild", "iodef", "issuemail", "issuevmc", "contactemail", "contactphone"}

// criticalError returns an error if a record is critical and has a tag that no CA is known
// to recognize (RFC 8659 §4.1).
func criticalError(set []Record) error {
	for _, record := range set {
		if record.Critical && !slices.Contains(tags, strings.ToLower(record.Tag)) {
			return fmt.Errorf("the record with the tag %.50q is critical, and CAs do not know that tag", record.Tag)
		}
	}
	return nil
}

// CheckIssuer returns an error if name is not an issuer domain name (RFC 8659 §4.2).
func CheckIssuer(name string) error {
	if name == "" || issuerDomain(name) != name {
		return errors.New("must be a domain name in lower case, as in CAA records, such as ca.example.org")
	}
	return nil
}

// issuerDomain returns the issuer domain name of the value of an issue record, in lower
// case. It is empty if there is none or the value is malformed: both forbid issuance
// (RFC 8659 §4.2).
func issuerDomain(value string) string {
	name, parameters, _ := strings.Cut(value, ";")
	name = strings.ToLower(strings.Trim(name, " \t"))
	if !areParameters(parameters) {
		return ""
	}
	for label := range strings.SplitSeq(name, ".") {
		if !isLabel(label) {
			return ""
		}
	}
	return name
}

// areParameters reports whether text has the form of parameters (RFC 8659 §4.2).
func areParameters(text string) bool {
	if strings.Trim(text, " \t") == "" {
		return true
	}
	for parameter := range strings.SplitSeq(text, ";") {
		tag, value, ok := strings.Cut(parameter, "=")
		notAllowed := func(r rune) bool { return r < '!' || r > '~' }
		if !ok || !isLabel(strings.Trim(tag, " \t")) || strings.ContainsFunc(strings.Trim(value, " \t"), notAllowed) {
			return false
		}
	}
	return true
}

// isLabel reports whether text consists of letters and digits, with hyphens between them.
func isLabel(text string) bool {
	notAllowed := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-'
	}
	return text != "" && !strings.ContainsFunc(text, notAllowed) && text[0] != '-' && text[len(text)-1] != '-'
}
