package command

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"dane_exporter/probe/tlsa"
)

// keyFiles has the PEM blocks that the cases of TestParseKeyFile are made of.
type keyFiles struct {
	key, otherKey                        crypto.Signer // of the server's certificate, and of none
	leaf, issuer, request                string
	pkcs8, sec1, otherPKCS8              string
	public, pkcs1Public, otherPublic     string
	trusted, unknownPublic, spkiWithTail string
}

func pemBlock(blockType string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: blockType, Bytes: der}))
}

func newKeyFiles(t *testing.T) *keyFiles {
	t.Helper()
	must := func(der []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Root"}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), DNSNames: []string{"mx.example.org"}, NotAfter: time.Now().Add(time.Hour)}
	rootDER := must(x509.CreateCertificate(rand.Reader, root, root, other.Public(), other))
	root.Raw = rootDER
	leafDER := must(x509.CreateCertificate(rand.Reader, leaf, root, key.Public(), other))
	// The uses that openssl x509 -trustout appends: serverAuth.
	uses := must(asn1.Marshal(struct{ Trust []asn1.ObjectIdentifier }{[]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 1}}}))
	unknown := must(asn1.Marshal(struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}{pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 3, 101, 113}}, asn1.BitString{Bytes: make([]byte, 57), BitLength: 456}})) // Ed448 (RFC 8410)
	withTail := must(asn1.Marshal(struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
		Tail      int
	}{pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 3, 101, 113}}, asn1.BitString{Bytes: make([]byte, 57), BitLength: 456}, 1}))
	return &keyFiles{
		key: key, otherKey: other,
		leaf: pemBlock("CERTIFICATE", leafDER), issuer: pemBlock("CERTIFICATE", rootDER),
		request:       pemBlock("NEW CERTIFICATE REQUEST", must(x509.CreateCertificateRequest(rand.Reader, new(x509.CertificateRequest), key))),
		pkcs8:         pemBlock("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(key))),
		sec1:          pemBlock("EC PRIVATE KEY", must(x509.MarshalECPrivateKey(key))),
		otherPKCS8:    pemBlock("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(other))),
		public:        pemBlock("PUBLIC KEY", must(x509.MarshalPKIXPublicKey(key.Public()))),
		otherPublic:   pemBlock("PUBLIC KEY", must(x509.MarshalPKIXPublicKey(other.Public()))),
		pkcs1Public:   pemBlock("PUBLIC KEY", x509.MarshalPKCS1PublicKey(&other.PublicKey)),
		trusted:       pemBlock("TRUSTED CERTIFICATE", append(leafDER[:len(leafDER):len(leafDER)], uses...)),
		unknownPublic: pemBlock("PUBLIC KEY", unknown), spkiWithTail: pemBlock("PUBLIC KEY", withTail),
	}
}

// TestParseKeyFile checks that each file gives the record of the server's key, or
// an error: never another record.
func TestParseKeyFile(t *testing.T) {
	f := newKeyFiles(t)
	digest := func(key crypto.Signer) string {
		der, err := x509.MarshalPKIXPublicKey(key.Public())
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(der)
		return hex.EncodeToString(sum[:])
	}
	server, other := "3 1 1 "+digest(f.key), "3 1 1 "+digest(f.otherKey)
	block, _ := pem.Decode([]byte(f.unknownPublic))
	unknownSum := sha256.Sum256(block.Bytes)
	dhParameters := pemBlock("DH PARAMETERS", []byte{0x30, 0x06, 2, 1, 23, 2, 1, 5})
	encrypted := pemBlock("ENCRYPTED PRIVATE KEY", []byte{0x30, 0})
	damaged := strings.Replace(f.leaf, "M", "!", 1)
	for _, test := range []struct {
		name, file string
		want       string // the record, or "" for an error
		err        string
	}{
		{"certificate", f.leaf, server, ""},
		{"chain", f.leaf + f.issuer, server, ""},
		{"key first, then the chain", f.pkcs8 + f.leaf + f.issuer, server, ""},
		{"SEC 1 key first", f.sec1 + f.leaf, server, ""},
		{"chain, then the key", f.leaf + f.issuer + f.pkcs8, server, ""},
		{"encrypted key first", encrypted + f.leaf, server, ""},
		{"DH parameters first", dhParameters + f.leaf + f.issuer, server, ""},
		{"DH parameters, key, chain", dhParameters + f.pkcs8 + f.leaf + f.issuer, server, ""},
		{"DH parameters and key", dhParameters + f.pkcs8, server, ""},
		{"certificate request and its key", f.request + f.pkcs8, server, ""},
		{"the same key twice", f.pkcs8 + f.public, server, ""},
		{"trusted certificate", f.trusted, server, ""},
		{"trusted certificate in a chain", f.trusted + f.issuer, server, ""},
		{"text before each block", "subject=mx\n" + f.leaf + "issuer\n" + f.issuer, server, ""},
		{"lines that end in CR LF", strings.ReplaceAll(f.leaf+f.issuer, "\n", "\r\n"), server, ""},
		{"public key", f.public, server, ""},
		{"PKCS #1 key under the header PUBLIC KEY", f.pkcs1Public, other, ""},
		{"PKCS #8 key under the header PUBLIC KEY", strings.ReplaceAll(f.pkcs8, "PRIVATE KEY", "PUBLIC KEY"), server, ""},
		{"SubjectPublicKeyInfo under the header RSA PUBLIC KEY", strings.ReplaceAll(f.otherPublic, "PUBLIC KEY", "RSA PUBLIC KEY"), other, ""},
		{"public key of a type that Go does not know", f.unknownPublic, "3 1 1 " + hex.EncodeToString(unknownSum[:]), ""},

		{"key of another certificate", f.otherPKCS8 + f.leaf, "", "the key in the file is not that of its first certificate"},
		{"issuer first, with the key", f.pkcs8 + f.issuer + f.leaf, "", "the key in the file is not that of its first certificate"},
		{"issuer first", f.issuer + f.leaf, "", "issued the second"},
		{"two keys", f.pkcs8 + f.otherPKCS8, "", "different keys"},
		{"two pairs of key and certificate", f.pkcs8 + f.leaf + f.otherPKCS8 + f.issuer, "", "different keys"},
		{"damaged certificate before its issuer", damaged + f.issuer, "", "1 of the 2 PEM blocks cannot be decoded"},
		{"certificate cut off", f.leaf[:len(f.leaf)/2], "", "cannot be decoded"},
		{"indented certificate before its issuer", "  " + f.leaf + f.issuer, "", "1 of the 2 PEM blocks cannot be decoded"},
		{"byte order mark", "\ufeff" + f.leaf + f.issuer, "", "1 of the 2 PEM blocks cannot be decoded"},
		{"certificate under the header PUBLIC KEY", strings.ReplaceAll(f.leaf, "CERTIFICATE", "PUBLIC KEY"), "", "is a certificate"},
		{"certificate with data after it", strings.ReplaceAll(f.trusted, "TRUSTED ", ""), "", "trailing data"},
		{"public key with a further element", f.spkiWithTail, "", "PUBLIC KEY"},
		{"public key of garbage", pemBlock("PUBLIC KEY", []byte("garbage")), "", "PUBLIC KEY"},
		{"encrypted key", encrypted, "", "the private key is encrypted"},
		{"only parameters", dhParameters, "", "the file has only: DH PARAMETERS"},
		{"OpenSSH key", pemBlock("OPENSSH PRIVATE KEY", []byte("openssh-key-v1\x00")), "", "format of OpenSSH"},
		{"empty", "", "", "no certificate"},
	} {
		t.Run(test.name, func(t *testing.T) {
			source, err := parseKeyFile([]byte(test.file))
			got := ""
			if err == nil {
				var record tlsa.Record
				if record, err = source.record(tlsaParameters{tlsa.DANEEE, tlsa.SPKI, tlsa.SHA256}, tlsa.Verifier{Usages: tlsa.Client(), At: time.Now()}); err == nil {
					got = record.String()
				}
			}
			if got != test.want || test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
				t.Errorf("got %q, %v; want %q, %q", got, err, test.want, test.err)
			}
		})
	}
}

// TestReadKeyFileSize checks that a file is not cut at the size limit.
func TestReadKeyFileSize(t *testing.T) {
	f := newKeyFiles(t)
	path := writeFile(t, "chain.pem", f.leaf+strings.Repeat("#\n", maxKeyFile/2)+f.issuer)
	if source, err := readKeyFile(path); err == nil || !strings.Contains(err.Error(), "is larger than") {
		t.Errorf("got %v, %v", source, err)
	}
}
