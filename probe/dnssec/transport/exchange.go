package transport

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// errMalformed: a reply that is no DNS message, or not one to our query.
var errMalformed = errors.New("malformed reply")

// errTruncated: a reply over TCP that says it is cut short.
var errTruncated = errors.New("the reply is truncated even over TCP")

const (
	headerSize  = 12        // RFC 1035 §4.1.1
	responseBit = 1 << 7    // QR, in the third byte of the header
	maxMessage  = 1<<16 - 1 // over TCP: its length has 16 bits
)

// outgoing is a query on its way: the message, and its wire form, which each
// time that it is sent gets an ID of its own.
type outgoing struct {
	*dns.Msg
	wire []byte
}

func newOutgoing(query *dns.Msg) (outgoing, error) {
	wire, err := query.Pack()
	if err != nil {
		return outgoing{}, fmt.Errorf("pack the query: %w", err)
	}
	return outgoing{query, wire}, nil
}

// as appends the wire form with an ID.
func (q outgoing) as(to []byte, id uint16) []byte {
	start := len(to)
	to = append(to, q.wire...)
	binary.BigEndian.PutUint16(to[start:], id)
	return to
}

// exchange sends a query to a server and waits for the response to it, for as
// long as timeout, or until ctx ends.
func (s *server) exchange(ctx context.Context, timeout time.Duration, network string, q outgoing) (*dns.Msg, error) {
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	exchange := s.streams.exchange
	if network == "udp" {
		exchange = s.exchangeUDP
	}
	response, err := exchange(limited, q)
	if err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return response, err
}

// fits says whether the response is to our question (RFC 5452 §9.1). A server
// that could not read the query may leave the question out (RFC 1035 §4.1.1,
// FORMERR) or be too simple to repeat it: then it must be a refusal.
func (q outgoing) fits(response *dns.Msg, id uint16) bool {
	if !response.Response || response.Id != id || response.Opcode != q.Opcode {
		return false
	}
	if len(response.Question) == 0 {
		return faultOf(response) != "" && len(response.Answer) == 0
	}
	same := func(a, b dns.Question) bool {
		return a.Qtype == b.Qtype && a.Qclass == b.Qclass && strings.EqualFold(a.Name, b.Name)
	}
	return slices.EqualFunc(response.Question, q.Question, same)
}

// faultIn names the kind of an error of exchange.
func faultIn(err error) Fault {
	var network net.Error
	switch {
	case errors.Is(err, errMalformed):
		return Malformed
	case errors.Is(err, errTruncated):
		return Truncated
	case errors.Is(err, context.Canceled):
		return Cancelled
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return Timeout
	default:
		return Network
	}
}
