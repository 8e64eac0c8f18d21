package starttls

import (
	"fmt"
	"slices"
	"strings"
)

// sieve is the dialogue of ManageSieve, RFC 5804 §2.2. The server greets with
// its capabilities, so there is nothing to ask for:
//
//	S: "IMPLEMENTATION" "example"
//	S: "STARTTLS"
//	S: OK
//	C: STARTTLS
//	S: OK "go ahead"
type sieve struct{}

func (sieve) startTLS(s *session) error {
	capabilities, err := s.sieveReply("greeting", "the greeting")
	if err != nil {
		return err
	}
	if s.offered = slices.Contains(capabilities, "STARTTLS"); !s.offered {
		return ErrNotOffered
	}
	if err := s.send("STARTTLS"); err != nil {
		return err
	}
	_, err = s.sieveReply("STARTTLS", "the reply to STARTTLS")
	return err
}

// goodbye says LOGOUT. Inside TLS the server first tells its capabilities
// anew, without being asked (RFC 5804 §2.2).
func (sieve) goodbye(s *session) {
	if s.secured {
		if _, err := s.sieveReply("greeting", "the capabilities inside TLS"); err != nil {
			return
		}
	}
	if s.send("LOGOUT") == nil {
		s.sieveReply("LOGOUT", "the reply to LOGOUT")
	}
}

// sieveReply reads lines up to the one that says OK, which should come, or NO
// or BYE. It returns the names on the lines before it, in upper case.
func (s *session) sieveReply(step, what string) (names []string, err error) {
	for range maxLines {
		line, err := s.lineWithLiterals(what)
		if err != nil {
			return nil, err
		}
		if name, _, quoted := unquote(line); quoted {
			names = append(names, strings.ToUpper(name))
			continue
		}
		switch status, text, _ := strings.Cut(line, " "); strings.ToUpper(status) {
		case "OK":
			return names, nil
		case "NO", "BYE":
			return nil, &Rejected{Step: step, Reply: rejection(status, text)}
		default:
			return nil, unexpected(what, line)
		}
	}
	return nil, &ProtocolError{what, fmt.Sprintf("more than %d lines", maxLines)}
}
