package handshake

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"time"

	"dane_exporter/probe/starttls"
)

// accepted returns an error unless the server accepts the client inside TLS. In TLS
// 1.3, the client's side of the handshake is complete before the server has seen
// that the client has no certificate (RFC 8446 §2), so only what follows shows it.
func (s *session) accepted(ctx context.Context, protocol *starttls.Client) error {
	made, err := protocol.FirstExchange(ctx, s)
	if !made && s.asked {
		err = s.awaitAlert(ctx)
	}
	if s.asked && (rejectsCertificate(alertOf(err)) || made && isEnd(err)) {
		return clientCertificateError(err)
	}
	return err
}

// awaitAlert ends the client's half of the session and waits for the server to end
// its own. It returns an alert that the server sends instead. A server that sends
// neither in time has accepted the client, as far as a client can see.
func (s *session) awaitAlert(ctx context.Context) error {
	const timeout, limit = 5 * time.Second, 64 << 10
	s.SetDeadline(time.Now().Add(timeout))
	defer context.AfterFunc(ctx, func() { s.SetDeadline(time.Unix(1, 0)) })()
	if half, ok := s.Conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // the read reports any error that matters
	}
	_, err := io.Copy(io.Discard, io.LimitReader(s, limit))
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case alertOf(err) != "":
		return err
	}
	return nil
}

// isEnd reports whether the peer ended the connection.
func isEnd(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
