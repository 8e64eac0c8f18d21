package transport

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/miekg/dns"
)

const (
	maxStreams = 4  // connections to one server
	maxPending = 32 // queries in flight on one connection

	// idleTime is the time after which a connection without queries is closed
	// (RFC 7766 §6.2.3).
	idleTime = 10 * time.Second
)

// errBusy is the error of a query for which there is no room on any connection.
var errBusy = fmt.Errorf("all %d connections are full or silent", maxStreams)

// streamPool holds the connections to one server. Later queries use them again
// (RFC 7766 §6.2.1) until they have been idle for a while. RFC 7766 §6.2.2
// recommends a single connection; the pool opens another only if all are full or
// silent.
type streamPool struct {
	dial    func(context.Context) (net.Conn, error)
	timeout time.Duration
	slots   chan struct{} // holds an element for each query in flight or waiting for a connection

	mutex   sync.Mutex
	open    []*stream
	dialing *dialing // nil if none; one at a time
}

// dialing is an attempt to connect that queries wait for. It continues when a
// query that waits for it ends. stream and err are set before done is closed.
type dialing struct {
	done   chan struct{}
	stream *stream
	err    error
}

func newStreamPool(timeout time.Duration, dial func(context.Context) (net.Conn, error)) *streamPool {
	return &streamPool{dial: dial, timeout: timeout, slots: make(chan struct{}, maxStreams*maxPending)}
}

// exchange sends a query over an open connection, or over a new one, and returns
// the response. It returns the error of ctx if ctx ends first.
//
// A server may close a connection at any time, even with queries unanswered (RFC
// 7766 §6.2.4). The query is then sent again over another connection, provided
// that the closed one brought a response to some query.
func (p *streamPool) exchange(ctx context.Context, q packedQuery) (*dns.Msg, error) {
	if len(q.wire) > maxMessage {
		return nil, fmt.Errorf("the query has %d bytes; the maximum is %d", len(q.wire), maxMessage)
	}
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	for {
		c, err := p.register(ctx)
		if err != nil {
			return nil, err
		}
		message, err := c.exchange(ctx, q)
		if err == nil {
			return c.parse(message, q)
		}
		if _, closed := errors.AsType[*connectionError](err); !closed || !c.stream.hasResponded() {
			return nil, err
		}
	}
}

// register reserves a place for a query on an open connection, or on a new one.
func (p *streamPool) register(ctx context.Context) (*call, error) {
	for {
		c, dialing := p.registerOpen()
		switch {
		case c != nil:
			return c, nil
		case dialing == nil:
			return nil, errBusy
		}
		select {
		case <-dialing.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if dialing.err != nil {
			return nil, dialing.err
		}
		if c := dialing.stream.register(); c != nil {
			return c, nil
		}
		select {
		case <-dialing.stream.ended: // before it carried any query
			return nil, dialing.stream.err
		default: // other queries took all its places
		}
	}
}

// registerOpen reserves a place on an open connection. If there is none, it
// returns the attempt to connect to wait for, and starts one if necessary. It
// returns nil and nil if there are maxStreams connections already.
func (p *streamPool) registerOpen() (*call, *dialing) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	for _, s := range p.open {
		if c := s.register(); c != nil {
			return c, nil
		}
	}
	if p.dialing == nil && len(p.open) < maxStreams {
		p.dialing = &dialing{done: make(chan struct{})}
		go p.connect(p.dialing)
	}
	return nil, p.dialing
}

// connect opens a connection, and carries its messages until it ends.
func (p *streamPool) connect(d *dialing) {
	ctx, cancel := context.WithTimeout(context.Background(), p.timeout)
	conn, err := p.dial(ctx)
	cancel()

	p.mutex.Lock()
	p.dialing = nil
	if err == nil {
		d.stream = newStream(conn, p.timeout)
		p.open = append(p.open, d.stream)
	}
	d.err = err
	close(d.done)
	p.mutex.Unlock()
	if err != nil {
		return
	}
	d.stream.run()

	p.mutex.Lock()
	p.open = slices.DeleteFunc(p.open, func(s *stream) bool { return s == d.stream })
	p.mutex.Unlock()
}

// stream is a connection over TCP or TLS that carries many queries concurrently:
// a query does not wait for the responses to earlier ones, and responses arrive
// in any order (RFC 7766 §6.2.1.1, §7).
//
// Each message is preceded by its length (RFC 1035 §4.2.2). The ID assigns a
// response to its query. An ID is not used again before its response has arrived,
// even if its query was cancelled (RFC 7766 §6.2.1).
type stream struct {
	conn    net.Conn
	timeout time.Duration // of one query
	outbox  chan []byte   // messages to send, with their length
	ended   chan struct{} // closed at the end, after err is set

	mutex       sync.Mutex
	err         error
	pending     map[uint16]chan<- []byte // receiver of the response by ID; nil if the query was cancelled
	silentSince time.Time                // start of the silence while responses are pending; zero if none is
	responded   bool                     // at least once
}

// connectionError is the error of queries whose connection ended.
type connectionError struct{ err error }

func (e *connectionError) Error() string { return "the connection ended: " + e.err.Error() }
func (e *connectionError) Unwrap() error { return e.err }

func newStream(conn net.Conn, timeout time.Duration) *stream {
	s := &stream{conn: conn, timeout: timeout, outbox: make(chan []byte), ended: make(chan struct{}), pending: make(map[uint16]chan<- []byte)}
	s.resetDeadline()
	return s
}

// run carries messages until the stream ends.
func (s *stream) run() {
	var writer sync.WaitGroup
	writer.Go(s.write)
	s.end(s.read())
	s.conn.Close() // interrupts a blocked write
	writer.Wait()
}

// write sends the messages of the outbox until the stream ends.
func (s *stream) write() {
	for {
		select {
		case message := <-s.outbox:
			s.conn.SetWriteDeadline(time.Now().Add(s.timeout))
			if _, err := s.conn.Write(message); err != nil {
				s.end(&connectionError{err})
				return
			}
		case <-s.ended:
			return
		}
	}
}

// read delivers the messages that arrive, until the first error, and returns it.
func (s *stream) read() error {
	reader := bufio.NewReader(s.conn)
	for {
		var length [2]byte
		if _, err := io.ReadFull(reader, length[:]); err != nil {
			return &connectionError{err}
		}
		message := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(reader, message); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return &connectionError{err}
		}
		if err := s.deliver(message); err != nil {
			return err
		}
	}
}

// deliver passes a message to the query with its ID. Unlike over UDP, a message
// that matches no query cannot be forged: it is an error of the server.
func (s *stream) deliver(message []byte) error {
	if len(message) < headerSize || message[2]&responseBit == 0 {
		return fmt.Errorf("%w: it has no header of a DNS response", errMalformed)
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	id := binary.BigEndian.Uint16(message)
	receiver, known := s.pending[id]
	if !known {
		return fmt.Errorf("%w: it does not match any query", errMalformed)
	}
	delete(s.pending, id)
	s.responded = true
	s.silentSince = time.Now()
	s.resetDeadline()
	if receiver != nil {
		receiver <- message // does not block: the channel has room for the only message
	}
	return nil
}

// resetDeadline sets the time until which the stream may be silent. If responses
// are pending, this is the end of the last query that the stream may still accept;
// otherwise it is the end of the idle time.
func (s *stream) resetDeadline() {
	if s.err != nil {
		return
	}
	if len(s.pending) == 0 {
		s.silentSince = time.Time{}
		s.conn.SetReadDeadline(time.Now().Add(idleTime))
		return
	}
	s.conn.SetReadDeadline(s.silentSince.Add(s.maxSilence() + s.timeout))
}

// maxSilence is the silence after which a stream accepts no more queries: the
// server may have disappeared without closing it.
func (s *stream) maxSilence() time.Duration { return s.timeout / 2 }

// end ends the stream and with it all its queries. The first error counts.
func (s *stream) end(err error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.err != nil {
		return
	}
	s.err = err
	close(s.ended)
	s.conn.SetReadDeadline(time.Unix(1, 0))
}

// hasResponded reports whether the stream ever brought a response.
func (s *stream) hasResponded() bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.responded
}

// register reserves a place and an ID for a query. It returns nil if the stream
// has ended, is full, or has been silent for too long.
func (s *stream) register() *call {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.err != nil || len(s.pending) >= maxPending || !s.silentSince.IsZero() && time.Since(s.silentSince) > s.maxSilence() {
		return nil
	}
	response := make(chan []byte, 1)
	c := &call{stream: s, response: response}
	for taken := true; taken; _, taken = s.pending[c.id] {
		c.id = randomID()
	}
	s.pending[c.id] = response
	if s.silentSince.IsZero() {
		s.silentSince = time.Now()
		s.resetDeadline()
	}
	return c
}

// call is the place of one query on a stream.
type call struct {
	stream   *stream
	id       uint16
	response <-chan []byte
}

// exchange sends a query with the ID of the call, and returns the response. It
// returns an error if the stream or ctx ends first.
func (c *call) exchange(ctx context.Context, q packedQuery) ([]byte, error) {
	message := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(q.wire)), uint16(len(q.wire)))
	message = q.appendWithID(message, c.id)
	select {
	case c.stream.outbox <- message:
	case <-c.stream.ended:
		return nil, c.stream.err
	case <-ctx.Done():
		c.cancel(false)
		return nil, ctx.Err()
	}
	select {
	case response := <-c.response:
		return response, nil
	case <-ctx.Done():
		c.cancel(true)
		return nil, ctx.Err()
	case <-c.stream.ended:
		select {
		case response := <-c.response: // it arrived just before the end
			return response, nil
		default:
			return nil, c.stream.err
		}
	}
}

// cancel gives up the place. If the query was sent, its ID stays reserved until
// the response arrives.
func (c *call) cancel(sent bool) {
	s := c.stream
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if _, pending := s.pending[c.id]; !pending {
		return
	}
	if sent {
		s.pending[c.id] = nil
		return
	}
	delete(s.pending, c.id)
	s.resetDeadline()
}

// parse returns the response in a message. If the message is for another
// question, the stream ends: its server confuses responses.
func (c *call) parse(message []byte, q packedQuery) (*dns.Msg, error) {
	response, err := unpack(message)
	if err != nil {
		return nil, err
	}
	switch {
	case !q.matches(response, c.id):
		err := fmt.Errorf("%w: it does not match the query", errMalformed)
		c.stream.end(err)
		return nil, err
	case response.Truncated:
		return nil, errTruncated
	}
	return response, nil
}
