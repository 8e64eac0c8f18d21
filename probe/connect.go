package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"dane_exporter/probe/starttls"
	"dane_exporter/probe/tlsa"
)

// ErrUnparsable: crypto/x509 cannot read a certificate that the server sent.
var ErrUnparsable = errors.New("a certificate cannot be parsed")

// meet connects to one endpoint and shakes hands, as a sender would. sni is
// asked for the name to send when the ClientHello is due, not before: all that
// comes earlier waits for nothing.
func (r *run) meet(ctx context.Context, service *Service, endpoint *Endpoint, sni func() string) {
	address := netip.AddrPortFrom(endpoint.Address, service.Port)
	if err := r.access.checkService(address); err != nil {
		endpoint.Err = err
		return
	}
	leave, err := r.allowance.place(ctx)
	if err != nil {
		endpoint.Err, endpoint.Hurried = fmt.Errorf("waiting for others of the target's endpoints before %s: %w", address, err), true
		return
	}
	defer leave()
	done, err := r.turns.take(ctx, address)
	if err != nil {
		endpoint.Err, endpoint.Hurried = fmt.Errorf("waiting for another connection to %s to end: %w", address, err), true
		return
	}
	defer done()

	begun := time.Now()
	endpoint.Err = r.shakeHands(ctx, service, endpoint, address, sni)
	if ctx.Err() != nil {
		endpoint.Hurried = time.Since(begun) < r.fairTime
	}
}

func (r *run) shakeHands(ctx context.Context, service *Service, endpoint *Endpoint, address netip.AddrPort, sni func() string) error {
	var conn net.Conn
	var err error
	endpoint.Connect = timed(func() { conn, err = r.dial(ctx, address) })
	if err != nil {
		endpoint.Skipped = errors.Is(err, ErrNoIPv6) && r.module.IPProtocol == IPAuto
		return fmt.Errorf("connecting to %s: %w", address, err)
	}
	defer conn.Close()
	endpoint.Reached = StageConnect

	protocol, err := starttls.New(service.Protocol, starttls.Settings{EHLO: r.ehlo(conn), Domain: r.target.Name})
	if err != nil {
		return err
	}
	endpoint.StartTLS = timed(func() { endpoint.Dialogue, err = protocol.Start(ctx, conn) })
	if err != nil {
		if ctx.Err() == nil {
			protocol.Goodbye(ctx, conn)
		}
		return fmt.Errorf("speaking %s with %s: %w", service.Protocol, address, err)
	}
	endpoint.Reached = StageStartTLS

	endpoint.SNI = sni()
	var session *session
	endpoint.TLS = timed(func() { session, err = secure(ctx, conn, endpoint.SNI, endpoint.KeyType, r.allowance.keep) })
	if err != nil {
		return fmt.Errorf("TLS handshake with %s: %w", address, handshakeError(err))
	}
	endpoint.Reached = StageTLS
	endpoint.TLSVersion, endpoint.Cipher, endpoint.Raw = session.version, session.cipher, session.raw
	protocol.Goodbye(ctx, session)
	session.Close()
	if endpoint.Chain, err = tlsa.NewChain(endpoint.Raw); err != nil {
		return fmt.Errorf("the certificates of %s: %w: %w", address, ErrUnparsable, err)
	}
	return nil
}

// ehlo is the name to greet with: the module's, this machine's, or the literal
// of the address that the connection leaves from (RFC 5321 §4.1.3).
func (r *run) ehlo(conn net.Conn) string {
	if r.module.SMTP.EHLO != "" {
		return r.module.SMTP.EHLO
	}
	if r.world.Hostname != "" {
		return r.world.Hostname
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
// shows no certificates. Who the peer is, Judge says later, from the chain;
// keep says only whether it is too long to be looked at.
func clientConfig(sni string, keep func(chain [][]byte) error) *tls.Config {
	var suites []uint16
	for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		suites = append(suites, suite.ID)
	}
	return &tls.Config{
		ServerName:             sni,
		InsecureSkipVerify:     true,
		VerifyPeerCertificate:  func(chain [][]byte, _ [][]*x509.Certificate) error { return keep(chain) },
		MinVersion:             tls.VersionTLS10,
		CipherSuites:           suites,
		SessionTicketsDisabled: true,
	}
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
