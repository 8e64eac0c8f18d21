package tlsa

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
)

// Usages is the set of certificate usages that a client supports.
type Usages [4]bool

// SMTPRelay returns the usages of a mail relay: DANE-TA(2) and DANE-EE(3)
// (RFC 7672 §3.1).
func SMTPRelay() Usages { return Usages{DANETA: true, DANEEE: true} }

// Client returns the usages of any other client: all four (RFC 6698).
func Client() Usages { return Usages{true, true, true, true} }

// Usability says whether a client uses a record. It depends on the set of records
// alone, not on what the server presents.
type Usability uint8

// The usabilities.
const (
	Usable     Usability = iota
	Unusable             // malformed, or with a parameter that is unknown or that the client does not support
	Superseded           // well-formed, but the set has a stronger digest (RFC 7671 §9)
)

// String returns "usable", "unusable" or "superseded".
func (u Usability) String() string {
	switch u {
	case Usable:
		return "usable"
	case Unusable:
		return "unusable"
	case Superseded:
		return "superseded"
	default:
		return fmt.Sprintf("unknown(%d)", uint8(u))
	}
}

// Assessment is the usability of one record of a set.
type Assessment struct {
	Record    Record
	Usability Usability
	Why       string // why the record is not usable; empty if it is
}

// Assess returns the usability of each record of set, in the order of set, for a
// client that supports usages.
func Assess(set []Record, usages Usages) []Assessment {
	type combination struct {
		usage    Usage
		selector Selector
	}
	assessments := make([]Assessment, len(set))
	strongest := make(map[combination]MatchingType)
	for i, r := range set {
		assessments[i].Record = r
		if err := checkUsable(r, usages); err != nil {
			assessments[i].Usability, assessments[i].Why = Unusable, err.Error()
			continue
		}
		c := combination{r.Usage, r.Selector}
		strongest[c] = max(strongest[c], r.MatchingType)
	}
	// RFC 7671 §9: digest agility applies to the usable records only, so a
	// malformed SHA-512 record does not supersede a well-formed SHA-256 record.
	// Full(0) is not a digest: it is never superseded.
	for i, r := range set {
		best := strongest[combination{r.Usage, r.Selector}]
		if a := &assessments[i]; a.Usability == Usable && r.MatchingType != Full && r.MatchingType < best {
			a.Usability = Superseded
			a.Why = fmt.Sprintf("superseded by a record %d %d %d: of several digests only the strongest counts",
				r.Usage, r.Selector, best)
		}
	}
	return assessments
}

// checkUsable returns why a client that supports usages cannot use r, or nil.
func checkUsable(r Record, usages Usages) error {
	switch {
	case int(r.Usage) >= len(usages):
		return fmt.Errorf("the usage %d is unknown", r.Usage)
	case r.Selector > SPKI:
		return fmt.Errorf("the selector %d is unknown", r.Selector)
	case r.MatchingType > SHA512:
		return fmt.Errorf("the matching type %d is unknown", r.MatchingType)
	case !usages[r.Usage]:
		return fmt.Errorf("clients of this kind do not support the usage %s", r.Usage)
	case len(r.Data) == 0:
		return errors.New("the record has no data")
	}
	switch r.MatchingType {
	case SHA256:
		return checkDigest(r, sha256.Size)
	case SHA512:
		return checkDigest(r, sha512.Size)
	default:
		return checkFull(r)
	}
}

func checkDigest(r Record, size int) error {
	if len(r.Data) != size {
		return fmt.Errorf("a %s digest has %d bytes, this one has %d", r.MatchingType, size, len(r.Data))
	}
	return nil
}

// checkFull returns an error unless the data of a Full(0) record is a certificate
// or a public key, as the selector says. Only the form of a key is checked: a key
// of an unknown algorithm can match all the same.
func checkFull(r Record) error {
	if r.Selector == Cert {
		if _, err := x509.ParseCertificate(r.Data); err != nil {
			return fmt.Errorf("the data is not a certificate: %s", errorText(err))
		}
		return nil
	}
	// SubjectPublicKeyInfo (RFC 5280 §4.1).
	var key struct {
		Algorithm pkix.AlgorithmIdentifier
		PublicKey asn1.BitString
	}
	rest, err := asn1.Unmarshal(r.Data, &key)
	if err != nil {
		return fmt.Errorf("the data is not a public key: %s", errorText(err))
	}
	if len(rest) > 0 {
		return fmt.Errorf("the data is a public key followed by %d bytes", len(rest))
	}
	return nil
}
