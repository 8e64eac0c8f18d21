package tlsa

import (
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"strings"
)

// named says whether the certificate is for one of the reference identifiers.
// The dNSNames of its subjectAltName count, or, where it has none, the common
// names of its subject; a wildcard is a whole first label and stands for
// exactly one (RFC 7672 §3.2.3, RFC 7671 §10.2, RFC 6125 §6.4).
func named(certificate *x509.Certificate, references []string) bool {
	presented := &x509.Certificate{DNSNames: identifiers(certificate)}
	for _, reference := range references {
		if host := strings.TrimSuffix(reference, "."); host != "" && presented.VerifyHostname(host) == nil {
			return true
		}
	}
	return false
}

// identifiers are the names that a certificate presents.
func identifiers(certificate *x509.Certificate) []string {
	if len(certificate.DNSNames) > 0 {
		return certificate.DNSNames
	}
	commonName := asn1.ObjectIdentifier{2, 5, 4, 3} // RFC 5280 appendix A.1
	var names []string
	for _, attribute := range certificate.Subject.Names {
		if value, ok := attribute.Value.(string); ok && attribute.Type.Equal(commonName) {
			names = append(names, value)
		}
	}
	return names
}

// foreign says in words that certificate is for none of the references.
func foreign(certificate *x509.Certificate, references []string) string {
	presented := identifiers(certificate)
	if len(presented) == 0 {
		return fmt.Sprintf("the leaf names no host, and the name should be %s", listed(references, " or "))
	}
	return fmt.Sprintf("the leaf is for %s, and the name should be %s", listed(presented, ", "), listed(references, " or "))
}

// listed quotes the first few names.
func listed(names []string, separator string) string {
	const few = 4
	if len(names) == 0 {
		return "none"
	}
	quoted := make([]string, 0, few+1)
	for _, name := range names[:min(len(names), few)] {
		quoted = append(quoted, fmt.Sprintf("%q", clip(name)))
	}
	if len(names) > few {
		quoted = append(quoted, fmt.Sprintf("%d more", len(names)-few))
	}
	return strings.Join(quoted, separator)
}
