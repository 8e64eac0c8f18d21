package probe

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"time"

	"dane_exporter/probe/dnssec"

	"github.com/miekg/dns"
)

// ErrNoIPv6: this machine has no way to IPv6 addresses.
var ErrNoIPv6 = errors.New("no way to IPv6 addresses from here")

// World is everything outside: a probe touches nothing else. The lab and every
// test are other worlds.
type World struct {
	// Now decides what is valid, nothing else; timers use package time.
	Now func() time.Time
	// Dial opens a TCP connection. It takes an address, never a name, so that
	// nothing is resolved twice and no name can be bound to another address
	// between the check and the connection; from is the address to leave by, where
	// it is valid. The error wraps ErrNoIPv6 where this
	// machine has no way to IPv6 addresses at all; what the network says is not that.
	Dial func(ctx context.Context, from netip.Addr, to netip.AddrPort) (net.Conn, error)
	// DNS reaches the recursive resolvers.
	DNS dnssec.Transport
	// Query asks one name server with authority at its address, over TCP where
	// UDP does not suffice. The error is as Dial's. nil: they are not asked.
	Query func(ctx context.Context, server netip.AddrPort, query *dns.Msg) (*dns.Msg, error)
	// Anchors are the trust anchors that DNSSEC validation starts from.
	Anchors []dnssec.Anchor
	// Roots are the certificate authorities of the Web PKI; nil: there are none here.
	Roots *x509.CertPool
	// Hostname is the name that this machine greets mail servers with, an FQDN.
	// Where it is empty, the address literal of the connection is used (RFC 5321 §4.1.3).
	Hostname string
}
