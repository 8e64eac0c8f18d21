package handshake

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"dane_exporter/probe/dane"
	"dane_exporter/probe/starttls"

	utls "github.com/refraction-networking/utls"
)

// classify returns the error of an endpoint with its cause. The checks are
// ordered: what this machine or this program lacks is never the server's fault,
// so those come first; then what the server said; then the network.
func classify(e *dane.Endpoint) error {
	err := e.Err
	switch cause := dane.CauseOf(err); {
	case err == nil:
		return nil
	case cause == dane.CauseInternal || cause == dane.CauseIPv6Unavailable:
		return err
	case Exhausted(err):
		return dane.WithCause(dane.CauseInternal, err)
	case e.TimedOutEarly:
		return dane.WithCause(dane.CauseDeadline, err)
	case cause != dane.CauseNone:
		return err
	}
	if cause := causeOfDialogue(err); cause != dane.CauseNone {
		return dane.WithCause(cause, err)
	}
	switch {
	case isTimeout(err):
		return dane.WithCause(dane.CauseTimeout, err)
	case e.Reached == dane.StageStartTLS, e.Reached == dane.StageTLS && isTLSError(err):
		return dane.WithCause(dane.CauseTLS, err)
	default:
		return dane.WithCause(dane.CauseConnect, err)
	}
}

// causeOfDialogue returns the cause of an error of package starttls; CauseNone
// for other errors.
func causeOfDialogue(err error) dane.Cause {
	if errors.Is(err, starttls.ErrNotOffered) {
		return dane.CauseStartTLSNotOffered
	}
	if rejected, ok := errors.AsType[*starttls.Rejected](err); ok {
		if rejected.Step == "STARTTLS" {
			return dane.CauseStartTLSRejected
		}
		return dane.CauseClientRejected
	}
	if _, ok := errors.AsType[*starttls.ProtocolError](err); ok {
		return dane.CauseProtocol
	}
	return dane.CauseNone
}

// isTLSError reports whether an error inside TLS is one of TLS, and not of the
// connection. Such an error is an alert of either side, or data that is no TLS
// record.
func isTLSError(err error) bool {
	if alert, ok := errors.AsType[*net.OpError](err); ok && (alert.Op == "remote error" || alert.Op == "local error") {
		return true
	}
	_, plain := errors.AsType[tls.RecordHeaderError](err)
	_, plainWithKeyType := errors.AsType[utls.RecordHeaderError](err)
	return plain || plainWithKeyType
}

func isTimeout(err error) bool {
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	network, ok := errors.AsType[net.Error](err)
	return ok && network.Timeout()
}

// Exhausted reports whether this machine, not the network, caused the error:
// descriptors, ports or buffers are used up, or its own firewall rejects the
// packet. EACCES is not in the list: Linux returns it when a router answers
// "administratively prohibited".
func Exhausted(err error) bool {
	for _, local := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.EPERM, syscall.EADDRNOTAVAIL} {
		if errors.Is(err, local) {
			return true
		}
	}
	return false
}

// LacksKey reports whether a handshake failed the way it does if nothing that
// was offered suits the server's keys: with one of the two alerts for that
// (RFC 8446 §6.2), or by closing the connection.
func LacksKey(err error) bool {
	if alert := alertOf(err); alert != "" {
		return alert == "handshake failure" || alert == "insufficient security level"
	}
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET)
}
