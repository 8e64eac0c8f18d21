// Package transport sends DNS queries to recursive resolvers and returns their
// responses: over UDP and TCP (RFC 1035 §4.2, RFC 7766), over TLS (RFC 7858) and over HTTPS
// (RFC 8484).
//
// A response is accepted if it matches its query, whatever it says: whether its
// data is authentic is for the validator to decide. It matches if it comes from
// the address and port that the query was sent to, arrives at the port that the
// query was sent from, is marked as a response, and has the ID and the question of
// the query (RFC 5452 §9.1).
//
// Over UDP each query has its own socket, and with it a random port and a random
// ID (RFC 5452 §9.2). A datagram that does not match is forged or late; it is
// ignored. Over TCP, TLS and HTTPS, queries share connections, which stay open for a
// while. A response that does not match there is an error of the server and ends
// the connection.
//
// Resolvers are queried in the configured order; those that failed recently come
// last. If a resolver is silent for part of the timeout, the next is queried as
// well, and the first answer counts. A resolver that is unreachable or sends
// malformed responses is skipped and queried again in the next round. A resolver
// that reports a failure (SERVFAIL, REFUSED and so on) is not queried again; its
// response is returned if no other resolver answers.
package transport

import (
	"context"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/miekg/dns"
)

// Options are the settings of a Transport. The zero value has the defaults.
type Options struct {
	Timeout    time.Duration  // of one query to one server; default 2 s
	Attempts   int            // number of queries to a server that does not respond; default 2
	Roots      *x509.CertPool // trusted roots for servers over TLS and HTTPS; default the system's
	ResolvConf string         // path of the file behind the server "system"; default /etc/resolv.conf
	Observe    func(Event)    // called after each query, from several goroutines; may be nil
}

// Event is the outcome of one query to one server.
type Event struct {
	Server    string // as in Transport.Servers
	Transport string // "udp", "tcp", "tls" or "https"
	Name      string // that was queried
	Fault     Fault  // empty if the server answered
	RTT       time.Duration
}

// Fault says why a query brought no answer. The list is closed, for metrics.
type Fault string

// FromResponse reports whether the fault is a response code. A resolver returns such a
// code also for a zone of which the nameservers fail.
func (f Fault) FromResponse() bool {
	switch f {
	case FormErr, ServFail, NotImp, Refused, OtherCode:
		return true
	}
	return false
}

// The faults.
const (
	Timeout   Fault = "timeout"   // no response in time
	Cancelled Fault = "cancelled" // the caller stopped waiting; not a fault of the server
	Network   Fault = "network"   // no connection, a broken one, or the wrong certificate
	Malformed Fault = "malformed" // the response is not a DNS message, or does not match the query
	Truncated Fault = "truncated" // the response is truncated even over TCP
	FormErr   Fault = "formerr"
	ServFail  Fault = "servfail"
	NotImp    Fault = "notimp"
	Refused   Fault = "refused"
	OtherCode Fault = "other_rcode"
)

// headStarts is the number of head starts in a timeout: after this part of it,
// the next server is queried as well.
const headStarts = 4

// Transport queries a fixed list of resolvers. It is safe for concurrent use. It
// need not be closed: unused connections close by themselves after 10 seconds.
type Transport struct {
	servers  []*server
	timeout  time.Duration
	attempts int
	observe  func(Event)
}

// New returns a Transport for a list of servers. Each is written as
//
//	system               the nameservers of /etc/resolv.conf, read once, now
//	192.0.2.53           UDP, and TCP for truncated responses; port 53
//	192.0.2.53:5353      the same with a port; IPv6 as [2001:db8::53]:5353
//	udp://192.0.2.53     the same as without udp://
//	tcp://192.0.2.53     TCP only
//	tls://192.0.2.53     TLS only, port 853; the certificate must be for the address
//	tls://192.0.2.53:853#dns.example.net     the same, for the name instead
//	https://192.0.2.53/dns-query             HTTPS only, port 443, at this path; otherwise as tls://
//	https://192.0.2.53:443/dns-query#dns.example.net     the same, for the name instead
//
// It returns an error if the list is empty, if an element has another form (the
// error quotes the element), or if ResolvConf cannot be read.
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
		switch s.network {
		case "https":
			s.https = newHTTPSPool(s, t.timeout, o.Roots)
		case "tls":
			s.streams = newStreamPool(t.timeout, s.tlsDialer(o.Roots))
		default:
			s.streams = newStreamPool(t.timeout, s.dialTCP)
		}
	}
	return t, nil
}

// Servers returns the names of the resolvers, in the configured order: such as
// "192.0.2.53:53", "tcp://192.0.2.53:53" or "tls://192.0.2.53:853#dns.example.net".
func (t *Transport) Servers() []string {
	names := make([]string, len(t.servers))
	for i, s := range t.servers {
		names[i] = s.name
	}
	return names
}

// Exchange queries the resolvers until one answers, and returns the answer and
// the name of that resolver. If none answers but some report a failure, it returns
// the first such response. A truncated response over UDP is not returned: the
// query is repeated over TCP.
//
// The query is sent as it is, except for the ID; EDNS and flags are up to the
// caller. No other goroutine may use it meanwhile, because dns.Msg.Pack writes to it.
//
// Exchange returns an error if no resolver responded. Its text has the outcome of
// each query; it wraps the network errors and the error of ctx.
func (t *Transport) Exchange(ctx context.Context, query *dns.Msg) (response *dns.Msg, server string, err error) {
	return t.race(ctx, t.servers, query)
}

// ExchangeWith is Exchange with one server, given by its name as in Servers. It
// also returns an error if there is no such server.
func (t *Transport) ExchangeWith(ctx context.Context, name string, query *dns.Msg) (*dns.Msg, error) {
	for i, s := range t.servers {
		if s.name == name {
			response, _, err := t.race(ctx, t.servers[i:i+1], query)
			return response, err
		}
	}
	return nil, fmt.Errorf("query the resolver %q: it is not configured", name)
}

// race queries the given servers until one answers.
func (t *Transport) race(ctx context.Context, servers []*server, query *dns.Msg) (*dns.Msg, string, error) {
	q, err := newPackedQuery(query)
	if err != nil {
		return nil, "", err
	}
	r := race{
		attempts:  t.attempts,
		headStart: t.timeout / headStarts,
		query:     func(ctx context.Context, s *server) (*dns.Msg, error) { return t.query(ctx, s, q) },
	}
	response, name, err := r.run(ctx, byHealth(servers, time.Now()))
	if err != nil {
		return nil, "", fmt.Errorf("query %s: %w", questionOf(query), err)
	}
	return response, name, nil
}

// query sends a query to one server once, and again over TCP if the response
// over UDP is truncated (RFC 2181 §9).
func (t *Transport) query(ctx context.Context, s *server, q packedQuery) (*dns.Msg, error) {
	if s.network != "udp" {
		return t.exchange(ctx, s, s.network, q)
	}
	response, err := t.exchange(ctx, s, "udp", q)
	if err != nil || !response.Truncated {
		return response, err
	}
	return t.exchange(ctx, s, "tcp", q)
}

// exchange sends a query once over "udp", "tcp", "tls" or "https", and reports the outcome
// to the observer.
func (t *Transport) exchange(ctx context.Context, s *server, network string, q packedQuery) (*dns.Msg, error) {
	start := time.Now()
	response, err := s.exchange(ctx, t.timeout, network, q)
	e := Event{Server: s.name, Transport: network, RTT: time.Since(start)}
	if len(q.msg.Question) == 1 {
		e.Name = q.msg.Question[0].Name
	}
	if err != nil {
		e.Fault = faultOfError(err)
		if e.Fault == Timeout {
			err = fmt.Errorf("no response within %s: %w", e.RTT.Round(time.Millisecond), err)
		}
		err = fmt.Errorf("%s: %w", network, err)
	} else {
		e.Fault = faultOfResponse(response)
	}
	t.observe(e)
	return response, err
}
