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

// subject is what a TLSA record is made of: a certificate, or the key of one
// that does not exist yet.
type subject struct {
	from        string            // where it comes from, for people
	certificate *x509.Certificate // nil where there is a key alone
	key         []byte            // its SubjectPublicKeyInfo, in DER
}

// record makes the record of a subject.
func (s subject) record(p parameters) (tlsa.Record, error) {
	var record tlsa.Record
	var err error
	switch {
	case s.certificate != nil:
		record, err = tlsa.NewRecord(s.certificate, p.usage, p.selector, p.matchingType)
	case p.selector != tlsa.SPKI:
		err = errors.New("a key alone has no record with selector 0, which is of the whole certificate")
	default:
		record, err = tlsa.NewKeyRecord(s.key, p.usage, p.matchingType)
	}
	if err != nil {
		return tlsa.Record{}, fmt.Errorf("%s: %w", s.from, err)
	}
	return record, nil
}

// maxFile is more than a chain of certificates with the largest keys takes.
const maxFile = 1 << 20

// readSubject reads a certificate, a certificate request, or a public or
// private key, as PEM or DER. Of several in one file, the first counts. A private
// key gives its public half, and is not kept.
func readSubject(path string) (subject, error) {
	file, err := os.Open(path)
	if err != nil {
		return subject{}, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFile))
	if err != nil {
		return subject{}, err
	}
	found, err := parseSubject(data)
	if err != nil {
		return subject{}, fmt.Errorf("%s: %w", path, err)
	}
	found.from = path
	return found, nil
}

func parseSubject(data []byte) (subject, error) {
	block, rest := pem.Decode(data)
	if block == nil {
		return parseDER(data)
	}
	for ; block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "EC PARAMETERS" { // openssl ecparam writes them before the key
			continue
		}
		return parseBlock(block)
	}
	return subject{}, errors.New("it holds parameters, and no key")
}

func parseBlock(block *pem.Block) (subject, error) {
	switch block.Type {
	case "CERTIFICATE", "TRUSTED CERTIFICATE", "X509 CERTIFICATE":
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return subject{}, err
		}
		return subject{certificate: certificate, key: certificate.RawSubjectPublicKeyInfo}, nil
	case "ENCRYPTED PRIVATE KEY":
		return subject{}, errors.New("the private key is encrypted; give its public half, which openssl pkey -pubout writes")
	}
	if block.Headers["DEK-Info"] != "" {
		return subject{}, errors.New("the private key is encrypted; give its public half, which openssl pkey -pubout writes")
	}
	if block.Type == "PUBLIC KEY" {
		return subject{key: block.Bytes}, nil
	}
	return parseDER(block.Bytes)
}

// parseDER tries what there is.
func parseDER(der []byte) (subject, error) {
	if certificate, err := x509.ParseCertificate(der); err == nil {
		return subject{certificate: certificate, key: certificate.RawSubjectPublicKeyInfo}, nil
	}
	if request, err := x509.ParseCertificateRequest(der); err == nil {
		return subject{key: request.RawSubjectPublicKeyInfo}, nil
	}
	if _, err := x509.ParsePKIXPublicKey(der); err == nil {
		return subject{key: der}, nil
	}
	public, err := publicKey(der)
	if err != nil {
		return subject{}, err
	}
	key, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return subject{}, err
	}
	return subject{key: key}, nil
}

// publicKey is the public half of a private key, or an RSA key of its own form.
func publicKey(der []byte) (crypto.PublicKey, error) {
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
	return nil, errors.New("it is no certificate, certificate request or key that can be read, in PEM or DER; of an unusual key, give the public half in PEM")
}
