package transport

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

// How a server is asked that is none of the resolvers: shortly, and again
// where a datagram may have been lost.
const (
	directTime     = 2 * time.Second
	directAttempts = 2
)

// Ask asks one server that is no resolver of ours, such as one with authority
// for a zone: over UDP, and over TCP where the answer is truncated. It returns
// the response, whatever its code, or an error that wraps that of the network
// or of ctx.
func Ask(ctx context.Context, server netip.AddrPort, query *dns.Msg) (*dns.Msg, error) {
	q, err := newOutgoing(query)
	if err != nil {
		return nil, err
	}
	var response *dns.Msg
	for range directAttempts {
		if response, err = within(ctx, func(ctx context.Context) (*dns.Msg, error) { return exchangeUDP(ctx, server, q) }); err == nil || ctx.Err() != nil {
			break
		}
	}
	network := "udp"
	if err == nil && response.Truncated {
		network = "tcp"
		response, err = within(ctx, func(ctx context.Context) (*dns.Msg, error) { return overTCP(ctx, server, q) })
	}
	if err != nil {
		return nil, fmt.Errorf("ask %s %s over %s: %w", server, asked(query), network, err)
	}
	return response, nil
}

// within makes one attempt in the time that one has.
func within(ctx context.Context, attempt func(context.Context) (*dns.Msg, error)) (*dns.Msg, error) {
	try, cancel := context.WithTimeout(ctx, directTime)
	defer cancel()
	response, err := attempt(try)
	if err != nil && try.Err() != nil {
		err = fmt.Errorf("no reply in time: %w", try.Err())
	}
	return response, err
}

// overTCP sends query on a connection of its own (RFC 1035 §4.2.2).
func overTCP(ctx context.Context, to netip.AddrPort, q outgoing) (*dns.Msg, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", to.String())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	id := randomID()
	framed := &dns.Conn{Conn: conn}
	if _, err := framed.Write(q.as(nil, id)); err != nil {
		return nil, err
	}
	response, err := framed.ReadMsg()
	switch {
	case err != nil && response != nil:
		return nil, fmt.Errorf("%w: %w", errMalformed, err)
	case err != nil:
		return nil, err
	case !q.fits(response, id):
		return nil, fmt.Errorf("%w: it does not fit the query", errMalformed)
	case response.Truncated:
		return nil, errTruncated
	}
	return response, nil
}
