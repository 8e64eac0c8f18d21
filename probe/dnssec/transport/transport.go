// Package transport carries DNS messages to recursive resolvers, over UDP, TCP
// (RFC 1035 §4.2, RFC 7766) and TLS (RFC 7858).
//
// It believes nothing and judges little: a response must fit its query, and
// that is all; what it says is for the validator. Fitting means: it comes from
// the address and port that was asked, to the port that asked, with the same
// random ID and the same question, and calls itself a response (RFC 5452 §9).
// Over UDP each query has a socket to itself, and with it a random port. A datagram that does not fit is somebody's attempt
// at forgery or a straggler: it is passed over, and the wait goes on. Over TCP
// and TLS many queries share a connection, which is kept; what does not fit
// there is the server's own fault, and ends the connection.
//
// Resolvers are asked in their order, but those that failed lately come last.
// One that is silent for a while gets company: the next is asked as well, and
// the first answer counts. One that is unreachable or sends rubbish is passed
// over and asked again in the next round; one that reports a failure of its own
// (SERVFAIL, REFUSED …) is passed over for good, and its response is what the
// caller gets if no other resolver does better.
package transport

import (
	"context"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/miekg/dns"
)

// Options are the settings of a Transport.
type Options struct {
	Timeout    time.Duration  // for one query to one server; default 2 s
	Attempts   int            // how often a silent server is asked; default 2
	Roots      *x509.CertPool // whom servers over TLS must be certified by; default the system's
	ResolvConf string         // what the server "system" stands for; default /etc/resolv.conf
	Observe    func(Event)    // told of each query once it has ended, concurrently; may be nil
}

// Event is one query to one server, and how it ended.
type Event struct {
	Server    string // as Servers names it
	Transport string // "udp", "tcp" or "tls"
	Fault     Fault  // empty: an answer
	RTT       time.Duration
}

// Fault is what was wrong with the reply to a query, from a short closed list.
type Fault string

// The faults.
const (
	Timeout   Fault = "timeout"   // no reply in time
	Cancelled Fault = "cancelled" // the caller no longer waits; no fault of the server
	Network   Fault = "network"   // no connection, it broke, or its peer is not the one meant
	Malformed Fault = "malformed" // a reply that is no DNS message, or does not fit the query
	Truncated Fault = "truncated" // cut short even over TCP
	FormErr   Fault = "formerr"
	ServFail  Fault = "servfail"
	NotImp    Fault = "notimp"
	Refused   Fault = "refused"
	OtherCode Fault = "other_rcode"
)

// patience is the part of the time-out after which a silent server gets company.
const patience = 4

// Transport asks a fixed list of resolvers. It is safe for concurrent use. It
// needs no closing: connections that nobody uses close by themselves in seconds.
type Transport struct {
	servers  []*server
	timeout  time.Duration
	attempts int
	observe  func(Event)
}

// New returns a Transport to servers, each written as
//
//	system               the name servers of /etc/resolv.conf, as it is now
//	192.0.2.53           port 53; UDP first, TCP where that does not suffice
//	192.0.2.53:5353      [2001:db8::53]:5353
//	udp://192.0.2.53     the same
//	tcp://192.0.2.53     TCP alone
//	tls://192.0.2.53     TLS alone, port 853; its certificate is for this address
//	tls://192.0.2.53:853#dns.example.net     or for this name
//
// It returns an error that quotes what it cannot read, or where there is no
// server at all.
func New(servers []string, o Options) (*Transport, error) {
	t := &Transport{timeout: o.Timeout, attempts: o.Attempts, observe: o.Observe}
	if t.timeout <= 0 {
		t.timeout = 2 * time.Second
	}
	if t.attempts <= 0 {
		t.attempts = 2
	}
	if t.observe == nil {
		t.observe = func(Event) {}
	}
	if o.ResolvConf == "" {
		o.ResolvConf = "/etc/resolv.conf"
	}
	var err error
	if t.servers, err = parseServers(servers, o.ResolvConf); err != nil {
		return nil, err
	}
	for _, s := range t.servers {
		dial := dialTCP(s)
		if s.network == "tls" {
			dial = dialTLS(s, o.Roots)
		}
		s.streams = newStreams(t.timeout, dial)
	}
	return t, nil
}

// Servers names the resolvers in the order in which they are asked, as
// "192.0.2.53:53", "tcp://192.0.2.53:53" or "tls://192.0.2.53:853#dns.example.net".
func (t *Transport) Servers() []string {
	names := make([]string, len(t.servers))
	for i, s := range t.servers {
		names[i] = s.name
	}
	return names
}

// Exchange asks the resolvers until one answers, and says which did.
// A truncated answer has been asked for again over TCP. The query is sent as
// it is, but for its ID; EDNS and flags are the caller's. It must be his alone,
// since dns.Msg.Pack writes to it.
//
// It returns an error where no resolver replied at all: it names each and
// what happened, and wraps the errors of the network and of ctx.
func (t *Transport) Exchange(ctx context.Context, query *dns.Msg) (response *dns.Msg, server string, err error) {
	return t.ask(ctx, t.servers, query)
}

// ExchangeWith asks one server, named as Servers names it. It returns an error
// where that server did not reply, or where it is none of ours.
func (t *Transport) ExchangeWith(ctx context.Context, name string, query *dns.Msg) (*dns.Msg, error) {
	for i, s := range t.servers {
		if s.name == name {
			response, _, err := t.ask(ctx, t.servers[i:i+1], query)
			return response, err
		}
	}
	return nil, fmt.Errorf("ask the resolver %q: not one of those configured", name)
}

func (t *Transport) ask(ctx context.Context, servers []*server, query *dns.Msg) (*dns.Msg, string, error) {
	q, err := newOutgoing(query)
	if err != nil {
		return nil, "", err
	}
	r := race{
		attempts:  t.attempts,
		headStart: t.timeout / patience,
		query:     func(ctx context.Context, s *server) (*dns.Msg, error) { return t.query(ctx, s, q) },
	}
	response, name, err := r.run(ctx, byHealth(servers, time.Now()))
	if err != nil {
		return nil, "", fmt.Errorf("ask %s: %w", asked(query), err)
	}
	return response, name, nil
}

// query asks one server once, over TCP again if the answer is truncated
// (RFC 7766 §5).
func (t *Transport) query(ctx context.Context, s *server, q outgoing) (*dns.Msg, error) {
	if s.network != "udp" {
		return t.observed(ctx, s, s.network, q)
	}
	response, err := t.observed(ctx, s, "udp", q)
	if err != nil || !response.Truncated {
		return response, err
	}
	return t.observed(ctx, s, "tcp", q)
}

// observed makes one exchange and tells of it.
func (t *Transport) observed(ctx context.Context, s *server, network string, q outgoing) (*dns.Msg, error) {
	start := time.Now()
	response, err := s.exchange(ctx, t.timeout, network, q)
	e := Event{Server: s.name, Transport: network, RTT: time.Since(start)}
	if err != nil {
		e.Fault = faultIn(err)
		if e.Fault == Timeout {
			err = fmt.Errorf("no reply within %s: %w", e.RTT.Round(time.Millisecond), err)
		}
		err = fmt.Errorf("%s: %w", network, err)
	} else {
		e.Fault = faultOf(response)
	}
	t.observe(e)
	return response, err
}

// faultOf says whether a response that fits is an answer: to a validator,
// NXDOMAIN is one, and so is YXDOMAIN (RFC 6672 §2.2: a DNAME led too far).
func faultOf(response *dns.Msg) Fault {
	switch response.Rcode {
	case dns.RcodeSuccess, dns.RcodeNameError, dns.RcodeYXDomain:
		return ""
	case dns.RcodeFormatError:
		return FormErr
	case dns.RcodeServerFailure:
		return ServFail
	case dns.RcodeNotImplemented:
		return NotImp
	case dns.RcodeRefused:
		return Refused
	default:
		return OtherCode
	}
}

// asked names the question of a query.
func asked(query *dns.Msg) string {
	if len(query.Question) != 1 {
		return fmt.Sprintf("a query with %d questions", len(query.Question))
	}
	q := query.Question[0]
	return fmt.Sprintf("for %s %s", q.Name, dns.Type(q.Qtype))
}
