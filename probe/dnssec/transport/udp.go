package transport

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
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
//
// Queries to a server on the loopback interface use a socket again, one query at a time.
// RFC 5452 §9.2 demands random ports against attackers who do not see the query. Packets from
// other hosts with a loopback address as their source are dropped (RFC 1122 §3.2.1.3,
// RFC 4291 §2.5.3).
func (s *server) exchangeUDP(ctx context.Context, q packedQuery) (*dns.Msg, error) {
	select {
	case s.sockets <- struct{}{}:
		defer func() { <-s.sockets }()
	case <-ctx.Done():
		return nil, fmt.Errorf("all %d UDP sockets to the server are in use: %w", cap(s.sockets), ctx.Err())
	}
	if !s.local {
		return exchangeUDP(ctx, s.address, q)
	}
	conn := s.idle.take()
	if conn == nil {
		var err error
		if conn, err = openUDP(s.address); err != nil {
			return nil, err
		}
	}
	keep := false
	defer func() {
		if keep {
			s.idle.put(conn)
		} else {
			conn.Close()
			s.idle.close()
		}
	}()
	response, alone, err := exchangeOn(ctx, conn, q)
	keep = alone && err == nil
	return response, err
}

// exchangeUDP sends a query from a new socket and returns the response. It
// ignores datagrams that arrive before the query is sent, or do not match it. It
// returns the error of ctx if ctx ends first.
//
// The socket serves this query alone, and the kernel gives it a random port. So
// an attacker who cannot see the query must guess both the port and the ID
// (RFC 5452 §9.2), within the time of one query. A response that comes
// after the socket is closed reaches no other query.
func exchangeUDP(ctx context.Context, to netip.AddrPort, q packedQuery) (*dns.Msg, error) {
	conn, err := openUDP(to)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	response, _, err := exchangeOn(ctx, conn, q)
	return response, err
}

// openUDP returns a connected socket: the kernel drops datagrams from any other
// address or port.
func openUDP(to netip.AddrPort) (*net.UDPConn, error) {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		return nil, err
	}
	if err := discardEarly(conn); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// exchangeOn sends a query from a socket and returns the response. alone reports whether
// the socket may be used again: the response was the only datagram, and ctx does not end the
// next query.
func exchangeOn(ctx context.Context, conn *net.UDPConn, q packedQuery) (response *dns.Msg, alone bool, err error) {
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	id := randomID()
	if _, err = conn.Write(q.appendWithID(nil, id)); err == nil {
		response, alone, err = receiveUDP(conn, q, id)
	}
	alone = stop() && alone
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	return response, alone, err
}

// datagrams are buffers for receiveUDP. A message does not refer to the buffer that it was
// unpacked from.
var datagrams = sync.Pool{New: func() any { return new([maxDatagram + 1]byte) }}

// receiveUDP returns the first response on conn that matches a query. A datagram
// that does not match, or of which the header and the question cannot be parsed, is
// ignored. If only the rest cannot be parsed, the response was cut off on the way,
// with the TC bit or without. receiveUDP returns it without records and as
// truncated, so that the query is sent again over TCP (RFC 2181 §9). first reports
// whether it ignored nothing.
func receiveUDP(conn *net.UDPConn, q packedQuery, id uint16) (response *dns.Msg, first bool, err error) {
	datagram := datagrams.Get().(*[maxDatagram + 1]byte)
	defer datagrams.Put(datagram)
	for first = true; ; first = false {
		n, err := conn.Read(datagram[:])
		if err != nil {
			return nil, first, err
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
			return response, first, nil
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
