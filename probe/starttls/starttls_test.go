package starttls

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

// A script is what a server says: first of all, then after each command.
// The connection is closed when it has run out, unless held open.
type script []string

// play runs the script on a loopback connection and returns the client's end,
// and a channel that gets the commands when the server is done.
func play(t *testing.T, s script, hold bool) (net.Conn, <-chan []string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	commands := make(chan []string, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer server.Close()
		var heard []string
		defer func() { commands <- heard }()
		lines := bufio.NewReader(server)
		for i, say := range s {
			if i > 0 {
				line, err := lines.ReadString('\n')
				if err != nil {
					return
				}
				heard = append(heard, line)
			}
			if _, err := io.WriteString(server, say); err != nil {
				return
			}
		}
		if hold {
			io.Copy(io.Discard, lines)
		}
	}()
	t.Cleanup(func() { client.Close(); <-done })
	return client, commands
}

func smtpClient(t *testing.T) Protocol {
	t.Helper()
	p, err := New("smtp", Settings{EHLO: "probe.example.net"})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const (
	greeting = "220 mx.example.org ESMTP\r\n"
	ehlo     = "250-mx.example.org\r\n250-SIZE 1000\r\n250 STARTTLS\r\n"
	ready    = "220 go ahead\r\n"
)

func TestSMTP(t *testing.T) {
	for _, story := range []struct {
		name   string
		server script
		want   error  // its type, and for ErrNotOffered and the like itself
		says   string // in the error
	}{
		{"as it should be", script{greeting, ehlo, ready}, nil, ""},
		{"a greeting of several lines", script{"220-wait\r\n220-for\r\n220 it\r\n", ehlo, ready}, nil, ""},
		{"codes without text, lines without CR", script{"220\n", "250-x\n250 starttls\n", "220\n"}, nil, ""},
		{"a keyword in any case, with a parameter", script{greeting, "250-x\r\n250 StartTLS now\r\n", ready}, nil, ""},
		{"a line as long as real servers send", script{greeting, "250-" + strings.Repeat("x", 4000) + "\r\n250 STARTTLS\r\n", ready}, nil, ""},
		{"other positive codes are positive", script{"221 hello\r\n", "251-x\r\n251 STARTTLS\r\n", "250 ok\r\n"}, nil, ""},

		{"no extensions", script{greeting, "250 mx.example.org\r\n"}, ErrNotOffered, ""},
		{"others, but no STARTTLS", script{greeting, "250-mx\r\n250-XSTARTTLS\r\n250 AUTH STARTTLS\r\n"}, ErrNotOffered, ""},
		{"a server called STARTTLS", script{greeting, "250 STARTTLS\r\n"}, ErrNotOffered, ""},

		{"greets with no", script{"554 no service here\r\n"}, &Rejected{}, "greets with 554 no service here"},
		{"greets with later", script{"421-too\r\n421 many\r\n"}, &Rejected{}, "421 too / many"},
		{"refuses EHLO", script{greeting, "550 who are you\r\n"}, &Rejected{}, "answers EHLO with 550"},
		{"refuses EHLO for now", script{greeting, "450 greylisted\r\n"}, &Rejected{}, "answers EHLO with 450"},
		{"offers STARTTLS and refuses it", script{greeting, ehlo, "454 TLS not available\r\n"}, &Rejected{}, "answers STARTTLS with 454"},

		{"speaks HTTP", script{"HTTP/1.1 400 Bad Request\r\n\r\n"}, &ProtocolError{}, `"HTTP/1.1 400 Bad Request"`},
		{"speaks TLS at once", script{"\x16\x03\x01\x00\x05\x01\n"}, &ProtocolError{}, `\x16\x03\x01`},
		{"says nothing on a line", script{"\r\n"}, &ProtocolError{}, "the greeting"},
		{"a code of four digits", script{"2200 hi\r\n"}, &ProtocolError{}, "2200"},
		{"a code out of range", script{"920 hi\r\n"}, &ProtocolError{}, "920"},
		{"neither yes nor no", script{greeting, "354 go on\r\n"}, &ProtocolError{}, "354"},
		{"two codes in one reply", script{greeting, "250-mx\r\n550 STARTTLS\r\n"}, &ProtocolError{}, "250 and 550"},
		{"an endless line", script{"220 " + strings.Repeat("x", 1<<20)}, &ProtocolError{}, "more than 4096 bytes"},
		{"an endless reply", script{strings.Repeat("220-more\r\n", 1<<16)}, &ProtocolError{}, "more than 128 lines"},
		{"speaks on behind the last reply (CVE-2011-0411)", script{greeting, ehlo, ready + "250 injected\r\n"}, &ProtocolError{}, `in the clear behind the reply to STARTTLS: "250 injected`},

		{"closes at once", script{""}, io.EOF, "the greeting"},
		{"closes within the greeting", script{"220 mx.exam"}, io.EOF, "the greeting"},
		{"closes within a reply", script{greeting, "250-mx\r\n"}, io.EOF, "the reply to EHLO"},
		{"closes after EHLO", script{greeting, ""}, io.EOF, "the reply to EHLO"},
		{"closes after STARTTLS", script{greeting, ehlo, ""}, io.EOF, "the reply to STARTTLS"},
	} {
		t.Run(story.name, func(t *testing.T) {
			conn, _ := play(t, story.server, false)
			transcript, err := smtpClient(t).Start(t.Context(), conn)
			if !sameKind(err, story.want) {
				t.Fatalf("got %T %v, want %T", err, err, story.want)
			}
			if err != nil && !strings.Contains(err.Error(), story.says) {
				t.Errorf("the error is %q, want it to say %q", err, story.says)
			}
			if story.server[0] != "" && len(transcript.Transcript) == 0 {
				t.Error("no transcript")
			}
		})
	}
}

// sameKind: nil is nil, our types are compared by type, the rest by errors.Is.
func sameKind(err, want error) bool {
	switch want.(type) {
	case *Rejected:
		var r *Rejected
		return errors.As(err, &r)
	case *ProtocolError:
		var p *ProtocolError
		return errors.As(err, &p)
	}
	return errors.Is(err, want) && (err == nil) == (want == nil)
}

func TestTranscriptTellsTheDialogue(t *testing.T) {
	conn, commands := play(t, script{greeting, ehlo, ready}, false)
	got, err := smtpClient(t).Start(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	want := Dialogue{Offered: true, Transcript: Transcript{
		{Text: "220 mx.example.org ESMTP"},
		{Sent: true, Text: "EHLO probe.example.net"},
		{Text: "250-mx.example.org"}, {Text: "250-SIZE 1000"}, {Text: "250 STARTTLS"},
		{Sent: true, Text: "STARTTLS"},
		{Text: "220 go ahead"},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if heard := <-commands; !slices.Equal(heard, []string{"EHLO probe.example.net\r\n", "STARTTLS\r\n"}) {
		t.Errorf("the server heard %q", heard)
	}
}

func TestTranscriptIsPrintable(t *testing.T) {
	hostile := "550-\x00\x1b[2J\xff\u202e\r\r\n550 " + strings.Repeat("\xff", 4000) + "\r\n"
	conn, _ := play(t, script{greeting, hostile}, false)
	transcript, err := smtpClient(t).Start(t.Context(), conn)
	var rejected *Rejected
	if !errors.As(err, &rejected) {
		t.Fatal(err)
	}
	texts := append([]string{err.Error()}, rejected.Reply.Lines...)
	for _, line := range transcript.Transcript {
		texts = append(texts, line.Text)
	}
	for _, text := range texts {
		if !utf8.ValidString(text) || len(text) > 2500 || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("not fit to print: %q", text)
		}
	}
}

// A tarpit accepts, and says nothing or never ends a line.
func TestTheContextEndsTheDialogue(t *testing.T) {
	for _, story := range []struct {
		name   string
		server script
	}{
		{"silence", script{""}},
		{"half a greeting", script{"220-we are\r\n220 slo"}},
		{"silence after EHLO", script{greeting, ""}},
		{"silence after STARTTLS", script{greeting, ehlo, ""}},
	} {
		t.Run(story.name, func(t *testing.T) {
			conn, _ := play(t, story.server, true)
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			_, err := smtpClient(t).Start(ctx, conn)
			var timeout net.Error
			if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("cancelled", func(t *testing.T) {
		conn, _ := play(t, script{""}, true)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := smtpClient(t).Start(ctx, conn); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

// A context that ends after Start has returned must not reach the handshake.
func TestTheContextIsLetGo(t *testing.T) {
	conn, _ := play(t, script{greeting, ehlo, ready, "TLS\n"}, true)
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := smtpClient(t).Start(ctx, conn); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := io.WriteString(conn, "ClientHello\r\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(conn).ReadString('\n'); line != "TLS\n" {
		t.Errorf("read %q, %v", line, err)
	}
}

func TestGoodbye(t *testing.T) {
	conn, commands := play(t, script{"", "221 bye\r\n"}, false)
	smtpClient(t).Goodbye(conn)
	if heard := <-commands; !slices.Equal(heard, []string{"QUIT\r\n"}) {
		t.Errorf("the server heard %q", heard)
	}
	silent, commands := play(t, script{""}, true)
	smtpClient(t).Goodbye(silent) // comes back although nobody answers
	silent.Close()
	<-commands
}

func TestTLSHasNoDialogue(t *testing.T) {
	client, server := net.Pipe() // blocks on any byte
	defer server.Close()
	defer client.Close()
	p, err := New("tls", Settings{})
	if err != nil {
		t.Fatal(err)
	}
	if transcript, err := p.Start(t.Context(), client); err != nil || len(transcript.Transcript) != 0 {
		t.Errorf("%v, %v", transcript, err)
	}
	p.Goodbye(client)
}

func TestNew(t *testing.T) {
	for _, name := range Names() {
		if _, err := New(name, Settings{EHLO: "[192.0.2.1]"}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, story := range []struct{ protocol, ehlo, says string }{
		{"gopher", "x", `no protocol "gopher"; want one of smtp, tls`},
		{"smtp", "", "EHLO"},
		{"smtp", "a\r\nMAIL FROM:<>", "EHLO"},
		{"smtp", "two words", "EHLO"},
		{"smtp", "bücher.example", "EHLO"},
	} {
		if _, err := New(story.protocol, Settings{EHLO: story.ehlo}); err == nil || !strings.Contains(err.Error(), story.says) {
			t.Errorf("%q %q: %v", story.protocol, story.ehlo, err)
		}
	}
}

// A refusal of a hundred long lines is told in one sentence.
func TestReplyFitsASentence(t *testing.T) {
	r := Reply{Code: 550, Lines: slices.Repeat([]string{strings.Repeat("ü", 200)}, maxLines)}
	if text := r.String(); len(text) > 700 || !utf8.ValidString(text) || !strings.HasPrefix(text, "550 ü") {
		t.Errorf("%d bytes: %q", len(text), text)
	}
}
