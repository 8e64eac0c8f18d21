package starttls

import (
	"fmt"
	"slices"
	"strings"
)

// imap negotiates TLS in IMAP (RFC 9051 §6.2.1; RFC 3501 has the same dialogue):
//
//	S: * OK ready
//	C: a CAPABILITY
//	S: * CAPABILITY IMAP4rev2 STARTTLS LOGINDISABLED
//	S: a OK done
//	C: b STARTTLS
//	S: b OK go ahead
//
// Before the line with the command's tag, the server may send any number of
// untagged responses, which begin with an asterisk.
type imap struct{}

func newIMAP(Settings) negotiator { return imap{} }

func (imap) startTLS(s *session) error {
	authenticated, err := s.imapGreeting()
	if err != nil {
		return err
	}
	if authenticated {
		// STARTTLS is for clients that are not authenticated (RFC 9051 §7.1.4).
		return fmt.Errorf("%w: it greets with PREAUTH, after which STARTTLS is not allowed", ErrNotOffered)
	}
	capabilities, err := s.imapCommand("a", "CAPABILITY")
	if err != nil {
		return err
	}
	if s.offered = slices.Contains(capabilities, "STARTTLS"); !s.offered {
		return ErrNotOffered
	}
	s.beginRequest()
	_, err = s.imapCommand("b", "STARTTLS")
	return err
}

// firstExchange asks for the capabilities, which may differ inside TLS (RFC 9051
// §6.2.1).
func (imap) firstExchange(s *session) error {
	if s.implicit {
		if _, err := s.imapGreeting(); err != nil {
			return err
		}
	}
	_, err := s.imapCommand("c", "CAPABILITY")
	return err
}

// imapGreeting reads the greeting, and reports whether the server takes the client
// for authenticated (RFC 9051 §7.1).
func (s *session) imapGreeting() (authenticated bool, err error) {
	const step = "the greeting"
	line, err := s.readLineWithLiterals(step)
	if err != nil {
		return false, err
	}
	switch status, text := cutIMAPStatus(line, "*"); status {
	case "OK":
		return false, nil
	case "PREAUTH":
		return true, nil
	case "BYE":
		return false, rejected("greeting", status, text)
	default:
		return false, unexpected(step, line)
	}
}

// goodbye sends LOGOUT. The server answers BYE, which is no refusal here, and
// then completes the command (RFC 9051 §6.1.3).
func (imap) goodbye(s *session) {
	if s.send("z LOGOUT") != nil {
		return
	}
	for range maxLines {
		line, err := s.readLineWithLiterals("the reply to LOGOUT")
		if status, _ := cutIMAPStatus(line, "z"); err != nil || status != "" {
			return
		}
	}
}

// imapCommand sends a command and reads responses until the command completes.
// It returns the capabilities that the server listed meanwhile, in upper case.
func (s *session) imapCommand(tag, command string) (capabilities []string, err error) {
	if err := s.send(tag + " " + command); err != nil {
		return nil, err
	}
	step := "the reply to " + command
	for range maxLines {
		line, err := s.readLineWithLiterals(step)
		if err != nil {
			return nil, err
		}
		switch status, text := cutIMAPStatus(line, tag); status {
		case "OK":
			return capabilities, nil
		case "NO", "BAD":
			return nil, rejected(command, status, text)
		}
		switch status, text := cutIMAPStatus(line, "*"); status {
		case "":
			return nil, unexpected(step, line)
		case "CAPABILITY":
			capabilities = strings.Fields(strings.ToUpper(text))
		case "BYE":
			return nil, rejected(command, status, text)
		}
	}
	return nil, protocolErrorf(step, "none within %d lines", maxLines)
}

// cutIMAPStatus splits a response with this tag into its first word, in upper
// case, and the rest. The status of a response with another tag is empty.
func cutIMAPStatus(line, tag string) (status, text string) {
	rest, ok := strings.CutPrefix(line, tag+" ")
	if !ok {
		return "", ""
	}
	status, text, _ = strings.Cut(rest, " ")
	return strings.ToUpper(status), text
}
