package dnssec

import (
	"context"
	"errors"

	"github.com/miekg/dns"
)

// Transport carries DNS messages to recursive resolvers. Its answers are
// believed in nothing until they are validated.
type Transport interface {
	// Exchange asks the resolvers in turn until one answers, and says which did.
	// A truncated answer has been asked for again over TCP. The response belongs
	// to the caller.
	Exchange(ctx context.Context, query *dns.Msg) (response *dns.Msg, server string, err error)
	// ExchangeWith asks one server, named as Servers names it.
	ExchangeWith(ctx context.Context, server string, query *dns.Msg) (*dns.Msg, error)
	// Servers names the resolvers, in the order in which they are asked.
	Servers() []string
}

// Errors of look-ups, in Answer.Err; test with errors.Is.
var (
	// ErrUnreachable: no resolver answered at all, or each fails at everything,
	// at the keys of the root too. It is ours.
	ErrUnreachable = errors.New("no resolver answered")
	// ErrStripped: the resolver withholds DNSSEC records. It is ours.
	ErrStripped = errors.New("the resolver strips DNSSEC records")
	// ErrServer: the resolver answered SERVFAIL, REFUSED or the like. It is the
	// zone's, unless the error is ErrUnreachable too.
	ErrServer = errors.New("the resolver reports a failure")
	// ErrLimit: validating would have cost more than Options allows. It is ours.
	ErrLimit = errors.New("limit exceeded")
	// ErrDeadline: the time for the look-up ran out. It is ours.
	ErrDeadline = errors.New("no time left")
)
