package transport

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// stream is a connection that carries many queries at once: none waits for the
// responses to those before it, and responses come in any order (RFC 7766
// §6.2.1.1, §7).
//
// Each message has its length before it (RFC 1035 §4.2.2). What tells one
// query from another is its ID, which is not used again before its response
// has come, even if nobody waits for that any longer (RFC 7766 §6.2.1).
type stream struct {
	conn    net.Conn
	timeout time.Duration // for one query
	outbox  chan []byte
	ended   chan struct{} // closed at the end, once err says why

	mutex    sync.Mutex
	err      error
	due      map[uint16]chan<- []byte // who waits for the response with that ID; nil: nobody does any longer
	quiet    time.Time                // since when responses are due and none came; zero: none is due
	answered bool                     // at least once
}

const (
	mostDue  = 32               // queries under way on one stream
	idleTime = 10 * time.Second // a stream without queries is closed after it (RFC 7766 §6.2.3)
)

// broken is how a query ends whose stream ended.
type broken struct{ err error }

func (b *broken) Error() string { return "the connection ended: " + b.err.Error() }
func (b *broken) Unwrap() error { return b.err }

func newStream(conn net.Conn, timeout time.Duration) *stream {
	s := &stream{conn: conn, timeout: timeout, outbox: make(chan []byte), ended: make(chan struct{}), due: make(map[uint16]chan<- []byte)}
	s.expect()
	return s
}

// run carries messages until the stream ends.
func (s *stream) run() {
	var writer sync.WaitGroup
	writer.Go(s.write)
	s.end(s.receive())
	s.conn.Close() // a write that hangs ends with it
	writer.Wait()
}

func (s *stream) write() {
	for {
		select {
		case framed := <-s.outbox:
			s.conn.SetWriteDeadline(time.Now().Add(s.timeout))
			if _, err := s.conn.Write(framed); err != nil {
				s.end(&broken{err})
				return
			}
		case <-s.ended:
			return
		}
	}
}

// receive returns why there is nothing more to receive.
func (s *stream) receive() error {
	from := bufio.NewReader(s.conn)
	for {
		var length [2]byte
		if _, err := io.ReadFull(from, length[:]); err != nil {
			return &broken{err}
		}
		message := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(from, message); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return &broken{err}
		}
		if err := s.deliver(message); err != nil {
			return err
		}
	}
}

// deliver gives a message to who waits for it. Over UDP a stranger may have
// sent what does not fit; here it is the server that has lost its way.
func (s *stream) deliver(message []byte) error {
	if len(message) < headerSize || message[2]&responseBit == 0 {
		return fmt.Errorf("%w: no response at all", errMalformed)
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	id := binary.BigEndian.Uint16(message)
	waiting, known := s.due[id]
	if !known {
		return fmt.Errorf("%w: it does not fit the query, nor any other", errMalformed)
	}
	delete(s.due, id)
	s.answered = true
	s.quiet = time.Now()
	s.expect()
	if waiting != nil {
		waiting <- message // there is room for one, and there is one
	}
	return nil
}

// expect sets how long the stream may stay silent: as long as the last query
// waits that is let onto a quiet stream, or, where no response is due, for the
// idle time.
func (s *stream) expect() {
	if s.err != nil {
		return
	}
	if len(s.due) == 0 {
		s.quiet = time.Time{}
		s.conn.SetReadDeadline(time.Now().Add(idleTime))
		return
	}
	s.conn.SetReadDeadline(s.quiet.Add(s.tooQuiet() + s.timeout))
}

// tooQuiet is the silence after which a stream gets no more queries: its peer
// may be gone without a word.
func (s *stream) tooQuiet() time.Duration { return s.timeout / 2 }

// end has the stream end, and says why.
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

// call is one query's place on a stream.
type call struct {
	*stream
	id       uint16
	response <-chan []byte
}

// begin finds a place for a query; nil if the stream takes no more.
func (s *stream) begin() *call {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.err != nil || len(s.due) >= mostDue || !s.quiet.IsZero() && time.Since(s.quiet) > s.tooQuiet() {
		return nil
	}
	response := make(chan []byte, 1)
	c := &call{stream: s, response: response}
	for taken := true; taken; _, taken = s.due[c.id] {
		c.id = randomID()
	}
	s.due[c.id] = response
	if s.quiet.IsZero() {
		s.quiet = time.Now()
		s.expect()
	}
	return c
}

// exchange sends a query, which gets the call's ID, and waits for the response
// until the stream or ctx ends.
func (c *call) exchange(ctx context.Context, q outgoing) ([]byte, error) {
	framed := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(q.wire)), uint16(len(q.wire)))
	framed = q.as(framed, c.id)
	select {
	case c.outbox <- framed:
	case <-c.ended:
		return nil, c.err
	case <-ctx.Done():
		c.leave(false)
		return nil, ctx.Err()
	}
	select {
	case response := <-c.response:
		return response, nil
	case <-ctx.Done():
		c.leave(true)
		return nil, ctx.Err()
	case <-c.ended:
		select {
		case response := <-c.response: // the last thing that came
			return response, nil
		default:
			return nil, c.err
		}
	}
}

// leave gives the place up. If the query was sent, its ID stays taken.
func (c *call) leave(sent bool) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if _, due := c.due[c.id]; !due {
		return
	}
	if sent {
		c.due[c.id] = nil
		return
	}
	delete(c.due, c.id)
	c.expect()
}

// hasAnswered says whether the stream ever brought a response.
func (s *stream) hasAnswered() bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.answered
}

// randomID returns an unpredictable ID (RFC 5452 §9.2).
func randomID() uint16 {
	var id [2]byte
	rand.Read(id[:]) // never fails
	return binary.BigEndian.Uint16(id[:])
}

// read is what the response to the call says, if it fits the query. If it does
// not, the server has lost its way, and the stream ends.
func (c *call) read(message []byte, q outgoing) (*dns.Msg, error) {
	response := new(dns.Msg)
	if err := response.Unpack(message); err != nil {
		return nil, fmt.Errorf("%w: %w", errMalformed, err)
	}
	switch {
	case !q.fits(response, c.id):
		err := fmt.Errorf("%w: it does not fit the query", errMalformed)
		c.end(err)
		return nil, err
	case response.Truncated:
		return nil, errTruncated
	}
	return response, nil
}
