package starttls

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// smtp negotiates TLS in SMTP (RFC 5321) with the STARTTLS command (RFC 3207 §4).
// LMTP differs in one word.
//
// Replies are read as Postfix reads them, which accepts more than RFC 5321 §4.2
// allows: see reply and offers.
type smtp struct {
	hello string // the command that introduces the client: EHLO or LHLO
	name  string // the name of the client
}

func newSMTP(s Settings) negotiator { return smtp{hello: "EHLO", name: s.EHLO} }

// startTLS reads the greeting, sends EHLO and requests TLS.
//
// If the server rejects EHLO, the client sends HELO (RFC 5321 §3.2). There are no
// extensions after HELO, and thus no STARTTLS. After 421 the server closes the
// connection (RFC 5321 §3.8), so the client does not send HELO. LMTP has no HELO.
func (p smtp) startTLS(s *session) error {
	if _, err := s.positiveReply("greeting", "the greeting"); err != nil {
		return err
	}
	extensions, err := s.smtpCommand(p.hello, p.hello+" "+p.name)
	if rejected, ok := errors.AsType[*Rejected](err); ok && p.hello == "EHLO" && !strings.HasPrefix(rejected.Reply, "421") {
		_, err := s.smtpCommand("HELO", "HELO "+p.name)
		if _, again := errors.AsType[*Rejected](err); err != nil && !again {
			return fmt.Errorf("%w: then %w", rejected, err) // the refusal explains more than the lost connection
		}
		if err != nil {
			return err
		}
		return fmt.Errorf("%w: %w", ErrNotOffered, rejected)
	}
	if err != nil {
		return err
	}
	if s.offered = extensions.offers("STARTTLS"); !s.offered {
		if extensions.truncated {
			return fmt.Errorf("%w in the first %d bytes of the reply to %s, which are all that Postfix reads", ErrNotOffered, maxReply, p.hello)
		}
		return ErrNotOffered
	}
	s.beginRequest()
	_, err = s.smtpCommand("STARTTLS", "STARTTLS")
	return err
}

// firstExchange sends EHLO again (RFC 3207 §4.2). Postfix sends HELO if the reply is
// negative, unless it is 421. If that fails too, Postfix ends the session.
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
	case !r.positive():
		return smtpReply{}, &Rejected{Step: command, Reply: r.String()}
	}
	return r, nil
}

// maxReply is the number of bytes of a reply, and of a line of it, that Postfix
// reads: its line_length_limit. It skips the rest.
const maxReply = 2048

// reply reads one reply. A reply may have several lines: all but the last have a
// hyphen after the code (RFC 5321 §4.2.1). As in Postfix, only three digits that
// end the line or precede a space end the reply, and their code counts. So blank
// lines, lines of no reply, and codes that differ are tolerated before that.
//
// If the input ends after a line that is not part of a reply, the error is also a
// *ProtocolError with that line.
func (s *session) reply(step string) (smtpReply, error) {
	var r smtpReply
	var foreign error
	size := 0
	for {
		line, err := s.readTruncated(step, maxReply)
		switch {
		case err != nil && foreign != nil:
			return smtpReply{}, fmt.Errorf("%w: %w", foreign, err)
		case err != nil:
			return smtpReply{}, err
		}
		if size < maxReply {
			r.lines = append(r.lines, line)
			if size += len(line); len(r.lines) > 1 {
				size++ // Postfix joins the lines
			}
		} else {
			r.truncated = true
		}
		code, more, ok := parseReplyLine(line)
		switch {
		case !ok && foreign == nil && strings.TrimSpace(line) != "":
			foreign = unexpected(step, line)
		case ok && !more:
			r.code = code
			return r, nil
		}
	}
}

// parseReplyLine reads the code of a line of a reply, which has three digits. A
// hyphen follows if there are more lines, and a space and text or nothing otherwise.
func parseReplyLine(line string) (code int, more, ok bool) {
	digits := strings.IndexFunc(line+" ", func(r rune) bool { return r < '0' || r > '9' })
	if digits != 3 {
		return 0, false, false
	}
	code, _ = strconv.Atoi(line[:3])
	switch rest := line[3:]; {
	case rest == "", rest[0] == ' ':
		return code, false, true
	case rest[0] == '-':
		return code, true, true
	}
	return 0, false, false
}

// smtpReply is an SMTP reply (RFC 5321 §4.2).
type smtpReply struct {
	code      int      // of the last line
	lines     []string // as sent, as far as Postfix reads them
	truncated bool     // there were more lines
}

// String returns the reply on one line, as "550 no, thank you", truncated to a
// length that fits into an error. It has the code of the last line and the text of all.
func (r smtpReply) String() string {
	texts := make([]string, 0, len(r.lines))
	for _, line := range r.lines {
		text := line
		if _, _, ok := parseReplyLine(line); ok {
			text = line[min(len(line), 4):]
		}
		if text = strings.TrimSpace(escape(text)); text != "" {
			texts = append(texts, text)
		}
	}
	return truncate(strings.TrimSpace(fmt.Sprintf("%03d %s", r.code, strings.Join(texts, " / "))))
}

// positive reports success. Senders look at the first digit alone, as
// RFC 5321 §4.2 requires for codes that they do not know.
func (r smtpReply) positive() bool { return r.code/100 == 2 }

// offers reports whether a reply to EHLO lists the extension keyword. The first line
// is the server's name, even if it reads like a keyword. On the others the keyword
// comes first, in any case, and parameters may follow (RFC 5321 §4.1.1.1). Postfix
// ignores lines without a word after the code. To Postfix, an equals sign ends a
// keyword, and a tab is a part of it.
func (r smtpReply) offers(keyword string) bool {
	named := false
	for _, line := range r.lines {
		rest := strings.TrimLeft(line, "- ")
		code := strings.IndexAny(rest, "- ")
		if code < 0 {
			continue
		}
		words := strings.FieldsFunc(rest[code+1:], func(r rune) bool { return r == ' ' || r == '=' })
		switch {
		case len(words) == 0:
		case !named:
			named = true
		case strings.EqualFold(words[0], keyword):
			return true
		}
	}
	return false
}
