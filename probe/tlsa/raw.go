package tlsa

import (
	"bytes"
	"encoding/asn1"
)

// RawMatch is the result of comparing a record with certificates that were sent but
// not parsed, and without proof that the server has the key.
type RawMatch uint8

const (
	RawUnknown  RawMatch = iota // the certificates do not decide
	RawExcluded                 // no client that follows RFC 7671 can authenticate the server by the record
	RawMatches                  // the record is of a certificate that was sent
)

// MatchRaw compares a usable record with the certificates of a server, leaf first,
// in DER. It needs no more of a certificate than its public key.
//
// A record with usage PKIX-TA may be of a root that is not sent. A record with usage
// DANE-TA and the full data may supply the anchor (RFC 7671 §5.2.1). Such records
// are never excluded.
func MatchRaw(r Record, sent [][]byte) RawMatch {
	first, last := 0, min(1, len(sent))
	result := RawExcluded
	if r.Usage == DANETA || r.Usage == PKIXTA {
		first, last = 1, len(sent)
		if r.Usage == PKIXTA || r.MatchingType == Full {
			result = RawUnknown
		}
	}
	for i := first; i < last; i++ {
		data := sent[i]
		if r.Selector == SPKI {
			key, ok := rawPublicKey(data)
			if !ok {
				result = RawUnknown
				continue
			}
			data = key
		}
		if bytes.Equal(applyMatchingType(data, r.MatchingType), r.Data) {
			return RawMatches
		}
	}
	return result
}

// rawPublicKey returns the SubjectPublicKeyInfo of a certificate (RFC 5280 §4.1):
// the sixth element of the TBSCertificate, not counting the version.
func rawPublicKey(certificate []byte) (key []byte, ok bool) {
	outer, ok := element(&certificate)
	if !ok {
		return nil, false
	}
	body := outer.Bytes
	tbs, ok := element(&body)
	if !ok {
		return nil, false
	}
	body = tbs.Bytes
	for i := range 6 {
		field, ok := element(&body)
		if i == 0 && field.Class == asn1.ClassContextSpecific { // the version
			field, ok = element(&body)
		}
		if !ok {
			return nil, false
		}
		key = field.FullBytes
	}
	return key, true
}

// element cuts the first element off the front of some DER.
func element(der *[]byte) (e asn1.RawValue, ok bool) {
	rest, err := asn1.Unmarshal(*der, &e)
	*der = rest
	return e, err == nil
}
