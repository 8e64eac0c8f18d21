package server

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// connectionTimeout is the maximum duration of a connection, so that a client that
// does not close its connection cannot keep a server busy forever.
const connectionTimeout = 2 * time.Minute

// Handler implements the server side of a protocol.
type Handler interface {
	// Serve serves one connection, which is closed when it returns. When the server
	// is closed, ctx ends and the connection is closed.
	Serve(ctx context.Context, conn net.Conn)
}

// Server listens on a port of 127.0.0.1 that the kernel chooses, until it is closed.
type Server struct {
	listener net.Listener
	handler  atomic.Pointer[Handler]
	ctx      context.Context
	cancel   context.CancelFunc
	running  sync.WaitGroup
}

// Start starts a server. It fails if it cannot listen.
func Start(handler Handler) (*Server, error) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen on a loopback port: %w", err)
	}
	s := &Server{listener: listener}
	s.Use(handler)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.running.Go(s.accept)
	return s, nil
}

// Use replaces the handler for new connections.
func (s *Server) Use(handler Handler) { s.handler.Store(&handler) }

// Addr returns the address at which the server listens.
func (s *Server) Addr() netip.AddrPort {
	return s.listener.Addr().(*net.TCPAddr).AddrPort()
}

// Close stops the server, closes its connections and waits for them to end.
func (s *Server) Close() {
	s.cancel()
	s.listener.Close()
	s.running.Wait()
}

func (s *Server) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.running.Go(func() { s.serve(conn) })
	}
}

func (s *Server) serve(conn net.Conn) {
	defer conn.Close()
	stop := context.AfterFunc(s.ctx, func() { conn.Close() })
	defer stop()
	if conn.SetDeadline(time.Now().Add(connectionTimeout)) != nil {
		return
	}
	(*s.handler.Load()).Serve(s.ctx, conn)
}
