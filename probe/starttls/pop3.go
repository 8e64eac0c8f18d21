package starttls

import (
	"fmt"
	"slices"
	"strings"
)

// pop3 is the dialogue of RFC 2595 §4, with the capabilities of RFC 2449:
//
//	S: +OK ready
//	C: CAPA
//	S: +OK
//	S: STLS
//	S: .
//	C: STLS
//	S: +OK go ahead
type pop3 struct{}

func (pop3) startTLS(s *session) error {
	if err := s.pop3Reply("greeting", "the greeting"); err != nil {
		return err
	}
	if err := s.send("CAPA"); err != nil {
		return err
	}
	err := s.pop3Reply("CAPA", "the reply to CAPA")
	if _, unknown := err.(*Rejected); unknown {
		// STLS is a capability (RFC 2595 §4), and whoever has some knows CAPA (RFC 2449 §5).
		return fmt.Errorf("%w: %w", ErrNotOffered, err)
	} else if err != nil {
		return err
	}
	capabilities, err := s.pop3List("the capabilities")
	if err != nil {
		return err
	}
	if s.offered = slices.Contains(capabilities, "STLS"); !s.offered {
		return ErrNotOffered
	}
	if err := s.send("STLS"); err != nil {
		return err
	}
	return s.pop3Reply("STARTTLS", "the reply to STLS")
}

// goodbye says QUIT and waits for the reply (RFC 1939 §4).
func (pop3) goodbye(s *session) {
	if s.send("QUIT") == nil {
		s.pop3Reply("QUIT", "the reply to QUIT")
	}
}

// pop3Reply reads a reply that should be positive: "+OK", not "-ERR" (RFC 1939 §3).
func (s *session) pop3Reply(step, what string) error {
	line, err := s.line(what)
	if err != nil {
		return err
	}
	switch status, text, _ := strings.Cut(line, " "); strings.ToUpper(status) {
	case "+OK":
		return nil
	case "-ERR":
		return &Rejected{Step: step, Reply: rejection(status, text)}
	}
	return unexpected(what, line)
}

// pop3List reads lines up to one that is a dot, and returns the first word of
// each, in upper case.
func (s *session) pop3List(what string) ([]string, error) {
	var first []string
	for range maxLines {
		line, err := s.line(what)
		if err != nil {
			return nil, err
		}
		if line == "." {
			return first, nil
		}
		if words := strings.Fields(line); len(words) > 0 {
			first = append(first, strings.ToUpper(words[0]))
		}
	}
	return nil, &ProtocolError{what, fmt.Sprintf("more than %d lines", maxLines)}
}
