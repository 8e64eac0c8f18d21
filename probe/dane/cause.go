package dane

import (
	"errors"
	"fmt"
	"runtime/debug"

	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/tlsa"
)

// Cause classifies why a step of a probe failed. The code in which an error
// arises attaches the cause with [WithCause]; the judge reads it with [CauseOf].
type Cause uint8

const (
	CauseNone               Cause = iota // no error, or an error without a cause
	CauseInternal                        // a panic, or a resource of this machine that is used up
	CauseNotAllowed                      // access forbids the connection
	CauseIPv6Unavailable                 // this machine or its proxy has no IPv6 connectivity
	CauseLimit                           // a limit of this program
	CauseDeadline                        // the probe's deadline, before the peer had the minimum time to answer
	CauseProxy                           // the SOCKS5 proxy, not the server behind it
	CauseNoRoots                         // this machine has no Web PKI roots
	CauseUnparsable                      // crypto/x509 cannot parse a certificate that the server sent
	CauseConnect                         // no TCP connection, or one that ended before TLS
	CauseTimeout                         // the peer did not answer in time
	CauseProtocol                        // the server does not speak the protocol
	CauseClientRejected                  // the server rejects the client, before TLS or inside
	CauseStartTLSNotOffered              // the server does not offer STARTTLS
	CauseStartTLSRejected                // the server rejects the STARTTLS command
	CauseTLS                             // the TLS handshake failed
	CauseClientCertificate               // the server requires a certificate of the client
	CauseTLSUnsupported                  // the server requires what this program's TLS does not implement
	CauseNoKey                           // the server has no key of the only type that was offered
	CauseNotAuthoritative                // a nameserver does not serve a zone that is delegated to it
	CausePolicyInvalid                   // the MTA-STS policy has a wrong media type or is too large
	CausePolicyUnavailable               // the MTA-STS policy cannot be fetched
)

// causeError adds a cause to an error and leaves its text as it is.
type causeError struct {
	error
	cause Cause
}

func (e *causeError) Unwrap() error { return e.error }

// WithCause returns err with a cause that [CauseOf] finds. It returns nil if err is nil.
func WithCause(cause Cause, err error) error {
	if err == nil {
		return nil
	}
	return &causeError{err, cause}
}

// CauseOf returns the outermost cause attached to err, [CauseInternal] for a
// [PanicError], and [CauseNone] for nil and for an error without a cause.
func CauseOf(err error) Cause {
	if _, panicked := errors.AsType[*PanicError](err); panicked {
		return CauseInternal
	}
	if e, ok := errors.AsType[*causeError](err); ok {
		return e.cause
	}
	return CauseNone
}

// PanicError is a panic that was recovered in one step of a probe. The step is
// lost; the rest of the probe continues.
type PanicError struct {
	Value any    // passed to panic
	Stack string // of the goroutine that panicked
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// CatchPanic recovers a panic and stores it in *err as a [PanicError]. It must
// be deferred directly.
func CatchPanic(err *error) {
	if value := recover(); value != nil {
		*err = &PanicError{value, string(debug.Stack())}
	}
}

// reasonOfCause maps the cause of a failed handshake or fetch to its finding.
func reasonOfCause(cause Cause) Reason {
	switch cause {
	case CauseNotAllowed:
		return TargetNotAllowed
	case CauseIPv6Unavailable:
		return IPv6Unavailable
	case CauseLimit:
		return LimitExceeded
	case CauseDeadline:
		return ProbeDeadline
	case CauseProxy:
		return ProxyFailed
	case CauseNoRoots:
		return RootsUnavailable
	case CauseUnparsable:
		return CertificateUnparsable
	case CauseConnect:
		return ConnectFailed
	case CauseTimeout:
		return Timeout
	case CauseProtocol:
		return ProtocolError
	case CauseClientRejected:
		return ClientRejected
	case CauseStartTLSNotOffered:
		return StartTLSNotOffered
	case CauseStartTLSRejected:
		return StartTLSRejected
	case CauseTLS, CauseNoKey:
		return TLSHandshakeFailed
	case CauseTLSUnsupported:
		return TLSUnsupportedHere
	case CauseClientCertificate:
		return ClientCertificateRequired
	case CausePolicyInvalid:
		return MTASTSPolicyInvalid
	case CausePolicyUnavailable:
		return MTASTSPolicyUnavailable
	default:
		return InternalError
	}
}

// reasonOfEndpoint returns why there was no handshake; empty if there was one.
// An error without a cause is judged by the stage that was reached.
func reasonOfEndpoint(e *Endpoint) Reason {
	cause := CauseOf(e.Err)
	switch {
	case e.Err == nil:
		return ""
	case cause != CauseNone:
		return reasonOfCause(cause)
	case e.Reached == StageStartTLS:
		return TLSHandshakeFailed
	default:
		return ConnectFailed
	}
}

// reasonOfAnswer returns why a client cannot use the answer of a failed lookup.
func reasonOfAnswer(answer *dnssec.Answer) Reason {
	switch {
	case CauseOf(answer.Err) == CauseInternal, errors.Is(answer.Err, dnssec.ErrInternal):
		return InternalError
	case errors.Is(answer.Err, dnssec.ErrDeadline):
		return ProbeDeadline
	case errors.Is(answer.Err, dnssec.ErrUnreachable):
		return ResolverUnreachable
	case errors.Is(answer.Err, dnssec.ErrResolverFailed):
		return ResolverFailed
	case errors.Is(answer.Err, dnssec.ErrStripped):
		return DNSSECStripped
	case errors.Is(answer.Err, dnssec.ErrRootBogus):
		return RootBogus
	case errors.Is(answer.Err, dnssec.ErrLimit):
		return LimitExceeded
	case answer.Status == dnssec.Bogus:
		return DNSSECBogus
	default:
		return DNSFailure
	}
}

// FailedLocally reports whether a lookup failed for a reason on our side, so that
// its status says nothing about the zone.
func FailedLocally(answer *dnssec.Answer) bool {
	return answer.Err != nil && reasonOfAnswer(answer).Info().Effect == EffectInternal
}

// reasonOfMismatch returns why a usable TLSA record does not authenticate the server.
func reasonOfMismatch(failure tlsa.Failure) Reason {
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
