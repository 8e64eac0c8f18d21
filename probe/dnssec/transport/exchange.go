package transport

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
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

// exchange sends query on a new socket and waits for the response to it, until
// ctx ends. The query gets an ID of its own.
func exchange(ctx context.Context, network string, to netip.AddrPort, query *dns.Msg) (*dns.Msg, error) {
	own := query.Copy() // packing writes into the message
	var id [2]byte
	rand.Read(id[:]) // never fails
	own.Id = binary.BigEndian.Uint16(id[:])
	wire, err := own.Pack()
	if err != nil {
		return nil, fmt.Errorf("pack the query: %w", err)
	}
	var dialer net.Dialer
	// Connected, so that the kernel drops what comes from anywhere else.
	conn, err := dialer.DialContext(ctx, network, to.String())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()

	var response *dns.Msg
	if network == "tcp" {
		response, err = overTCP(conn, wire, own)
	} else {
		response, err = overUDP(conn, wire, own)
	}
	if err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return response, err
}

// overUDP waits for the datagram that fits, past any that do not.
func overUDP(conn net.Conn, wire []byte, query *dns.Msg) (*dns.Msg, error) {
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

// overTCP reads the one response; each message has its length before it
// (RFC 1035 §4.2.2).
func overTCP(conn net.Conn, wire []byte, query *dns.Msg) (*dns.Msg, error) {
	if len(wire) > maxMessage {
		return nil, fmt.Errorf("a query of %d bytes is too long", len(wire))
	}
	framed := append(binary.BigEndian.AppendUint16(nil, uint16(len(wire))), wire...)
	if _, err := conn.Write(framed); err != nil {
		return nil, err
	}
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return nil, err
	}
	message := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(conn, message); err != nil {
		return nil, err
	}
	response := new(dns.Msg)
	if err := response.Unpack(message); err != nil {
		return nil, fmt.Errorf("%w: %w", errMalformed, err)
	}
	switch {
	case !mayAnswer(message, query.Id) || !fits(response, query):
		return nil, fmt.Errorf("%w: it does not fit the query", errMalformed)
	case response.Truncated:
		return nil, errTruncated
	}
	return response, nil
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
