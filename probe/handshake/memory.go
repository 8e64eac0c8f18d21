package handshake

import (
	"errors"
	"fmt"
	"net"
	"sync"

	"dane_exporter/probe/dane"
)

// Grow counts n bytes of memory that a connection takes, or releases them if n is
// negative. An error ends the connection. A nil Grow counts nothing.
type Grow func(n int) error

// Memory of a connection in bytes, estimated generously. A server chooses how much it
// sends, and for how long the client must keep it: it can send its certificates and then
// nothing.
const (
	sizeOfConnection = 24 << 10 // with its goroutines and buffers
	usualReceived    = 8 << 10  // bytes beyond it count as certificates of many small elements
)

// errMemory is wrapped by the error of an attempt that the probe that started it may not
// hold in memory. Another probe may.
var errMemory = errors.New("the connection takes too much memory")

func (grow Grow) add(n int) error {
	if grow == nil {
		return nil
	}
	if err := grow(n); err != nil {
		return dane.WithCause(dane.CauseLimit, fmt.Errorf("%w: %w", errMemory, err))
	}
	return nil
}

// dial returns the connection that open opens. It counts its memory until it is closed.
func (grow Grow) dial(open func() (net.Conn, error)) (net.Conn, error) {
	c := &countedConn{grow: grow}
	if err := c.hold(sizeOfConnection); err != nil {
		return nil, err
	}
	var err error
	if c.Conn, err = open(); err != nil {
		c.release()
		return nil, err
	}
	return c, nil
}

// countedConn is a connection that counts its memory.
type countedConn struct {
	net.Conn
	grow     Grow
	received int // bytes

	mu     sync.Mutex // Close may be called during Read
	held   int        // bytes
	closed bool
}

// Read implements net.Conn. It fails if the memory for what was received is refused.
func (c *countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n == 0 {
		return 0, err
	}
	size := dane.ParsedSize(n, max(0, usualReceived-c.received))
	c.received += n
	if err := c.hold(size); err != nil {
		return 0, err
	}
	return n, err
}

// Close implements net.Conn. It releases the memory.
func (c *countedConn) Close() error {
	c.release()
	return c.Conn.Close()
}

func (c *countedConn) hold(n int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	err := c.grow.add(n)
	if err == nil {
		c.held += n
	}
	return err
}

func (c *countedConn) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.grow.add(-c.held) // which cannot fail
	c.held, c.closed = 0, true
}
