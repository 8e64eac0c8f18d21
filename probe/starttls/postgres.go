package starttls

import (
	"bufio"
	"encoding/binary"
	"errors"
	"strings"
)

// postgres negotiates TLS in PostgreSQL's frontend/backend protocol ("SSL Session
// Encryption" in that chapter of its manual; there is no RFC). The client sends
// an SSLRequest of eight bytes. The server answers with one byte: S if it
// supports TLS, N if not, or E, the beginning of an error message.
type postgres struct{}

func newPostgres(Settings) negotiator { return postgres{} }

// sslRequest is a message of 8 bytes: its length, and the code 1234.5679 where
// other messages have the protocol version.
const sslRequest = "\x00\x00\x00\x08\x04\xd2\x16\x2f"

func (postgres) startTLS(s *session) error {
	const step = "the reply to SSLRequest"
	s.beginRequest()
	if err := s.write(sslRequest, "SSLRequest"); err != nil {
		return err
	}
	answer, err := s.reader.ReadByte()
	if err != nil {
		return readError(step, err)
	}
	s.recordReceived(string(rune(answer)))
	switch answer {
	case 'S':
		s.offered = true
		// libpq ends the connection here (CVE-2021-23222).
		if s.discardEarlyData(); s.early != "" {
			return protocolErrorf("the start of TLS", "%s", s.early)
		}
		return nil
	case 'N':
		return ErrNotOffered
	case 'E':
		text, err := s.postgresError(step)
		if err != nil {
			return err
		}
		s.recordReceived(text)
		return &Rejected{Step: "SSLRequest", Reply: truncate(escape(text))}
	}
	return unexpected(step, string(rune(answer)))
}

// firstExchange does nothing: a client's first message asks for a database as a user.
func (postgres) firstExchange(*session) error { return nil }

// goodbye sends nothing. Without a startup message there is no session to
// terminate: a client that does not proceed closes the connection.
func (postgres) goodbye(*session) {}

// postgresError reads an error message after its E. In protocol 3, a length
// comes first and then fields, each a letter and a string. In protocol 2 the
// message is one string; servers that cannot start a session still send that.
func (s *session) postgresError(step string) (string, error) {
	first, err := s.reader.Peek(1)
	if err != nil {
		return "", readError(step, err)
	}
	if first[0] != 0 { // a length begins with 0, because messages are short
		text, err := s.reader.ReadSlice(0)
		if errors.Is(err, bufio.ErrBufferFull) {
			return "", protocolErrorf(step, "an error message of more than %d bytes", maxLine)
		} else if err != nil {
			return "", readError("the end of "+step, err)
		}
		return strings.TrimSpace(strings.TrimRight(string(text), "\x00")), nil
	}
	var length [4]byte
	if err := s.readFull("the length of "+step, length[:]); err != nil {
		return "", err
	}
	size := binary.BigEndian.Uint32(length[:])
	if size < 4 || size > maxLine {
		return "", protocolErrorf(step, "an error message of %d bytes", size)
	}
	body := make([]byte, size-4)
	if err := s.readFull("the end of "+step, body); err != nil {
		return "", err
	}
	for field := range strings.SplitSeq(string(body), "\x00") {
		if text, found := strings.CutPrefix(field, "M"); found {
			return text, nil
		}
	}
	return "an error without a message", nil
}
