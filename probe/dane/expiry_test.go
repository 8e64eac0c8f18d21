package dane

import (
	mathrand "math/rand/v2"
	"testing"
	"time"

	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/tlsa"
)

// Until is the last time at which Judge returns Authenticated, for chains with
// random dates, some of them in the future.
func TestExpiryAgreesWithJudge(t *testing.T) {
	const name = "mx.example.org"
	random := mathrand.New(mathrand.NewPCG(1, 2))
	days := func(from, to int) time.Time {
		return noon.Add(time.Duration(from+random.IntN(to-from)) * 24 * time.Hour)
	}
	expired, permanent := 0, 0
	for range 100 {
		// Each authority has two certificates for one key, as after a renewal.
		rootKey := issue(t, "root", nil, nil, noon, noon).key
		roots := []*certificate{issue(t, "root", nil, rootKey, days(-30, 20), days(1, 60)), issue(t, "root", nil, rootKey, days(-30, 20), days(1, 60))}
		subs := []*certificate{issue(t, "sub", roots[0], nil, days(-30, 20), days(1, 60))}
		subs = append(subs, issue(t, "sub", roots[1], subs[0].key, days(-30, 20), days(1, 60)))
		leaf := issue(t, name, subs[0], nil, days(-30, -1), days(1, 60))
		sent := []*certificate{leaf, subs[0], subs[1], roots[0], roots[1]}
		records := []string{record(tlsa.DANETA, tlsa.SPKI, roots[0])}
		for _, more := range []string{
			record(tlsa.DANETA, tlsa.Cert, roots[1]), record(tlsa.DANETA, tlsa.Cert, subs[0]), record(tlsa.DANEEE, tlsa.SPKI, leaf),
		} {
			if random.IntN(4) == 0 {
				records = append(records, more)
			}
		}
		facts := &Facts{MX: mxAnswer(dnssec.Secure, name), Hosts: []Host{host(10, addressAnswer(dnssec.Secure, name), Service{
			TLSA: []TLSALookup{tlsaLookup(dnssec.Secure, name, records...)}, Endpoints: []Endpoint{completed(chainOf(t, sent...))}})}}
		outcome := func(at time.Time) Outcome {
			return Judge(facts, Rules{Target: "example.org", Policy: SMTPRelay, Require: RequireDANE}, at).Outcome
		}
		verdict := Judge(facts, Rules{Target: "example.org", Policy: SMTPRelay, Require: RequireDANE}, noon)
		until := verdict.Services[0].Until
		switch {
		case verdict.Outcome != Authenticated:
			if !until.IsZero() {
				t.Errorf("outcome %s, but Until is %s", verdict.Outcome, until)
			}
		case until.IsZero():
			permanent++
			if got := outcome(noon.AddDate(100, 0, 0)); got != Authenticated {
				t.Errorf("Until is zero, but in 100 years the outcome is %s", got)
			}
		default:
			expired++
			for _, at := range []time.Time{until.Add(-time.Second), until, noon.Add(time.Duration(random.Int64N(int64(until.Sub(noon)))))} {
				if got := outcome(at); got != Authenticated {
					t.Errorf("Until is %s, but at %s the outcome is %s", until, at, got)
				}
			}
			if got := outcome(until.Add(time.Second)); got != Refused {
				t.Errorf("Until is %s, but one second later the outcome is %s", until, got)
			}
		}
	}
	if expired < 20 || permanent < 5 {
		t.Errorf("only %d chains expired and %d did not: the random dates test too little", expired, permanent)
	}
}

// If the certificates of two anchors with one key overlap, the first may expire
// without a gap: Until is the expiry of the leaf.
func TestExpiryWithOverlappingAnchors(t *testing.T) {
	const name = "mx.example.org"
	day := 24 * time.Hour
	current := issue(t, "root", nil, nil, noon.Add(-day), noon.Add(10*day))
	next := issue(t, "root", nil, current.key, noon.Add(9*day), noon.Add(40*day))
	leaf := issue(t, name, current, nil, noon.Add(-day), noon.Add(30*day))
	facts := &Facts{MX: mxAnswer(dnssec.Secure, name), Hosts: []Host{host(10, addressAnswer(dnssec.Secure, name), Service{
		TLSA:      []TLSALookup{tlsaLookup(dnssec.Secure, name, record(tlsa.DANETA, tlsa.Cert, current), record(tlsa.DANETA, tlsa.Cert, next))},
		Endpoints: []Endpoint{completed(chainOf(t, leaf, current, next))}})}}
	verdict := Judge(facts, Rules{Target: "example.org", Policy: SMTPRelay}, noon)
	if got, want := verdict.Services[0].Until, leaf.NotAfter; !got.Equal(want) {
		t.Errorf("got %s, want the expiry of the leaf, %s", got, want)
	}
	later := Judge(facts, Rules{Target: "example.org", Policy: SMTPRelay}, leaf.NotAfter.Add(time.Second))
	if verdict.Outcome != Authenticated || later.Outcome != Refused || !later.At.Equal(leaf.NotAfter.Add(time.Second)) {
		t.Errorf("now %s, later %s at %s", verdict.Outcome, later.Outcome, later.At)
	}
}

// An address is authenticated until the certificate of any of its key types expires.
// If one of them is refused, the address is not authenticated.
func TestExpiryWithKeyTypes(t *testing.T) {
	const name = "mx.example.org"
	day := 24 * time.Hour
	root := issue(t, "root", nil, nil, noon.Add(-day), noon.Add(400*day))
	early := issue(t, name, root, nil, noon.Add(-day), noon.Add(10*day))
	late := issue(t, name, root, nil, noon.Add(-day), noon.Add(30*day))
	for _, c := range []struct {
		name   string
		record string
		want   time.Time
	}{
		{"the record of the root is of both", record(tlsa.DANETA, tlsa.Cert, root), early.NotAfter},
		{"one key type has no record", record(tlsa.DANEEE, tlsa.SPKI, late), time.Time{}},
	} {
		service := Service{TLSA: []TLSALookup{tlsaLookup(dnssec.Secure, name, c.record)}, Endpoints: []Endpoint{completed(chainOf(t, late, root)), completed(chainOf(t, early, root))}}
		facts := &Facts{MX: mxAnswer(dnssec.Secure, name), Hosts: []Host{host(10, addressAnswer(dnssec.Secure, name), service)}}
		endpoints := facts.Hosts[0].Services[0].Endpoints
		endpoints[0].KeyType, endpoints[1].KeyType, endpoints[1].Address = ECDSA, RSA, endpoints[0].Address
		if got := Judge(facts, Rules{Target: "example.org", Policy: SMTPRelay}, noon).Services[0].Until; !got.Equal(c.want) {
			t.Errorf("%s: until %s, want %s", c.name, got, c.want)
		}
	}
}

// The dates of an anchor that is not self-issued do not end authentication.
func TestExpiryOfIntermediateAnchor(t *testing.T) {
	const name = "mx.example.org"
	day := 24 * time.Hour
	root := issue(t, "root", nil, nil, noon.Add(-day), noon.Add(5*day))
	sub := issue(t, "sub", root, nil, noon.Add(-day), noon.Add(10*day))
	leaf := issue(t, name, sub, nil, noon.Add(-day), noon.Add(30*day))
	for _, c := range []struct {
		name   string
		anchor *certificate
		want   time.Time
	}{
		{"intermediate", sub, leaf.NotAfter},
		{"self-signed root", root, root.NotAfter},
	} {
		facts := &Facts{MX: mxAnswer(dnssec.Secure, name), Hosts: []Host{host(10, addressAnswer(dnssec.Secure, name), Service{
			TLSA: []TLSALookup{tlsaLookup(dnssec.Secure, name, record(tlsa.DANETA, tlsa.Cert, c.anchor))}, Endpoints: []Endpoint{completed(chainOf(t, leaf, sub, root))}})}}
		rules := Rules{Target: "example.org", Policy: SMTPRelay}
		if got := Judge(facts, rules, noon).Services[0].Until; !got.Equal(c.want) {
			t.Errorf("%s: until %s, want %s", c.name, got, c.want)
		}
		if now, later := Judge(facts, rules, c.want).Outcome, Judge(facts, rules, c.want.Add(time.Second)).Outcome; now != Authenticated || later != Refused {
			t.Errorf("%s: %s at its end, %s a second later", c.name, now, later)
		}
	}
}
