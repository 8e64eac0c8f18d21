package dnssec

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/miekg/dns"

	"dane_exporter/internal/flight"
)

// Transport sends DNS messages to recursive resolvers. Its responses are
// untrusted until they are validated.
type Transport interface {
	// Exchange queries the resolvers in turn until one answers, and returns the
	// name of that server. It repeats a query over TCP if the response is
	// truncated. The caller owns the response.
	Exchange(ctx context.Context, query *dns.Msg) (response *dns.Msg, server string, err error)
	// ExchangeWith queries one server, by a name that Servers returned.
	ExchangeWith(ctx context.Context, server string, query *dns.Msg) (*dns.Msg, error)
	// Servers returns the names of the resolvers, in the order of use.
	Servers() []string
}

// Errors of lookups, in Answer.Err; test with errors.Is. All except ErrServer
// are failures on our side.
var (
	// ErrUnreachable: no resolver answered.
	ErrUnreachable = errors.New("no resolver answered")
	// ErrResolverFailed: the resolvers answer with failures, and not for one zone
	// alone.
	ErrResolverFailed = errors.New("the resolvers fail")
	// ErrStripped: the resolver withholds DNSSEC records.
	ErrStripped = errors.New("the resolver strips DNSSEC records")
	// ErrRootBogus: signatures of the root do not validate, so no zone does. The clock of
	// this machine is wrong, the trust anchors are out of date, or the resolvers forge answers.
	ErrRootBogus = errors.New("the root does not validate")
	// ErrServer: the resolver answered SERVFAIL, REFUSED or the like. The zone is
	// at fault, unless the error is ErrResolverFailed too.
	ErrServer = errors.New("the resolver reports a failure")
	// ErrLimit: validation would have exceeded a limit of the lookup.
	ErrLimit = errors.New("limit exceeded")
	// ErrDeadline: the lookup timed out.
	ErrDeadline = errors.New("no time left")
	// ErrInternal: a panic was recovered, which is a bug of this program.
	ErrInternal = flight.ErrPanic
)

// upstream is the resolver that a query goes to, and how it is queried. The
// zero value is all resolvers in turn, with CD=1.
type upstream struct {
	server   string // empty: the resolvers in turn
	checking bool   // CD=0: the resolver may validate, and withhold what it finds bogus
}

func (u upstream) String() string {
	if u.checking {
		return u.server + " with CD=0"
	}
	return u.server
}

// query is a question to an upstream.
type query struct {
	question question
	upstream upstream
}

// maxUDPSize is the EDNS buffer size in bytes: the minimum MTU of IPv6, 1280
// (RFC 8200 §5), less the headers of IPv6 and UDP.
const maxUDPSize = 1232

// exchange sends one query with DO and CD set (RFC 4035 §4.9.1, §4.9.2,
// RFC 6840 §5.9), unless the upstream is to check the answer itself.
//
// Some resolvers and middleboxes drop queries with CD=1. So a query without any
// response is sent again with CD=0. If CD=0 helps for the keys of the top zone,
// which each chain of trust needs, the upstream drops all such queries. Later
// queries to it have CD=0. Queries for other names prove nothing about the upstream:
// the nameservers of a zone decide whether they are answered.
func (r *Resolver) exchange(ctx context.Context, q query) *reply {
	server := q.upstream.server
	checked := query{q.question, upstream{server, true}}
	top := q.question == question{r.topZone(), dns.TypeDNSKEY}
	if q.upstream.checking || !top && r.droppedCD.lasts(server, time.Now()) {
		return r.exchangeOnce(ctx, checked)
	}
	limited, cancel := context.WithTimeout(ctx, r.options.QueryTimeout*4/5)
	defer cancel()
	reply := r.exchangeOnce(limited, q)
	if !errors.Is(reply.err, ErrUnreachable) {
		r.droppedCD.clear(server, reply.server)
		return reply
	}
	if ctx.Err() != nil {
		return reply
	}
	again := r.exchangeOnce(ctx, checked)
	if errors.Is(again.err, ErrUnreachable) {
		return reply
	}
	if top {
		r.droppedCD.record(server, time.Now())
	}
	return again
}

// droppedCD records for dropsCDFor which upstreams drop queries with CD=1, by
// server. The empty name is all resolvers in turn. It has an entry if none of them
// responds.
type droppedCD struct {
	mu   sync.Mutex
	seen map[string]time.Time
}

const dropsCDFor = 10 * time.Minute

func (d *droppedCD) record(server string, at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.seen == nil {
		d.seen = make(map[string]time.Time)
	}
	d.seen[server] = at
}

// clear records that a query with CD=1 to an upstream was answered by a server.
// So at least one resolver responds to such queries.
func (d *droppedCD) clear(upstream, server string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, name := range []string{"", upstream, server} {
		delete(d.seen, name)
	}
}

// lasts reports whether an upstream drops queries with CD=1, as far as is known.
func (d *droppedCD) lasts(server string, at time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, name := range []string{"", server} {
		if seen, ok := d.seen[name]; ok && at.Sub(seen).Abs() <= dropsCDFor {
			return true
		}
	}
	return false
}

// exchangeOnce sends one query.
func (r *Resolver) exchangeOnce(ctx context.Context, q query) *reply {
	msg := &dns.Msg{
		MsgHdr:   dns.MsgHdr{RecursionDesired: true, CheckingDisabled: !q.upstream.checking},
		Question: []dns.Question{{Name: q.question.name, Qtype: q.question.qtype, Qclass: dns.ClassINET}},
	}
	msg.SetEdns0(maxUDPSize, true)
	start := time.Now()
	response, server, err := r.exchangeWith(ctx, q.upstream.server, msg)
	if err == nil && response == nil {
		err = errors.New("empty response")
	}
	if err != nil {
		return &reply{err: fmt.Errorf("%w: %s: %w", ErrUnreachable, q.question, err), server: server}
	}
	answer := newReply(response, q.question)
	answer.server, answer.rtt = server, time.Since(start)
	if answer.truncated = response.Truncated; answer.truncated {
		answer.err = fmt.Errorf("%w: the answer to %s is truncated, over TCP too", ErrServer, q.question)
	}
	return answer
}

// exchangeWith sends a message to one server, or to all in turn if server is
// empty. It returns the server that answered.
func (r *Resolver) exchangeWith(ctx context.Context, server string, msg *dns.Msg) (*dns.Msg, string, error) {
	if server == "" {
		return r.transport.Exchange(ctx, msg)
	}
	response, err := r.transport.ExchangeWith(ctx, server, msg)
	return response, server, err
}

// exchangeShared is exchange, with one query in flight for equal queries. It calls pay
// before it sends one. A query that the pay of another caller refused is repeated.
func (r *Resolver) exchangeShared(ctx context.Context, q query, pay func() error) *reply {
	send := func(ctx context.Context, _ func(*reply)) *reply {
		if err := pay(); err != nil {
			return &reply{err: fmt.Errorf("%s: %w", q.question, err)}
		}
		return r.exchange(ctx, q)
	}
	shared, joined, err := r.queries.Do(ctx, q, r.options.QueryTimeout, send)
	if err == nil && joined && errors.Is(shared.err, ErrBudget) {
		ctx, cancel := context.WithTimeout(ctx, r.options.QueryTimeout)
		defer cancel()
		shared = send(ctx, nil)
	}
	switch {
	case errors.Is(err, ErrInternal):
		return &reply{err: fmt.Errorf("%s: %w", q.question, err)}
	case err != nil:
		return &reply{err: fmt.Errorf("%w: %s: %w", ErrDeadline, q.question, err)}
	}
	return shared
}
