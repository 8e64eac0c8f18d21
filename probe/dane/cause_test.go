package dane

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/tlsa"

	"github.com/miekg/dns"
)

func TestCauseOf(t *testing.T) {
	plain := errors.New("connection refused")
	panicked := &PanicError{Value: "a defect"}
	for _, c := range []struct {
		name string
		err  error
		want Cause
	}{
		{"nil", nil, CauseNone},
		{"nil with a cause", WithCause(CauseTLS, nil), CauseNone},
		{"no cause", plain, CauseNone},
		{"a cause", WithCause(CauseConnect, plain), CauseConnect},
		{"a wrapped cause", fmt.Errorf("connecting: %w", WithCause(CauseConnect, plain)), CauseConnect},
		{"a joined cause", errors.Join(plain, WithCause(CauseConnect, plain)), CauseConnect},
		{"two causes: the outermost counts", WithCause(CauseDeadline, fmt.Errorf("connecting: %w", WithCause(CauseProxy, plain))), CauseDeadline},
		{"a panic", panicked, CauseInternal},
		{"a wrapped panic", fmt.Errorf("probing: %w", panicked), CauseInternal},
		{"a panic with another cause: the panic counts", WithCause(CauseConnect, panicked), CauseInternal},
	} {
		if got := CauseOf(c.err); got != c.want {
			t.Errorf("%s: cause %d, want %d", c.name, got, c.want)
		}
	}
}

// WithCause changes neither the text of an error nor what it wraps, and returns
// nil for nil.
func TestWithCause(t *testing.T) {
	plain := errors.New("connection refused")
	err := WithCause(CauseConnect, plain)
	if err.Error() != plain.Error() || !errors.Is(err, plain) {
		t.Errorf("got %q, wrapping the original error: %t", err, errors.Is(err, plain))
	}
	if err := WithCause(CauseConnect, nil); err != nil {
		t.Errorf("nil became %v", err)
	}
}

func TestCatchPanic(t *testing.T) {
	work := func(f func()) (err error) {
		defer CatchPanic(&err)
		f()
		return nil
	}
	if err := work(func() {}); err != nil {
		t.Errorf("without a panic: %v", err)
	}
	panicked, ok := errors.AsType[*PanicError](work(func() { panic("a defect") }))
	if !ok || panicked.Value != "a defect" || panicked.Stack == "" || panicked.Error() != "panic: a defect" {
		t.Errorf("got %#v", panicked)
	}
}

// Every cause has a reason of the table. It is internal_error only for a panic, for
// exhausted resources, and for causes that no handshake and no fetch has.
func TestReasonOfCause(t *testing.T) {
	internal := []Cause{CauseNone, CauseInternal, CauseNotAuthoritative}
	for cause := CauseNone; cause <= CausePolicyUnavailable; cause++ {
		reason := reasonOfCause(cause)
		if (reason == InternalError) != slices.Contains(internal, cause) {
			t.Errorf("cause %d has reason %s", cause, reason)
		}
		if reason.Info().Reason != reason {
			t.Errorf("cause %d has reason %s, which is not in the table", cause, reason)
		}
	}
}

// An error without a cause is judged by the stage that the handshake reached.
func TestJudgeErrorWithoutCause(t *testing.T) {
	const name = "mx.example.org"
	plain := errors.New("unclassified")
	leaf := issue(t, name, nil, nil, noon.AddDate(-1, 0, 0), noon.AddDate(1, 0, 0))
	lookup := tlsaLookup(dnssec.Secure, name, record(tlsa.DANEEE, tlsa.SPKI, leaf))
	for _, c := range []struct {
		name     string
		endpoint Endpoint
		want     Outcome
		reason   Reason
	}{
		{"no connection", failedAt(StageNone, plain), Unreachable, ConnectFailed},
		{"connected", failedAt(StageConnect, plain), Unreachable, ConnectFailed},
		{"connected, STARTTLS offered", withStartTLSOffered(failedAt(StageConnect, plain)), Refused, ConnectFailed},
		{"ready for TLS", withStartTLSOffered(failedAt(StageStartTLS, plain)), Refused, TLSHandshakeFailed},
	} {
		t.Run(c.name, func(t *testing.T) {
			facts := &Facts{MX: mxAnswer(dnssec.Secure, name), Hosts: []Host{
				host(10, addressAnswer(dnssec.Secure, name), Service{TLSA: []TLSALookup{lookup}, Endpoints: []Endpoint{c.endpoint}})}}
			v := Judge(facts, Rules{Target: "example.org", Policy: SMTPRelay, Require: RequireDANE}, noon)
			if reason := v.Services[0].Endpoints[0].Reason; v.Outcome != c.want || reason != c.reason {
				t.Errorf("got %s, %s; want %s, %s", v.Outcome, reason, c.want, c.reason)
			}
		})
	}
}

// A failed lookup says nothing about the zone if the cause is on our side.
func TestFailedLocally(t *testing.T) {
	const name = "example.org"
	for _, c := range []struct {
		name   string
		answer dnssec.Answer
		want   bool
	}{
		{"secure", answer(dnssec.Secure, name, dns.TypeA), false},
		{"bogus", answer(dnssec.Bogus, name, dns.TypeA), false},
		{"nameservers fail", failedAnswer(dnssec.ErrServer, name, dns.TypeA), false},
		{"no resolver answers", failedAnswer(dnssec.ErrUnreachable, name, dns.TypeA), true},
		{"the probe's deadline", failedAnswer(dnssec.ErrDeadline, name, dns.TypeA), true},
	} {
		if got := FailedLocally(&c.answer); got != c.want {
			t.Errorf("%s: got %t, want %t", c.name, got, c.want)
		}
	}
}

// Every panic that was recovered during a probe is counted.
func TestPanics(t *testing.T) {
	fault := func(value any) *PanicError { return &PanicError{Value: value} }
	lookup, txt := answer(dnssec.Indeterminate, "example.org", dns.TypeMX), answer(dnssec.Indeterminate, "_mta-sts.example.org", dns.TypeTXT)
	lookup.Err, txt.Err = fault("lookup"), fault("TXT lookup")
	all := &Facts{
		Err: fault("discovery"), MX: &lookup,
		MTASTS: &MTASTS{Err: fault("MTA-STS"), TXT: &txt},
		Hosts: []Host{{Err: fault("host"), Services: []Service{{
			Err: fault("service"), Endpoints: []Endpoint{{Err: fault("endpoint"), Other: &Endpoint{Err: fault("other handshake")}}},
			Nameservers: &Nameservers{Servers: []Nameserver{{Err: fault("nameserver")}}},
		}}}},
	}
	var got []string
	for _, p := range all.Panics() {
		got = append(got, fmt.Sprint(p.Value))
	}
	slices.Sort(got)
	if want := []string{"MTA-STS", "TXT lookup", "discovery", "endpoint", "host", "lookup", "nameserver", "other handshake", "service"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := (&Facts{MX: mxAnswer(dnssec.Bogus), Hosts: []Host{{Services: []Service{{Endpoints: []Endpoint{failedAt(StageNone, errorWithCause(CauseConnect))}}}}}}).Panics(); len(got) > 0 {
		t.Errorf("without panics: %v", got)
	}
}
