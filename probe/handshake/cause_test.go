package handshake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"dane_exporter/probe/dane"
	"dane_exporter/probe/starttls"
)

// classify attaches one cause and keeps the text of the error.
func TestClassify(t *testing.T) {
	dial := func(err error) error {
		return fmt.Errorf("connecting to 192.0.2.1:25: %w", &net.OpError{Op: "dial", Err: err})
	}
	noIPv6 := dane.WithCause(dane.CauseIPv6Unavailable, errors.New("no IPv6 connectivity"))
	for _, c := range []struct {
		name    string
		reached dane.Stage
		err     error
		early   bool
		want    dane.Cause
	}{
		{"no error", dane.StageTLS, nil, false, dane.CauseNone},
		{"connection refused", dane.StageNone, dial(syscall.ECONNREFUSED), false, dane.CauseConnect},
		{"no route", dane.StageNone, dial(syscall.EHOSTUNREACH), false, dane.CauseConnect},
		{"administratively prohibited by a router", dane.StageNone, dial(syscall.EACCES), false, dane.CauseConnect},
		{"no file descriptors", dane.StageNone, dial(syscall.EMFILE), false, dane.CauseInternal},
		{"no file descriptors, and the deadline came early", dane.StageNone, dial(syscall.ENFILE), true, dane.CauseInternal},
		{"no local ports", dane.StageNone, dial(syscall.EADDRNOTAVAIL), false, dane.CauseInternal},
		{"rejected by the firewall of this machine", dane.StageNone, dial(syscall.EPERM), false, dane.CauseInternal},
		{"no local IPv6", dane.StageNone, fmt.Errorf("connecting: %w: %w", noIPv6, syscall.ENETUNREACH), true, dane.CauseIPv6Unavailable},
		{"no local route", dane.StageNone, dial(dane.WithCause(dane.CauseInternal, syscall.ENETUNREACH)), true, dane.CauseInternal},
		{"panic", dane.StageConnect, &dane.PanicError{Value: "a defect"}, true, dane.CauseInternal},
		{"the deadline came early", dane.StageConnect, os.ErrDeadlineExceeded, true, dane.CauseDeadline},
		{"the deadline came early, in the dialogue", dane.StageConnect, starttls.ErrNotOffered, true, dane.CauseDeadline},
		{"deadline of the connection", dane.StageConnect, dial(os.ErrDeadlineExceeded), false, dane.CauseTimeout},
		{"deadline of the context", dane.StageNone, context.DeadlineExceeded, false, dane.CauseTimeout},
		{"timeout of the kernel", dane.StageNone, dial(syscall.ETIMEDOUT), false, dane.CauseTimeout},
		{"proxy", dane.StageNone, dane.WithCause(dane.CauseProxy, errProxy), false, dane.CauseProxy},
		{"proxy, and the deadline came early", dane.StageNone, dane.WithCause(dane.CauseProxy, errProxy), true, dane.CauseDeadline},
		{"STARTTLS is not offered", dane.StageConnect, fmt.Errorf("speaking smtp: %w", starttls.ErrNotOffered), false, dane.CauseStartTLSNotOffered},
		{"STARTTLS is rejected", dane.StageConnect, &starttls.Rejected{Step: "STARTTLS", Reply: "454"}, false, dane.CauseStartTLSRejected},
		{"the greeting rejects", dane.StageConnect, &starttls.Rejected{Step: "greeting", Reply: "554"}, false, dane.CauseClientRejected},
		{"another protocol than expected", dane.StageConnect, &starttls.ProtocolError{}, false, dane.CauseProtocol},
		{"TLS alert", dane.StageStartTLS, errors.New("remote error: tls: handshake failure"), false, dane.CauseTLS},
		{"unparsable certificate", dane.StageStartTLS, classifyTLSError(errors.New("tls: failed to parse certificate from server: x509: malformed"), false, nil), false, dane.CauseUnparsable},
		{"chain too long", dane.StageStartTLS, errChainTooLong, false, dane.CauseTLS},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := classify(&dane.Endpoint{Reached: c.reached, Err: c.err, TimedOutEarly: c.early})
			if got := dane.CauseOf(err); got != c.want {
				t.Errorf("cause %d, want %d (%v)", got, c.want, err)
			}
			if c.err != nil && err.Error() != c.err.Error() {
				t.Errorf("the text is %q, want %q", err, c.err)
			}
		})
	}
}

// The server has no key of the offered type if it sends one of two alerts, or
// closes the connection. Other failures are not for lack of a key.
func TestLacksKey(t *testing.T) {
	alert := func(op, text string) error {
		return fmt.Errorf("TLS handshake with 192.0.2.1:25: %w", classifyTLSError(&net.OpError{Op: op, Err: errors.New(text)}, false, nil))
	}
	reset := &net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	for _, c := range []struct {
		name string
		err  error
		want bool
	}{
		{"no error", nil, false},
		{"alert handshake_failure", alert("remote error", "tls: handshake failure"), true},
		{"alert insufficient_security", alert("remote error", "tls: insufficient security level"), true},
		{"alert internal_error", alert("remote error", "tls: internal error"), false},
		{"alert protocol_version", alert("remote error", "tls: protocol version not supported"), false},
		{"alert of this client", alert("local error", "tls: handshake failure"), false},
		{"connection closed", fmt.Errorf("TLS handshake with 192.0.2.1:25: %w", io.EOF), true},
		{"connection closed within a record", fmt.Errorf("TLS handshake with 192.0.2.1:25: %w", io.ErrUnexpectedEOF), true},
		{"connection reset", fmt.Errorf("TLS handshake with 192.0.2.1:25: %w", reset), true},
		{"timeout", os.ErrDeadlineExceeded, false},
		{"not TLS", errors.New("tls: first record does not look like a TLS handshake"), false},
		{"wrong signature", errors.New("tls: invalid signature by the server certificate"), false},
	} {
		if got := LacksKey(c.err); got != c.want {
			t.Errorf("%s: got %t, want %t", c.name, got, c.want)
		}
	}
}
