package zone

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha512"
	"crypto/x509"
	"embed"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"

	"github.com/miekg/dns"
)

// keyTTL is the TTL of DNSKEY records.
const keyTTL = 3600

// Key is a key of a zone. Without a private key, it is published but signs nothing.
type Key struct {
	Public *dns.DNSKEY
	signer crypto.Signer // nil: none
}

// Idle returns the key without its private key, like a key that is published before
// or after it is used for signing.
func (k Key) Idle() Key { return Key{Public: k.Public} }

// Twin returns another key with the key tag of k, without a private key. The tag is a
// sum of 16-bit words (RFC 4034 appendix B), so swapping two words keeps it.
// Different n, from 1, give different keys; there are at least ten. A larger n
// than the key allows is an error.
func (k Key) Twin(n int) (Key, error) {
	octets, err := base64.StdEncoding.DecodeString(k.Public.PublicKey)
	if err != nil || n < 1 || 2*n+3 > len(octets) {
		return Key{}, fmt.Errorf("key %d of %s has no twin %d", k.Public.KeyTag(), k.Public.Hdr.Name, n)
	}
	other := 2 * n // not the last octet, which may be half a word
	octets[0], octets[1], octets[other], octets[other+1] = octets[other], octets[other+1], octets[0], octets[1]
	public := dns.Copy(k.Public).(*dns.DNSKEY)
	public.PublicKey = base64.StdEncoding.EncodeToString(octets)
	return Key{Public: public}, nil
}

// SEP reports whether the key is a secure entry point (RFC 4034 §2.1.1).
func (k Key) SEP() bool { return k.Public.Flags&dns.SEP != 0 }

// NewKey derives the key for a role in a zone. Equal arguments give equal keys. The key tag
// is not 0: miekg/dns does not sign with such a key.
// role is any string, such as "ksk" or "former". flags are those of the DNSKEY record,
// such as dns.ZONE|dns.SEP.
//
// RSA keys are not derived but selected from four fixed keys that zones share, by a
// hash of apex, role and algorithm: two of 2048 bits for flags with SEP, and two of
// 1024 bits otherwise.
//
// An algorithm that is unknown or cannot sign is an error.
func NewKey(apex, role string, algorithm uint8, flags uint16) (Key, error) {
	apex = dns.CanonicalName(apex)
	seed := sha512.Sum512(fmt.Appendf(nil, "%s %s %d", apex, role, algorithm))
	for {
		public, signer, err := derive(seed, algorithm, flags&dns.SEP != 0)
		if err != nil {
			return Key{}, fmt.Errorf("key %q of %s: %w", role, apex, err)
		}
		record := &dns.DNSKEY{
			Hdr:       dns.RR_Header{Name: apex, Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET, Ttl: keyTTL},
			Flags:     flags,
			Protocol:  3,
			Algorithm: algorithm,
			PublicKey: base64.StdEncoding.EncodeToString(public),
		}
		if record.KeyTag() != 0 {
			return Key{Public: record, signer: deterministic{signer}}, nil
		}
		seed = sha512.Sum512(seed[:])
	}
}

func derive(seed [64]byte, algorithm uint8, strong bool) (public []byte, signer crypto.Signer, err error) {
	switch algorithm {
	case dns.RSASHA1, dns.RSASHA1NSEC3SHA1, dns.RSASHA256, dns.RSASHA512:
		return rsaKey(seed, strong)
	case dns.ECDSAP256SHA256:
		return ecdsaKey(seed, elliptic.P256())
	case dns.ECDSAP384SHA384:
		return ecdsaKey(seed, elliptic.P384())
	case dns.ED25519:
		key := ed25519.NewKeyFromSeed(seed[:ed25519.SeedSize])
		return key.Public().(ed25519.PublicKey), key, nil
	default:
		return nil, nil, fmt.Errorf("algorithm %d cannot sign", algorithm)
	}
}

// ecdsaKey uses seed modulo n−1, plus one, as the private scalar. The public key is
// X | Y (RFC 6605 §4).
func ecdsaKey(seed [64]byte, curve elliptic.Curve) ([]byte, crypto.Signer, error) {
	size := (curve.Params().BitSize + 7) / 8
	one := big.NewInt(1)
	scalar := new(big.Int).SetBytes(seed[:])
	scalar.Mod(scalar, new(big.Int).Sub(curve.Params().N, one)).Add(scalar, one)
	key, err := ecdsa.ParseRawPrivateKey(curve, scalar.FillBytes(make([]byte, size)))
	if err != nil {
		return nil, nil, err
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		return nil, nil, err
	}
	return point[1:], key, nil // without the octet for "uncompressed"
}

//go:embed keys/*.pem
var rsaFiles embed.FS

// rsaKey selects a fixed key. The public key is in the form of RFC 3110 §2.
func rsaKey(seed [64]byte, strong bool) ([]byte, crypto.Signer, error) {
	bits := 1024
	if strong {
		bits = 2048
	}
	file := fmt.Sprintf("keys/rsa-%d-%c.pem", bits, 'a'+seed[0]&1)
	text, err := rsaFiles.ReadFile(file)
	if err != nil {
		return nil, nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, nil, fmt.Errorf("%s: no PEM block", file)
	}
	key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", file, err)
	}
	return rsaPublic(&key.PublicKey), key, nil
}

func rsaPublic(key *rsa.PublicKey) []byte {
	exponent := big.NewInt(int64(key.E)).Bytes()
	public := append([]byte{byte(len(exponent))}, exponent...)
	return append(public, key.N.Bytes()...)
}

// deterministic makes deterministic signatures: ECDSA by RFC 6979. The other
// algorithms are deterministic anyway.
type deterministic struct{ crypto.Signer }

func (d deterministic) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return d.Signer.Sign(nil, digest, opts)
}
