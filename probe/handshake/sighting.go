package handshake

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"dane_exporter/probe/dane"
	"dane_exporter/probe/starttls"
)

// sighting is how far a server goes with a client that is like OpenSSL.
type sighting struct {
	hello        serverHello
	certificates [][]byte // as sent, without proof that the server has the key; nil in TLS 1.3, which encrypts them
}

func (s sighting) String() string {
	text := fmt.Sprintf("%s, %s", tls.VersionName(s.hello.version), suiteName(s.hello.suite))
	if name := dane.GroupName(s.hello.group); name != "" {
		text += ", group " + name
	}
	if n := len(s.certificates); n > 0 {
		text += fmt.Sprintf(", certificates: %d", n)
	}
	return text
}

// refusal is the error of a server that does not answer a ClientHello with a
// ServerHello that a client accepts. The server sends another answer or ends the
// connection.
type refusal struct{ text string }

func (r refusal) Error() string { return r.text }

// explain determines whether a handshake failed because of a limit of crypto/tls,
// after an error that may have that cause. OpenSSL implements more. If the server
// accepts a ClientHello like that of OpenSSL, the outcome is not known. If it
// refuses that too, the server is the cause.
//
// Without an explanation, a server that ends the connection is the cause. An alert
// may be due to a limit of crypto/tls.
func (c *Client) explain(ctx context.Context, key Key, o offer, a *attempt, first error) error {
	e := &a.endpoint
	unparsable := dane.CauseOf(first) == dane.CauseUnparsable
	unsupported := func(format string, args ...any) error {
		err := fmt.Errorf("%w; "+format, append([]any{first}, args...)...)
		if unparsable {
			return first
		}
		return dane.WithCause(dane.CauseTLSUnsupported, err)
	}
	unexplained := func(format string, args ...any) error {
		if isEnd(first) {
			return first
		}
		return unsupported("whether another client gets further is not known"+format, args...)
	}
	if needed, left := e.TLS.End.Sub(e.Connect.Start), timeLeft(ctx); left < needed {
		return unexplained(": another handshake takes %s, and %s are left", needed.Round(time.Millisecond), left.Round(time.Millisecond))
	}
	e.Err = unexplained(": the deadline came before the answer to another offer")
	a.update() // what is known if ctx ends meanwhile

	seen, err := c.see(ctx, key, o, tls.VersionTLS13, a.grow)
	if _, refused := errors.AsType[refusal](err); refused && !unparsable {
		return fmt.Errorf("%w; an offer like that of OpenSSL fails too (%w)", first, err)
	}
	if err != nil {
		return unexplained(": %w", err)
	}
	if seen.hello.version == tls.VersionTLS13 && HasTime(ctx) { // which encrypts the certificates
		e.Err = unsupported("with OpenSSL, the handshake would continue: %s", seen)
		a.update()
		if older, err := c.see(ctx, key, o, tls.VersionTLS12, a.grow); err == nil {
			seen.certificates = older.certificates
		}
	}
	e.Raw = seen.certificates
	return unsupported("with OpenSSL, the handshake would continue: %s", seen)
}

// timeLeft returns the time until the deadline of ctx, and a day if it has none.
func timeLeft(ctx context.Context) time.Duration {
	deadline, limited := ctx.Deadline()
	if !limited {
		return 24 * time.Hour
	}
	return time.Until(deadline)
}

// maybeOurLimit reports whether a limit of crypto/tls may have caused a failure of
// the TLS handshake. answered says whether the server had answered the ClientHello.
func maybeOurLimit(err error, answered bool) bool {
	if err == nil {
		return false
	}
	switch dane.CauseOf(err) {
	case dane.CauseClientCertificate, dane.CauseTLSUnsupported:
		return false
	case dane.CauseUnparsable:
		return true
	}
	switch alertOf(err) {
	case "handshake failure", "insufficient security level":
		return true
	case "":
	default:
		return false
	}
	text := err.Error()
	for _, limit := range []string{"unsupported type of public key", "selected unsupported curve", "selected unoffered curve", "selected unsupported group", "crypto/rsa: public exponent too large"} {
		if strings.Contains(text, limit) {
			return true
		}
	}
	return !answered && isEnd(err) // some servers close instead of an alert
}

// see connects to a server, sends a ClientHello like that of OpenSSL and reads the
// answer as far as it is not encrypted. The error is a refusal if the server
// answered, or had maxSilence to answer.
func (c *Client) see(ctx context.Context, key Key, o offer, version uint16, grow Grow) (s sighting, err error) {
	conn, err := c.Dial(ctx, key.Route, key.Address, grow)
	if err != nil {
		return s, fmt.Errorf("connecting again: %w", err)
	}
	defer conn.Close()
	protocol, err := starttls.New(key.Protocol, starttls.Settings{
		EHLO: c.ehlo(key.EHLO, conn), Domain: key.Domain, Service: key.Service, Port: key.Address.Port(),
	})
	if err != nil {
		return s, err
	}
	if _, err := protocol.Start(ctx, conn); err != nil {
		return s, fmt.Errorf("speaking %s again: %w", key.Protocol, err)
	}
	if !o.noALPN {
		o.alpn = protocol.ALPN()
	}
	hello, err := openSSLHello(version, key.SNI, o.alpn)
	if err != nil {
		return s, err
	}
	patient := timeLeft(ctx) >= maxSilence
	limited, cancel := context.WithTimeout(ctx, maxSilence)
	defer cancel()
	defer context.AfterFunc(limited, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	if _, err = conn.Write(hello); err == nil {
		s, err = readFlight(conn)
	}
	switch {
	case isEnd(err):
		err = refusal{"the server closes the connection"}
	case isTimeout(err) && patient:
		err = refusal{fmt.Sprintf("the server does not complete its answer within %s", maxSilence)}
	case err != nil && ctx.Err() != nil:
		err = fmt.Errorf("the server has not completed its answer: %w", context.Cause(ctx))
	}
	return s, err
}

// readFlight reads the first messages of a server up to ServerHelloDone or, in TLS
// 1.3, up to the ServerHello.
func readFlight(conn net.Conn) (s sighting, err error) {
	messages := &handshakeReader{records: bufio.NewReader(io.LimitReader(conn, MaxChain+64<<10))}
	seen := false
	for {
		kind, body, err := messages.next()
		if err != nil {
			if seen && isEnd(err) { // the server goes no further, but has gone far enough
				return s, nil
			}
			return s, err
		}
		switch {
		case !seen:
			hello, ok := parseServerHello(body)
			if kind != messageServerHello || !ok || !hello.offered() {
				return s, refusal{"the server answers with something that was not offered"}
			}
			seen, s.hello = true, hello
			if hello.version == tls.VersionTLS13 {
				return s, nil
			}
		case kind == messageCertificate:
			if s.certificates, err = parseCertificates(body); err != nil {
				return s, err
			}
		case kind == messageServerHelloDone:
			return s, nil
		}
	}
}

// parseCertificates parses the body of a Certificate message of TLS 1.2 (RFC 5246 §7.4.2).
func parseCertificates(body []byte) (certificates [][]byte, err error) {
	in := input{rest: body}
	list := input{rest: in.vector(3)}
	size := 0
	for len(list.rest) > 0 {
		certificate := list.vector(3)
		size += len(certificate)
		certificates = append(certificates, certificate)
	}
	if in.failed || list.failed || len(in.rest) > 0 || len(certificates) == 0 {
		return nil, refusal{"the server sends a malformed list of certificates"}
	}
	if size > MaxChain {
		return nil, refusal{errChainTooLong.Error()}
	}
	return certificates, nil
}

// handshakeReader reads the handshake messages in the records of a server.
type handshakeReader struct {
	records *bufio.Reader
	pending []byte
}

// next returns the next message. The error is a refusal for an alert and for
// anything that is not TLS.
func (r *handshakeReader) next() (kind byte, body []byte, err error) {
	for {
		if len(r.pending) >= 4 {
			size := int(r.pending[1])<<16 | int(r.pending[2])<<8 | int(r.pending[3])
			if size > MaxChain+16<<10 {
				return 0, nil, refusal{"the server sends a message that is too long"}
			}
			if len(r.pending) >= 4+size {
				kind, body = r.pending[0], r.pending[4:4+size:4+size]
				r.pending = r.pending[4+size:]
				return kind, body, nil
			}
		}
		var head [5]byte
		if _, err := io.ReadFull(r.records, head[:]); err != nil {
			return 0, nil, err
		}
		size := int(head[3])<<8 | int(head[4])
		if head[1] != 3 || size == 0 || size > 16<<10+256 {
			return 0, nil, refusal{"the server sends something that is not TLS"}
		}
		payload := make([]byte, size)
		if _, err := io.ReadFull(r.records, payload); err != nil {
			return 0, nil, err
		}
		switch {
		case head[0] == recordAlert && size >= 2 && payload[0] == 1 && payload[1] != 0:
			// a warning; close_notify is an end whatever its level
		case head[0] == recordAlert && size >= 2:
			return 0, nil, refusal{"alert " + strings.TrimPrefix(tls.AlertError(payload[1]).Error(), "tls: ")}
		case head[0] == recordHandshake:
			r.pending = append(r.pending, payload...)
		default:
			return 0, nil, refusal{"the server sends something that is not a handshake"}
		}
	}
}
