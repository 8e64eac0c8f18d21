package starttls

import (
	"bufio"
	"context"
	"errors"
	"fmt"
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
		command := make([]byte, 4096) // our side writes each at once
		for i, say := range s {
			if i > 0 {
				n, err := server.Read(command)
				if err != nil {
					return
				}
				heard = append(heard, string(command[:n]))
			}
			if _, err := io.WriteString(server, say); err != nil {
				return
			}
		}
		if hold {
			io.Copy(io.Discard, server)
		}
	}()
	t.Cleanup(func() { client.Close(); <-done })
	return client, commands
}

// A story is what a server says, and what we make of it.
type story struct {
	name   string
	server script
	want   error  // its type, and for ErrNotOffered and the like itself
	says   string // in the error
}

// tell runs the stories of a protocol.
func tell(t *testing.T, protocol string, stories []story) {
	t.Helper()
	for _, story := range stories {
		t.Run(story.name, func(t *testing.T) {
			conn, _ := play(t, story.server, false)
			dialogue, err := speaker(t, protocol).Start(t.Context(), conn)
			if !sameKind(err, story.want) {
				t.Fatalf("got %T %v, want %T", err, err, story.want)
			}
			if err != nil && !strings.Contains(err.Error(), story.says) {
				t.Errorf("the error is %q, want it to say %q", err, story.says)
			}
			if err == nil && !dialogue.Offered {
				t.Error("TLS begins and was not offered")
			}
			if errors.Is(err, ErrNotOffered) && dialogue.Offered {
				t.Error("offered and not offered")
			}
			if strings.Join(story.server, "") != "" && len(dialogue.Transcript) == 0 {
				t.Error("no transcript")
			}
		})
	}
}

// speaker returns our side of a protocol.
func speaker(t testing.TB, protocol string) Protocol {
	t.Helper()
	p, err := New(protocol, Settings{EHLO: "probe.example.net", Domain: "example.org"})
	if err != nil {
		t.Fatal(err)
	}
	return p
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
	got, err := speaker(t, "smtp").Start(t.Context(), conn)
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
	transcript, err := speaker(t, "smtp").Start(t.Context(), conn)
	var rejected *Rejected
	if !errors.As(err, &rejected) {
		t.Fatal(err)
	}
	texts := []string{err.Error(), rejected.Reply}
	for _, line := range transcript.Transcript {
		texts = append(texts, line.Text)
	}
	for _, text := range texts {
		if !isPrintable(text) {
			t.Errorf("not fit to print: %q", text)
		}
	}
}

// isPrintable: fit for a terminal, a page and a log.
func isPrintable(text string) bool {
	return utf8.ValidString(text) && len(text) <= 2500 && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}

// wellBehaved are servers that lead to TLS, one for each protocol that has a dialogue.
func wellBehaved() map[string]script {
	return map[string]script{
		"imap":        {imapGreeting, imapCapabilities, "b OK go ahead\r\n"},
		"ldap":        {"", ldapSuccess},
		"lmtp":        {greeting, ehlo, ready},
		"pop3":        {pop3Greeting, pop3Capabilities, "+OK go ahead\r\n"},
		"postgres":    {"", "S"},
		"sieve":       {sieveGreeting, "OK \"go ahead\"\r\n"},
		"smtp":        {greeting, ehlo, ready},
		"xmpp-client": {"", xmppFeatures, xmppProceed},
		"xmpp-server": {"", xmppFeatures, xmppProceed},
	}
}

// atEachStep calls do for the well-behaved server of each protocol, broken off
// behind each step that has something to say, and in the midst of it.
func atEachStep(t *testing.T, do func(t *testing.T, protocol string, until script)) {
	for protocol, server := range wellBehaved() {
		for i, say := range server {
			for _, part := range []string{"", say[:len(say)/2]} {
				if len(say) > 0 {
					t.Run(fmt.Sprintf("%s, step %d after %d bytes", protocol, i, len(part)), func(t *testing.T) {
						do(t, protocol, append(slices.Clone(server[:i]), part))
					})
				}
			}
		}
	}
}

func TestEveryProtocolHasAWellBehavedServer(t *testing.T) {
	servers := wellBehaved()
	for _, protocol := range Names() {
		server, known := servers[protocol]
		if !known {
			if protocol != "tls" {
				t.Errorf("none for %s", protocol)
			}
			continue
		}
		tell(t, protocol, []story{{"as it should be", server, nil, ""}})
	}
}

func TestTheServerClosesTooSoon(t *testing.T) {
	atEachStep(t, func(t *testing.T, protocol string, until script) {
		conn, _ := play(t, until, false)
		if _, err := speaker(t, protocol).Start(t.Context(), conn); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("got %v", err)
		}
	})
}

// A tarpit accepts, and says nothing or never ends a line.
func TestTheContextEndsTheDialogue(t *testing.T) {
	atEachStep(t, func(t *testing.T, protocol string, until script) {
		t.Parallel()
		conn, _ := play(t, until, true)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err := speaker(t, protocol).Start(ctx, conn)
		var timeout net.Error
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("got %v", err)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		conn, _ := play(t, script{""}, true)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := speaker(t, "smtp").Start(ctx, conn); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

// Whatever comes behind the last reply in the clear is an attack (CVE-2011-0411).
func TestNothingMayStandBehindTheLastReply(t *testing.T) {
	for protocol, server := range wellBehaved() {
		server = slices.Clone(server)
		server[len(server)-1] += "injected"
		tell(t, protocol, []story{{protocol, server, &ProtocolError{}, `8 bytes in the clear behind the reply to STARTTLS: "injected"`}})
	}
}

// A context that ends after Start has returned must not reach the handshake.
func TestTheContextIsLetGo(t *testing.T) {
	conn, _ := play(t, script{greeting, ehlo, ready, "TLS\n"}, true)
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := speaker(t, "smtp").Start(ctx, conn); err != nil {
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
	speaker(t, "smtp").Goodbye(t.Context(), conn)
	if heard := <-commands; !slices.Equal(heard, []string{"QUIT\r\n"}) {
		t.Errorf("the server heard %q", heard)
	}
	silent, commands := play(t, script{""}, true)
	speaker(t, "smtp").Goodbye(t.Context(), silent) // comes back although nobody answers
	silent.Close()
	<-commands

	ended, end := context.WithCancel(t.Context())
	end()
	hasty, commands := play(t, script{""}, true)
	speaker(t, "smtp").Goodbye(ended, hasty) // waits for nothing where the time is up
	if _, err := hasty.Write([]byte("x")); err == nil {
		t.Error("the connection can still be written to")
	}
	hasty.Close()
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
	p.Goodbye(t.Context(), client)
}

func TestNew(t *testing.T) {
	for _, name := range Names() {
		if _, err := New(name, Settings{EHLO: "[192.0.2.1]", Domain: "example.org"}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, story := range []struct{ protocol, ehlo, says string }{
		{"gopher", "x", `no protocol "gopher"; want one of imap, ldap, lmtp, pop3`},
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
	r := reply{code: 550, lines: slices.Repeat([]string{strings.Repeat("ü", 200)}, maxLines)}
	if text := r.String(); len(text) > 700 || !utf8.ValidString(text) || !strings.HasPrefix(text, "550 ü") {
		t.Errorf("%d bytes: %q", len(text), text)
	}
}
