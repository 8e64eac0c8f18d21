package dane

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"

	"dane_exporter/probe/dnssec"
)

// TestSessionFailsInsideTLS judges endpoints that completed the handshake and then
// failed, or that rejected the client for its missing certificate.
func TestSessionFailsInsideTLS(t *testing.T) {
	const name = "mx.example.org"
	chain := selfSigned(t)
	matching := fmt.Sprintf("3 1 1 %x", sha256.Sum256(chain.Certificates[0].RawSubjectPublicKeyInfo))
	other := fmt.Sprintf("3 1 1 %x", sha256.Sum256([]byte("another key")))
	inside := func(cause Cause) Endpoint {
		e := withStartTLSOffered(completed(chain))
		e.Err, e.Raw = errorWithCause(cause), [][]byte{chain.Certificates[0].Raw}
		return e
	}
	inHandshake := withStartTLSOffered(failedAt(StageStartTLS, errorWithCause(CauseClientCertificate)))
	for _, c := range []struct {
		name     string
		endpoint Endpoint
		records  []string
		policy   Policy
		want     Outcome
		reasons  []Reason
	}{
		{"TLS 1.3, matching record", inside(CauseClientCertificate), []string{matching}, SMTPRelay, Refused, []Reason{ClientCertificateRequired}},
		{"TLS 1.3, another record: both are found", inside(CauseClientCertificate), []string{other}, SMTPRelay, Refused, []Reason{ClientCertificateRequired, TLSAMismatch}},
		{"TLS 1.3, unusable record", inside(CauseClientCertificate), []string{"3 1 1 abcd"}, SMTPRelay, Unreachable, []Reason{ClientCertificateRequired, TLSAUnusable}},
		{"TLS 1.3, no record", inside(CauseClientCertificate), nil, SMTPRelay, Unreachable, []Reason{ClientCertificateRequired, NoTLSA}},
		{"TLS 1.3, no record, client", inside(CauseClientCertificate), nil, Client, Unreachable, []Reason{ClientCertificateRequired, NoTLSA}},
		{"TLS 1.2, record", inHandshake, []string{matching}, SMTPRelay, Refused, []Reason{ClientCertificateRequired}},
		{"TLS 1.2, no record", inHandshake, nil, SMTPRelay, Unreachable, []Reason{ClientCertificateRequired, NoTLSA}},
		{"421 inside TLS", inside(CauseClientRejected), []string{matching}, SMTPRelay, Refused, []Reason{ClientRejected}},
		{"421 inside TLS, no record", inside(CauseClientRejected), nil, SMTPRelay, Unreachable, []Reason{ClientRejected, NoTLSA}},
		{"421 inside TLS, client", inside(CauseClientRejected), []string{matching}, Client, Refused, []Reason{ClientRejected}},
		{"silence inside TLS", inside(CauseTimeout), []string{matching}, SMTPRelay, Refused, []Reason{Timeout}},
		{"closed inside TLS", inside(CauseConnect), []string{matching}, SMTPRelay, Refused, []Reason{ConnectFailed}},
		{"our deadline inside TLS, matching record", inside(CauseDeadline), []string{matching}, SMTPRelay, Unknown, []Reason{ProbeDeadline}},
		{"our deadline inside TLS, another record: certain", inside(CauseDeadline), []string{other}, SMTPRelay, Refused, []Reason{ProbeDeadline, TLSAMismatch}},
		{"our deadline inside TLS, no record", inside(CauseDeadline), nil, SMTPRelay, Unknown, []Reason{NoTLSA, ProbeDeadline}},
	} {
		t.Run(c.name, func(t *testing.T) {
			facts := &Facts{Hosts: []Host{host(0, addressAnswer(dnssec.Secure, name), Service{TLSA: []TLSALookup{tlsaLookup(dnssec.Secure, name, c.records...)}, Endpoints: []Endpoint{c.endpoint}})}}
			v := Judge(facts, Rules{Target: name, Policy: c.policy, Require: RequireDANE}, noon)
			if reasons := reasonsOf(v); v.Outcome != c.want || v.Success || !slices.Equal(reasons, c.reasons) {
				t.Errorf("got %s, %v; want %s, %v", v.Outcome, reasons, c.want, c.reasons)
			}
		})
	}
}

// TestTLSUnsupportedHere judges handshakes that this program cannot complete and
// OpenSSL can, by the certificates that were seen.
func TestTLSUnsupportedHere(t *testing.T) {
	const name = "mx.example.org"
	chain := selfSigned(t)
	leaf := chain.Certificates[0]
	matching := fmt.Sprintf("3 1 1 %x", sha256.Sum256(leaf.RawSubjectPublicKeyInfo))
	other := fmt.Sprintf("3 1 1 %x", sha256.Sum256([]byte("another key")))
	issuerOnly := fmt.Sprintf("2 1 1 %x", sha256.Sum256([]byte("an issuer")))
	inDNS := fmt.Sprintf("2 0 0 %x", leaf.Raw)
	failed := func(cause Cause, raw ...[]byte) Endpoint {
		e := withStartTLSOffered(failedAt(StageStartTLS, errorWithCause(cause)))
		e.Raw = raw
		return e
	}
	for _, c := range []struct {
		name     string
		endpoint Endpoint
		records  []string
		policy   Policy
		want     Outcome
		reasons  []Reason
		detail   string // part of the detail of a finding
	}{
		{"the certificate matches: no proof of possession", failed(CauseTLSUnsupported, leaf.Raw), []string{matching}, SMTPRelay, Unknown, []Reason{TLSUnsupportedHere}, "a certificate that the server sends matches 3 1 1 "},
		{"one of two records matches", failed(CauseTLSUnsupported, leaf.Raw), []string{other, matching}, SMTPRelay, Unknown, []Reason{TLSUnsupportedHere}, "a certificate that the server sends matches 3 1 1 "},
		{"the certificate matches no record", failed(CauseTLSUnsupported, leaf.Raw), []string{other, issuerOnly}, SMTPRelay, Refused, []Reason{TLSAMismatch}, "no usable record matches"},
		{"a record may supply the anchor", failed(CauseTLSUnsupported, leaf.Raw), []string{other, inDNS}, SMTPRelay, Unknown, []Reason{TLSUnsupportedHere}, "whether a record matches is not known"},
		{"unusable records do not count", failed(CauseTLSUnsupported, leaf.Raw), []string{other, "3 1 1 abcd"}, SMTPRelay, Refused, []Reason{TLSAMismatch, TLSAUnusable}, "no usable record matches"},
		{"no certificate seen", failed(CauseTLSUnsupported), []string{other}, SMTPRelay, Unknown, []Reason{TLSUnsupportedHere}, "as the case says"},
		{"no record: a relay delivers", failed(CauseTLSUnsupported, leaf.Raw), nil, SMTPRelay, Opportunistic, []Reason{NoTLSA, TLSUnsupportedHere}, "as the case says"},
		{"no usable record: TLS is mandatory", failed(CauseTLSUnsupported, leaf.Raw), []string{"3 1 1 abcd"}, SMTPRelay, Unknown, []Reason{TLSUnsupportedHere, TLSAUnusable}, "as the case says"},
		{"no record, client", failed(CauseTLSUnsupported, leaf.Raw), nil, Client, Unknown, []Reason{NoTLSA, TLSUnsupportedHere}, "as the case says"},
		{"unparsable certificate matches", failed(CauseUnparsable, leaf.Raw), []string{matching}, SMTPRelay, Unknown, []Reason{CertificateUnparsable}, "a certificate that the server sends matches 3 1 1 "},
		{"unparsable certificate matches no record", failed(CauseUnparsable, leaf.Raw), []string{other}, SMTPRelay, Refused, []Reason{TLSAMismatch}, "no usable record matches"},
		{"unparsable certificate, not seen", failed(CauseUnparsable), []string{other}, SMTPRelay, Unknown, []Reason{CertificateUnparsable}, "as the case says"},
	} {
		t.Run(c.name, func(t *testing.T) {
			facts := &Facts{Hosts: []Host{host(0, addressAnswer(dnssec.Secure, name), Service{TLSA: []TLSALookup{tlsaLookup(dnssec.Secure, name, c.records...)}, Endpoints: []Endpoint{c.endpoint}})}}
			v := Judge(facts, Rules{Target: name, Policy: c.policy, Require: RequireDANE}, noon)
			if reasons := reasonsOf(v); v.Outcome != c.want || v.Success || !slices.Equal(reasons, c.reasons) {
				t.Errorf("got %s, %v; want %s, %v", v.Outcome, reasons, c.want, c.reasons)
			}
			if !slices.ContainsFunc(v.Findings, func(f Finding) bool { return strings.Contains(f.Detail, c.detail) }) {
				t.Errorf("no detail in %+v has %q", v.Findings, c.detail)
			}
		})
	}
}

// TestWeakTLS checks that the outcome is that of senders that still accept the
// server.
func TestWeakTLS(t *testing.T) {
	const name = "mx.example.org"
	chain := selfSigned(t)
	matching := fmt.Sprintf("3 1 1 %x", sha256.Sum256(chain.Certificates[0].RawSubjectPublicKeyInfo))
	for _, c := range []struct {
		name   string
		change func(*Endpoint)
		want   []Reason
	}{
		{"TLS 1.0", func(e *Endpoint) { e.TLSVersion = 0x0301 }, []Reason{TLSObsolete}},
		{"TLS 1.1", func(e *Endpoint) { e.TLSVersion = 0x0302 }, []Reason{TLSObsolete}},
		{"TLS 1.2", func(e *Endpoint) { e.TLSVersion = 0x0303 }, nil},
		{"TLS 1.2 without secure renegotiation", func(e *Endpoint) { e.TLSVersion, e.InsecureRenegotiation = 0x0303, true }, []Reason{TLSObsolete}},
		{"TLS 1.3", func(e *Endpoint) { e.TLSVersion = 0x0304 }, nil},
		{"large ClientHello dropped", func(e *Endpoint) { e.TLSVersion, e.LargeDropped = 0x0304, true }, []Reason{LargeClientHelloDropped}},
		{"no version known", func(*Endpoint) {}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := withStartTLSOffered(completed(chain))
			c.change(&e)
			facts := &Facts{Hosts: []Host{host(0, addressAnswer(dnssec.Secure, name), Service{TLSA: []TLSALookup{tlsaLookup(dnssec.Secure, name, matching)}, Endpoints: []Endpoint{e}})}}
			v := Judge(facts, Rules{Target: name, Policy: SMTPRelay, Require: RequireDANE}, noon)
			if reasons := reasonsOf(v); v.Outcome != Authenticated || !v.Success || !slices.Equal(reasons, c.want) {
				t.Errorf("got %s, %v; want %v", v.Outcome, reasons, c.want)
			}
		})
	}
}
