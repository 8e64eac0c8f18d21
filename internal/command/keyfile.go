package command

import (
	"cmp"
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
	name        string              // of the file or address it was read from
	certificate *x509.Certificate   // nil if there is only a key
	chain       []*x509.Certificate // as sent or as in the file, beginning with certificate
	chainErr    error               // why the chain lacks a certificate of the file
	served      bool                // a server sent the chain
	spki        []byte              // the SubjectPublicKeyInfo, in DER
}

// record returns the TLSA record of the certificate or key. It returns an error if
// the record would not authenticate a server with the chain for v.
func (s keySource) record(p tlsaParameters, v tlsa.Verifier) (tlsa.Record, error) {
	var record tlsa.Record
	var err error
	switch ofIssuer := p.usage == tlsa.DANETA || p.usage == tlsa.PKIXTA; {
	case ofIssuer && s.certificate == nil:
		err = fmt.Errorf("usage %s needs the certificate of an issuer, and this is only a key", p.usage)
	case ofIssuer:
		record, err = s.issuerRecord(p, v)
	case s.certificate != nil:
		record, err = s.verifiedRecord(s.certificate, p, v)
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

// issuerRecord returns the record of the lowest issuer in the chain that makes the
// record authenticate the server. A file may also begin with the certificate of an
// issuer. Its record is returned as it is, because the server's chain is not known.
func (s keySource) issuerRecord(p tlsaParameters, v tlsa.Verifier) (tlsa.Record, error) {
	if !s.served && !v.NameMatches(tlsa.NewChain(s.chain)) {
		err := tlsa.CheckIssuer(s.certificate, v.At)
		if err == nil {
			return tlsa.NewRecord(s.certificate, p.usage, p.selector, p.matchingType)
		}
		if len(s.chain) == 1 {
			return tlsa.Record{}, fmt.Errorf("usage %s needs the certificate of an issuer: %w", p.usage, err)
		}
	}
	if s.chainErr != nil {
		return tlsa.Record{}, s.chainErr
	}
	if len(s.chain) == 1 && s.served {
		return tlsa.Record{}, fmt.Errorf("the server sends no issuer certificate, which a record with usage %s needs", p.usage)
	}
	if len(s.chain) == 1 {
		return tlsa.Record{}, fmt.Errorf("usage %s needs the certificate of an issuer, and this is the certificate of the server", p.usage)
	}
	var failed error
	for _, issuer := range s.chain[1:] {
		record, err := s.verifiedRecord(issuer, p, v)
		if err == nil {
			return record, nil
		}
		if failed == nil {
			failed = err
		}
	}
	return tlsa.Record{}, failed
}

// verifiedRecord returns the record of a certificate of the chain. It returns an
// error if the record alone does not authenticate a server with that chain.
func (s keySource) verifiedRecord(certificate *x509.Certificate, p tlsaParameters, v tlsa.Verifier) (tlsa.Record, error) {
	record, err := tlsa.NewRecord(certificate, p.usage, p.selector, p.matchingType)
	if err != nil {
		return tlsa.Record{}, err
	}
	chain := tlsa.NewChain(s.chain)
	if m := v.Match([]tlsa.Record{record}, chain)[0]; !m.Authenticates() {
		err := fmt.Errorf("a record with usage %s would not authenticate the server: %s", p.usage, m.Why)
		if s.chainErr != nil {
			err = fmt.Errorf("%w; %w", err, s.chainErr)
		}
		return tlsa.Record{}, err
	}
	if p.usage == tlsa.DANEEE {
		return record, nil
	}
	switch single := v.SinglePath([]tlsa.Record{record}, chain); {
	case single.Open:
		return tlsa.Record{}, fmt.Errorf("whether clients with OpenSSL authenticate the server by a record with usage %s is not known: %s", p.usage, single.Failure)
	case single.Failure != "":
		return tlsa.Record{}, fmt.Errorf("clients with OpenSSL would not authenticate the server by a record with usage %s: %s", p.usage, single.Failure)
	}
	return record, nil
}

// maxKeyFile is the size in bytes that is read of a file. It is more than a chain
// of certificates with the largest keys takes.
const maxKeyFile = 1 << 20

// readKeyFile reads a certificate, a certificate request, or a public or private
// key, as PEM or DER. If a file has several, the first is used, and the certificates
// after a certificate are its chain. Of a private key, only the public key is kept.
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
		source, err := parsePEMBlock(block)
		if err == nil && source.certificate != nil {
			source.chain, source.chainErr = parseChain(source.certificate, rest)
		}
		return source, err
	}
	return keySource{}, errors.New("the file has EC parameters, but no key")
}

// isCertificate reports whether a PEM block is a certificate.
func isCertificate(block *pem.Block) bool {
	return block.Type == "CERTIFICATE" || block.Type == "TRUSTED CERTIFICATE" || block.Type == "X509 CERTIFICATE"
}

// parseChain returns a certificate and those that follow it in a file, without those
// that cannot be parsed. The error is that of the first of them.
func parseChain(first *x509.Certificate, rest []byte) ([]*x509.Certificate, error) {
	chain := []*x509.Certificate{first}
	var failed error
	number := 1
	for block, rest := pem.Decode(rest); block != nil; block, rest = pem.Decode(rest) {
		if !isCertificate(block) {
			continue
		}
		number++
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			failed = cmp.Or(failed, fmt.Errorf("certificate %d of the file: %w", number, err))
			continue
		}
		chain = append(chain, certificate)
	}
	return chain, failed
}

func parsePEMBlock(block *pem.Block) (keySource, error) {
	switch {
	case isCertificate(block):
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
		return keySource{certificate: certificate, chain: []*x509.Certificate{certificate}, spki: certificate.RawSubjectPublicKeyInfo}, nil
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
