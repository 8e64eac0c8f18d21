package tlsa

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Usage is the certificate usage field (RFC 6698 §2.1.1). RFC 7218 defines the
// acronyms.
type Usage uint8

// The certificate usages.
const (
	PKIXTA Usage = 0
	PKIXEE Usage = 1
	DANETA Usage = 2
	DANEEE Usage = 3
)

// String returns the acronym of RFC 7218 and the number, as "DANE-EE(3)".
func (u Usage) String() string {
	return acronym(uint8(u), "PKIX-TA", "PKIX-EE", "DANE-TA", "DANE-EE")
}

// Selector is the selector field (RFC 6698 §2.1.2).
type Selector uint8

// The selectors.
const (
	Cert Selector = 0 // the whole certificate
	SPKI Selector = 1 // the public key (SubjectPublicKeyInfo)
)

// String returns the acronym of RFC 7218 and the number, as "SPKI(1)".
func (s Selector) String() string { return acronym(uint8(s), "Cert", "SPKI") }

// MatchingType is the matching type field (RFC 6698 §2.1.3).
type MatchingType uint8

// The matching types.
const (
	Full   MatchingType = 0 // the selected bytes themselves
	SHA256 MatchingType = 1
	SHA512 MatchingType = 2
)

// String returns the acronym of RFC 7218 and the number, as "SHA2-256(1)".
func (m MatchingType) String() string { return acronym(uint8(m), "Full", "SHA2-256", "SHA2-512") }

func acronym(n uint8, known ...string) string {
	if int(n) < len(known) {
		return fmt.Sprintf("%s(%d)", known[n], n)
	}
	return fmt.Sprintf("unknown(%d)", n)
}

// Record is the data of one TLSA record.
type Record struct {
	Usage        Usage
	Selector     Selector
	MatchingType MatchingType
	Data         []byte // the certificate association data (RFC 6698 §2.1.4)
}

// String returns the presentation format of RFC 6698 §2.2, as "3 1 1 abcd".
func (r Record) String() string {
	return fmt.Sprintf("%d %d %d %x", uint8(r.Usage), uint8(r.Selector), uint8(r.MatchingType), r.Data)
}

// describe names what the data of r is, as "SPKI SHA-256".
func (r Record) describe() string {
	selected := "certificate"
	if r.Selector == SPKI {
		selected = "SPKI"
	}
	switch r.MatchingType {
	case SHA256:
		return selected + " SHA-256"
	case SHA512:
		return selected + " SHA-512"
	default:
		return selected
	}
}

// maxData is the size in bytes of the longest data that fits into a DNS record
// after the three numbers (RFC 1035 §3.2.1: RDLENGTH has 16 bits).
const maxData = 1<<16 - 1 - 3

// ParseRecord parses the presentation format of RFC 6698 §2.2. The hexadecimal
// data may contain white space, as in zone files. A record with unknown
// parameters parses too: [Assess] decides whether a client can use it.
//
// ParseRecord returns an error if a number is missing or above 255, or if the
// data is missing, not hexadecimal, or too long for a DNS record.
func ParseRecord(text string) (Record, error) {
	if len(text) > 4*maxData {
		return Record{}, fmt.Errorf("TLSA record: %d characters are too long for a DNS record", len(text))
	}
	fields := strings.Fields(text)
	if len(fields) < 4 {
		return Record{}, fmt.Errorf("TLSA record %q: expected usage, selector, matching type and data, such as \"3 1 1 abcd…\"", truncate(text))
	}
	var numbers [3]uint8
	for i, name := range []string{"usage", "selector", "matching type"} {
		n, err := strconv.ParseUint(fields[i], 10, 8)
		if err != nil {
			return Record{}, fmt.Errorf("TLSA record: the %s %q is not a number from 0 to 255", name, truncate(fields[i]))
		}
		numbers[i] = uint8(n)
	}
	data, err := hex.DecodeString(strings.Join(fields[3:], ""))
	if err != nil {
		return Record{}, fmt.Errorf("TLSA record: the data is not hexadecimal: %w", err)
	}
	if len(data) > maxData {
		return Record{}, fmt.Errorf("TLSA record: %d bytes of data are too long for a DNS record", len(data))
	}
	return Record{Usage(numbers[0]), Selector(numbers[1]), MatchingType(numbers[2]), data}, nil
}

// NewRecord returns the record that matches a certificate. It returns an error
// if certificate is nil or was not parsed, or if no RFC defines a parameter.
func NewRecord(certificate *x509.Certificate, usage Usage, selector Selector, matchingType MatchingType) (Record, error) {
	if certificate == nil || len(certificate.Raw) == 0 {
		return Record{}, errors.New("make a TLSA record: no certificate")
	}
	record := Record{Usage: usage, Selector: selector, MatchingType: matchingType}
	if err := record.checkDefined(); err != nil {
		return Record{}, err
	}
	record.Data = associationData(certificate, selector, matchingType)
	return record, nil
}

// NewKeyRecord returns the record, with selector SPKI(1), that matches a public
// key. No certificate of the key need exist yet. key is a SubjectPublicKeyInfo in
// DER (RFC 5280 §4.1). NewKeyRecord returns an error if key is empty, or if no
// RFC defines a parameter.
func NewKeyRecord(key []byte, usage Usage, matchingType MatchingType) (Record, error) {
	if len(key) == 0 {
		return Record{}, errors.New("make a TLSA record: no key")
	}
	record := Record{Usage: usage, Selector: SPKI, MatchingType: matchingType}
	if err := record.checkDefined(); err != nil {
		return Record{}, err
	}
	record.Data = applyMatchingType(key, matchingType)
	return record, nil
}

// checkDefined returns an error if no RFC defines the parameters of r.
func (r Record) checkDefined() error {
	if r.Usage > DANEEE || r.Selector > SPKI || r.MatchingType > SHA512 {
		return fmt.Errorf("make a TLSA record: no RFC defines the parameters %d %d %d", r.Usage, r.Selector, r.MatchingType)
	}
	return nil
}

// associationData returns the certificate association data of a certificate
// (RFC 6698 §2.1.4). The parameters must be defined.
func associationData(certificate *x509.Certificate, selector Selector, matchingType MatchingType) []byte {
	if selector == SPKI {
		return applyMatchingType(certificate.RawSubjectPublicKeyInfo, matchingType)
	}
	return applyMatchingType(certificate.Raw, matchingType)
}

// applyMatchingType returns the selected bytes or their digest.
func applyMatchingType(selected []byte, matchingType MatchingType) []byte {
	switch matchingType {
	case SHA256:
		sum := sha256.Sum256(selected)
		return sum[:]
	case SHA512:
		sum := sha512.Sum512(selected)
		return sum[:]
	default:
		return selected
	}
}
