package starttls

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// smtp is the dialogue of RFC 3207 in a session of RFC 5321.
type smtp struct{ ehlo string }

// Start waits for the greeting, says EHLO and asks for STARTTLS.
//
// A server that refuses EHLO has refused the client: an old one might still
// take HELO, but extensions, STARTTLS among them, exist under EHLO alone.
func (s smtp) Start(ctx context.Context, conn net.Conn) (Dialogue, error) {
	defer context.AfterFunc(ctx, func() { expire(conn) })()
	d := &session{conn: conn, replies: replies{Reader: bufio.NewReaderSize(conn, maxLine)}}
	err := d.startTLS(s.ehlo)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", err, context.Cause(ctx))
	}
	return Dialogue{Offered: d.offered, Transcript: d.transcript}, err
}

// expire makes every read and write on conn return at once.
func expire(conn net.Conn) { conn.SetDeadline(time.Unix(1, 0)) }

// Goodbye says QUIT and waits a moment for the reply, so that the server
// closes its session in order (RFC 5321 §4.1.1.10).
func (smtp) Goodbye(conn net.Conn) {
	const patience = time.Second
	conn.SetDeadline(time.Now().Add(patience))
	d := &session{conn: conn, replies: replies{Reader: bufio.NewReaderSize(conn, maxLine)}}
	if d.send("QUIT") == nil {
		d.next("the reply to QUIT")
	}
}

// session is a dialogue under way.
type session struct {
	conn    io.Writer
	offered bool
	replies
}

func (d *session) startTLS(ehlo string) error {
	if _, err := d.expect("greeting", "the greeting"); err != nil {
		return err
	}
	extensions, err := d.ask("EHLO", "EHLO "+ehlo)
	if err != nil {
		return err
	}
	if d.offered = offers(extensions, "STARTTLS"); !d.offered {
		return ErrNotOffered
	}
	if _, err := d.ask("STARTTLS", "STARTTLS"); err != nil {
		return err
	}
	// RFC 3207 §4: the next to speak is the client, in TLS.
	if n := d.Buffered(); n > 0 {
		early, _ := d.Peek(n)
		return &ProtocolError{"the start of TLS", fmt.Sprintf("%d bytes in the clear behind the reply to STARTTLS: \"%s\"", n, printable(string(early)))}
	}
	return nil
}

// ask sends a command and expects a positive reply.
func (d *session) ask(step, command string) (Reply, error) {
	if err := d.send(command); err != nil {
		return Reply{}, fmt.Errorf("send %s: %w", step, err)
	}
	return d.expect(step, "the reply to "+step)
}

func (d *session) send(command string) error {
	d.transcript = append(d.transcript, Line{Sent: true, Text: command})
	_, err := io.WriteString(d.conn, command+"\r\n")
	return err
}

// expect reads a reply that should be positive.
func (d *session) expect(step, what string) (Reply, error) {
	reply, err := d.next(what)
	switch {
	case err != nil:
		return Reply{}, err
	case reply.negative():
		return Reply{}, &Rejected{Step: step, Reply: reply}
	case !reply.positive():
		return Reply{}, &ProtocolError{what, fmt.Sprintf("%d, which is neither yes nor no", reply.Code)}
	}
	return reply, nil
}

// offers says whether an EHLO reply has the keyword. Its first line is the
// server's greeting; on the others the keyword comes first, in any case, and
// parameters may follow (RFC 5321 §4.1.1.1).
func offers(ehlo Reply, keyword string) bool {
	for _, line := range ehlo.Lines[1:] {
		if words := strings.Fields(line); len(words) > 0 && strings.EqualFold(words[0], keyword) {
			return true
		}
	}
	return false
}
