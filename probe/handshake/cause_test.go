package handshake

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"

	"dane_exporter/probe/dane"
	"dane_exporter/probe/starttls"
)

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
		{"no descriptors", dane.StageNone, dial(syscall.EMFILE), false, dane.CauseInternal},
		{"no descriptors, and no time", dane.StageNone, dial(syscall.ENFILE), true, dane.CauseInternal},
		{"no ports", dane.StageNone, dial(syscall.EADDRNOTAVAIL), false, dane.CauseInternal},
		{"the firewall of this machine", dane.StageNone, dial(syscall.EPERM), false, dane.CauseInternal},
		{"no IPv6", dane.StageNone, fmt.Errorf("connecting: %w: %w", noIPv6, syscall.ENETUNREACH), true, dane.CauseIPv6Unavailable},
		{"a panic", dane.StageConnect, &dane.PanicError{Value: "a defect"}, true, dane.CauseInternal},
		{"the deadline came early", dane.StageConnect, os.ErrDeadlineExceeded, true, dane.CauseDeadline},
		{"the deadline came early, in a dialogue", dane.StageConnect, starttls.ErrNotOffered, true, dane.CauseDeadline},
		{"a timeout of the connection", dane.StageConnect, dial(os.ErrDeadlineExceeded), false, dane.CauseTimeout},
		{"a timeout of the context", dane.StageNone, context.DeadlineExceeded, false, dane.CauseTimeout},
		{"a timeout of the kernel", dane.StageNone, dial(syscall.ETIMEDOUT), false, dane.CauseTimeout},
		{"the proxy", dane.StageNone, dane.WithCause(dane.CauseProxy, errProxy), false, dane.CauseProxy},
		{"the proxy, and no time", dane.StageNone, dane.WithCause(dane.CauseProxy, errProxy), true, dane.CauseDeadline},
		{"STARTTLS is not offered", dane.StageConnect, fmt.Errorf("speaking smtp: %w", starttls.ErrNotOffered), false, dane.CauseStartTLSNotOffered},
		{"STARTTLS is rejected", dane.StageConnect, &starttls.Rejected{Step: "STARTTLS", Reply: "454"}, false, dane.CauseStartTLSRejected},
		{"the greeting rejects", dane.StageConnect, &starttls.Rejected{Step: "greeting", Reply: "554"}, false, dane.CauseClientRejected},
		{"another protocol", dane.StageConnect, &starttls.ProtocolError{}, false, dane.CauseProtocol},
		{"a TLS alert", dane.StageStartTLS, errors.New("remote error: tls: handshake failure"), false, dane.CauseTLS},
		{"an unparsable certificate", dane.StageStartTLS, classifyTLSError(errors.New("tls: failed to parse certificate from server: x509: malformed")), false, dane.CauseUnparsable},
		{"a chain that is too long", dane.StageStartTLS, errChainTooLong, false, dane.CauseTLS},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := classify(&dane.Endpoint{Reached: c.reached, Err: c.err, TimedOutEarly: c.early})
			if got := dane.CauseOf(err); got != c.want {
				t.Errorf("cause %d, want %d (%v)", got, c.want, err)
			}
			if c.err != nil && err.Error() != c.err.Error() {
				t.Errorf("the text became %q, want %q", err, c.err)
			}
		})
	}
}
