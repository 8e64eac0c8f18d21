package starttls

import (
	"fmt"
	"slices"
	"strings"
)

// imap is the dialogue of RFC 9051 §6.2.1, which is that of RFC 3501:
//
//	S: * OK ready
//	C: a CAPABILITY
//	S: * CAPABILITY IMAP4rev2 STARTTLS LOGINDISABLED
//	S: a OK done
//	C: b STARTTLS
//	S: b OK go ahead
//
// Between the lines that carry the command's tag the server may say anything
// that is marked with an asterisk.
type imap struct{}

func (imap) startTLS(s *session) error {
	const what = "the greeting"
	line, err := s.lineWithLiterals(what)
	if err != nil {
		return err
	}
	switch status, text := imapStatus(line, "*"); status {
	case "OK":
	case "PREAUTH":
		// STARTTLS is for clients that are not known yet (RFC 9051 §7.1.4).
		return fmt.Errorf("%w: it greets with PREAUTH, behind which there is no STARTTLS", ErrNotOffered)
	case "BYE":
		return &Rejected{Step: "greeting", Reply: rejection(status, text)}
	default:
		return unexpected(what, line)
	}
	capabilities, err := s.imapCommand("a", "CAPABILITY")
	if err != nil {
		return err
	}
	if s.offered = slices.Contains(capabilities, "STARTTLS"); !s.offered {
		return ErrNotOffered
	}
	_, err = s.imapCommand("b", "STARTTLS")
	return err
}

// goodbye says LOGOUT. The server says BYE, which is no refusal here, and then
// that the command is done (RFC 9051 §6.1.3).
func (imap) goodbye(s *session) {
	const command = "LOGOUT"
	if s.send("z "+command) != nil {
		return
	}
	for range maxLines {
		line, err := s.lineWithLiterals("the reply to " + command)
		if status, _ := imapStatus(line, "z"); err != nil || status != "" {
			return
		}
	}
}

// imapCommand sends a command and waits until it is done. It returns the
// capabilities that the server told on the way, in upper case.
func (s *session) imapCommand(tag, command string) (capabilities []string, err error) {
	if err := s.send(tag + " " + command); err != nil {
		return nil, err
	}
	what := "the reply to " + command
	for range maxLines {
		line, err := s.lineWithLiterals(what)
		if err != nil {
			return nil, err
		}
		switch status, text := imapStatus(line, tag); status {
		case "OK":
			return capabilities, nil
		case "NO", "BAD":
			return nil, &Rejected{Step: command, Reply: rejection(status, text)}
		}
		switch status, text := imapStatus(line, "*"); status {
		case "":
			return nil, unexpected(what, line)
		case "CAPABILITY":
			capabilities = strings.Fields(strings.ToUpper(text))
		case "BYE":
			return nil, &Rejected{Step: command, Reply: rejection(status, text)}
		}
	}
	return nil, &ProtocolError{what, fmt.Sprintf("none within %d lines", maxLines)}
}

// imapStatus takes a response with this tag apart; without it, status is empty.
func imapStatus(line, tag string) (status, text string) {
	rest, ok := strings.CutPrefix(line, tag+" ")
	if !ok {
		return "", ""
	}
	status, text, _ = strings.Cut(rest, " ")
	return strings.ToUpper(status), text
}
