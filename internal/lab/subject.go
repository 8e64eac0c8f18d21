package lab

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
)

// hostileSubject holds what breaks lines, labels, HTML and terminals, is
// longer than anybody expects, and has octets that are no UTF-8.
func hostileSubject() ([]byte, error) {
	const nasty = "a\"b\\c\nd\r\n# HELP\x00\x1b[31m<script>\u202e{}=\u2028"
	return subject(
		asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte(nasty + strings.Repeat("é", 500))},
		asn1.RawValue{Tag: asn1.TagT61String, Bytes: []byte("\xff\xfe\x80")},
	)
}

// unparsableSubject has characters that a PrintableString may not have. Many
// certificates do; crypto/x509 refuses them, OpenSSL does not.
func unparsableSubject() ([]byte, error) {
	return subject(asn1.RawValue{Tag: asn1.TagPrintableString, Bytes: []byte("mail_server@lab")})
}

// subject is the DER of a distinguished name of common names, their octets as
// they are: crypto/x509 would not write some of them.
func subject(commonNames ...asn1.RawValue) ([]byte, error) {
	var name pkix.RDNSequence
	for _, value := range commonNames {
		attribute := pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: value}
		name = append(name, pkix.RelativeDistinguishedNameSET{attribute})
	}
	return asn1.Marshal(name)
}
