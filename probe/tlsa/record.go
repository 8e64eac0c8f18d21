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

// Usage is the certificate usage field (RFC 6698 §2.1.1), named by RFC 7218.
type Usage uint8

// The certificate usages.
const (
	PKIXTA Usage = 0
	PKIXEE Usage = 1
	DANETA Usage = 2
	DANEEE Usage = 3
)

// String returns the acronym of RFC 7218 with its number, as "DANE-EE(3)".
func (u Usage) String() string {
	return acronym(uint8(u), "PKIX-TA", "PKIX-EE", "DANE-TA", "DANE-EE")
}

// Selector is the selector field (RFC 6698 §2.1.2).
type Selector uint8

// The selectors.
const (
	Cert Selector = 0 // the whole certificate
	SPKI Selector = 1 // the public key alone
)

// String returns the acronym of RFC 7218 with its number, as "SPKI(1)".
func (s Selector) String() string { return acronym(uint8(s), "Cert", "SPKI") }

// MatchingType is the matching type field (RFC 6698 §2.1.3).
type MatchingType uint8

// The matching types.
const (
	Full   MatchingType = 0
	SHA256 MatchingType = 1
	SHA512 MatchingType = 2
)

// String returns the acronym of RFC 7218 with its number, as "SHA2-256(1)".
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
	Data         []byte
}

// String returns the presentation format of RFC 6698 §2.2, as "3 1 1 abcd".
func (r Record) String() string {
	return fmt.Sprintf("%d %d %d %x", uint8(r.Usage), uint8(r.Selector), uint8(r.MatchingType), r.Data)
}

// maxData is the most that the data of a DNS record can hold beside the three
// numbers (RFC 1035 §3.2.1: the length has 16 bits).
const maxData = 1<<16 - 1 - 3

// ParseRecord reads the presentation format of RFC 6698 §2.2. White space
// inside the hexadecimal data is allowed, as zone files have it. Whether a
// client can use the record is another question: see Standings.
//
// It returns an error where a number is missing or above 255, or where the
// data is missing, not hexadecimal, or more than a DNS record can hold.
func ParseRecord(text string) (Record, error) {
	if len(text) > 4*maxData {
		return Record{}, fmt.Errorf("tlsa record: %d characters are more than a DNS record can hold", len(text))
	}
	fields := strings.Fields(text)
	if len(fields) < 4 {
		return Record{}, fmt.Errorf("tlsa record %q: want usage, selector, matching type and data, as \"3 1 1 abcd…\"", clip(text))
	}
	var numbers [3]uint8
	for i, what := range []string{"usage", "selector", "matching type"} {
		n, err := strconv.ParseUint(fields[i], 10, 8)
		if err != nil {
			return Record{}, fmt.Errorf("tlsa record: %s %q is not a number from 0 to 255", what, clip(fields[i]))
		}
		numbers[i] = uint8(n)
	}
	data, err := hex.DecodeString(strings.Join(fields[3:], ""))
	if err != nil {
		return Record{}, fmt.Errorf("tlsa record: the data is not hexadecimal: %w", err)
	}
	if len(data) > maxData {
		return Record{}, fmt.Errorf("tlsa record: %d bytes of data are more than a DNS record can hold", len(data))
	}
	return Record{Usage(numbers[0]), Selector(numbers[1]), MatchingType(numbers[2]), data}, nil
}

// For makes the record of one certificate. It returns an error where a
// parameter is one that no RFC defines.
func For(certificate *x509.Certificate, usage Usage, selector Selector, matchingType MatchingType) (Record, error) {
	if certificate == nil || len(certificate.Raw) == 0 {
		return Record{}, errors.New("make a tlsa record: no certificate given")
	}
	record := Record{Usage: usage, Selector: selector, MatchingType: matchingType}
	if err := record.defined(); err != nil {
		return Record{}, err
	}
	record.Data = associate(certificate, selector, matchingType)
	return record, nil
}

// ForKey makes the record of a public key, which needs no certificate yet. The
// selector is SPKI(1). key is a SubjectPublicKeyInfo in DER (RFC 5280 §4.1). It
// returns an error where there is no key, or a parameter is one that no RFC defines.
func ForKey(key []byte, usage Usage, matchingType MatchingType) (Record, error) {
	if len(key) == 0 {
		return Record{}, errors.New("make a tlsa record: no key given")
	}
	record := Record{Usage: usage, Selector: SPKI, MatchingType: matchingType}
	if err := record.defined(); err != nil {
		return Record{}, err
	}
	record.Data = associationOf(key, matchingType)
	return record, nil
}

// defined returns an error where no RFC defines the parameters of r.
func (r Record) defined() error {
	if r.Usage > DANEEE || r.Selector > SPKI || r.MatchingType > SHA512 {
		return fmt.Errorf("make a tlsa record: no RFC defines the parameters %d %d %d", r.Usage, r.Selector, r.MatchingType)
	}
	return nil
}

// associate computes the certificate association data (RFC 6698 §2.1.4) for
// parameters that are known.
func associate(certificate *x509.Certificate, selector Selector, matchingType MatchingType) []byte {
	if selector == SPKI {
		return associationOf(certificate.RawSubjectPublicKeyInfo, matchingType)
	}
	return associationOf(certificate.Raw, matchingType)
}

// associationOf computes it for what was selected.
func associationOf(selected []byte, matchingType MatchingType) []byte {
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
