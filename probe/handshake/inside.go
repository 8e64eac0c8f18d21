package handshake

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"time"

	"dane_exporter/probe/dane"
	"dane_exporter/probe/starttls"
)

// accepted returns an error unless the server accepts the client inside TLS. In TLS
// 1.3, the client's side of the handshake is complete before the server has seen
// that the client has no certificate (RFC 8446 §2). Only what follows shows whether
// the server accepts that.
//
// If the protocol is mutual, real clients have a certificate. An alert about a
// missing certificate then proves that the handshake is complete, and that the
// server works. If the connection ends instead, the cause may be the certificate.
//
// wait is called before the server has time to reject a client that has nothing to say.
func (s *session) accepted(ctx context.Context, protocol *starttls.Client, wait func()) error {
	made, err := protocol.FirstExchange(ctx, s)
	if !made && s.asked {
		wait()
		err = s.awaitAlert(ctx)
	}
	ended := made && isEnd(err)
	if s.asked && ended { // a write may have failed before the alert was read
		if alert := s.awaitAlert(ctx); alertOf(alert) != "" {
			err = alert
		}
	}
	rejected := rejectsCertificate(alertOf(err))
	switch {
	case !s.asked || !rejected && !ended:
		return err
	case !protocol.Mutual():
		return clientCertificateRequired(err, nil)
	case rejected:
		return nil
	}
	return dane.WithCause(dane.CauseTLSUnsupported, &clientCertificateError{err: err})
}

// awaitAlert ends the client's half of the session and waits for the server to end
// its own. It returns an alert that the server sends instead. A server that sends
// neither in time has accepted the client, as far as a client can see. The wait
// takes at most half of the time that is left, so that ctx does not end it.
func (s *session) awaitAlert(ctx context.Context) error {
	const timeout, limit = 5 * time.Second, 64 << 10
	s.SetDeadline(time.Now().Add(min(timeout, timeLeft(ctx)/2)))
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
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
