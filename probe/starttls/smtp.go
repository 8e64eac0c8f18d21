package starttls

import (
	"errors"
	"fmt"
	"strings"
)

// smtp negotiates TLS in SMTP (RFC 5321) with the STARTTLS command (RFC 3207 §4).
// LMTP differs in one word.
type smtp struct {
	hello string // the command that introduces the client: EHLO or LHLO
	name  string // the name of the client
}

func newSMTP(s Settings) negotiator { return smtp{hello: "EHLO", name: s.EHLO} }

// startTLS reads the greeting, says EHLO and requests TLS.
//
// A server that does not know EHLO supports HELO only (RFC 5321 §3.2), and thus
// no extensions. STARTTLS is an extension.
func (p smtp) startTLS(s *session) error {
	if _, err := s.positiveReply("greeting", "the greeting"); err != nil {
		return err
	}
	extensions, err := s.smtpCommand(p.hello, p.hello+" "+p.name)
	if p.hello == "EHLO" && isUnknownCommand(err) {
		return fmt.Errorf("%w: %w", ErrNotOffered, err)
	}
	if err != nil {
		return err
	}
	if s.offered = extensions.offers("STARTTLS"); !s.offered {
		return ErrNotOffered
	}
	_, err = s.smtpCommand("STARTTLS", "STARTTLS")
	return err
}

// firstExchange says EHLO again (RFC 3207 §4.2). Postfix says HELO if the reply is
// negative, unless it is 421, and gives up the server if that fails too.
func (p smtp) firstExchange(s *session) error {
	if s.implicit {
		if _, err := s.positiveReply("greeting", "the greeting"); err != nil {
			return err
		}
	}
	_, err := s.smtpCommand(p.hello+" inside TLS", p.hello+" "+p.name)
	if refused, ok := errors.AsType[*Rejected](err); ok && p.hello == "EHLO" && !strings.HasPrefix(refused.Reply, "421") {
		_, err = s.smtpCommand("HELO inside TLS", "HELO "+p.name)
	}
	return err
}

// goodbye sends QUIT and waits for the reply (RFC 5321 §4.1.1.10).
func (smtp) goodbye(s *session) {
	if s.send("QUIT") == nil {
		_, _ = s.reply("the reply to QUIT")
	}
}

// isUnknownCommand reports whether err is a reply that the server does not know
// or does not implement a command (RFC 5321 §4.2.2).
func isUnknownCommand(err error) bool {
	r, ok := errors.AsType[*Rejected](err)
	return ok && (strings.HasPrefix(r.Reply, "500") || strings.HasPrefix(r.Reply, "502"))
}

// smtpCommand sends a command and returns the reply, which must be positive.
func (s *session) smtpCommand(command, line string) (smtpReply, error) {
	if err := s.send(line); err != nil {
		return smtpReply{}, err
	}
	return s.positiveReply(command, "the reply to "+command)
}

// positiveReply reads a reply that must be positive. command is the step that
// Rejected names, step what ProtocolError names.
func (s *session) positiveReply(command, step string) (smtpReply, error) {
	r, err := s.reply(step)
	switch {
	case err != nil:
		return smtpReply{}, err
	case r.negative():
		return smtpReply{}, &Rejected{Step: command, Reply: r.String()}
	case !r.positive():
		return smtpReply{}, protocolErrorf(step, "the code %d, which is neither positive nor negative", r.code)
	}
	return r, nil
}

// reply reads one reply. A reply may have several lines: all but the last have a
// hyphen after the code, and the code is the same on each (RFC 5321 §4.2.1).
func (s *session) reply(step string) (smtpReply, error) {
	var r smtpReply
	for len(r.lines) < maxLines {
		line, err := s.readLine(step)
		if err != nil {
			return smtpReply{}, err
		}
		code, text, more, ok := parseReplyLine(line)
		if !ok {
			return smtpReply{}, unexpected(step, line)
		}
		if len(r.lines) > 0 && code != r.code {
			return smtpReply{}, protocolErrorf(step, "one reply with two codes, %d and %d", r.code, code)
		}
		r.code = code
		r.lines = append(r.lines, printable(text))
		if !more {
			return r, nil
		}
	}
	return smtpReply{}, protocolErrorf(step, "a reply of more than %d lines", maxLines)
}

// parseReplyLine splits a line of a reply: three digits, then a hyphen if more
// lines follow, or a space and text, or nothing.
func parseReplyLine(line string) (code int, text string, more, ok bool) {
	if len(line) < 3 || line[0] < '2' || line[0] > '5' {
		return 0, "", false, false
	}
	for _, digit := range []byte(line[:3]) {
		if digit < '0' || digit > '9' {
			return 0, "", false, false
		}
		code = 10*code + int(digit-'0')
	}
	if len(line) == 3 {
		return code, "", false, true
	}
	switch line[3] {
	case '-':
		return code, line[4:], true, true
	case ' ':
		return code, line[4:], false, true
	}
	return 0, "", false, false
}

// smtpReply is an SMTP reply (RFC 5321 §4.2).
type smtpReply struct {
	code  int
	lines []string // text of each line, without the code; printable, limited in length
}

// String returns the reply on one line, as "550 no, thank you", truncated to a
// length that fits into an error.
func (r smtpReply) String() string {
	return truncate(strings.TrimSpace(fmt.Sprintf("%d %s", r.code, strings.Join(r.lines, " / "))))
}

// positive reports success. Senders look at the first digit alone, as
// RFC 5321 §4.2 requires for codes that they do not know.
func (r smtpReply) positive() bool { return r.code/100 == 2 }

// negative reports a transient (4) or permanent (5) failure.
func (r smtpReply) negative() bool { return r.code/100 == 4 || r.code/100 == 5 }

// offers reports whether a reply to EHLO lists the extension keyword. The first
// line is the server's greeting. On the others the keyword comes first, in any
// case, and parameters may follow (RFC 5321 §4.1.1.1).
func (r smtpReply) offers(keyword string) bool {
	for _, line := range r.lines[1:] {
		if words := strings.Fields(line); len(words) > 0 && strings.EqualFold(words[0], keyword) {
			return true
		}
	}
	return false
}
