package dane

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	mathrand "math/rand/v2"
	"testing"
	"time"

	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/tlsa"
)

// issued is a certificate with its key.
type issued struct {
	*x509.Certificate
	key *ecdsa.PrivateKey
}

// issue makes a certificate for mx.example.org, or an authority, of its own or
// of issuer. key may be nil: a new one.
func issue(t *testing.T, name string, issuer *issued, key *ecdsa.PrivateKey, notBefore, notAfter time.Time) *issued {
	t.Helper()
	var err error
	if key == nil {
		if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(mathrand.Int64()), Subject: pkix.Name{CommonName: name},
		NotBefore: notBefore, NotAfter: notAfter,
	}
	if name == "mx.example.org" {
		template.DNSNames = []string{name}
	} else {
		template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	}
	parent, signer := template, key
	if issuer != nil {
		parent, signer = issuer.Certificate, issuer.key
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return &issued{certificate, key}
}

func record(usage tlsa.Usage, selector tlsa.Selector, of *issued) string {
	data := of.Raw
	if selector == tlsa.SPKI {
		data = of.RawSubjectPublicKeyInfo
	}
	return fmt.Sprintf("%d %d 1 %x", usage, selector, sha256.Sum256(data))
}

// fullRecord is the record that holds an issuer whole.
func fullRecord(of *issued) string { return fmt.Sprintf("2 0 0 %x", of.Raw) }

func chainOf(t *testing.T, sent ...*issued) *tlsa.Chain {
	t.Helper()
	var chain []*x509.Certificate
	for _, certificate := range sent {
		chain = append(chain, certificate.Certificate)
	}
	return tlsa.NewChain(chain)
}

// What the report says as a date and what Judge says at that date agree, for
// chains with random dates, of which some begin after today.
func TestExpiryAgreesWithJudge(t *testing.T) {
	const name = "mx.example.org"
	random := mathrand.New(mathrand.NewPCG(1, 2))
	days := func(from, to int) time.Time {
		return noon.Add(time.Duration(from+random.IntN(to-from)) * 24 * time.Hour)
	}
	ended, endless := 0, 0
	for range 100 {
		// Two certificates for each authority's key, as after a renewal.
		rootKey := issue(t, "root", nil, nil, noon, noon).key
		roots := []*issued{issue(t, "root", nil, rootKey, days(-30, 20), days(1, 60)), issue(t, "root", nil, rootKey, days(-30, 20), days(1, 60))}
		subs := []*issued{issue(t, "sub", roots[0], nil, days(-30, 20), days(1, 60))}
		subs = append(subs, issue(t, "sub", roots[1], subs[0].key, days(-30, 20), days(1, 60)))
		leaf := issue(t, name, subs[0], nil, days(-30, -1), days(1, 60))
		sent := []*issued{leaf, subs[0], subs[1], roots[0], roots[1]}
		records := []string{record(tlsa.DANETA, tlsa.SPKI, roots[0])}
		for _, more := range []string{
			record(tlsa.DANETA, tlsa.Cert, roots[1]), record(tlsa.DANETA, tlsa.Cert, subs[0]), record(tlsa.DANEEE, tlsa.SPKI, leaf),
		} {
			if random.IntN(4) == 0 {
				records = append(records, more)
			}
		}
		facts := &Facts{MX: mx(dnssec.Secure, name), Hosts: []Host{host(10, addressed(dnssec.Secure, name), Service{
			TLSA: []TLSALookup{published(dnssec.Secure, name, records...)}, Endpoints: []Endpoint{shaken(chainOf(t, sent...))}})}}
		outcome := func(at time.Time) Outcome {
			return Judge(facts, Rules{Target: "example.org", Policy: SMTPRelay, Require: RequireDANE}, at).Outcome
		}
		verdict := Judge(facts, Rules{Target: "example.org", Policy: SMTPRelay, Require: RequireDANE}, noon)
		until := verdict.Services[0].Until
		switch {
		case verdict.Outcome != Authenticated:
			if !until.IsZero() {
				t.Errorf("%s, and authenticated until %s", verdict.Outcome, until)
			}
		case until.IsZero():
			endless++
			if got := outcome(noon.AddDate(100, 0, 0)); got != Authenticated {
				t.Errorf("authenticated for ever, and in a hundred years %s", got)
			}
		default:
			ended++
			for _, at := range []time.Time{until.Add(-time.Second), until, noon.Add(time.Duration(random.Int64N(int64(until.Sub(noon)))))} {
				if got := outcome(at); got != Authenticated {
					t.Errorf("authenticated until %s, and at %s %s", until, at, got)
				}
			}
			if got := outcome(until.Add(time.Second)); got != Refused {
				t.Errorf("authenticated until %s, and a second later %s", until, got)
			}
		}
	}
	if ended < 20 || endless < 5 {
		t.Errorf("only %d stories with an end and %d without were told", ended, endless)
	}
}

// The leaf is as good as its issuer: the certificate of today's ends before
// that of tomorrow's, which has the same key, and there is no gap.
func TestExpiryFollowsOneAnchorToTheNext(t *testing.T) {
	const name = "mx.example.org"
	day := 24 * time.Hour
	today := issue(t, "root", nil, nil, noon.Add(-day), noon.Add(10*day))
	tomorrow := issue(t, "root", nil, today.key, noon.Add(9*day), noon.Add(40*day))
	leaf := issue(t, name, today, nil, noon.Add(-day), noon.Add(30*day))
	facts := &Facts{MX: mx(dnssec.Secure, name), Hosts: []Host{host(10, addressed(dnssec.Secure, name), Service{
		TLSA:      []TLSALookup{published(dnssec.Secure, name, record(tlsa.DANETA, tlsa.Cert, today), record(tlsa.DANETA, tlsa.Cert, tomorrow))},
		Endpoints: []Endpoint{shaken(chainOf(t, leaf, today, tomorrow))}})}}
	verdict := Judge(facts, Rules{Target: "example.org", Policy: SMTPRelay}, noon)
	if got, want := verdict.Services[0].Until, leaf.NotAfter; !got.Equal(want) {
		t.Errorf("got %s, want the leaf's end, %s", got, want)
	}
	later := Judge(facts, Rules{Target: "example.org", Policy: SMTPRelay}, leaf.NotAfter.Add(time.Second))
	if verdict.Outcome != Authenticated || later.Outcome != Refused || !later.At.Equal(leaf.NotAfter.Add(time.Second)) {
		t.Errorf("now %s, later %s at %s", verdict.Outcome, later.Outcome, later.At)
	}
}
