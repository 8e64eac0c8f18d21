package starttls

import (
	"errors"
	"fmt"
	"strings"
)

// smtp is the dialogue of RFC 3207 in a session of RFC 5321, and with another
// word for hello that of LMTP.
type smtp struct {
	hello string // the command: EHLO or LHLO
	name  string // of the client
}

// startTLS waits for the greeting, says hello and asks for TLS.
//
// A server that does not know EHLO is an old one, which takes HELO (RFC 5321
// §3.2): then there are no extensions, and STARTTLS is one.
func (p smtp) startTLS(s *session) error {
	if _, err := s.positive("greeting", "the greeting"); err != nil {
		return err
	}
	extensions, err := s.command(p.hello, p.hello+" "+p.name)
	if p.hello == "EHLO" && isUnknown(err) {
		return fmt.Errorf("%w: %w", ErrNotOffered, err)
	}
	if err != nil {
		return err
	}
	if s.offered = offers(extensions, "STARTTLS"); !s.offered {
		return ErrNotOffered
	}
	_, err = s.command("STARTTLS", "STARTTLS")
	return err
}

// isUnknown reports whether a server has said that it does not know, or does
// not have, a command (RFC 5321 §4.2.2).
func isUnknown(err error) bool {
	var rejected *Rejected
	return errors.As(err, &rejected) && (strings.HasPrefix(rejected.Reply, "500") || strings.HasPrefix(rejected.Reply, "502"))
}

// goodbye says QUIT and waits for the reply (RFC 5321 §4.1.1.10).
func (smtp) goodbye(s *session) {
	if s.send("QUIT") == nil {
		s.reply("the reply to QUIT")
	}
}

// command sends a command and expects a positive reply.
func (s *session) command(step, line string) (reply, error) {
	if err := s.send(line); err != nil {
		return reply{}, err
	}
	return s.positive(step, "the reply to "+step)
}

// positive reads a reply that should be positive.
func (s *session) positive(step, what string) (reply, error) {
	r, err := s.reply(what)
	switch {
	case err != nil:
		return reply{}, err
	case r.negative():
		return reply{}, &Rejected{Step: step, Reply: r.String()}
	case !r.positive():
		return reply{}, &ProtocolError{what, fmt.Sprintf("%d, which is neither yes nor no", r.code)}
	}
	return r, nil
}

// offers says whether an EHLO reply has the keyword. Its first line is the
// server's greeting; on the others the keyword comes first, in any case, and
// parameters may follow (RFC 5321 §4.1.1.1).
func offers(ehlo reply, keyword string) bool {
	for _, line := range ehlo.lines[1:] {
		if words := strings.Fields(line); len(words) > 0 && strings.EqualFold(words[0], keyword) {
			return true
		}
	}
	return false
}
