package starttls

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// A language is what is particular to one protocol. Its rules for reading and
// for leaving on time are the session's.
type language interface {
	// startTLS says what there is to say until the server agrees to TLS.
	startTLS(*session) error
	// goodbye takes leave. Where it does so inside TLS, the session before it
	// is gone and this one has just begun.
	goodbye(*session)
}

// dialogue is a Protocol that begins in the clear.
type dialogue struct {
	language
	watch   func(Dialogue) // as Settings.Watch
	secured bool           // Start has led to TLS
}

// Start lets the language speak until TLS is due, or until ctx ends.
func (d *dialogue) Start(ctx context.Context, conn net.Conn) (Dialogue, error) {
	defer context.AfterFunc(ctx, func() { expire(conn) })()
	s := newSession(conn)
	s.watch = d.watch
	err := d.startTLS(s)
	if err == nil {
		err = s.seam()
	}
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", err, context.Cause(ctx))
	}
	d.secured = err == nil
	return s.soFar(), err
}

// expire makes every read and write on conn return at once.
func expire(conn net.Conn) { conn.SetDeadline(time.Unix(1, 0)) }

// Goodbye gives the server a moment to answer, so that it closes in order.
func (d *dialogue) Goodbye(ctx context.Context, conn net.Conn) {
	const patience = time.Second
	conn.SetDeadline(time.Now().Add(patience))
	defer context.AfterFunc(ctx, func() { expire(conn) })()
	s := newSession(conn)
	s.secured = d.secured
	d.goodbye(s)
}

const (
	maxLine  = 4096    // bytes; RFC 5321 §4.5.3.1.5 grants 512, real servers take more
	maxLines = 128     // of one reply
	maxTotal = 1 << 18 // bytes of one dialogue

	usualLines = 16 // of one dialogue, both ways
)

// session is a dialogue under way: it reads what is bounded, and keeps what
// was said for people.
type session struct {
	*bufio.Reader
	conn       io.Writer
	secured    bool // inside TLS
	offered    bool
	transcript Transcript
	watch      func(Dialogue)
}

func newSession(conn net.Conn) *session {
	return &session{Reader: bufio.NewReaderSize(&bounded{conn, maxTotal}, maxLine), conn: conn, transcript: make(Transcript, 0, usualLines)}
}

// seam is where TLS begins: the next to speak is the client. Whatever a server
// has sent by now is none of what TLS protects.
func (s *session) seam() error {
	n := s.Buffered()
	if n == 0 {
		return nil
	}
	early, _ := s.Peek(n)
	return &ProtocolError{"the start of TLS", fmt.Sprintf("%d bytes in the clear behind the reply to STARTTLS: \"%s\"", n, printable(string(early)))}
}

// write sends bytes that the transcript tells as text.
func (s *session) write(bytes, text string) error {
	s.tell(Line{Sent: true, Text: text})
	_, err := io.WriteString(s.conn, bytes)
	if err != nil {
		return fmt.Errorf("send %s: %w", text, err)
	}
	return nil
}

// send sends a line.
func (s *session) send(line string) error { return s.write(line+"\r\n", line) }

// tell puts a line on the transcript.
func (s *session) tell(line Line) {
	s.transcript = append(s.transcript, line)
	if s.watch != nil {
		s.watch(s.soFar())
	}
}

func (s *session) soFar() Dialogue { return Dialogue{Offered: s.offered, Transcript: s.transcript} }

// heard puts what the server said on the transcript.
func (s *session) heard(text string) {
	s.tell(Line{Text: printable(text)})
}

// line reads one line, without its end. A bare LF ends a line too, as it does
// for the clients that we stand in for. In errors, what says what was waited for.
func (s *session) line(what string) (string, error) {
	raw, err := s.ReadSlice('\n')
	line := strings.TrimRight(string(raw), "\r\n")
	if line != "" || err == nil {
		s.heard(line)
	}
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return "", &ProtocolError{what, fmt.Sprintf("a line of more than %d bytes: \"%s\"", maxLine, printable(line))}
	case err != nil:
		return "", fmt.Errorf("wait for %s: %w", what, err)
	}
	return line, nil
}

// lineWithLiterals reads a line of a protocol in which strings may be sent as
// literals: their length in braces, a line end, and as many bytes of anything
// (RFC 9051 §4.3, RFC 5804 §1.2). They come back as quoted strings, so that
// nothing in them is taken for a line.
func (s *session) lineWithLiterals(what string) (string, error) {
	var whole strings.Builder
	for {
		line, err := s.line(what)
		if err != nil {
			return "", err
		}
		before, size, found := literal(line)
		whole.WriteString(before)
		if whole.Len()+size > maxLine {
			return "", &ProtocolError{what, fmt.Sprintf("a line with more than %d bytes in literals", maxLine)}
		}
		if !found {
			return whole.String(), nil
		}
		content := make([]byte, size)
		if _, err := io.ReadFull(s, content); err != nil {
			return "", fmt.Errorf("wait for a literal in %s: %w", what, err)
		}
		s.heard(string(content))
		whole.WriteString(quote(string(content)))
	}
}

// literal takes the announcement of a literal off the end of a line.
func literal(line string) (before string, size int, found bool) {
	rest, ok := strings.CutSuffix(line, "}")
	brace := strings.LastIndexByte(rest, '{')
	if !ok || brace < 0 {
		return line, 0, false
	}
	n, err := strconv.ParseUint(strings.TrimSuffix(rest[brace+1:], "+"), 10, 31)
	if err != nil {
		return line, 0, false
	}
	return line[:brace], int(n), true
}

// quote writes a quoted string of IMAP and ManageSieve, and unquote reads one
// from the beginning of a line.
func quote(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}

func unquote(line string) (text, rest string, ok bool) {
	if !strings.HasPrefix(line, `"`) {
		return "", line, false
	}
	var unescaped strings.Builder
	for i := 1; i < len(line); i++ {
		switch c := line[i]; {
		case c == '"':
			return unescaped.String(), line[i+1:], true
		case c == '\\' && i+1 < len(line):
			i++
			unescaped.WriteByte(line[i])
		default:
			unescaped.WriteByte(c)
		}
	}
	return "", line, false
}

// bounded reads from a connection no more than it may.
type bounded struct {
	conn io.Reader
	left int
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, &ProtocolError{"the end of the dialogue", fmt.Sprintf("more than %d bytes", maxTotal)}
	}
	n, err := b.conn.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}
