package starttls

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// pop3 negotiates TLS in POP3 with the STLS command (RFC 2595 §4), after it has
// asked for the capabilities (RFC 2449):
//
//	S: +OK ready
//	C: CAPA
//	S: +OK
//	S: STLS
//	S: .
//	C: STLS
//	S: +OK go ahead
type pop3 struct{}

func newPOP3(Settings) negotiator { return pop3{} }

func (pop3) startTLS(s *session) error {
	if err := s.pop3Status("greeting", "the greeting"); err != nil {
		return err
	}
	if err := s.send("CAPA"); err != nil {
		return err
	}
	if err := s.pop3Status("CAPA", "the reply to CAPA"); err != nil {
		// STLS is a capability (RFC 2595 §4), and a server with capabilities
		// supports CAPA (RFC 2449 §5).
		if _, refused := errors.AsType[*Rejected](err); refused {
			return fmt.Errorf("%w: %w", ErrNotOffered, err)
		}
		return err
	}
	capabilities, err := s.pop3List("the capabilities")
	if err != nil {
		return err
	}
	if s.offered = slices.Contains(capabilities, "STLS"); !s.offered {
		return ErrNotOffered
	}
	s.beginRequest()
	if err := s.send("STLS"); err != nil {
		return err
	}
	return s.pop3Status("STARTTLS", "the reply to STLS")
}

// firstExchange asks for the capabilities, which may differ inside TLS (RFC 2595
// §4). A server without capabilities answers -ERR (RFC 2449 §5), which is an answer.
func (pop3) firstExchange(s *session) error {
	if s.implicit {
		if err := s.pop3Status("greeting", "the greeting"); err != nil {
			return err
		}
	}
	if err := s.send("CAPA"); err != nil {
		return err
	}
	err := s.pop3Status("CAPA", "the reply to CAPA")
	if _, refused := errors.AsType[*Rejected](err); refused {
		return nil
	}
	if err == nil {
		_, err = s.pop3List("the capabilities")
	}
	return err
}

// goodbye sends QUIT and waits for the reply (RFC 1939 §4).
func (pop3) goodbye(s *session) {
	if s.send("QUIT") == nil {
		_ = s.pop3Status("QUIT", "the reply to QUIT")
	}
}

// pop3Status reads a status line and returns an error unless it is positive:
// "+OK", not "-ERR" (RFC 1939 §3). command is the step that Rejected names,
// step what ProtocolError names.
func (s *session) pop3Status(command, step string) error {
	line, err := s.readLine(step)
	if err != nil {
		return err
	}
	switch status, text, _ := strings.Cut(line, " "); strings.ToUpper(status) {
	case "+OK":
		return nil
	case "-ERR":
		return rejected(command, status, text)
	}
	return unexpected(step, line)
}

// pop3List reads lines until one that is a single dot, and returns the first
// word of each in upper case.
func (s *session) pop3List(step string) ([]string, error) {
	var words []string
	for range maxLines {
		line, err := s.readLine(step)
		if err != nil {
			return nil, err
		}
		if line == "." {
			return words, nil
		}
		if fields := strings.Fields(line); len(fields) > 0 {
			words = append(words, strings.ToUpper(fields[0]))
		}
	}
	return nil, protocolErrorf(step, "more than %d lines", maxLines)
}
