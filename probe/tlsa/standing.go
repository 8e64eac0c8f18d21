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

// Usages says which certificate usages a client can act on.
type Usages [4]bool

// SMTPRelay are those of RFC 7672 §3.1: DANE-TA(2) and DANE-EE(3).
func SMTPRelay() Usages { return Usages{DANETA: true, DANEEE: true} }

// Client are those of RFC 6698: all four.
func Client() Usages { return Usages{true, true, true, true} }

// Standing is what a client makes of a record before it sees a certificate.
type Standing uint8

// The standings.
const (
	Usable     Standing = iota
	Unusable            // malformed, or its parameters are unknown or not for this client
	Superseded          // usable, and a stronger digest stands beside it (RFC 7671 §9)
)

// Standings says for each record of set what a client makes of it before it
// sees a certificate, and why. The why of a usable record is empty.
func Standings(set []Record, usages Usages) ([]Standing, []string) {
	standings, whys := make([]Standing, len(set)), make([]string, len(set))
	type kind struct {
		Usage
		Selector
	}
	strongest := make(map[kind]MatchingType)
	for i, r := range set {
		if err := unusable(r, usages); err != nil {
			standings[i], whys[i] = Unusable, err.Error()
			continue
		}
		k := kind{r.Usage, r.Selector}
		strongest[k] = max(strongest[k], r.MatchingType)
	}
	// RFC 7671 §9: agility comes after the unusable records are gone, so a
	// malformed SHA-512 never hides a sound SHA-256; Full(0) is no digest and
	// always stays.
	for i, r := range set {
		best := strongest[kind{r.Usage, r.Selector}]
		if standings[i] == Usable && r.MatchingType != Full && r.MatchingType < best {
			standings[i] = Superseded
			whys[i] = fmt.Sprintf("a record %d %d %d stands beside it, and of several digests the strongest alone counts",
				r.Usage, r.Selector, best)
		}
	}
	return standings, whys
}

// unusable says why a client that acts on usages cannot use r, or nil.
func unusable(r Record, usages Usages) error {
	switch {
	case int(r.Usage) >= len(usages):
		return fmt.Errorf("the usage %d is unknown", r.Usage)
	case r.Selector > SPKI:
		return fmt.Errorf("the selector %d is unknown", r.Selector)
	case r.MatchingType > SHA512:
		return fmt.Errorf("the matching type %d is unknown", r.MatchingType)
	case !usages[r.Usage]:
		return fmt.Errorf("the usage %s is not for this kind of client", r.Usage)
	case len(r.Data) == 0:
		return errors.New("it has no data")
	}
	switch r.MatchingType {
	case SHA256:
		return digestLength(r, sha256.Size)
	case SHA512:
		return digestLength(r, sha512.Size)
	default:
		return fullData(r)
	}
}

func digestLength(r Record, want int) error {
	if len(r.Data) != want {
		return fmt.Errorf("a digest of type %s has %d bytes, this one has %d", r.MatchingType, want, len(r.Data))
	}
	return nil
}

// fullData checks that the data of matching type Full(0) is what the selector
// says. Of a key only the form is checked: an algorithm that is foreign to us
// can match all the same.
func fullData(r Record) error {
	if r.Selector == Cert {
		if _, err := x509.ParseCertificate(r.Data); err != nil {
			return fmt.Errorf("its data is no certificate: %s", plain(err.Error()))
		}
		return nil
	}
	// RFC 5280 §4.1: SubjectPublicKeyInfo.
	var key struct {
		Algorithm pkix.AlgorithmIdentifier
		PublicKey asn1.BitString
	}
	rest, err := asn1.Unmarshal(r.Data, &key)
	if err != nil {
		return fmt.Errorf("its data is no public key: %s", plain(err.Error()))
	}
	if len(rest) > 0 {
		return fmt.Errorf("its data is a public key and %d bytes more", len(rest))
	}
	return nil
}
