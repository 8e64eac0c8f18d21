package dane

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"slices"
	"strings"
	"testing"
	"time"

	"dane_exporter/probe/caa"
	"dane_exporter/probe/dnssec"

	"github.com/miekg/dns"
)

// TestRenewal judges the lookups of a CA for mx.example.org and its certificates.
func TestRenewal(t *testing.T) {
	const name, parent = "mx.example.org", "example.org"
	const forbids, fails, challenge = CAAForbidsIssuer, CAALookupFailed, ACMEChallengeBogus
	year := 365 * 24 * time.Hour
	end := noon.Add(year)
	webPKI := x509.NewCertPool()
	// leaf returns a certificate for names from a CA with an organization.
	leaf := func(organization string, public bool, names ...string) *certificate {
		root := sign(t, &x509.Certificate{Subject: pkix.Name{CommonName: organization + " CA", Organization: []string{organization}},
			NotBefore: noon.AddDate(-1, 0, 0), NotAfter: noon.AddDate(5, 0, 0), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, newKey(t), nil)
		if public {
			webPKI.AddCert(root.Certificate)
		}
		return sign(t, &x509.Certificate{DNSNames: names, NotBefore: noon.Add(-year), NotAfter: end}, newKey(t), root)
	}
	own := leaf("Known", true, name)
	wildcard := leaf("Known", true, parent, "*."+parent)
	both := leaf("Known", true, "MX.Example.org", "*."+parent)
	other := leaf("Known", true, "mx.example.net")
	unknown := leaf("Known Ltd", true, name)
	private := leaf("Private", false, name)
	listed := leaf("Known", false, name)
	end = noon.Add(-time.Second)
	expired := leaf("Known Ltd", true, name)
	selfIssued := sign(t, &x509.Certificate{Subject: pkix.Name{Organization: []string{"Known"}}, DNSNames: []string{name}, NotBefore: noon, NotAfter: noon.Add(year)}, newKey(t), nil)

	none := func(at string) dnssec.Answer { return answer(dnssec.Secure, at, dns.TypeCAA) }
	set := func(at string, values ...string) dnssec.Answer {
		var records []dns.RR
		for _, value := range values {
			tag, value, _ := strings.Cut(value, " ")
			records = append(records, &dns.CAA{Tag: tag, Value: value})
		}
		return answer(dnssec.Secure, at, dns.TypeCAA, records...)
	}
	bogus := func(at string) dnssec.Answer { return answer(dnssec.Bogus, at, dns.TypeCAA) }
	failed := func(at string, err error) dnssec.Answer { return failedAnswer(err, at, dns.TypeCAA) }
	top := none("org")
	free := []dnssec.Answer{none(name), none(parent), top}

	for _, c := range []struct {
		name, sentence string
		certificates   []*certificate
		caa            []dnssec.Answer
		bogus          string // the name whose challenge is bogus
		want           []Reason
	}{
		{"no records", "Any CA may issue.", []*certificate{own}, free, "", nil},
		{"admitted by the parent", "The first set counts.", []*certificate{own}, []dnssec.Answer{none(name), set(parent, "issue ca.example")}, "", nil},
		{"forbidden by the parent", "The first set counts.", []*certificate{own}, []dnssec.Answer{none(name), set(parent, "issue other.example")}, "", []Reason{forbids}},
		{"forbidden by the host", "The set of the parent does not count.", []*certificate{own}, []dnssec.Answer{set(name, "issue ;"), set(parent, "issue ca.example")}, "", []Reason{forbids}},
		{"forbidden by the host, wildcard certificate", "A CA begins at the parent.", []*certificate{wildcard}, []dnssec.Answer{set(name, "issue ;"), set(parent, "issue ca.example")}, "", nil},
		{"forbidden by the parent, wildcard certificate", "A CA begins at the parent.", []*certificate{wildcard}, []dnssec.Answer{set(name, "issue ca.example"), set(parent, "issue ;")}, "", []Reason{forbids}},
		{"issuewild, wildcard certificate", "It replaces issue.", []*certificate{wildcard}, []dnssec.Answer{none(name), set(parent, "issue ca.example", "issuewild ;")}, "", []Reason{forbids}},
		{"issuewild, own name", "It does not count.", []*certificate{own}, []dnssec.Answer{none(name), set(parent, "issue ca.example", "issuewild ;")}, "", nil},
		{"issuewild, both names in the certificate", "The CA checks each name.", []*certificate{both}, []dnssec.Answer{none(name), set(parent, "issue ca.example", "issuewild ;")}, "", []Reason{forbids}},
		{"bogus at the host", "CAs must refuse.", []*certificate{own}, []dnssec.Answer{bogus(name), none(parent), top}, "", []Reason{fails}},
		{"bogus at the host, wildcard certificate", "A CA begins at the parent.", []*certificate{wildcard}, []dnssec.Answer{bogus(name), none(parent), top}, "", nil},
		{"bogus at the parent, wildcard certificate", "CAs must refuse.", []*certificate{wildcard}, []dnssec.Answer{none(name), bogus(parent)}, "", []Reason{fails}},
		{"bogus, no handshake", "The next certificate is for the name of the host.", nil, []dnssec.Answer{bogus(name), none(parent), top}, "", []Reason{fails}},
		{"fails in a zone of unknown status", "It may be unsigned.", []*certificate{own}, []dnssec.Answer{failed(name, dnssec.ErrServer), none(parent), top}, "", nil},
		{"fails on our side", "It says nothing about the zone.", []*certificate{own}, []dnssec.Answer{failed(name, dnssec.ErrUnreachable)}, "", nil},
		{"no lookup", "There is nothing to judge.", []*certificate{own}, nil, "", nil},
		{"certificate for another name", "The CA issues none for the host.", []*certificate{other}, []dnssec.Answer{set(name, "issue ;"), none(parent), top}, name, nil},
		{"self-issued certificate", "There is no CA.", []*certificate{selfIssued}, []dnssec.Answer{bogus(name), none(parent), top}, name, nil},
		{"private CA", "It makes no lookups.", []*certificate{private}, []dnssec.Answer{bogus(name), none(parent), top}, name, nil},
		{"configured CA that is not in the Web PKI", "It is compared.", []*certificate{listed}, []dnssec.Answer{set(name, "issue ;"), none(parent), top}, "", []Reason{forbids}},
		{"unknown CA, not admitted", "It is not compared: a similar organization is another one.", []*certificate{unknown}, []dnssec.Answer{set(name, "issue ;"), none(parent), top}, "", nil},
		{"unknown CA, bogus", "No CA may issue.", []*certificate{unknown}, []dnssec.Answer{bogus(name), none(parent), top}, "", []Reason{fails}},
		{"expired certificate", "Its renewal has failed, maybe for this cause.", []*certificate{expired}, []dnssec.Answer{bogus(name), none(parent), top}, "", []Reason{fails}},
		{"two certificates", "One finding is enough.", []*certificate{own, own}, []dnssec.Answer{set(name, "issue ;"), none(parent), top}, "", []Reason{forbids}},
		{"challenge", "CAs that validate by DNS refuse.", []*certificate{own}, free, name, []Reason{challenge}},
		{"challenge of the parent", "A certificate for the host does not need it.", []*certificate{own}, free, parent, nil},
		{"challenge of the parent, wildcard certificate", "The proof for a wildcard is at the parent.", []*certificate{wildcard}, free, parent, []Reason{challenge}},
		{"challenge of the host, wildcard certificate", "The proof for a wildcard is at the parent.", []*certificate{wildcard}, free, name, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			proof := func(at string) dnssec.Answer {
				status := dnssec.Secure
				if at == c.bogus {
					status = dnssec.Bogus
				}
				return answer(status, "_acme-challenge."+at, dns.TypeTXT)
			}
			ofWildcard := proof(parent)
			service := Service{Renewal: &Renewal{Name: name, CAA: c.caa, Challenge: proof(name), WildcardChallenge: &ofWildcard}}
			for _, certificate := range c.certificates {
				service.Endpoints = append(service.Endpoints, completed(chainOf(t, certificate)))
			}
			facts := &Facts{MX: mxAnswer(dnssec.Secure, name), Hosts: []Host{host(10, addressAnswer(dnssec.Secure, name), service)}}
			rules := Rules{Target: "example.org", Policy: SMTPRelay, Require: RequireIfPublished, Roots: webPKI, Issuers: caa.Issuers{"Known": {"ca.example"}}}
			var got []Reason
			for _, finding := range Judge(facts, rules, noon).Findings {
				if slices.Contains([]Reason{forbids, fails, challenge}, finding.Reason) {
					got = append(got, finding.Reason)
					if finding.Host != name || finding.Port != 25 || finding.Detail == "" {
						t.Errorf("finding %+v", finding)
					}
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%s\ngot %v, want %v", c.sentence, got, c.want)
			}
		})
	}
}
