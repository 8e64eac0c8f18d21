package transport

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// sockets are those to one server over UDP. Opening one costs more than the
// query itself, so they are kept for a few queries more. Each has a random port
// of its own and carries one query at a time. Where no response came of it, it
// is closed, and the idle ones with it: their way may have gone too, unless it
// was the caller who waited no longer.
type sockets struct {
	address netip.AddrPort

	mutex   sync.Mutex
	idle    []*socket // that for longest first
	watched bool      // tidy will come
}

// mostServed is how many queries use one port. Whoever would forge a response
// and has found the port out does not know it for long, and then still has the
// ID to guess; what he wins is an answer that does not validate, or one of an
// unsigned zone, which proves nothing.
const mostServed = 16

// mostIdle bounds the descriptors that a burst of queries leaves behind.
const mostIdle = 16

type socket struct {
	*net.UDPConn
	ids      [mostServed]uint16 // of the queries that it carries, one after the other
	served   int
	since    time.Time // it is idle
	datagram [maxDatagram]byte
}

// openSocket returns a socket on a random port. It is connected, so that the
// kernel drops what comes from anywhere else.
func openSocket(to netip.AddrPort) (*socket, error) {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		return nil, err
	}
	return &socket{UDPConn: conn, ids: [mostServed]uint16(randomIDs(mostServed))}, nil
}

// exchange sends a query and waits for the response until the deadline, or
// until ctx ends.
func (k *sockets) exchange(ctx context.Context, deadline time.Time, q outgoing) (*dns.Msg, error) {
	s, err := k.take()
	if err != nil {
		return nil, err
	}
	response, err := s.exchange(ctx, deadline, q)
	if err != nil {
		s.Close()
		if !errors.Is(ctx.Err(), context.Canceled) {
			k.drop(func(*socket) bool { return true })
		}
		return nil, err
	}
	k.keep(s)
	return response, nil
}

func (k *sockets) take() (*socket, error) {
	k.mutex.Lock()
	if last := len(k.idle) - 1; last >= 0 {
		s := k.idle[last]
		k.idle = k.idle[:last]
		k.mutex.Unlock()
		return s, nil
	}
	k.mutex.Unlock()
	return openSocket(k.address)
}

func (k *sockets) keep(s *socket) {
	s.served++
	s.since = time.Now()
	k.mutex.Lock()
	defer k.mutex.Unlock()
	if s.served >= mostServed || len(k.idle) >= mostIdle {
		s.Close()
		return
	}
	k.idle = append(k.idle, s)
	k.watch()
}

// watch sees to it that sockets which nobody uses are closed after a while.
func (k *sockets) watch() {
	if k.watched || len(k.idle) == 0 {
		return
	}
	k.watched = true
	time.AfterFunc(idleTime, k.tidy)
}

func (k *sockets) tidy() {
	k.drop(func(s *socket) bool { return time.Since(s.since) >= idleTime })
	k.mutex.Lock()
	defer k.mutex.Unlock()
	k.watched = false
	k.watch()
}

// drop closes some of the idle sockets.
func (k *sockets) drop(which func(*socket) bool) {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	k.idle = slices.DeleteFunc(k.idle, func(s *socket) bool {
		drop := which(s)
		if drop {
			s.Close()
		}
		return drop
	})
}

// overUDP sends a query on a socket of its own and waits for the response.
func overUDP(ctx context.Context, to netip.AddrPort, q outgoing) (*dns.Msg, error) {
	s, err := openSocket(to)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	return s.exchange(ctx, time.Time{}, q)
}

// exchange sends a query and waits for the datagram that fits, past any that
// do not, until the deadline, if there is one, or until ctx ends. After an error
// the socket is of no use any longer.
func (s *socket) exchange(ctx context.Context, deadline time.Time, q outgoing) (*dns.Msg, error) {
	id := s.ids[s.served]
	if err := s.SetReadDeadline(deadline); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { s.SetDeadline(time.Unix(1, 0)) })
	if _, err := s.Write(q.as(s.datagram[:0], id)); err != nil {
		stop()
		return nil, err
	}
	response, err := s.receive(q, id)
	if !stop() && err == nil {
		err = context.Cause(ctx) // the deadline of the past may be set yet
	}
	return response, err
}

func (s *socket) receive(q outgoing, id uint16) (*dns.Msg, error) {
	for {
		n, err := s.Read(s.datagram[:])
		if err != nil {
			return nil, err
		}
		if !mayAnswer(s.datagram[:n], id) {
			continue
		}
		response := new(dns.Msg)
		if err := response.Unpack(s.datagram[:n]); err != nil {
			// A truncated reply may end within a record; what there is of it
			// does not matter, TCP comes next (RFC 2181 §9).
			if response.Truncated && q.fits(response, id) {
				return response, nil
			}
			return nil, fmt.Errorf("%w: %w", errMalformed, err)
		}
		if q.fits(response, id) {
			return response, nil
		}
	}
}

// mayAnswer looks at the header alone: a response, with our ID.
func mayAnswer(message []byte, id uint16) bool {
	return len(message) >= headerSize && binary.BigEndian.Uint16(message) == id && message[2]&responseBit != 0
}
