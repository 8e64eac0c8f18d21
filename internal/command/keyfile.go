package command

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

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
	case s.certificate != nil && s.beginsWithIssuer():
		err = errors.New("the first certificate of the file issued the second; the server's certificate must be the first")
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

// maxKeyFile is the largest accepted file, in bytes. It is more than a chain of
// certificates with the largest keys takes.
const maxKeyFile = 1 << 20

// readKeyFile reads a certificate, a certificate request, or a public or private key,
// as PEM or DER. If a file has several certificates, the first is that of the server,
// and the others are its chain. Only the public part of a private key is kept.
func readKeyFile(path string) (keySource, error) {
	file, err := os.Open(path)
	if err != nil {
		return keySource{}, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxKeyFile+1))
	if err != nil {
		return keySource{}, err
	}
	if len(data) > maxKeyFile {
		return keySource{}, fmt.Errorf("%s is larger than %d bytes", path, maxKeyFile)
	}
	source, err := parseKeyFile(data)
	if err != nil {
		return keySource{}, fmt.Errorf("%s: %w", path, err)
	}
	source.name = path
	return source, nil
}

// pemBegin starts a PEM block (RFC 7468 §2), or one that package pem skips because
// of what precedes it.
var pemBegin = regexp.MustCompile("(?m)^\ufeff?[ \t]*-----BEGIN ")

// parseKeyFile parses the contents of a file. Parameters and other PEM blocks that
// are no certificate or key are skipped. The file must have one key only: that of
// the first certificate, if there is one. A record of another key would
// authenticate no server.
func parseKeyFile(data []byte) (keySource, error) {
	begins := len(pemBegin.FindAllIndex(data, -1))
	if begins == 0 {
		return parseDER(data)
	}
	var source keySource // of the certificates
	var key []byte       // the SubjectPublicKeyInfo of a key or certificate request
	var encrypted bool
	var skipped []string
	blocks, certificates := 0, 0
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		blocks++
		switch {
		case isCertificate(block):
			certificates++
			certificate, err := parsePEMCertificate(block)
			if err != nil {
				err = fmt.Errorf("certificate %d of the file: %w", certificates, err)
			}
			switch {
			case err == nil:
				source.chain = append(source.chain, certificate)
			case certificates == 1:
				return keySource{}, err
			default: // records of the first certificate may not need it
				source.chainErr = cmp.Or(source.chainErr, err)
			}
		case isEncrypted(block):
			encrypted = true
		case isKey(block):
			spki, err := parsePEMKey(block)
			if err != nil {
				return keySource{}, err
			}
			if key != nil && !bytes.Equal(key, spki) {
				return keySource{}, errors.New("the file has different keys; use a file for each")
			}
			key = spki
		default:
			skipped = append(skipped, block.Type)
		}
	}
	switch {
	case blocks < begins:
		// pem.Decode skips what it cannot read. Without its first certificate, a
		// chain would give the record of an issuer.
		return keySource{}, fmt.Errorf("%d of the %d PEM blocks cannot be decoded", begins-blocks, begins)
	case len(source.chain) > 0:
		return source.withFirst(key)
	case key != nil:
		return keySource{spki: key}, nil
	case encrypted:
		return keySource{}, errors.New("the private key is encrypted; use its public key, as written by openssl pkey -pubout")
	default:
		return keySource{}, fmt.Errorf("no certificate, certificate request or key found; the file has only: %s", strings.Join(skipped, ", "))
	}
}

// withFirst returns the source of a file with a chain. key is the key in the same
// file, or nil. It returns an error if that is not the key of the first certificate.
func (s keySource) withFirst(key []byte) (keySource, error) {
	s.certificate, s.spki = s.chain[0], s.chain[0].RawSubjectPublicKeyInfo
	if key != nil && !bytes.Equal(key, s.spki) {
		return keySource{}, errors.New("the key in the file is not that of its first certificate")
	}
	return s, nil
}

// beginsWithIssuer reports whether the first certificate of a file issued the second.
func (s keySource) beginsWithIssuer() bool {
	return !s.served && len(s.chain) > 1 && !bytes.Equal(s.chain[0].Raw, s.chain[1].Raw) && s.chain[1].CheckSignatureFrom(s.chain[0]) == nil
}

// isCertificate reports whether a PEM block is a certificate.
func isCertificate(block *pem.Block) bool {
	return block.Type == "CERTIFICATE" || block.Type == "TRUSTED CERTIFICATE" || block.Type == "X509 CERTIFICATE"
}

// isKey reports whether a PEM block is a key or a certificate request.
func isKey(block *pem.Block) bool {
	return strings.HasSuffix(block.Type, "PUBLIC KEY") || strings.HasSuffix(block.Type, "PRIVATE KEY") || strings.HasSuffix(block.Type, "CERTIFICATE REQUEST")
}

// isEncrypted reports whether a PEM block is an encrypted private key.
func isEncrypted(block *pem.Block) bool {
	return block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != ""
}

// parsePEMCertificate returns the certificate of a block. OpenSSL appends the uses
// that it trusts a TRUSTED CERTIFICATE for (openssl-x509(1), -trustout).
func parsePEMCertificate(block *pem.Block) (*x509.Certificate, error) {
	der := block.Bytes
	if block.Type == "TRUSTED CERTIFICATE" {
		var certificate asn1.RawValue
		if _, err := asn1.Unmarshal(der, &certificate); err != nil {
			return nil, err
		}
		der = certificate.FullBytes
	}
	return x509.ParseCertificate(der)
}

// parsePEMKey returns the SubjectPublicKeyInfo of a block with a key or a
// certificate request.
func parsePEMKey(block *pem.Block) ([]byte, error) {
	source, err := parseDER(block.Bytes)
	switch {
	case err == nil && source.certificate == nil:
		return source.spki, nil
	case err == nil:
		return nil, fmt.Errorf("the PEM block %s is a certificate", block.Type)
	case isUnknownSPKI(block.Bytes):
		return block.Bytes, nil
	case block.Type == "OPENSSH PRIVATE KEY":
		return nil, errors.New("the key has the format of OpenSSH; convert it, or use a certificate")
	}
	return nil, fmt.Errorf("PEM block %s: %w", block.Type, err)
}

// isUnknownSPKI reports whether der is a SubjectPublicKeyInfo (RFC 5280 §4.1) with a
// type of key that package x509 does not know. A record needs its structure only.
func isUnknownSPKI(der []byte) bool {
	_, err := x509.ParsePKIXPublicKey(der)
	if err == nil || !strings.Contains(err.Error(), "unknown public key algorithm") && !strings.Contains(err.Error(), "unsupported elliptic curve") {
		return false
	}
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		PublicKey asn1.BitString
	}
	if rest, err := asn1.Unmarshal(der, &info); err != nil || len(rest) > 0 {
		return false
	}
	again, err := asn1.Marshal(info) // Unmarshal ignores further elements
	return err == nil && bytes.Equal(again, der)
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
