// Package socks implements the client side of SOCKS5 (RFC 1928) as far as a
// TCP connection to an address needs it: the CONNECT command, without
// authentication or with username and password (RFC 1929).
//
// The client and the proxy exchange up to three pairs of messages in clear text,
// on a TCP connection that the caller has opened:
//
//	C: the authentication method offered     (RFC 1928 §3)
//	S: the method selected                   (RFC 1928 §3)
//	C: username and password                 (RFC 1929 §2, only with that method)
//	S: status                                (RFC 1929 §2)
//	C: CONNECT 192.0.2.25 port 25            (RFC 1928 §4)
//	S: reply code and bound address          (RFC 1928 §6)
//
// All bytes that follow belong to the connection to the target.
//
// The proxy gets an address, never a name: the exporter connects to exactly the
// address that it looked up and checked. The reply code separates failures of
// the target from failures of the proxy.
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

// Code is the reply code to a CONNECT request (RFC 1928 §6, field REP).
type Code byte

// The reply codes of RFC 1928 §6.
const (
	GeneralFailure         Code = 1
	NotAllowed             Code = 2
	NetworkUnreachable     Code = 3
	HostUnreachable        Code = 4
	ConnectionRefused      Code = 5
	TTLExpired             Code = 6
	CommandUnsupported     Code = 7
	AddressTypeUnsupported Code = 8
)

// String returns the meaning of the code.
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
	case AddressTypeUnsupported:
		return "address type not supported"
	}
	return fmt.Sprintf("code %d", byte(c))
}

// ReplyError is the error of a proxy that understood the CONNECT request and
// replied with a code other than success.
type ReplyError struct{ Code Code }

func (e *ReplyError) Error() string { return fmt.Sprintf("the proxy replied: %s", e.Code) }

// Values of the protocol's fields (RFC 1928 §3 to §6).
const (
	version = 5

	methodNone         = 0
	methodPassword     = 2
	methodUnacceptable = 0xff

	commandConnect = 1
	replySucceeded = 0

	addressIPv4   = 1
	addressDomain = 3
	addressIPv6   = 4
)

// MaxCredential is the maximum length of a username and of a password, in bytes
// (RFC 1929 §2).
const MaxCredential = 255

// Connect asks the proxy at the other end of conn to connect to an address. It
// authenticates with user and password unless user is empty.
//
// It returns the address from which the proxy connects to the target; this
// address is invalid if the proxy does not disclose it.
//
// If ctx ends first, Connect returns its cause or the error of the interrupted
// read or write, and conn is not usable any more.
//
// The error is a *ReplyError if the proxy refused the request or could not
// connect. Any other error is a failure of the proxy itself.
func Connect(ctx context.Context, conn net.Conn, to netip.AddrPort, user, password string) (from netip.AddrPort, err error) {
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer func() {
		if !stop() && err == nil {
			err = context.Cause(ctx)
		}
	}()
	if err := negotiate(conn, user, password); err != nil {
		return from, err
	}
	return request(conn, to)
}

// negotiate agrees on the authentication method and authenticates (RFC 1928 §3).
func negotiate(conn net.Conn, user, password string) error {
	method := byte(methodNone)
	if user != "" {
		method = methodPassword
	}
	if _, err := conn.Write([]byte{version, 1, method}); err != nil {
		return fmt.Errorf("send the authentication method to the proxy: %w", err)
	}
	selected, err := readPair(conn)
	switch {
	case err != nil:
		return fmt.Errorf("read the proxy's authentication method: %w", err)
	case selected[0] != version:
		return fmt.Errorf("the proxy replied with protocol version %d: not SOCKS5", selected[0])
	case selected[1] == methodUnacceptable && method == methodNone:
		return errors.New("the proxy requires authentication")
	case selected[1] == methodUnacceptable:
		return errors.New("the proxy does not support username and password")
	case selected[1] != method:
		return fmt.Errorf("the proxy selected authentication method %d, which was not offered", selected[1])
	case method == methodPassword:
		return authenticate(conn, user, password)
	}
	return nil
}

// authenticate sends username and password (RFC 1929 §2).
func authenticate(conn net.Conn, user, password string) error {
	const subnegotiationVersion, statusSuccess = 1, 0
	if len(user) > MaxCredential || len(password) > MaxCredential {
		return fmt.Errorf("username or password is longer than %d bytes", MaxCredential)
	}
	message := append([]byte{subnegotiationVersion, byte(len(user))}, user...)
	message = append(append(message, byte(len(password))), password...)
	if _, err := conn.Write(message); err != nil {
		return fmt.Errorf("send username and password to the proxy: %w", err)
	}
	status, err := readPair(conn)
	if err != nil {
		return fmt.Errorf("read the proxy's authentication status: %w", err)
	}
	if status[1] != statusSuccess {
		return errors.New("the proxy rejected username and password")
	}
	return nil
}

// request sends the CONNECT request (RFC 1928 §4) and reads the reply (§6).
func request(conn net.Conn, to netip.AddrPort) (from netip.AddrPort, err error) {
	addr := to.Addr().WithZone("").Unmap()
	addressType := byte(addressIPv4)
	if addr.Is6() {
		addressType = addressIPv6
	}
	message := append([]byte{version, commandConnect, 0, addressType}, addr.AsSlice()...)
	if _, err := conn.Write(binary.BigEndian.AppendUint16(message, to.Port())); err != nil {
		return from, fmt.Errorf("send the CONNECT request to the proxy: %w", err)
	}
	var header [4]byte
	if _, err := io.ReadFull(conn, header[:]); err != nil {
		return from, fmt.Errorf("read the proxy's reply to CONNECT: %w", err)
	}
	if header[0] != version {
		return from, fmt.Errorf("the proxy replied to CONNECT with protocol version %d: not SOCKS5", header[0])
	}
	if code := Code(header[1]); code != replySucceeded {
		return from, &ReplyError{code}
	}
	if from, err = readBoundAddress(conn, header[3]); err != nil {
		return from, fmt.Errorf("read the bound address in the proxy's reply: %w", err)
	}
	return from, nil
}

// readBoundAddress reads BND.ADDR and BND.PORT, the end of a reply (RFC 1928 §6),
// and no byte more: the next ones come from the target. A domain name or an
// unspecified address gives the zero AddrPort.
func readBoundAddress(conn net.Conn, addressType byte) (netip.AddrPort, error) {
	size := 0
	switch addressType {
	case addressIPv4:
		size = 4
	case addressIPv6:
		size = 16
	case addressDomain:
		var length [1]byte
		if _, err := io.ReadFull(conn, length[:]); err != nil {
			return netip.AddrPort{}, err
		}
		size = int(length[0])
	default:
		return netip.AddrPort{}, fmt.Errorf("unknown address type %d", addressType)
	}
	raw := make([]byte, size+2)
	if _, err := io.ReadFull(conn, raw); err != nil {
		return netip.AddrPort{}, err
	}
	addr, ok := netip.AddrFromSlice(raw[:size])
	if !ok || addressType == addressDomain || addr.IsUnspecified() {
		return netip.AddrPort{}, nil
	}
	return netip.AddrPortFrom(addr, binary.BigEndian.Uint16(raw[size:])), nil
}

// readPair reads a message of two bytes.
func readPair(conn net.Conn) (message [2]byte, err error) {
	_, err = io.ReadFull(conn, message[:])
	return message, err
}
