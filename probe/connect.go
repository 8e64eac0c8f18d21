package probe

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"dane_exporter/probe/starttls"
	"dane_exporter/probe/tlsa"
)

// ErrUnparsable: crypto/x509 cannot read a certificate that the server sent.
var ErrUnparsable = errors.New("a certificate cannot be parsed")

// meet shakes hands with one endpoint, as a sender would, or has another's
// handshake. sni waits for the name to send.
func (r *run) meet(ctx context.Context, service *Service, endpoint *Endpoint, sni func() string) {
	address := netip.AddrPortFrom(endpoint.Address, service.Port)
	if err := r.access.checkService(address); err != nil {
		endpoint.Err = err
		return
	}
	key := r.handshakeKey(service, endpoint, sni())
	leave, err := r.allowance.place(ctx)
	if err != nil {
		endpoint.Err, endpoint.Hurried = fmt.Errorf("waiting for others of the target's endpoints before %s: %w", address, err), true
		return
	}
	defer leave()

	*endpoint = r.encounter(ctx, key)
	endpoint.Skipped = errors.Is(endpoint.Err, ErrNoIPv6) && r.module.IPProtocol == IPAuto
	if err := r.allowance.keep(endpoint.Raw); err != nil {
		endpoint.Raw, endpoint.Chain, endpoint.Reached = nil, nil, StageStartTLS
		endpoint.Err = fmt.Errorf("TLS handshake with %s: %w", address, err)
	}
}

// shakeHands connects to a server and shakes hands with it. It tells how far
// it has come, and takes leave of the server when there is nothing more to learn.
func (p *Prober) shakeHands(ctx context.Context, key handshakeKey, e *encounter) error {
	e.begin("connecting to", &e.Connect)
	conn, err := p.dialBy(ctx, key.route, key.address)
	e.end(&e.Connect)
	if err != nil {
		return fmt.Errorf("connecting to %s: %w", key.address, err)
	}
	defer conn.Close()
	e.Reached = StageConnect

	protocol, err := starttls.New(key.protocol, starttls.Settings{
		EHLO: p.ehlo(key.ehlo, conn), Domain: key.domain,
		Watch: func(soFar starttls.Dialogue) { e.Dialogue = soFar; e.told() },
	})
	if err != nil {
		return err
	}
	e.begin("speaking "+key.protocol+" with", &e.StartTLS)
	e.Dialogue, err = protocol.Start(ctx, conn)
	e.end(&e.StartTLS)
	if err != nil {
		e.conclude(fmt.Errorf("speaking %s with %s: %w", key.protocol, key.address, err))
		if ctx.Err() == nil {
			protocol.Goodbye(ctx, conn)
		}
		return e.Err
	}
	e.Reached = StageStartTLS

	e.SNI = key.sni
	e.begin("TLS handshake with", &e.TLS)
	session, err := secure(ctx, conn, key.sni, key.keyType)
	e.end(&e.TLS)
	if err != nil {
		return fmt.Errorf("TLS handshake with %s: %w", key.address, handshakeError(err))
	}
	e.Reached = StageTLS
	e.TLSVersion, e.Cipher = session.version, session.cipher
	e.Raw, e.Chain = rawOf(session.certificates), tlsa.NewChain(session.certificates)
	e.conclude(nil)
	protocol.Goodbye(ctx, session)
	session.Close()
	return nil
}

// ehlo is the name to greet with: the module's, this machine's, or the literal
// of the address that the connection leaves from (RFC 5321 §4.1.3).
func (p *Prober) ehlo(configured string, conn net.Conn) string {
	if name := cmp.Or(configured, p.world.Hostname); name != "" {
		return name
	}
	local, err := netip.ParseAddrPort(conn.LocalAddr().String())
	if err != nil {
		return "[127.0.0.1]"
	}
	addr := local.Addr().WithZone("").Unmap()
	if addr.Is6() {
		return "[IPv6:" + addr.String() + "]"
	}
	return "[" + addr.String() + "]"
}

// clientConfig offers what a mail sender offers: every version and cipher
// suite that crypto/tls has, and no session to resume, since a resumed one
// shows no certificates. Who the peer is, Judge says later, from the chain.
func clientConfig(sni string) *tls.Config {
	return &tls.Config{
		ServerName:             sni,
		InsecureSkipVerify:     true,
		VerifyPeerCertificate:  func(chain [][]byte, _ [][]*x509.Certificate) error { return bearable(chain) },
		MinVersion:             tls.VersionTLS10,
		CipherSuites:           everySuite,
		SessionTicketsDisabled: true,
	}
}

// everySuite lists what crypto/tls has; nobody writes to it.
var everySuite = suiteIDs(append(tls.CipherSuites(), tls.InsecureCipherSuites()...))

func suiteIDs(suites []*tls.CipherSuite) []uint16 {
	ids := make([]uint16, len(suites))
	for i, suite := range suites {
		ids[i] = suite.ID
	}
	return ids
}

// handshakeError names the failures that are limits of crypto/tls and not the
// server's fault. It gives them no type, so its words must do.
func handshakeError(err error) error {
	words := err.Error()
	if strings.Contains(words, "remote error: tls: handshake failure") || strings.Contains(words, "remote error: tls: insufficient security") {
		return fmt.Errorf("%w (this client has no finite-field Diffie-Hellman, no Ed448 and no Brainpool curves; others may)", err)
	}
	if strings.Contains(words, "failed to parse certificate") || strings.Contains(words, "certificate containing RSA key larger than") {
		return fmt.Errorf("%w: %w", ErrUnparsable, err)
	}
	return err
}
