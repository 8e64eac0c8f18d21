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
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/miekg/dns"
)

// maxModulusBits bounds RSA keys: RFC 3110 §2 allows 4096.
const maxModulusBits = 4096

// verifySignature checks that key made sig over set. It judges the arithmetic
// and nothing else: neither dates, nor names, nor whether key may sign.
func verifySignature(set *rrset, sig *dns.RRSIG, key *dns.DNSKEY) error {
	data, err := signedData(set, sig)
	if err != nil {
		return err
	}
	signature, err := base64.StdEncoding.DecodeString(sig.Signature)
	if err != nil {
		return errors.New("the signature is not base64")
	}
	public, err := base64.StdEncoding.DecodeString(key.PublicKey)
	if err != nil {
		return errors.New("the key is not base64")
	}
	switch sig.Algorithm {
	case dns.RSASHA1, dns.RSASHA1NSEC3SHA1:
		return verifyRSA(crypto.SHA1, public, data, signature)
	case dns.RSASHA256:
		return verifyRSA(crypto.SHA256, public, data, signature)
	case dns.RSASHA512:
		return verifyRSA(crypto.SHA512, public, data, signature)
	case dns.ECDSAP256SHA256:
		return verifyECDSA(elliptic.P256(), crypto.SHA256, public, data, signature)
	case dns.ECDSAP384SHA384:
		return verifyECDSA(elliptic.P384(), crypto.SHA384, public, data, signature)
	case dns.ED25519:
		return verifyEd25519(public, data, signature)
	}
	return fmt.Errorf("algorithm %s is not supported", algorithmName(sig.Algorithm))
}

func digest(hash crypto.Hash, data []byte) []byte {
	h := hash.New()
	h.Write(data)
	return h.Sum(nil)
}

func verifyRSA(hash crypto.Hash, public, data, signature []byte) error {
	key, err := rsaKey(public)
	if err != nil {
		return err
	}
	if err := rsa.VerifyPKCS1v15(key, hash, digest(hash, data), signature); err != nil {
		return fmt.Errorf("it does not verify (%w)", err)
	}
	return nil
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

// verifyECDSA takes signature and key as RFC 6605 §4 has them: two numbers
// each, of the curve's own length, no more and no less.
func verifyECDSA(curve elliptic.Curve, hash crypto.Hash, public, data, signature []byte) error {
	size := curve.Params().BitSize / 8
	if len(public) != 2*size {
		return fmt.Errorf("the key has %d octets instead of %d", len(public), 2*size)
	}
	if len(signature) != 2*size {
		return fmt.Errorf("it has %d octets instead of %d", len(signature), 2*size)
	}
	key, err := ecdsa.ParseUncompressedPublicKey(curve, append([]byte{4}, public...))
	if err != nil {
		return errors.New("the key is not a point of the curve")
	}
	r, s := new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:])
	if !ecdsa.Verify(key, digest(hash, data), r, s) {
		return errors.New("it does not verify")
	}
	return nil
}

// verifyEd25519 takes signature and key as RFC 8080 §3 and §4 have them.
func verifyEd25519(public, data, signature []byte) error {
	if len(public) != ed25519.PublicKeySize {
		return fmt.Errorf("the key has %d octets instead of %d", len(public), ed25519.PublicKeySize)
	}
	if len(signature) != ed25519.SignatureSize {
		return fmt.Errorf("it has %d octets instead of %d", len(signature), ed25519.SignatureSize)
	}
	if !ed25519.Verify(public, data, signature) {
		return errors.New("it does not verify")
	}
	return nil
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
	return Validity{Inception: at(sig.Inception), Expiry: at(sig.Expiration)}
}
