package probe

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"

	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/starttls"
	"dane_exporter/probe/tlsa"
)

// reasonOfAnswer names why a look-up is of no use to a client.
func reasonOfAnswer(answer *dnssec.Answer) Reason {
	var fault *Fault
	switch {
	case errors.As(answer.Err, &fault):
		return InternalError
	case errors.Is(answer.Err, dnssec.ErrDeadline):
		return ProbeDeadline
	case errors.Is(answer.Err, dnssec.ErrUnreachable):
		return ResolverUnreachable
	case errors.Is(answer.Err, dnssec.ErrStripped):
		return DNSSECStripped
	case errors.Is(answer.Err, dnssec.ErrLimit):
		return LimitExceeded
	case answer.Status == dnssec.Bogus:
		return DNSSECBogus
	default:
		return DNSFailure
	}
}

// reasonOfEndpoint names why a handshake did not come about; empty: it did.
// What this machine lacks is never the endpoint's fault.
func reasonOfEndpoint(e *Endpoint) Reason {
	var fault *Fault
	var rejected *starttls.Rejected
	var protocol *starttls.ProtocolError
	err := e.Err
	switch {
	case err == nil:
		return ""
	case errors.As(err, &fault):
		return InternalError
	case errors.Is(err, ErrNotAllowed):
		return TargetNotAllowed
	case errors.Is(err, ErrNoIPv6):
		return IPv6Unavailable
	case isExhausted(err):
		return InternalError
	case errors.Is(err, errTooMuch):
		return LimitExceeded
	case e.Hurried:
		return ProbeDeadline
	case errors.Is(err, errProxy):
		return ProxyFailed
	case errors.Is(err, ErrUnparsable):
		return CertificateUnparsable
	case errors.Is(err, starttls.ErrNotOffered):
		return StartTLSNotOffered
	case errors.As(err, &rejected) && rejected.Step == "STARTTLS":
		return StartTLSRejected
	case errors.As(err, &rejected):
		return ClientRejected
	case errors.As(err, &protocol):
		return ProtocolError
	case isTimeout(err):
		return Timeout
	case e.Reached == StageStartTLS:
		return TLSHandshakeFailed
	default:
		return ConnectFailed
	}
}

func isTimeout(err error) bool {
	var network net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) ||
		errors.As(err, &network) && network.Timeout()
}

// isExhausted reports whether this machine, not the network, said no:
// descriptors, ports or buffers used up, or its own firewall. EACCES is not
// among them: Linux reports a router's "administratively prohibited" so.
func isExhausted(err error) bool {
	for _, ours := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.EPERM, syscall.EADDRNOTAVAIL} {
		if errors.Is(err, ours) {
			return true
		}
	}
	return false
}

func reasonOfFailure(failure tlsa.Failure) Reason {
	switch failure {
	case tlsa.AnchorNotSent:
		return TrustAnchorNotSent
	case tlsa.ChainInvalid:
		return ChainInvalid
	case tlsa.NameMismatch:
		return NameMismatch
	case tlsa.Expired:
		return CertificateExpired
	case tlsa.NotYetValid:
		return CertificateNotYetValid
	case tlsa.PKIXUntrusted:
		return PKIXUntrusted
	default:
		return TLSAMismatch
	}
}
