package server

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
)

// SOCKS is a SOCKS5 proxy (RFC 1928) without authentication that cannot reach IPv6
// addresses.
type SOCKS struct {
	Dial func(ctx context.Context, to netip.AddrPort) (net.Conn, error)
}

// Reply codes (RFC 1928 §6).
const (
	socksSucceeded          = 0
	socksNetworkUnreachable = 3
	socksConnectionRefused  = 5
)

// Serve implements Handler.
func (s SOCKS) Serve(ctx context.Context, conn net.Conn) {
	to, ok := socksRequest(conn)
	if !ok {
		return
	}
	reply := func(code byte) { // the bound address is not reported
		conn.Write([]byte{5, code, 0, 1, 0, 0, 0, 0, 0, 0})
	}
	if to.Addr().Is6() {
		reply(socksNetworkUnreachable)
		return
	}
	server, err := s.Dial(ctx, to)
	if err != nil {
		reply(socksConnectionRefused)
		return
	}
	reply(socksSucceeded)
	relay(ctx, conn, server)
}

// socksRequest reads the greeting (RFC 1928 §3), in which "no authentication" must be
// the only method, and the request to connect (§4).
func socksRequest(conn net.Conn) (to netip.AddrPort, ok bool) {
	read := func(n int) []byte {
		bytes := make([]byte, n)
		if _, err := io.ReadFull(conn, bytes); err != nil {
			return make([]byte, n) // with a version that fails the check below
		}
		return bytes
	}
	head := read(2)
	if methods := read(int(head[1])); head[0] != 5 || len(methods) != 1 || methods[0] != 0 {
		conn.Write([]byte{5, 0xff})
		return to, false
	}
	conn.Write([]byte{5, 0})
	request := read(4)
	size := map[byte]int{1: 4, 4: 16}[request[3]]
	if request[0] != 5 || request[1] != 1 || size == 0 {
		return to, false
	}
	rest := read(size + 2)
	address, ok := netip.AddrFromSlice(rest[:size])
	return netip.AddrPortFrom(address, binary.BigEndian.Uint16(rest[size:])), ok
}

// relay copies bytes both ways until one side closes, then closes the other.
func relay(ctx context.Context, client, server net.Conn) {
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	done := make(chan struct{})
	go func() {
		io.Copy(client, server)
		client.Close()
		close(done)
	}()
	io.Copy(server, client)
	server.Close()
	<-done
}
