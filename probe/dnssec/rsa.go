package dnssec

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
)

const (
	// maxModulusBits is the maximum size of RSA keys (RFC 3110 §2, RFC 5702 §2).
	maxModulusBits = 4096
	// maxExponentBits is the maximum size of RSA exponents. RFC 3110 §2 allows as
	// many bits as a modulus has. The time to verify a signature grows with the
	// exponent, which the zone chooses. OpenSSL 3.0 has no limit for moduli of 2048
	// bits, and 64 bits for those of 4096.
	maxExponentBits = 128
	// maxStandardExponentBits is the maximum size of the exponents of crypto/rsa.
	maxStandardExponentBits = 31
)

// errTooLarge is the error of a key that is valid and costs too much to use.
var errTooLarge = errors.New("the key is too large")

// rsaPublicKey is an RSA key of any exponent.
type rsaPublicKey struct{ modulus, exponent *big.Int }

func rsaVerifier(hash crypto.Hash, public []byte) (verifier, error) {
	key, err := parseRSAKey(public)
	if err != nil {
		return nil, err
	}
	verify := key.verifyLarge
	if key.exponent.BitLen() <= maxStandardExponentBits {
		standard := &rsa.PublicKey{N: key.modulus, E: int(key.exponent.Int64())}
		verify = func(hash crypto.Hash, digest, signature []byte) error {
			return rsa.VerifyPKCS1v15(standard, hash, digest, signature)
		}
	}
	return func(data, signature []byte) error {
		if err := verify(hash, digest(hash, data), signature); err != nil {
			return fmt.Errorf("it does not verify (%w)", err)
		}
		return nil
	}, nil
}

// parseRSAKey parses the public key field of RFC 3110 §2. It has the length of the
// exponent in one octet, or zero and two octets. The exponent and the modulus
// follow.
func parseRSAKey(public []byte) (*rsaPublicKey, error) {
	if len(public) < 1 {
		return nil, errors.New("the RSA key is empty")
	}
	n, rest := int(public[0]), public[1:]
	if n == 0 {
		if len(rest) < 2 {
			return nil, errors.New("the RSA key is truncated")
		}
		n, rest = int(rest[0])<<8|int(rest[1]), rest[2:]
	}
	if n == 0 || n >= len(rest) {
		return nil, errors.New("the RSA key is truncated")
	}
	if bits := (len(rest) - n) * 8; bits > maxModulusBits {
		return nil, fmt.Errorf("the RSA key has %d bits, and at most %d are allowed (RFC 3110)", bits, maxModulusBits)
	}
	key := &rsaPublicKey{modulus: new(big.Int).SetBytes(rest[n:]), exponent: new(big.Int).SetBytes(rest[:n])}
	switch bits := key.exponent.BitLen(); {
	case key.modulus.Bit(0) == 0 || key.exponent.Bit(0) == 0 || bits == 1:
		return nil, errors.New("the RSA key is invalid: modulus and exponent must be odd, and the exponent above 1")
	case key.exponent.Cmp(key.modulus) >= 0:
		return nil, errors.New("the RSA key is invalid: the exponent is not smaller than the modulus")
	case bits > maxExponentBits:
		return nil, fmt.Errorf("%w: its exponent has %d bits, and at most %d are supported", errTooLarge, bits, maxExponentBits)
	}
	return key, nil
}

// digestInfos are the DER prefixes of a digest in a signature (RFC 8017 §9.2, note 1).
var digestInfos = map[crypto.Hash][]byte{
	crypto.SHA1:   {0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00, 0x04, 0x14},
	crypto.SHA256: {0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20},
	crypto.SHA512: {0x30, 0x51, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03, 0x05, 0x00, 0x04, 0x40},
}

// verifyLarge verifies a signature of RSASSA-PKCS1-v1_5 (RFC 8017 §8.2.2). crypto/rsa
// does not take exponents of more than 31 bits. All inputs are public, so the time
// may depend on them.
func (k *rsaPublicKey) verifyLarge(hash crypto.Hash, digest, signature []byte) error {
	size := (k.modulus.BitLen() + 7) / 8
	info, ok := digestInfos[hash]
	padding := size - 3 - len(info) - len(digest)
	if !ok || padding < 8 {
		return errors.New("the modulus is too short for the digest")
	}
	if len(signature) != size {
		return fmt.Errorf("it has %d octets instead of %d", len(signature), size)
	}
	s := new(big.Int).SetBytes(signature)
	if s.Cmp(k.modulus) >= 0 {
		return errors.New("it is not smaller than the modulus")
	}
	want := append([]byte{0, 1}, bytes.Repeat([]byte{0xff}, padding)...)
	want = append(want, 0)
	want = append(append(want, info...), digest...)
	if !bytes.Equal(s.Exp(s, k.exponent, k.modulus).FillBytes(make([]byte, size)), want) {
		return rsa.ErrVerification
	}
	return nil
}
