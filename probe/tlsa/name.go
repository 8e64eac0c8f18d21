package tlsa

import (
	"crypto/x509"
	"fmt"
	"strings"
)

// matchesName reports whether a certificate is for one of the reference
// identifiers. The dNSNames of its subjectAltName count, or the common names of
// its subject if it has no dNSName. A wildcard is a whole first label and stands
// for exactly one label (RFC 7672 §3.2.3, RFC 7671 §10.2, RFC 6125 §6.4).
func matchesName(certificate *x509.Certificate, references []string) bool {
	presented := &x509.Certificate{DNSNames: presentedNames(certificate)}
	for _, reference := range references {
		if host := strings.TrimSuffix(reference, "."); host != "" && presented.VerifyHostname(host) == nil {
			return true
		}
	}
	return false
}

// presentedNames returns the names that a certificate is for.
func presentedNames(certificate *x509.Certificate) []string {
	if len(certificate.DNSNames) > 0 {
		return certificate.DNSNames
	}
	var names []string
	for _, attribute := range certificate.Subject.Names {
		if value, ok := attribute.Value.(string); ok && attribute.Type.Equal(oidCommonName) {
			names = append(names, value)
		}
	}
	return names
}

// nameMismatch describes that the leaf is for none of the references.
func nameMismatch(leaf *x509.Certificate, references []string) string {
	presented := presentedNames(leaf)
	if len(presented) == 0 {
		return fmt.Sprintf("the leaf has no DNS name, the expected name is %s", quoteList(references, " or "))
	}
	return fmt.Sprintf("the leaf is for %s, the expected name is %s", quoteList(presented, ", "), quoteList(references, " or "))
}
