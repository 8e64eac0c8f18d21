package transport

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

const (
	directTimeout  = 2 * time.Second // of one attempt
	directAttempts = 2               // over UDP, since a datagram may be lost
)

// QueryServer sends a query to one server that need not be a resolver, such as an
// authoritative nameserver. It uses UDP, and TCP if the response is truncated.
// Each attempt has its own socket, and a call has one socket open at a time.
//
// It returns the response, whatever its response code. It returns an error if
// there is none; the error wraps the network error or the error of ctx.
func QueryServer(ctx context.Context, server netip.AddrPort, query *dns.Msg) (*dns.Msg, error) {
	q, err := newPackedQuery(query)
	if err != nil {
		return nil, err
	}
	attempt := func(exchange func(context.Context, netip.AddrPort, packedQuery) (*dns.Msg, error)) (*dns.Msg, error) {
		limited, cancel := context.WithTimeout(ctx, directTimeout)
		defer cancel()
		response, err := exchange(limited, server, q)
		if err != nil && limited.Err() != nil {
			err = fmt.Errorf("no response in time: %w", limited.Err())
		}
		return response, err
	}
	var response *dns.Msg
	for range directAttempts {
		if response, err = attempt(exchangeUDP); err == nil || ctx.Err() != nil {
			break
		}
	}
	network := "udp"
	if err == nil && response.Truncated {
		network = "tcp"
		response, err = attempt(exchangeTCP)
	}
	if err != nil {
		return nil, fmt.Errorf("query %s at %s over %s: %w", questionOf(query), server, network, err)
	}
	return response, nil
}

// exchangeTCP sends a query over a new TCP connection (RFC 1035 §4.2.2) and
// returns the response.
func exchangeTCP(ctx context.Context, to netip.AddrPort, q packedQuery) (*dns.Msg, error) {
	tcp, err := new(net.Dialer).DialContext(ctx, "tcp", to.String())
	if err != nil {
		return nil, err
	}
	defer tcp.Close()
	defer context.AfterFunc(ctx, func() { tcp.SetDeadline(time.Unix(1, 0)) })()
	id := randomID()
	conn := &dns.Conn{Conn: tcp}
	if _, err := conn.Write(q.appendWithID(nil, id)); err != nil {
		return nil, err
	}
	message, err := conn.ReadMsgHeader(nil)
	if err != nil {
		return nil, err
	}
	response, err := unpack(message)
	switch {
	case err != nil:
		return nil, err
	case !q.matches(response, id):
		return nil, fmt.Errorf("%w: it does not match the query", errMalformed)
	case response.Truncated:
		return nil, errTruncated
	}
	return response, nil
}
