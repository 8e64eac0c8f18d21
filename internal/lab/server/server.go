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

// patience is how long a connection may last: nobody's forgotten client holds
// a server for ever.
const patience = 2 * time.Minute

// Handler serves one connection, which is closed when Serve returns. When the
// server closes, ctx ends and the connection is closed.
type Handler interface {
	Serve(ctx context.Context, conn net.Conn)
}

// Server listens on a free port of 127.0.0.1 until it is closed.
type Server struct {
	listener net.Listener
	handler  atomic.Pointer[Handler]
	ctx      context.Context
	cancel   context.CancelFunc
	running  sync.WaitGroup
}

// Start starts a server. It returns the error of listening.
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

// Use lets another handler serve the connections that come from now on.
func (s *Server) Use(handler Handler) { s.handler.Store(&handler) }

// Addr is where the server listens.
func (s *Server) Addr() netip.AddrPort {
	return s.listener.Addr().(*net.TCPAddr).AddrPort()
}

// Close ends the server and its connections, and waits for them.
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
	if conn.SetDeadline(time.Now().Add(patience)) != nil {
		return
	}
	(*s.handler.Load()).Serve(s.ctx, conn)
}
