// Package starttls negotiates TLS in the protocols that begin in plaintext and
// upgrade the connection: SMTP, LMTP, IMAP, POP3, ManageSieve, LDAP, XMPP and
// PostgreSQL. It speaks as a client that needs nothing but the TLS handshake.
//
// # The dialogue
//
// Some ports speak TLS from the first byte. On others the two sides begin in
// plaintext. The server offers TLS, the client requests it, and the server
// agrees. In SMTP (RFC 3207) that is:
//
//	S: 220 mx.example.org ESMTP           the greeting: the server speaks first
//	C: EHLO probe.example.net             the client introduces itself
//	S: 250-mx.example.org                 the server lists its extensions,
//	S: 250-SIZE 52428800                  one on each line
//	S: 250 STARTTLS
//	C: STARTTLS
//	S: 220 go ahead                       the next byte is the client's TLS ClientHello
//
// Other protocols have other words for the same steps: STLS in POP3, an
// extended request in LDAP, XML elements in XMPP. In errors, Step is STARTTLS
// for all of them. LDAP and PostgreSQL offer nothing in advance: the client
// requests TLS, and the answer says whether the server supports it.
//
// # Attacks
//
// An attacker on the path can forge or remove any part of the dialogue. If
// DNSSEC proves that the server has TLSA records, a server without STARTTLS is
// therefore an attack or a mistake, and mail is deferred (RFC 7672 §2.2).
//
// Plaintext that arrives after the last reply must never be taken for data that
// TLS protects (CVE-2011-0411). The client's ClientHello comes next, so any such
// byte is discarded, and [Dialogue].EarlyData has it.
//
// The server is not trusted. Lines, replies and whole dialogues are limited in
// size, and errors and transcripts contain printable text only.
//
// # Adding a protocol
//
// Each protocol is one file and one row of the table in protocols.go:
//
//  1. In a file named after the protocol, declare a type with the methods of
//     negotiator: startTLS runs the dialogue, firstExchange does what a client does
//     first inside TLS, goodbye ends the session. Cite the RFC.
//  2. Declare a constructor for it, and add a row to registry with the name, the
//     default ports, the settings that the protocol needs, its name in ALPN, and the
//     constructor. A protocol inside implicit TLS is a row of applications.
//
// The row makes the protocol known to [New], the configuration and the command
// line. Add a well-behaved server for it to wellBehaved in the tests.
package starttls

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

// Settings are the parameters of a dialogue.
type Settings struct {
	EHLO   string // name that SMTP and LMTP introduce the client with: an FQDN or an address literal such as "[192.0.2.1]"
	Domain string // service domain that XMPP asks for, in A-labels
	// Service and Port select the protocol inside ImplicitTLS; see Resolve.
	Service string
	Port    uint16
	// Watch, if not nil, is called after each line of the dialogue with the
	// dialogue so far.
	Watch func(Dialogue)
	// ReplyBy, if not nil, is called when the client requests TLS. It returns the
	// time by which the server must have replied; zero: no limit.
	ReplyBy func() time.Time
}

// New returns a client for one connection that speaks the protocol of that
// name, one of [Names]. It returns an error if there is no such protocol, or if
// a setting that the protocol needs is missing or malformed.
func New(name string, s Settings) (*Client, error) {
	p, ok := Resolve(name, s.Service, s.Port)
	switch {
	case !ok:
		return nil, fmt.Errorf("unknown protocol %q: must be one of %s", name, strings.Join(Names(), ", "))
	case p.NeedsEHLO && !isWord(s.EHLO):
		return nil, fmt.Errorf("protocol %s: the EHLO name %q is not a hostname or an address literal such as [192.0.2.1]", name, s.EHLO)
	case p.NeedsDomain && !isWord(s.Domain):
		return nil, fmt.Errorf("protocol %s: the service domain %q is not a domain name", name, s.Domain)
	}
	c := &Client{watch: s.Watch, replyBy: s.ReplyBy, implicit: p.implicit, silent: p.silent, mutual: p.Mutual, alpn: p.ALPN}
	if p.negotiator != nil {
		c.negotiator = p.negotiator(s)
	}
	return c, nil
}

// isWord reports whether text is one printable word of ASCII, so that it can
// stand for a name in a command.
func isWord(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
}

// Client negotiates TLS on one connection.
type Client struct {
	negotiator negotiator // nil: no dialogue before TLS and none inside
	implicit   bool       // TLS begins with the first byte
	silent     bool       // there is no first exchange
	mutual     bool       // Protocol.Mutual
	alpn       string
	watch      func(Dialogue)
	replyBy    func() time.Time
	inside     *session // inside TLS; nil before FirstExchange
}

// ALPN returns the protocol name that clients send in TLS (RFC 7301), and "" if
// they send none.
func (c *Client) ALPN() string { return c.alpn }

// Mutual reports whether the clients of the protocol are servers too, and have a
// certificate for TLS that a server may require.
func (c *Client) Mutual() bool { return c.mutual }

// A negotiator is what differs between protocols. The session reads, writes,
// enforces the limits and keeps the transcript.
type negotiator interface {
	// startTLS runs the dialogue until the server agrees to TLS. It sets
	// session.offered as soon as the server has offered TLS, and calls
	// session.beginRequest before it requests TLS.
	startTLS(*session) error
	// firstExchange does inside TLS what a client does there first, and nothing
	// more. If session.implicit is set, there was no dialogue before TLS. It is
	// not called if Protocol.silent is set.
	firstExchange(*session) error
	// goodbye ends the session as the protocol requires, in plaintext or, if
	// session.secured is set, inside TLS after firstExchange.
	goodbye(*session)
}

// Start runs the dialogue on conn until the ClientHello is due. It returns the
// dialogue, as far as it got, on failure too. When ctx ends, the dialogue ends
// and conn is of no further use. Start sets no deadline but that of
// Settings.ReplyBy.
//
// The error is or wraps ErrNotOffered, *Rejected, *ProtocolError, or an error
// of the connection such as a timeout. After ctx has ended, it also wraps the
// cause of ctx. A timeout after the request for TLS wraps ErrSilent.
func (c *Client) Start(ctx context.Context, conn net.Conn) (Dialogue, error) {
	if c.negotiator == nil || c.implicit {
		return Dialogue{Offered: true}, nil
	}
	defer context.AfterFunc(ctx, func() { expire(conn) })()
	s := newSession(ctx, conn)
	s.watch, s.replyBy = c.watch, c.replyBy
	err := c.negotiator.startTLS(s)
	s.endRequest()
	if err == nil {
		s.discardEarlyData()
	}
	if s.requested && errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(ctx.Err(), context.Canceled) {
		err = fmt.Errorf("%w: %w", ErrSilent, err)
	}
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", err, context.Cause(ctx))
	}
	return s.dialogue(), err
}

// FirstExchange does on conn, which is inside TLS, what a client does there first.
// In SMTP, it sends EHLO again (RFC 3207 §4.2). Only the reply shows that the server
// accepts the client. In TLS 1.3, the client's side of the handshake is complete
// before the server has verified the client's certificate (RFC 8446 §2). made is
// false if the protocol has no such exchange. The error is as that of Start.
func (c *Client) FirstExchange(ctx context.Context, conn net.Conn) (made bool, err error) {
	if c.negotiator == nil || c.silent {
		return false, nil
	}
	defer context.AfterFunc(ctx, func() { expire(conn) })()
	c.inside = newSession(ctx, conn)
	c.inside.secured, c.inside.implicit = true, c.implicit
	if err = c.negotiator.firstExchange(c.inside); err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", err, context.Cause(ctx))
	}
	return true, err
}

// Goodbye ends the session as the protocol requires. It runs inside TLS after
// FirstExchange, and in plaintext otherwise. It waits at most one second for
// the server's answer, and returns earlier if ctx ends. It does not close conn.
// Its errors are of no interest to the caller and are not returned.
func (c *Client) Goodbye(ctx context.Context, conn net.Conn) {
	if c.negotiator == nil {
		return
	}
	const timeout = time.Second
	conn.SetDeadline(time.Now().Add(timeout))
	defer context.AfterFunc(ctx, func() { expire(conn) })()
	s := c.inside
	if s == nil {
		s = newSession(ctx, conn)
	}
	c.negotiator.goodbye(s)
}

// expire makes every pending and future read and write on conn fail with a timeout.
func expire(conn net.Conn) { conn.SetDeadline(time.Unix(1, 0)) }

// ErrNotOffered is returned if the server follows the protocol and does not
// offer STARTTLS.
var ErrNotOffered = errors.New("the server does not offer STARTTLS")

// ErrSilent is returned if the server does not complete its reply to the request
// for TLS in time.
var ErrSilent = errors.New("the server falls silent after STARTTLS")

// Rejected is the error of a step that the server answers with a refusal.
type Rejected struct {
	Step  string // "greeting"; "STARTTLS", in every protocol; or another step, such as "EHLO"
	Reply string // the reply on one line: printable, limited in length
}

// Error returns the step and the reply.
func (r *Rejected) Error() string {
	if r.Step == "greeting" {
		return fmt.Sprintf("the server greets with %s", r.Reply)
	}
	return fmt.Sprintf("the server answers %s with %s", r.Step, r.Reply)
}

// ProtocolError is the error of an answer that the protocol does not allow.
type ProtocolError struct {
	Step string // what was expected, such as "the greeting"
	Got  string // what the server sent instead: printable, limited in length
}

// Error returns what was expected and what was received.
func (e *ProtocolError) Error() string {
	return fmt.Sprintf("expected %s, got %s", e.Step, e.Got)
}
