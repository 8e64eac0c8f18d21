// Package socks asks a SOCKS5 proxy (RFC 1928) to connect to an address.
//
// Three exchanges, all in the clear, on a connection that the caller has made:
//
//	C: the methods of authentication that I have: none, or a password
//	S: this one
//	C: user and password                     (RFC 1929, where that was the one)
//	S: welcome
//	C: connect to 192.0.2.25, port 25
//	S: done, and from this address           from here on, the bytes are the server's
//
// The proxy is given an address and never a name: what was looked up and
// judged is what is connected to. Its answer has one of a few codes, and they
// tell apart who failed: some speak of the server, the others of the proxy.
package socks

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"
)

// Code is a proxy's answer to a request (RFC 1928 §6).
type Code byte

const (
	GeneralFailure      Code = 1
	NotAllowed          Code = 2
	NetworkUnreachable  Code = 3
	HostUnreachable     Code = 4
	ConnectionRefused   Code = 5
	TTLExpired          Code = 6
	CommandUnsupported  Code = 7
	AddressTypeRejected Code = 8
)

func (c Code) String() string {
	switch c {
	case GeneralFailure:
		return "general failure"
	case NotAllowed:
		return "not allowed by the proxy's rules"
	case NetworkUnreachable:
		return "network unreachable"
	case HostUnreachable:
		return "host unreachable"
	case ConnectionRefused:
		return "connection refused"
	case TTLExpired:
		return "TTL expired"
	case CommandUnsupported:
		return "command not supported"
	case AddressTypeRejected:
		return "address type not supported"
	}
	return fmt.Sprintf("code %d", byte(c))
}

// Refused: the proxy did as it should, and did not get through.
type Refused struct{ Code Code }

func (e *Refused) Error() string { return fmt.Sprintf("the proxy says: %s", e.Code) }

const (
	version        = 5
	noPassword     = 0
	withPassword   = 2
	noneAcceptable = 0xff
	connect        = 1
	ipv4           = 1
	domainName     = 3
	ipv6           = 4
)

// MaxCredential is how long a user's name and a password may be, each, in
// bytes (RFC 1929 §2).
const MaxCredential = 255

// Connect asks the proxy at the other end of conn to connect to an address. An
// empty user means that there is none. It honours ctx: when ctx ends, conn is of
// no further use. It returns the address that the proxy connects from; invalid
// where the proxy keeps that to itself.
//
// Errors: *Refused where the proxy understood and could not; anything else is
// the proxy's own failure.
func Connect(ctx context.Context, conn net.Conn, to netip.AddrPort, user, password string) (from netip.AddrPort, err error) {
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer func() {
		if !stop() && err == nil {
			err = context.Cause(ctx)
		}
	}()
	if err := greet(conn, user, password); err != nil {
		return from, err
	}
	return request(conn, to)
}

// greet agrees on the authentication and goes through it (RFC 1928 §3).
func greet(conn net.Conn, user, password string) error {
	method := byte(noPassword)
	if user != "" {
		method = withPassword
	}
	if _, err := conn.Write([]byte{version, 1, method}); err != nil {
		return fmt.Errorf("greet the proxy: %w", err)
	}
	chosen, err := pair(conn)
	switch {
	case err != nil:
		return fmt.Errorf("wait for the proxy's greeting: %w", err)
	case chosen[0] != version:
		return fmt.Errorf("the proxy speaks version %d of something, not SOCKS5", chosen[0])
	case chosen[1] == noneAcceptable && method == noPassword:
		return errors.New("the proxy wants a password")
	case chosen[1] == noneAcceptable:
		return errors.New("the proxy takes no password")
	case chosen[1] != method:
		return fmt.Errorf("the proxy chose authentication method %d, which was not offered", chosen[1])
	case method == withPassword:
		return authenticate(conn, user, password)
	}
	return nil
}

// authenticate gives user and password (RFC 1929).
func authenticate(conn net.Conn, user, password string) error {
	const subnegotiation, granted = 1, 0
	if len(user) > MaxCredential || len(password) > MaxCredential {
		return fmt.Errorf("user or password is longer than %d bytes", MaxCredential)
	}
	message := append([]byte{subnegotiation, byte(len(user))}, user...)
	message = append(append(message, byte(len(password))), password...)
	if _, err := conn.Write(message); err != nil {
		return fmt.Errorf("give the proxy its password: %w", err)
	}
	answer, err := pair(conn)
	if err != nil {
		return fmt.Errorf("wait for what the proxy says to the password: %w", err)
	}
	if answer[1] != granted {
		return errors.New("the proxy rejects user and password")
	}
	return nil
}

// request asks for the connection (RFC 1928 §4) and reads the answer (§6).
func request(conn net.Conn, to netip.AddrPort) (from netip.AddrPort, err error) {
	addr := to.Addr().WithZone("").Unmap()
	kind := byte(ipv4)
	if addr.Is6() {
		kind = ipv6
	}
	message := append([]byte{version, connect, 0, kind}, addr.AsSlice()...)
	if _, err := conn.Write(binary.BigEndian.AppendUint16(message, to.Port())); err != nil {
		return from, fmt.Errorf("ask the proxy to connect: %w", err)
	}
	var answer [4]byte
	if _, err := io.ReadFull(conn, answer[:]); err != nil {
		return from, fmt.Errorf("wait for the proxy to connect: %w", err)
	}
	if answer[0] != version {
		return from, fmt.Errorf("the proxy answers in version %d of something, not SOCKS5", answer[0])
	}
	if code := Code(answer[1]); code != 0 {
		return from, &Refused{code}
	}
	if from, err = boundAddress(conn, answer[3]); err != nil {
		return from, fmt.Errorf("read the address that the proxy connects from: %w", err)
	}
	return from, nil
}

// boundAddress reads the address at the end of an answer, to its last byte:
// what follows is the server's.
func boundAddress(conn net.Conn, kind byte) (netip.AddrPort, error) {
	size := 0
	switch kind {
	case ipv4:
		size = 4
	case ipv6:
		size = 16
	case domainName:
		var length [1]byte
		if _, err := io.ReadFull(conn, length[:]); err != nil {
			return netip.AddrPort{}, err
		}
		size = int(length[0])
	default:
		return netip.AddrPort{}, fmt.Errorf("address type %d is none", kind)
	}
	raw := make([]byte, size+2)
	if _, err := io.ReadFull(conn, raw); err != nil {
		return netip.AddrPort{}, err
	}
	addr, ok := netip.AddrFromSlice(raw[:size])
	if !ok || kind == domainName || addr.IsUnspecified() {
		return netip.AddrPort{}, nil
	}
	return netip.AddrPortFrom(addr, binary.BigEndian.Uint16(raw[size:])), nil
}

func pair(conn net.Conn) (answer [2]byte, err error) {
	_, err = io.ReadFull(conn, answer[:])
	return answer, err
}
