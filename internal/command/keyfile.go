package command

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"

	"dane_exporter/probe/tlsa"
)

// keySource is a certificate, or only the key of a certificate that is not
// issued yet. TLSA records are made from it.
type keySource struct {
	name        string            // of the file or address it was read from
	certificate *x509.Certificate // nil if there is only a key
	spki        []byte            // the SubjectPublicKeyInfo, in DER
}

// record returns the TLSA record of the certificate or key.
func (s keySource) record(p tlsaParameters) (tlsa.Record, error) {
	var record tlsa.Record
	var err error
	switch {
	case s.certificate != nil:
		record, err = tlsa.NewRecord(s.certificate, p.usage, p.selector, p.matchingType)
	case p.selector != tlsa.SPKI:
		err = errors.New("selector 0 needs the whole certificate, and this is only a key")
	default:
		record, err = tlsa.NewKeyRecord(s.spki, p.usage, p.matchingType)
	}
	if err != nil {
		return tlsa.Record{}, fmt.Errorf("%s: %w", s.name, err)
	}
	return record, nil
}

// maxKeyFile is the size in bytes that is read of a file. It is more than a chain
// of certificates with the largest keys takes.
const maxKeyFile = 1 << 20

// readKeyFile reads a certificate, a certificate request, or a public or private
// key, as PEM or DER. If a file has several, the first is used. Of a private key,
// only the public key is kept.
func readKeyFile(path string) (keySource, error) {
	file, err := os.Open(path)
	if err != nil {
		return keySource{}, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxKeyFile))
	if err != nil {
		return keySource{}, err
	}
	source, err := parseKeyFile(data)
	if err != nil {
		return keySource{}, fmt.Errorf("%s: %w", path, err)
	}
	source.name = path
	return source, nil
}

func parseKeyFile(data []byte) (keySource, error) {
	block, rest := pem.Decode(data)
	if block == nil {
		return parseDER(data)
	}
	for ; block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "EC PARAMETERS" { // openssl ecparam writes them before the key
			continue
		}
		return parsePEMBlock(block)
	}
	return keySource{}, errors.New("the file has EC parameters, but no key")
}

func parsePEMBlock(block *pem.Block) (keySource, error) {
	switch {
	case block.Type == "CERTIFICATE", block.Type == "TRUSTED CERTIFICATE", block.Type == "X509 CERTIFICATE":
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return keySource{}, err
		}
		return keySource{certificate: certificate, spki: certificate.RawSubjectPublicKeyInfo}, nil
	case block.Type == "ENCRYPTED PRIVATE KEY", block.Headers["DEK-Info"] != "":
		return keySource{}, errors.New("the private key is encrypted; use its public key, as written by openssl pkey -pubout")
	case block.Type == "PUBLIC KEY":
		return keySource{spki: block.Bytes}, nil
	}
	return parseDER(block.Bytes)
}

// parseDER tries each supported format in turn.
func parseDER(der []byte) (keySource, error) {
	if certificate, err := x509.ParseCertificate(der); err == nil {
		return keySource{certificate: certificate, spki: certificate.RawSubjectPublicKeyInfo}, nil
	}
	if request, err := x509.ParseCertificateRequest(der); err == nil {
		return keySource{spki: request.RawSubjectPublicKeyInfo}, nil
	}
	if _, err := x509.ParsePKIXPublicKey(der); err == nil {
		return keySource{spki: der}, nil
	}
	key, err := parsePublicKey(der)
	if err != nil {
		return keySource{}, err
	}
	spki, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return keySource{}, err
	}
	return keySource{spki: spki}, nil
}

// parsePublicKey returns the public key of a private key (PKCS #8, SEC 1, PKCS #1),
// or of an RSA public key (PKCS #1).
func parsePublicKey(der []byte) (crypto.PublicKey, error) {
	var private any
	var err error
	if private, err = x509.ParsePKCS8PrivateKey(der); err != nil {
		if private, err = x509.ParseECPrivateKey(der); err != nil {
			private, err = x509.ParsePKCS1PrivateKey(der)
		}
	}
	if err == nil {
		if signer, ok := private.(crypto.Signer); ok {
			return signer.Public(), nil
		}
	}
	if public, err := x509.ParsePKCS1PublicKey(der); err == nil {
		return public, nil
	}
	return nil, errors.New("no certificate, certificate request or key found, as PEM or DER; for an unsupported type of key, use its public key as PEM")
}
