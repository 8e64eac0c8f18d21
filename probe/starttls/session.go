package starttls

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// Limits of a session.
const (
	maxLine       = 4096    // bytes; RFC 5321 §4.5.3.1.5 allows 512, real servers send more
	maxLines      = 128     // lines of one reply, except in SMTP and LMTP
	maxTotal      = 1 << 18 // bytes that are read in one session
	maxTranscript = 256     // lines of the transcript
)

// A session reads and writes the lines of one dialogue. It enforces the limits
// and keeps the transcript.
//
// The parameter step of its methods names what is expected, for errors.
type session struct {
	reader     *bufio.Reader
	writer     io.Writer
	secured    bool // the session is inside TLS
	implicit   bool // TLS began with the first byte
	offered    bool // the server has offered TLS
	requested  bool // the client has requested TLS
	early      string
	transcript Transcript
	watch      func(Dialogue)   // nil: nothing to call
	replyBy    func() time.Time // nil: no limit
	// readBy sets the time at which reads fail; zero: when the context ends.
	readBy func(time.Time)
	end    time.Time // of the context; zero: none
}

func newSession(ctx context.Context, conn net.Conn) *session {
	end, _ := ctx.Deadline()
	return &session{
		end:        end,
		reader:     bufio.NewReaderSize(&limitedReader{conn, maxTotal}, maxLine),
		writer:     conn,
		transcript: make(Transcript, 0, 16), // the usual number of lines
		readBy: func(t time.Time) {
			conn.SetReadDeadline(t)
			if ctx.Err() != nil { // its deadline may just have been replaced
				expire(conn)
			}
		},
	}
}

// beginRequest must be called before the client requests TLS. It limits the wait
// for the reply.
func (s *session) beginRequest() {
	s.requested = true
	if s.replyBy == nil {
		return
	}
	if by := s.replyBy(); !by.IsZero() {
		s.readBy(by)
	}
}

// endRequest ends the limit of beginRequest.
func (s *session) endRequest() {
	if s.requested && s.replyBy != nil {
		s.readBy(time.Time{})
	}
}

// awaitInput waits until the server has sent something, but no longer than limit,
// and than half the time that is left. It reports whether input can be read. The
// error is that of the connection, unless that is a timeout.
func (s *session) awaitInput(limit time.Duration) (arrived bool, err error) {
	now := time.Now()
	if !s.end.IsZero() {
		limit = min(limit, s.end.Sub(now)/2)
	}
	s.readBy(now.Add(limit))
	_, err = s.reader.Peek(1)
	s.readBy(time.Time{})
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return false, nil
	}
	return err == nil, err
}

// dialogue returns the dialogue so far.
func (s *session) dialogue() Dialogue {
	return Dialogue{Offered: s.offered, Requested: s.requested, EarlyData: s.early, Transcript: s.transcript}
}

// discardEarlyData removes the plaintext that arrived together with the reply by
// which the server agreed to TLS. The client speaks first in TLS, so that data is
// injected or the server is broken (CVE-2011-0411). Postfix and OpenSSL discard
// it too.
func (s *session) discardEarlyData() {
	n := s.reader.Buffered()
	if n == 0 {
		return
	}
	early, _ := s.reader.Peek(n)
	s.early = fmt.Sprintf("%d bytes in plaintext after the reply to STARTTLS: \"%s\"", n, escape(string(early)))
	s.recordReceived(string(early))
	_, _ = s.reader.Discard(n)
}

// record appends a line to the transcript. It drops lines beyond maxTranscript.
func (s *session) record(line Line) {
	switch n := len(s.transcript); {
	case n > maxTranscript:
		return
	case n == maxTranscript:
		line = Line{Text: "…"}
	}
	s.transcript = append(s.transcript, line)
	if s.watch != nil {
		s.watch(s.dialogue())
	}
}

// recordReceived appends what the server sent to the transcript.
func (s *session) recordReceived(text string) { s.record(Line{Text: escape(text)}) }

// send sends one line.
func (s *session) send(line string) error { return s.write(line+"\r\n", line) }

// write sends bytes, which the transcript shows as text.
func (s *session) write(bytes, text string) error {
	s.record(Line{Sent: true, Text: text})
	if _, err := io.WriteString(s.writer, bytes); err != nil {
		return fmt.Errorf("sending %s: %w", text, err)
	}
	return nil
}

// readLine reads one line and returns it without its end. A bare LF ends a line
// too, as it does for the clients whose behaviour is probed.
func (s *session) readLine(step string) (string, error) {
	raw, err := s.reader.ReadSlice('\n')
	line := strings.TrimRight(string(raw), "\r\n")
	if line != "" || err == nil {
		s.recordReceived(line)
	}
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return "", protocolErrorf(step, "a line of more than %d bytes: \"%s\"", maxLine, escape(line))
	case err != nil:
		return "", readError(step, err)
	}
	return line, nil
}

// readTruncated reads one line like readLine. It drops what exceeds limit bytes,
// which must be less than maxLine.
func (s *session) readTruncated(step string, limit int) (string, error) {
	raw, err := s.reader.ReadSlice('\n')
	line := strings.TrimRight(string(raw), "\r\n")
	line = line[:min(len(line), limit)]
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = s.reader.ReadSlice('\n')
	}
	if line != "" || err == nil {
		s.recordReceived(line)
	}
	if err != nil {
		return "", readError(step, err)
	}
	return line, nil
}

// readFull fills buffer.
func (s *session) readFull(step string, buffer []byte) error {
	if _, err := io.ReadFull(s.reader, buffer); err != nil {
		return readError(step, err)
	}
	return nil
}

// readError returns the error for a connection that failed at a step.
func readError(step string, err error) error { return fmt.Errorf("reading %s: %w", step, err) }

// readLineWithLiterals reads a line of IMAP or ManageSieve, in which strings may
// be sent as literals: the length in braces, a line end, and that many bytes of
// any kind (RFC 9051 §4.3, RFC 5804 §1.2). It returns them as quoted strings, so
// that nothing inside a literal is taken for a line.
func (s *session) readLineWithLiterals(step string) (string, error) {
	var whole strings.Builder
	for {
		line, err := s.readLine(step)
		if err != nil {
			return "", err
		}
		before, size, found := cutLiteral(line)
		whole.WriteString(before)
		if whole.Len()+size > maxLine {
			return "", protocolErrorf(step, "a line with more than %d bytes in literals", maxLine)
		}
		if !found {
			return whole.String(), nil
		}
		content := make([]byte, size)
		if err := s.readFull("a literal in "+step, content); err != nil {
			return "", err
		}
		s.recordReceived(string(content))
		whole.WriteString(quote(string(content)))
	}
}

// cutLiteral removes the announcement of a literal, such as {42} or {42+}, from
// the end of a line and returns the announced size in bytes.
func cutLiteral(line string) (before string, size int, found bool) {
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

// quote returns text as a quoted string of IMAP and ManageSieve.
func quote(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}

// unquote reads a quoted string from the beginning of a line.
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

// limitedReader reads at most remaining bytes from a connection. Unlike
// io.LimitedReader it then returns an error, not the end of the input.
type limitedReader struct {
	conn      io.Reader
	remaining int
}

func (r *limitedReader) Read(p []byte) (int, error) {
	if r.remaining == 0 {
		return 0, protocolErrorf("the end of the dialogue", "more than %d bytes", maxTotal)
	}
	n, err := r.conn.Read(p[:min(len(p), r.remaining)])
	r.remaining -= n
	return n, err
}
