package transport

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
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
	maxDatagram = 4096      // far more than any query of ours allows (EDNS 1232)
	responseBit = 1 << 7    // QR, in the third byte of the header
	maxMessage  = 1<<16 - 1 // over TCP: its length has 16 bits
)

// exchange sends query to a server and waits for the response to it, until ctx
// ends. The query gets an ID of its own.
func (s *server) exchange(ctx context.Context, network string, query *dns.Msg) (*dns.Msg, error) {
	own := query.Copy() // packing writes into the message
	var response *dns.Msg
	var err error
	if network == "udp" {
		response, err = overUDP(ctx, s.address, own)
	} else {
		response, err = s.streams.exchange(ctx, own)
	}
	if err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return response, err
}

// overUDP sends query on a new socket and waits for the datagram that fits,
// past any that do not.
func overUDP(ctx context.Context, to netip.AddrPort, query *dns.Msg) (*dns.Msg, error) {
	query.Id = randomID()
	wire, err := query.Pack()
	if err != nil {
		return nil, fmt.Errorf("pack the query: %w", err)
	}
	// Connected, so that the kernel drops what comes from anywhere else.
	conn, err := new(net.Dialer).DialContext(ctx, "udp", to.String())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	if _, err := conn.Write(wire); err != nil {
		return nil, err
	}
	datagram := make([]byte, maxDatagram)
	for {
		n, err := conn.Read(datagram)
		if err != nil {
			return nil, err
		}
		if !mayAnswer(datagram[:n], query.Id) {
			continue
		}
		response := new(dns.Msg)
		if err := response.Unpack(datagram[:n]); err != nil {
			// A truncated reply may end within a record; what there is of it
			// does not matter, TCP comes next (RFC 2181 §9).
			if response.Truncated && fits(response, query) {
				return response, nil
			}
			return nil, fmt.Errorf("%w: %w", errMalformed, err)
		}
		if fits(response, query) {
			return response, nil
		}
	}
}

// mayAnswer looks at the header alone: a response, with our ID.
func mayAnswer(message []byte, id uint16) bool {
	return len(message) >= headerSize && binary.BigEndian.Uint16(message) == id && message[2]&responseBit != 0
}

// fits says whether the response is to our question (RFC 5452 §9.1). A server
// that could not read the query may leave the question out (RFC 1035 §4.1.1,
// FORMERR) or be too simple to repeat it: then it must be a refusal.
func fits(response, query *dns.Msg) bool {
	if !response.Response || response.Id != query.Id || response.Opcode != query.Opcode {
		return false
	}
	if len(response.Question) == 0 {
		return faultOf(response) != "" && len(response.Answer) == 0
	}
	if len(response.Question) != len(query.Question) {
		return false
	}
	for i, q := range query.Question {
		r := response.Question[i]
		if r.Qtype != q.Qtype || r.Qclass != q.Qclass || !strings.EqualFold(r.Name, q.Name) {
			return false
		}
	}
	return true
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
