package starttls

import (
	"bufio"
	"errors"
	"fmt"
	"strings"
)

// Reply is an SMTP-style reply (RFC 5321 §4.2).
type Reply struct {
	Code  int
	Lines []string // text of each line, without code; printable and bounded
}

// String puts the reply on one line, as "550 no, thank you", and cuts it where
// it gets too long for a sentence.
func (r Reply) String() string {
	const most = 600 // bytes
	text := strings.TrimSpace(fmt.Sprintf("%d %s", r.Code, strings.Join(r.Lines, " / ")))
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

// positive: the server has done what was asked. Senders look at the first
// digit alone, as RFC 5321 §4.2 has them do with codes they don't know.
func (r Reply) positive() bool { return r.Code/100 == 2 }

// negative: the server will not do it, now (4) or ever (5).
func (r Reply) negative() bool { return r.Code/100 == 4 || r.Code/100 == 5 }

const (
	maxLine  = 4096 // bytes; RFC 5321 §4.5.3.1.5 grants 512, real servers take more
	maxLines = 128  // of one reply
)

// replies reads replies, and keeps what it has read for people.
type replies struct {
	*bufio.Reader
	transcript Transcript
}

// next reads one reply, which may have several lines: all but the last have a
// hyphen behind the code, and the code is the same on each (RFC 5321 §4.2.1).
// step says what is waited for, in errors.
func (r *replies) next(step string) (Reply, error) {
	var reply Reply
	for len(reply.Lines) < maxLines {
		line, err := r.line(step)
		if err != nil {
			return Reply{}, err
		}
		code, text, more, ok := parse(line)
		if !ok {
			return Reply{}, &ProtocolError{step, fmt.Sprintf("no reply: \"%s\"", printable(line))}
		}
		if len(reply.Lines) > 0 && code != reply.Code {
			return Reply{}, &ProtocolError{step, fmt.Sprintf("one reply with two codes, %d and %d", reply.Code, code)}
		}
		reply.Code = code
		reply.Lines = append(reply.Lines, printable(text))
		if !more {
			return reply, nil
		}
	}
	return Reply{}, &ProtocolError{step, fmt.Sprintf("a reply of more than %d lines", maxLines)}
}

// line reads one line, without its end. A bare LF ends a line too, as it does
// for the senders that we stand in for.
func (r *replies) line(step string) (string, error) {
	raw, err := r.ReadSlice('\n')
	line := strings.TrimRight(string(raw), "\r\n")
	if line != "" || err == nil {
		r.transcript = append(r.transcript, Line{Text: printable(line)})
	}
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return "", &ProtocolError{step, fmt.Sprintf("a line of more than %d bytes: \"%s\"", maxLine, printable(line))}
	case err != nil:
		return "", fmt.Errorf("wait for %s: %w", step, err)
	}
	return line, nil
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
