package dane

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/tlsa"

	"github.com/miekg/dns"
)

// noon is the current time of all tests of this package.
var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// certificate is a certificate with its key.
type certificate struct {
	*x509.Certificate
	key *ecdsa.PrivateKey
}

// newKey generates an ECDSA key.
func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// sign returns the certificate of a template and a key, self-signed if issuer is nil.
func sign(t *testing.T, template *x509.Certificate, key *ecdsa.PrivateKey, issuer *certificate) *certificate {
	t.Helper()
	template.SerialNumber = big.NewInt(mathrand.Int64())
	parent, signer := template, key
	if issuer != nil {
		parent, signer = issuer.Certificate, issuer.key
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return &certificate{parsed, key}
}

// issue returns a leaf certificate if name is mx.example.org, and that of a
// certificate authority otherwise. It is self-signed if issuer is nil, and for a
// new key if key is nil.
func issue(t *testing.T, name string, issuer *certificate, key *ecdsa.PrivateKey, notBefore, notAfter time.Time) *certificate {
	t.Helper()
	if key == nil {
		key = newKey(t)
	}
	template := &x509.Certificate{Subject: pkix.Name{CommonName: name}, NotBefore: notBefore, NotAfter: notAfter}
	if name == "mx.example.org" {
		template.DNSNames = []string{name}
	} else {
		template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	}
	return sign(t, template, key, issuer)
}

// chainOf returns the chain of the certificates that a server sends.
func chainOf(t *testing.T, sent ...*certificate) *tlsa.Chain {
	t.Helper()
	var chain []*x509.Certificate
	for _, certificate := range sent {
		chain = append(chain, certificate.Certificate)
	}
	return tlsa.NewChain(chain)
}

// selfSigned returns a chain of one self-signed certificate for mx.example.org
// that expired yesterday. It is valid for DANE-EE only.
func selfSigned(t *testing.T) *tlsa.Chain {
	t.Helper()
	return chainOf(t, issue(t, "mx.example.org", nil, nil, noon.AddDate(-1, 0, 0), noon.AddDate(0, 0, -1)))
}

// trustedChain returns a chain of one certificate and the pool of roots that
// trusts it. Without names, the certificate has only its common name.
func trustedChain(t *testing.T, commonName string, names ...string) (*tlsa.Chain, *x509.CertPool) {
	t.Helper()
	root := sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: commonName}, DNSNames: names,
		NotBefore: noon.AddDate(0, 0, -1), NotAfter: noon.AddDate(0, 0, 10),
		IsCA: true, BasicConstraintsValid: true,
	}, newKey(t), nil)
	chain := chainOf(t, root)
	roots := x509.NewCertPool()
	roots.AddCert(chain.Certificates[0])
	return chain, roots
}

// record returns the data of a TLSA record with a SHA-256 digest of a certificate or its key.
func record(usage tlsa.Usage, selector tlsa.Selector, of *certificate) string {
	data := of.Raw
	if selector == tlsa.SPKI {
		data = of.RawSubjectPublicKeyInfo
	}
	return fmt.Sprintf("%d %d 1 %x", usage, selector, sha256.Sum256(data))
}

// fullRecord returns the data of the TLSA record 2 0 0 with the whole certificate.
func fullRecord(of *certificate) string { return fmt.Sprintf("2 0 0 %x", of.Raw) }

func answer(status dnssec.Status, name string, qtype uint16, records ...dns.RR) dnssec.Answer {
	return dnssec.Answer{
		Name: dns.Fqdn(name), Type: qtype, Canonical: dns.Fqdn(name),
		Status: status, Why: "as the case says", Records: records,
	}
}

// failedAnswer returns the answer of a lookup that ended in an error.
func failedAnswer(err error, name string, qtype uint16) dnssec.Answer {
	a := answer(dnssec.Indeterminate, name, qtype)
	a.Err = err
	return a
}

// unreachableAnswer returns the answer of an A lookup to which no resolver responded.
func unreachableAnswer(name string) *dnssec.Answer {
	a := failedAnswer(dnssec.ErrUnreachable, name, dns.TypeA)
	return &a
}

// mxAnswer returns the MX records of example.org, with preferences 10, 20 and so on.
func mxAnswer(status dnssec.Status, hosts ...string) *dnssec.Answer {
	var records []dns.RR
	for i, host := range hosts {
		records = append(records, &dns.MX{Preference: uint16(10 * (i + 1)), Mx: dns.Fqdn(host)})
	}
	a := answer(status, "example.org", dns.TypeMX, records...)
	return &a
}

// addressAnswer returns one A record of a name.
func addressAnswer(status dnssec.Status, name string) *dnssec.Answer {
	a := answer(status, name, dns.TypeA, &dns.A{A: net.IPv4(192, 0, 2, 1)})
	return &a
}

// tlsaLookup returns a lookup of TLSA records at port 25 with these data.
func tlsaLookup(status dnssec.Status, base string, records ...string) TLSALookup {
	var rrs []dns.RR
	for _, text := range records {
		rr, err := dns.NewRR("_25._tcp." + base + ". TLSA " + text)
		if err != nil {
			panic(err)
		}
		rrs = append(rrs, rr)
	}
	return TLSALookup{Base: base, Answer: answer(status, TLSAOwner(base, 25), dns.TypeTLSA, rrs...)}
}

func failedLookup(base string, answer dnssec.Answer) TLSALookup {
	return TLSALookup{Base: base, Answer: answer}
}

// host returns the host that an address answer names, with one SMTP service. The
// endpoints get the addresses 192.0.2.1, 192.0.2.2 and so on.
func host(preference uint16, a *dnssec.Answer, service Service) Host {
	service.Port, service.Protocol, service.Preference = 25, "smtp", preference
	for i := range service.Endpoints {
		service.Endpoints[i].Address = netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)})
	}
	service.TLSAResult = DecideTLSA(service.TLSA)
	return Host{Name: TextName(a.Name), A: a, Services: []Service{service}}
}

// withFailedAAAA adds an AAAA lookup that the deadline of the probe cut short.
func withFailedAAAA(h Host) Host {
	a := failedAnswer(dnssec.ErrDeadline, h.Name, dns.TypeAAAA)
	h.AAAA = &a
	return h
}

// withFailedA makes the addresses of a host IPv6 ones, and its A lookup one that the
// deadline of the probe cut short.
func withFailedA(h Host) Host {
	aaaa := answer(h.A.Status, h.Name, dns.TypeAAAA, &dns.AAAA{AAAA: net.ParseIP("2001:db8::1")})
	a := failedAnswer(dnssec.ErrDeadline, h.Name, dns.TypeA)
	h.A, h.AAAA = &a, &aaaa
	return h
}

// withPinnedAddress makes 192.0.2.1 the only address to connect to.
func withPinnedAddress(h Host) Host {
	h.Pinned = netip.MustParseAddr("192.0.2.1")
	return h
}

// completed returns an endpoint whose TLS handshake is complete.
func completed(chain *tlsa.Chain) Endpoint { return Endpoint{Reached: StageTLS, Chain: chain} }

// failedAt returns an endpoint whose handshake failed after a stage.
func failedAt(reached Stage, err error) Endpoint { return Endpoint{Reached: reached, Err: err} }

// withStartTLSOffered marks that the server offered STARTTLS before the failure.
func withStartTLSOffered(e Endpoint) Endpoint {
	e.Dialogue.Offered = true
	return e
}

// errorWithCause returns an error with a cause, as package handshake attaches it.
func errorWithCause(cause Cause) error { return WithCause(cause, errors.New("as the case says")) }

// reasonsOf returns the reasons of all findings, sorted, each once.
func reasonsOf(v Verdict) []Reason {
	var reasons []Reason
	for _, f := range v.Findings {
		reasons = append(reasons, f.Reason)
	}
	slices.Sort(reasons)
	return slices.Compact(reasons)
}
