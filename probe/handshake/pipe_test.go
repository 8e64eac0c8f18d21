package handshake

import (
	"bytes"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// bufferedPipe returns the two ends of a connection in memory. Unlike with net.Pipe,
// a write never waits for a read.
func bufferedPipe() (a, b net.Conn) {
	ab, ba := newStream(), newStream()
	return &pipeEnd{in: ba, out: ab}, &pipeEnd{in: ab, out: ba}
}

type pipeEnd struct{ in, out *stream }

func (p *pipeEnd) Read(b []byte) (int, error)         { return p.in.read(b) }
func (p *pipeEnd) Write(b []byte) (int, error)        { return p.out.write(b) }
func (p *pipeEnd) Close() error                       { p.in.close(); p.out.close(); return nil }
func (p *pipeEnd) LocalAddr() net.Addr                { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)} }
func (p *pipeEnd) RemoteAddr() net.Addr               { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 2)} }
func (p *pipeEnd) SetDeadline(t time.Time) error      { return p.in.setDeadline(t) }
func (p *pipeEnd) SetReadDeadline(t time.Time) error  { return p.in.setDeadline(t) }
func (p *pipeEnd) SetWriteDeadline(t time.Time) error { return nil }

// stream is one direction of a connection.
type stream struct {
	mu      sync.Mutex
	changed *sync.Cond
	data    bytes.Buffer
	closed  bool
	expired bool
	timer   *time.Timer
}

func newStream() *stream {
	s := &stream{}
	s.changed = sync.NewCond(&s.mu)
	return s
}

func (s *stream) read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.expired:
			return 0, os.ErrDeadlineExceeded
		case s.data.Len() > 0:
			return s.data.Read(b)
		case s.closed:
			return 0, io.EOF
		}
		s.changed.Wait()
	}
}

func (s *stream) write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, io.ErrClosedPipe
	}
	s.changed.Broadcast()
	return s.data.Write(b)
}

func (s *stream) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.changed.Broadcast()
}

func (s *stream) setDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	s.expired = false
	if t.IsZero() {
		return nil
	}
	s.timer = time.AfterFunc(time.Until(t), func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.expired = true
		s.changed.Broadcast()
	})
	return nil
}
