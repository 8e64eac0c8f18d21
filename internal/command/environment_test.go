package command

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"
)

func TestDialSourceAddress(t *testing.T) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	to := listener.Addr().(*net.TCPAddr).AddrPort()
	for _, from := range []netip.Addr{{}, netip.MustParseAddr("127.0.0.1")} {
		conn, err := dial(t.Context(), from, to)
		if err != nil {
			t.Fatalf("from %s: %v", from, err)
		}
		conn.Close()
	}
	// 192.0.2.7 is a documentation address, which no machine has.
	if conn, err := dial(t.Context(), netip.MustParseAddr("192.0.2.7"), to); !errors.Is(err, syscall.EADDRNOTAVAIL) {
		t.Errorf("from an address of no interface: got %v, %v", conn, err)
	}
}
