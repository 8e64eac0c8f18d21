package starttls

import (
	"fmt"
	"strings"
)

// reply is an SMTP reply (RFC 5321 §4.2).
type reply struct {
	code  int
	lines []string // text of each line, without code; printable and bounded
}

// String puts the reply on one line, as "550 no, thank you", and cuts it where
// it gets too long for a sentence.
func (r reply) String() string {
	return sentence(strings.TrimSpace(fmt.Sprintf("%d %s", r.code, strings.Join(r.lines, " / "))))
}

// positive: the server has done what was asked. Senders look at the first
// digit alone, as RFC 5321 §4.2 has them do with codes they don't know.
func (r reply) positive() bool { return r.code/100 == 2 }

// negative: the server will not do it, now (4) or ever (5).
func (r reply) negative() bool { return r.code/100 == 4 || r.code/100 == 5 }

// reply reads one reply, which may have several lines: all but the last have a
// hyphen behind the code, and the code is the same on each (RFC 5321 §4.2.1).
// In errors, what says what was waited for.
func (s *session) reply(what string) (reply, error) {
	var r reply
	for len(r.lines) < maxLines {
		line, err := s.line(what)
		if err != nil {
			return reply{}, err
		}
		code, text, more, ok := parse(line)
		if !ok {
			return reply{}, unexpected(what, line)
		}
		if len(r.lines) > 0 && code != r.code {
			return reply{}, &ProtocolError{what, fmt.Sprintf("one reply with two codes, %d and %d", r.code, code)}
		}
		r.code = code
		r.lines = append(r.lines, printable(text))
		if !more {
			return r, nil
		}
	}
	return reply{}, &ProtocolError{what, fmt.Sprintf("a reply of more than %d lines", maxLines)}
}

// parse takes a line apart: three digits, then a hyphen where more lines
// follow, or a space and text, or nothing.
func parse(line string) (code int, text string, more, ok bool) {
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
