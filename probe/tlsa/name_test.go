package tlsa

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"testing"
)

func TestNameMatches(t *testing.T) {
	names := func(dns ...string) *x509.Certificate { return &x509.Certificate{DNSNames: dns} }
	common := func(cns ...string) *x509.Certificate {
		c := &x509.Certificate{}
		for _, cn := range cns {
			c.Subject.Names = append(c.Subject.Names, pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: cn})
		}
		return c
	}
	both := common(mx)
	both.DNSNames = []string{"elsewhere.example"}

	for _, test := range []struct {
		name     string
		leaf     *x509.Certificate
		expected []string
		want     bool
	}{
		{"the name itself", names(mx), []string{mx}, true},
		{"case in the certificate does not matter", names("MX.Example.ORG"), []string{"mx.example.org"}, true},
		{"case in the expected name does not matter", names(mx), []string{"MX.EXAMPLE.ORG"}, true},
		{"a trailing dot in the expected name", names(mx), []string{"mx.example.org."}, true},
		{"one of several on either side", names("a.example", mx), []string{"b.example", mx}, true},
		{"a wildcard for one label", names("*.example.org"), []string{mx}, true},
		{"a wildcard does not stand for two labels", names("*.example.org"), []string{"a.mx.example.org"}, false},
		{"a wildcard does not stand for no label", names("*.example.org"), []string{"example.org"}, false},
		{"a wildcard inside a label", names("m*.example.org"), []string{mx}, false},
		{"a wildcard further right", names("mx.*.org"), []string{mx}, false},
		{"a wildcard alone", names("*"), []string{"org"}, false},
		{"an A-label", names("xn--bcher-kva.example"), []string{"xn--bcher-kva.example"}, true},
		{"a NUL byte does not end a name", names("mx.example.org\x00.evil.example"), []string{mx}, false},
		{"an empty name matches nothing", names("", "."), []string{"", "."}, false},
		{"no expected name", names(mx), nil, false},
		{"the common name, without dNSNames", common(mx), []string{mx}, true},
		{"any of several common names", common("elsewhere.example", mx), []string{mx}, true},
		{"a wildcard as common name", common("*.example.org"), []string{mx}, true},
		{"the common name of a certificate with a dNSName", both, []string{mx}, false},
		{"no name in the certificate", names(), []string{mx}, false},
		{"an address is not a hostname", names("192.0.2.1"), []string{"192.0.2.1"}, false},
	} {
		v := Verifier{Names: test.expected}
		if got := v.NameMatches(&Chain{Certificates: []*x509.Certificate{test.leaf}}); got != test.want {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
	}
	if (Verifier{Names: []string{mx}}).NameMatches(nil) {
		t.Error("a nil chain matches a name")
	}
}
