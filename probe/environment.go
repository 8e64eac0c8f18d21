package probe

import (
	"context"
	"crypto/x509"
	"errors"
	"net/netip"
	"time"

	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/handshake"

	"github.com/miekg/dns"
)

// ErrNoIPv6 is wrapped by the errors of an Environment without IPv6 connectivity.
var ErrNoIPv6 = dane.WithCause(dane.CauseIPv6Unavailable, errors.New("no IPv6 connectivity"))

// ErrNoRoute is wrapped by the errors of an Environment that has no route to an
// IPv4 address. Such an endpoint could not be judged, and its server is not at fault.
var ErrNoRoute = dane.WithCause(dane.CauseInternal, errors.New("this machine has no route to the address"))

// Environment is the outside world: a probe uses nothing else. The lab and the
// tests replace it.
type Environment struct {
	// Now returns the time at which signatures and certificates are judged.
	// Timers use package time.
	Now func() time.Time
	// Dial opens a TCP connection. It takes an address, never a name, so that no
	// name is resolved twice and none can be rebound between check and connection.
	// Its error wraps ErrNoIPv6 if this machine has no IPv6 connectivity at all, and
	// ErrNoRoute if it has no route to an IPv4 address; an error that the network
	// returned is neither.
	Dial handshake.Dialer
	// DNS sends queries to the recursive resolvers. A Prober that WithResolvers returned uses
	// neither DNS nor Anchors.
	DNS dnssec.Transport
	// Query sends a query to one authoritative nameserver, over TCP if UDP does not
	// suffice. Its errors are those of Dial. If Query is nil, nameservers are not queried.
	Query func(ctx context.Context, server netip.AddrPort, query *dns.Msg) (*dns.Msg, error)
	// Anchors are the trust anchors of DNSSEC validation.
	Anchors []dnssec.Anchor
	// Roots are the certificate authorities of the Web PKI; nil if there are none here.
	Roots *x509.CertPool
	// Hostname is the FQDN with which this machine introduces itself to mail servers.
	// If it is empty, the address literal of the connection is used (RFC 5321 §4.1.3).
	Hostname string
	// Pool limits the memory of all probes in progress. With nil, only each probe has a limit.
	Pool *Pool
}
