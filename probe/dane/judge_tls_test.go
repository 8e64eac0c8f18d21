package dane

import (
	"crypto/sha256"
	"fmt"
	"slices"
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
		e.Err = errorWithCause(cause)
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
