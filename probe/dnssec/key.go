package dnssec

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	_ "crypto/sha1" // algorithms 5 and 7
	"crypto/sha256"
	_ "crypto/sha512" // algorithms 8, 10, 13 and 14, with crypto/sha256
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"strconv"

	"github.com/cloudflare/circl/sign/ed448"
	"github.com/miekg/dns"
)

// supports reports whether signatures of an algorithm are accepted.
func (o Options) supports(algorithm uint8) bool {
	switch algorithm {
	case dns.RSASHA1, dns.RSASHA1NSEC3SHA1:
		return o.SHA1 == SHA1Accept // RFC 9905 §2
	case dns.RSASHA256, dns.RSASHA512, dns.ECDSAP256SHA256, dns.ECDSAP384SHA384, dns.ED25519, dns.ED448:
		return true
	}
	return false
}

// usableDS returns the DS records with a supported algorithm and digest type.
// SHA-1 digests count only if there is no better one (RFC 4509 §3).
func (o Options) usableDS(set []*dns.DS) []*dns.DS {
	var strong, sha1 []*dns.DS
	for _, ds := range set {
		if !o.supports(ds.Algorithm) {
			continue
		}
		switch ds.DigestType {
		case dns.SHA256, dns.SHA384:
			strong = append(strong, ds)
		case dns.SHA1:
			sha1 = append(sha1, ds)
		}
	}
	if len(strong) > 0 {
		return strong
	}
	return sha1
}

// mayVerify reports whether k may verify records of its zone, unless it is revoked.
// Such a key has the ZONE flag (RFC 4034 §2.1.1) and protocol 3 (§2.1.2).
func mayVerify(k *dns.DNSKEY) bool { return k.Flags&dns.ZONE != 0 && k.Protocol == 3 }

// isRevoked reports whether a key of a zone is revoked: it has the REVOKE bit and
// signs the DNSKEY RRset. Without that signature, the bit has no effect (RFC 5011
// §2.1). A key that costs too much verifies nothing else either, so it need not be
// known whether it is revoked. The error is a fault.
func (v *validation) isRevoked(k *key, keys *rrset, zone string) (bool, error) {
	if k.record.Flags&dns.REVOKE == 0 {
		return false, nil
	}
	_, err := v.authenticate(keys, []*key{k}, zone)
	_, isBogus := asBogus(err)
	_, isUnchecked := asUnchecked(err)
	if isBogus || isUnchecked {
		return false, nil
	}
	return err == nil, err
}

// key is a parsed DNSKEY.
type key struct {
	record *dns.DNSKEY
	rdata  []byte // RFC 4034 §2.1; nil if the key is not base64
	id     keyID
	tag    uint16
	verify verifier
}

// keyID is the digest of the RDATA of a key. It is zero if the key is not base64: such
// keys verify nothing and have no digests.
type keyID [sha256.Size]byte

func newKey(rr *dns.DNSKEY) *key {
	k := &key{record: rr}
	public, err := base64.StdEncoding.DecodeString(rr.PublicKey)
	if err != nil {
		k.verify = func(_, _ []byte) error { return errors.New("the key is not base64") }
		return k
	}
	k.rdata = binary.BigEndian.AppendUint16(make([]byte, 0, 4+len(public)), rr.Flags)
	k.rdata = append(k.rdata, rr.Protocol, rr.Algorithm)
	k.rdata = append(k.rdata, public...)
	k.id, k.tag = sha256.Sum256(k.rdata), keyTag(k.rdata)
	k.verify = newVerifier(rr.Algorithm, public)
	return k
}

// cost returns the CPU time of a signature check in units of about a microsecond.
func (k *key) cost() int {
	switch k.record.Algorithm {
	case dns.ECDSAP256SHA256, dns.ED25519:
		return 100
	case dns.ECDSAP384SHA384, dns.ED448:
		return 700
	default: // RSA: the exponent, at most 128 bits, and the modulus decide
		words, bits := len(k.rdata)/8, 2*maxExponentBits
		if exponent := k.rdata[min(4, len(k.rdata)):]; len(exponent) > 0 && exponent[0] > 0 {
			bits = min(bits, 2*8*int(exponent[0]))
		}
		return 20 + words*words*bits/200
	}
}

func newKeys(set []dns.RR) []*key {
	var keys []*key
	for _, rr := range records[*dns.DNSKEY](set) {
		keys = append(keys, newKey(rr))
	}
	return keys
}

// records returns the records of one Go type. It parses those that came as they
// were on the wire.
func records[T dns.RR](set []dns.RR) []T {
	var list []T
	for _, rr := range set {
		if raw, ok := rr.(*dns.RFC3597); ok {
			rr = parseRaw(raw)
		}
		if r, ok := rr.(T); ok {
			list = append(list, r)
		}
	}
	return list
}

// parseRaw returns a record of the type that raw has, or raw if that fails.
func parseRaw(raw *dns.RFC3597) dns.RR {
	rdata, err := hex.DecodeString(raw.Rdata)
	if err != nil {
		return raw
	}
	header := raw.Hdr
	header.Rdlength = uint16(len(rdata))
	rr, _, err := dns.UnpackRRWithHeader(header, rdata, 0)
	if err != nil {
		return raw
	}
	return rr
}

// keyTag computes a key tag (RFC 4034 appendix B).
func keyTag(rdata []byte) uint16 {
	var sum uint32
	for i, octet := range rdata {
		sum += uint32(octet) << (8 * (1 - i&1))
	}
	return uint16(sum + sum>>16)
}

// digest returns the digest that a DS of digestType for k has (RFC 4034 §5.1.4),
// or nil if the type is not supported. zone is the owner of k.
func (k *key) digest(zone string, digestType uint8) []byte {
	owner, err := wireName(zone)
	if err != nil || k.rdata == nil {
		return nil
	}
	data := append(owner, k.rdata...)
	switch digestType {
	case dns.SHA1:
		return digest(crypto.SHA1, data)
	case dns.SHA256:
		return digest(crypto.SHA256, data)
	case dns.SHA384:
		return digest(crypto.SHA384, data)
	}
	return nil
}

// dsMatches reports whether ds is a DS of k, a key of zone (RFC 4035 §5.2).
func dsMatches(ds *dns.DS, k *key, zone string) bool {
	if ds.Algorithm != k.record.Algorithm || ds.KeyTag != k.tag {
		return false
	}
	return hasDigest(ds, k.digest(zone, ds.DigestType))
}

func hasDigest(ds *dns.DS, digest []byte) bool {
	want, err := hex.DecodeString(ds.Digest)
	return err == nil && len(want) > 0 && bytes.Equal(want, digest)
}

// keyName names a key for Answer.Why, as in "key 20326, RSASHA256".
func keyName(tag uint16, algorithm uint8) string {
	return "key " + strconv.Itoa(int(tag)) + ", " + algorithmName(algorithm)
}

func algorithmName(algorithm uint8) string {
	if name, ok := dns.AlgorithmToString[algorithm]; ok {
		return name
	}
	return fmt.Sprint(algorithm)
}

// verifier verifies the signature of one key over data. It does not check what
// the key may sign, or when.
type verifier func(data, signature []byte) error

// newVerifier parses the public key field of a DNSKEY. The verifier of a key
// that cannot be parsed returns the reason.
func newVerifier(algorithm uint8, public []byte) verifier {
	var verify verifier
	var err error
	switch algorithm {
	case dns.RSASHA1, dns.RSASHA1NSEC3SHA1:
		verify, err = rsaVerifier(crypto.SHA1, public)
	case dns.RSASHA256:
		verify, err = rsaVerifier(crypto.SHA256, public)
	case dns.RSASHA512:
		verify, err = rsaVerifier(crypto.SHA512, public)
	case dns.ECDSAP256SHA256:
		verify, err = ecdsaVerifier(elliptic.P256(), crypto.SHA256, public)
	case dns.ECDSAP384SHA384:
		verify, err = ecdsaVerifier(elliptic.P384(), crypto.SHA384, public)
	case dns.ED25519:
		verify, err = eddsaVerifier(public, ed25519.PublicKeySize, ed25519.SignatureSize,
			func(data, signature []byte) bool { return ed25519.Verify(public, data, signature) })
	case dns.ED448:
		verify, err = eddsaVerifier(public, ed448.PublicKeySize, ed448.SignatureSize,
			func(data, signature []byte) bool { return ed448.Verify(public, data, signature, "") })
	default:
		err = fmt.Errorf("algorithm %s is not supported", algorithmName(algorithm))
	}
	if err != nil {
		return func(_, _ []byte) error { return err }
	}
	return verify
}

func digest(hash crypto.Hash, data []byte) []byte {
	h := hash.New()
	h.Write(data)
	return h.Sum(nil)
}

// ecdsaVerifier parses key and signatures as in RFC 6605 §4: two numbers each,
// of exactly the curve's length.
func ecdsaVerifier(curve elliptic.Curve, hash crypto.Hash, public []byte) (verifier, error) {
	size := curve.Params().BitSize / 8
	if len(public) != 2*size {
		return nil, fmt.Errorf("the key has %d octets instead of %d", len(public), 2*size)
	}
	key, err := ecdsa.ParseUncompressedPublicKey(curve, append([]byte{4}, public...))
	if err != nil {
		return nil, errors.New("the key is not a point of the curve")
	}
	return func(data, signature []byte) error {
		if len(signature) != 2*size {
			return fmt.Errorf("it has %d octets instead of %d", len(signature), 2*size)
		}
		r, s := new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:])
		if !ecdsa.Verify(key, digest(hash, data), r, s) {
			return errors.New("it does not verify")
		}
		return nil
	}, nil
}

// eddsaVerifier checks the sizes of key and signatures, in octets (RFC 8080 §3, §4).
func eddsaVerifier(public []byte, keySize, signatureSize int, verify func(data, signature []byte) bool) (verifier, error) {
	if len(public) != keySize {
		return nil, fmt.Errorf("the key has %d octets instead of %d", len(public), keySize)
	}
	return func(data, signature []byte) error {
		if len(signature) != signatureSize {
			return fmt.Errorf("it has %d octets instead of %d", len(signature), signatureSize)
		}
		if !verify(data, signature) {
			return errors.New("it does not verify")
		}
		return nil
	}, nil
}
