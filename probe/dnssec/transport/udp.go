package transport

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"
)

const (
	// maxSockets limits the UDP sockets that are open to one server, and with
	// them the queries in flight to it. A query above the limit waits for a
	// socket, and the wait counts toward its timeout: a server with so many
	// unanswered queries is slow.
	maxSockets = 1024

	// maxDatagram is the maximum size in bytes of a response over UDP. It is far
	// above what any query allows (EDNS 1232). A larger one is read over TCP.
	maxDatagram = 4096
)

// exchangeUDP sends a query over UDP and returns the response. If maxSockets
// sockets are in use, it waits for one until ctx ends.
func (s *server) exchangeUDP(ctx context.Context, q packedQuery) (*dns.Msg, error) {
	select {
	case s.sockets <- struct{}{}:
		defer func() { <-s.sockets }()
	case <-ctx.Done():
		return nil, fmt.Errorf("all %d UDP sockets to the server are in use: %w", cap(s.sockets), ctx.Err())
	}
	return exchangeUDP(ctx, s.address, q)
}

// exchangeUDP sends a query from a new socket and returns the response. It
// ignores datagrams that arrive before the query is sent, or do not match it. It
// returns the error of ctx if ctx ends first.
//
// The socket serves this query alone, and the kernel gives it a random port. So
// an attacker who cannot see the query must guess both the port and the ID
// (RFC 5452 §9.2), within the time of one query. The socket is connected: the
// kernel drops datagrams from any other address or port. A response that comes
// after the socket is closed reaches no other query.
func exchangeUDP(ctx context.Context, to netip.AddrPort, q packedQuery) (*dns.Msg, error) {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	if err := discardEarly(conn); err != nil {
		return nil, err
	}
	id := randomID()
	if _, err = conn.Write(q.appendWithID(nil, id)); err == nil {
		var response *dns.Msg
		if response, err = receiveUDP(conn, q, id); err == nil {
			return response, nil
		}
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return nil, err
}

// receiveUDP returns the first response on conn that matches a query. A datagram
// that does not match, or of which the header and the question cannot be parsed, is
// ignored. If only the rest cannot be parsed, the response was cut off on the way,
// with the TC bit or without. receiveUDP returns it without records and as
// truncated, so that the query is sent again over TCP (RFC 2181 §9).
func receiveUDP(conn *net.UDPConn, q packedQuery, id uint16) (*dns.Msg, error) {
	datagram := make([]byte, maxDatagram+1)
	for {
		n, err := conn.Read(datagram)
		if err != nil {
			return nil, err
		}
		if !hasResponseHeader(datagram[:n], id) {
			continue
		}
		response, err := unpack(datagram[:n])
		if err != nil || n > maxDatagram {
			if response = unpackQuestion(datagram[:n]); response == nil {
				continue
			}
			response.Truncated = true
		}
		if q.matches(response, id) {
			return response, nil
		}
	}
}

// unpackQuestion parses the header and the question of a message. It returns nil if
// they cannot be parsed, or if there is no question.
func unpackQuestion(message []byte) *dns.Msg {
	end, ok := endOfSections(message, 1)
	if !ok || end == headerSize {
		return nil
	}
	start := slices.Clone(message[:end])
	clear(start[answerCount:headerSize])
	response := new(dns.Msg)
	if response.Unpack(start) != nil {
		return nil
	}
	return response
}

// hasResponseHeader reports whether a message starts with the header of a response
// that has the given ID.
func hasResponseHeader(message []byte, id uint16) bool {
	return len(message) >= headerSize && binary.BigEndian.Uint16(message) == id && message[2]&responseBit != 0
}
