package dnssec

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	_ "crypto/sha1" // algorithms 5 and 7
	_ "crypto/sha256"
	_ "crypto/sha512"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/miekg/dns"
)

// maxModulusBits bounds RSA keys: RFC 3110 §2 allows 4096.
const maxModulusBits = 4096

// verifier checks that a key made a signature over data. It judges the
// arithmetic and nothing else.
type verifier func(data, signature []byte) error

// newVerifier reads the public key field of a DNSKEY. A key that cannot be
// read verifies nothing, and says why.
func newVerifier(algorithm uint8, public []byte) verifier {
	var check verifier
	var err error
	switch algorithm {
	case dns.RSASHA1, dns.RSASHA1NSEC3SHA1:
		check, err = rsaVerifier(crypto.SHA1, public)
	case dns.RSASHA256:
		check, err = rsaVerifier(crypto.SHA256, public)
	case dns.RSASHA512:
		check, err = rsaVerifier(crypto.SHA512, public)
	case dns.ECDSAP256SHA256:
		check, err = ecdsaVerifier(elliptic.P256(), crypto.SHA256, public)
	case dns.ECDSAP384SHA384:
		check, err = ecdsaVerifier(elliptic.P384(), crypto.SHA384, public)
	case dns.ED25519:
		check, err = ed25519Verifier(public)
	default:
		err = fmt.Errorf("algorithm %s is not supported", algorithmName(algorithm))
	}
	if err != nil {
		return func(_, _ []byte) error { return err }
	}
	return check
}

func digest(hash crypto.Hash, data []byte) []byte {
	h := hash.New()
	h.Write(data)
	return h.Sum(nil)
}

func rsaVerifier(hash crypto.Hash, public []byte) (verifier, error) {
	key, err := rsaKey(public)
	if err != nil {
		return nil, err
	}
	return func(data, signature []byte) error {
		if err := rsa.VerifyPKCS1v15(key, hash, digest(hash, data), signature); err != nil {
			return fmt.Errorf("it does not verify (%w)", err)
		}
		return nil
	}, nil
}

// rsaKey reads the public key field of RFC 3110 §2: the length of the exponent
// in one octet, or zero and two octets, then exponent and modulus.
func rsaKey(public []byte) (*rsa.PublicKey, error) {
	if len(public) < 1 {
		return nil, errors.New("the RSA key is empty")
	}
	n, rest := int(public[0]), public[1:]
	if n == 0 {
		if len(rest) < 2 {
			return nil, errors.New("the RSA key is cut short")
		}
		n, rest = int(rest[0])<<8|int(rest[1]), rest[2:]
	}
	if n == 0 || n >= len(rest) {
		return nil, errors.New("the RSA key is cut short")
	}
	exponent, modulus := new(big.Int), new(big.Int)
	exponent.SetBytes(rest[:n])
	if exponent.BitLen() > 31 {
		return nil, fmt.Errorf("the RSA key's exponent has %d bits, and at most 31 are supported", exponent.BitLen())
	}
	if bits := (len(rest) - n) * 8; bits > maxModulusBits {
		return nil, fmt.Errorf("the RSA key has %d bits, and at most %d are allowed (RFC 3110)", bits, maxModulusBits)
	}
	modulus.SetBytes(rest[n:])
	return &rsa.PublicKey{N: modulus, E: int(exponent.Int64())}, nil
}

// ecdsaVerifier takes signature and key as RFC 6605 §4 has them: two numbers
// each, of the curve's own length, no more and no less.
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

// ed25519Verifier takes signature and key as RFC 8080 §3 and §4 have them.
func ed25519Verifier(public []byte) (verifier, error) {
	if len(public) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("the key has %d octets instead of %d", len(public), ed25519.PublicKeySize)
	}
	return func(data, signature []byte) error {
		if len(signature) != ed25519.SignatureSize {
			return fmt.Errorf("it has %d octets instead of %d", len(signature), ed25519.SignatureSize)
		}
		if !ed25519.Verify(public, data, signature) {
			return errors.New("it does not verify")
		}
		return nil
	}, nil
}

func algorithmName(algorithm uint8) string {
	if name, ok := dns.AlgorithmToString[algorithm]; ok {
		return name
	}
	return fmt.Sprint(algorithm)
}

// signatureTimes places the 32-bit times of a signature next to now, by serial
// number arithmetic (RFC 4034 §3.1.5, RFC 1982).
func signatureTimes(sig *dns.RRSIG, now time.Time) Validity {
	at := func(serial uint32) time.Time {
		return time.Unix(now.Unix()+int64(int32(serial-uint32(now.Unix()))), 0).UTC()
	}
	return Validity{Inception: at(sig.Inception), Expiry: at(sig.Expiration), Since: at(sig.Inception)}
}
