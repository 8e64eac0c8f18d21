package starttls

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// postgres is the request for SSL in PostgreSQL's message flow ("SSL Session
// Encryption" in the manual's chapter on the frontend/backend protocol). No
// RFC has it. The client begins with eight bytes, and the server answers with
// one: S, it will; N, it won't; or E, the beginning of an error message.
type postgres struct{}

// sslRequest is a message of 8 bytes, its length among them, with the code
// that stands where other clients name their version, 1234.5679.
const sslRequest = "\x00\x00\x00\x08\x04\xd2\x16\x2f"

func (postgres) startTLS(s *session) error {
	const what = "the reply to SSLRequest"
	if err := s.write(sslRequest, "SSLRequest"); err != nil {
		return err
	}
	answer, err := s.ReadByte()
	if err != nil {
		return fmt.Errorf("wait for %s: %w", what, err)
	}
	s.heard(string(rune(answer)))
	switch answer {
	case 'S':
		s.offered = true
		return nil
	case 'N':
		return ErrNotOffered
	case 'E':
		text, err := s.postgresError(what)
		if err != nil {
			return err
		}
		s.heard(text)
		return &Rejected{Step: "SSLRequest", Reply: sentence(printable(text))}
	}
	return unexpected(what, string(rune(answer)))
}

// goodbye has nothing to say: without a startup message there is no session to
// terminate, and a client that doesn't like what it sees just closes.
func (postgres) goodbye(*session) {}

// postgresError reads an error message behind its E. Servers in great need
// still send that of protocol 2, which is a string; in protocol 3 a length
// comes first, and then fields, each a letter and a string.
func (s *session) postgresError(what string) (string, error) {
	first, err := s.Peek(1)
	if err != nil {
		return "", fmt.Errorf("wait for %s: %w", what, err)
	}
	if first[0] != 0 { // a length begins with 0: none is that long
		text, err := s.ReadSlice(0)
		if errors.Is(err, bufio.ErrBufferFull) {
			return "", &ProtocolError{what, fmt.Sprintf("an error message of more than %d bytes", maxLine)}
		} else if err != nil {
			return "", fmt.Errorf("wait for the end of %s: %w", what, err)
		}
		return strings.TrimSpace(strings.TrimRight(string(text), "\x00")), nil
	}
	length := make([]byte, 4)
	if _, err := io.ReadFull(s, length); err != nil {
		return "", fmt.Errorf("wait for the length of %s: %w", what, err)
	}
	size := binary.BigEndian.Uint32(length)
	if size < 4 || size > maxLine {
		return "", &ProtocolError{what, fmt.Sprintf("an error message of %d bytes", size)}
	}
	body := make([]byte, size-4)
	if _, err := io.ReadFull(s, body); err != nil {
		return "", fmt.Errorf("wait for the end of %s: %w", what, err)
	}
	for field := range strings.SplitSeq(string(body), "\x00") {
		if text, found := strings.CutPrefix(field, "M"); found {
			return text, nil
		}
	}
	return "an error without a message", nil
}
