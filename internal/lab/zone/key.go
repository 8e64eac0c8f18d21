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

// Key is a key of a zone: what it publishes, and what it signs with.
type Key struct {
	Public *dns.DNSKEY
	signer crypto.Signer // nil: it signs nothing
}

// Idle is the key as it stands in a zone that does not sign with it: published
// ahead of its time, or still published after it.
func (k Key) Idle() Key { return Key{Public: k.Public} }

// Twin makes up a key with the tag of k that nobody can sign with: the tag is a
// sum of 16-bit words (RFC 4034 appendix B), and two of them change places.
// Different n, from 1 on, give different twins; there are at least ten.
func (k Key) Twin(n int) (Key, error) {
	octets, err := base64.StdEncoding.DecodeString(k.Public.PublicKey)
	if err != nil || n < 1 || 2*n+3 > len(octets) {
		return Key{}, fmt.Errorf("key %d of %s has no twin %d", k.Public.KeyTag(), k.Public.Hdr.Name, n)
	}
	other := 2 * n // not the last octet, which may stand alone
	octets[0], octets[1], octets[other], octets[other+1] = octets[other], octets[other+1], octets[0], octets[1]
	public := dns.Copy(k.Public).(*dns.DNSKEY)
	public.PublicKey = base64.StdEncoding.EncodeToString(octets)
	return Key{Public: public}, nil
}

// SEP reports whether the key is a secure entry point (RFC 4034 §2.1.1).
func (k Key) SEP() bool { return k.Public.Flags&dns.SEP != 0 }

// NewKey derives the key that plays a role in a zone: the same arguments give
// the same key, always. Roles are free words: "ksk", "zsk", "former". flags are
// those of the DNSKEY record, as dns.ZONE|dns.SEP.
//
// RSA keys are not derived but taken from four that never change (zones share
// them): 2048 bits where flags have SEP, else 1024; the one or the other of
// each size as the role's hash has it.
//
// An algorithm that cannot be signed with is an error.
func NewKey(apex, role string, algorithm uint8, flags uint16) (Key, error) {
	apex = dns.CanonicalName(apex)
	seed := sha512.Sum512(fmt.Appendf(nil, "%s %s %d", apex, role, algorithm))
	public, signer, err := derive(seed, algorithm, flags&dns.SEP != 0)
	if err != nil {
		return Key{}, fmt.Errorf("key %q of %s: %w", role, apex, err)
	}
	return Key{
		Public: &dns.DNSKEY{
			Hdr:       dns.RR_Header{Name: apex, Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET, Ttl: keyTTL},
			Flags:     flags,
			Protocol:  3,
			Algorithm: algorithm,
			PublicKey: base64.StdEncoding.EncodeToString(public),
		},
		signer: deterministic{signer},
	}, nil
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
		return nil, nil, fmt.Errorf("algorithm %d cannot be signed with", algorithm)
	}
}

// ecdsaKey takes seed modulo n−1, plus one, as the private scalar. The public
// key is X | Y (RFC 6605 §4).
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
	return point[1:], key, nil // without the octet that says "uncompressed"
}

//go:embed keys/*.pem
var rsaFiles embed.FS

// rsaKey picks a key of fixed size and writes it as RFC 3110 §2 does.
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
		return nil, nil, fmt.Errorf("%s holds no PEM block", file)
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

// deterministic signs without chance: ECDSA as RFC 6979 has it, the others
// need none anyway.
type deterministic struct{ crypto.Signer }

func (d deterministic) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return d.Signer.Sign(nil, digest, opts)
}
