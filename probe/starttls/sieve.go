package starttls

import (
	"slices"
	"strings"
	"time"
)

// sieve negotiates TLS in ManageSieve (RFC 5804 §2.2). The server's greeting
// lists its capabilities, so the client need not ask for them:
//
//	S: "IMPLEMENTATION" "example"
//	S: "STARTTLS"
//	S: OK
//	C: STARTTLS
//	S: OK "go ahead"
type sieve struct{}

func newSieve(Settings) negotiator { return sieve{} }

func (sieve) startTLS(s *session) error {
	capabilities, err := s.sieveReply("greeting", "the greeting")
	if err != nil {
		return err
	}
	if s.offered = slices.Contains(capabilities, "STARTTLS"); !s.offered {
		return ErrNotOffered
	}
	s.beginRequest()
	if err := s.send("STARTTLS"); err != nil {
		return err
	}
	_, err = s.sieveReply("STARTTLS", "the reply to STARTTLS")
	return err
}

// firstExchange reads the capabilities, which the server must list again inside TLS
// without being asked (RFC 5804 §2.2). Clients ask a server that does not.
func (sieve) firstExchange(s *session) error {
	const patience = 2 * time.Second
	const step = "the capabilities inside TLS"
	listed, err := s.awaitInput(patience)
	switch {
	case err != nil:
		return readError(step, err)
	case listed:
		_, err = s.sieveReply("greeting", step)
		return err
	}
	if err := s.send("CAPABILITY"); err != nil {
		return err
	}
	_, err = s.sieveReply("CAPABILITY", step)
	return err
}

// goodbye sends LOGOUT.
func (sieve) goodbye(s *session) {
	if s.send("LOGOUT") == nil {
		_, _ = s.sieveReply("LOGOUT", "the reply to LOGOUT")
	}
}

// sieveReply reads lines until one that begins with OK, NO or BYE, and returns an
// error unless it is OK. It returns the names on the lines before it, in upper
// case. command is the step that Rejected names, step what ProtocolError names.
func (s *session) sieveReply(command, step string) (names []string, err error) {
	for range maxLines {
		line, err := s.readLineWithLiterals(step)
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
			return nil, rejected(command, status, text)
		default:
			return nil, unexpected(step, line)
		}
	}
	return nil, protocolErrorf(step, "more than %d lines", maxLines)
}
