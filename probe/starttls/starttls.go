// Package starttls speaks the dialogues that come before TLS, as a client that
// wants nothing but the handshake. Each protocol has a file of its own.
//
// Some ports speak TLS from the first byte. On others, mail between servers
// foremost, the two sides begin in the clear, the server says that it offers
// TLS, the client asks for it, and the server agrees:
//
//	S: 220 mx.example.org ESMTP           the greeting: the server speaks first
//	C: EHLO probe.example.net             the client says who it is
//	S: 250-mx.example.org                 and hears what the server can do,
//	S: 250-SIZE 52428800                  one line for each extension
//	S: 250 STARTTLS
//	C: STARTTLS
//	S: 220 go ahead                       from here on, TLS, and the client begins
//
// All of that can be forged or cut out by whoever sits on the line. For a
// client that knows from DNSSEC that the server has TLSA records, a server
// without STARTTLS is therefore an attack or a mistake, and mail waits
// (RFC 7672 §2.2). The other danger is at the seam: bytes that arrive in the
// clear behind the last reply must never be taken for a part of what TLS
// protects (CVE-2011-0411). The server has nothing to say there before the
// client's first TLS message, so any such byte is an error here.
//
// Other protocols have other words for the same: STLS in POP3, an extended
// request in LDAP, elements of XML in XMPP. In errors, Step is STARTTLS for
// all of them. Some, LDAP and PostgreSQL, offer nothing beforehand: the client
// asks at once, and hears whether the server can.
//
// What a server sends is hostile until proven otherwise: lines, replies and
// whole dialogues are bounded, and nothing of them is handed on that is not
// printable.
package starttls

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
)

// Protocol is one way from an open connection to the first byte of TLS. It
// serves one connection.
type Protocol interface {
	// Start leads conn to the point where the ClientHello is due. It honours
	// ctx: when ctx ends, the dialogue does, and conn is of no further use.
	// It sets no deadline of its own. How far it got is returned in any case.
	//
	// Errors: ErrNotOffered, *Rejected, *ProtocolError, or one of the
	// connection's own (time-out, reset), wrapped.
	Start(ctx context.Context, conn net.Conn) (Dialogue, error)
	// Goodbye takes leave inside TLS, or in the clear where Start came no
	// further. It returns within a second, or when ctx ends, and leaves closing
	// to the caller. Its errors interest nobody.
	Goodbye(ctx context.Context, conn net.Conn)
}

// Dialogue is how it went.
type Dialogue struct {
	Offered    bool // the server offered TLS: whatever fails from here on is a failure of TLS
	Transcript Transcript
}

// Settings are what a dialogue needs to know.
type Settings struct {
	EHLO   string // for SMTP and LMTP, the name to greet with: an FQDN or an address literal, as "[192.0.2.1]"
	Domain string // for XMPP, the name of the service that is asked for, in A-labels
	// Watch is told, where it is not nil, how the dialogue has gone whenever a
	// line has been said.
	Watch func(Dialogue)
}

// New returns the protocol of that name, one of Names. It returns an error
// where the name is another, or where a protocol lacks the setting it needs.
func New(name string, s Settings) (Protocol, error) {
	if name == "tls" {
		return direct{}, nil
	}
	spoken, err := languageOf(name, s)
	if err != nil {
		return nil, err
	}
	return &dialogue{language: spoken, watch: s.Watch}, nil
}

func languageOf(name string, s Settings) (language, error) {
	switch name {
	case "imap":
		return imap{}, nil
	case "ldap":
		return ldap{}, nil
	case "lmtp", "smtp":
		if !isName(s.EHLO) {
			return nil, fmt.Errorf("protocol %s: %q is no name for EHLO; want a host name or an address literal, as [192.0.2.1]", name, s.EHLO)
		}
		if name == "lmtp" {
			return lmtp(s.EHLO), nil
		}
		return smtp{hello: "EHLO", name: s.EHLO}, nil
	case "pop3":
		return pop3{}, nil
	case "postgres":
		return postgres{}, nil
	case "sieve":
		return sieve{}, nil
	case "xmpp-client", "xmpp-server":
		if !isName(s.Domain) {
			return nil, fmt.Errorf("protocol %s: %q is no name of a service; want a domain", name, s.Domain)
		}
		return xmpp{content: "jabber:" + strings.TrimPrefix(name, "xmpp-"), domain: s.Domain}, nil
	}
	return nil, fmt.Errorf("no protocol %q; want one of %s", name, strings.Join(Names(), ", "))
}

// Names lists the protocols that New knows, sorted.
func Names() []string {
	return []string{"imap", "ldap", "lmtp", "pop3", "postgres", "sieve", "smtp", "tls", "xmpp-client", "xmpp-server"}
}

// isName reports whether text may stand for a name in a command: one printable
// word of ASCII.
func isName(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
}

// ErrNotOffered: the server spoke its protocol well and did not offer STARTTLS.
var ErrNotOffered = errors.New("the server does not offer STARTTLS")

// Rejected is a server's "no" to a step of the dialogue.
type Rejected struct {
	Step  string // "greeting"; "STARTTLS", whatever the protocol calls it; or what else was said, as "EHLO"
	Reply string // on one line: printable and bounded
}

// Error gives the step and the whole reply.
func (r *Rejected) Error() string {
	if r.Step == "greeting" {
		return fmt.Sprintf("the server greets with %s", r.Reply)
	}
	return fmt.Sprintf("the server answers %s with %s", r.Step, r.Reply)
}

// ProtocolError is an answer that is none in this protocol.
type ProtocolError struct {
	Step string // what was waited for
	Got  string // what came, or what was wrong with it: printable and bounded
}

// Error gives the step and what came instead.
func (e *ProtocolError) Error() string {
	return fmt.Sprintf("waiting for %s: %s", e.Step, e.Got)
}
