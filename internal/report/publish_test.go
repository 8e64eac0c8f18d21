package report

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"math/big"
	"strings"
	"testing"
	"time"

	"dane_exporter/probe/dane"
	"dane_exporter/probe/tlsa"
)

// A record to publish authenticates the server together with those that are published.
func TestComposePublish(t *testing.T) {
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	chain := tlsa.NewChain([]*x509.Certificate{certificate})
	strong := dane.RecordVerdict{Record: tlsa.Record{Usage: tlsa.DANEEE, Selector: tlsa.SPKI, MatchingType: tlsa.SHA512, Data: make([]byte, 64)}}
	malformed := dane.RecordVerdict{Usability: tlsa.Unusable,
		Record: tlsa.Record{Usage: tlsa.DANEEE, Selector: tlsa.SPKI, MatchingType: tlsa.SHA512, Data: make([]byte, 63)}}
	for _, c := range []struct {
		name      string
		published []dane.RecordVerdict
		want      string // of the record
		weak      bool   // a 3 1 1 record would authenticate the server
	}{
		{"no record", nil, "3 1 1 ", true},
		{"a record with SHA-512", []dane.RecordVerdict{strong}, "3 1 2 ", false},
		{"a malformed record with SHA-512", []dane.RecordVerdict{malformed}, "3 1 1 ", true},
	} {
		v := &dane.ServiceVerdict{Service: &dane.Service{}, Host: "mx.example.org", Port: 25, Records: c.published,
			Endpoints: []dane.EndpointVerdict{{Facts: &dane.Endpoint{SNI: "mx.example.org", Chain: chain}}}}
		all := composePublish(v)
		if len(all) != 1 || !strings.HasPrefix(all[0].Record, c.want) {
			t.Errorf("%s: %+v, want one record %s", c.name, all, c.want)
		}
		weak, err := tlsa.NewRecord(certificate, tlsa.DANEEE, tlsa.SPKI, tlsa.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		if got := authenticates(weak, v, chain); got != c.weak {
			t.Errorf("%s: 3 1 1 authenticates: %v, want %v", c.name, got, c.weak)
		}
	}
}
