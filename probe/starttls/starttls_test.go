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
	"testing/synctest"
	"time"
	"unicode"
	"unicode/utf8"
)

// A script is what a server sends: before the first command, then after each
// command. The server closes the connection at its end, unless held open.
type script []string

// serve runs the script on a loopback connection. It returns the client's end,
// and a channel that receives the commands when the server is done.
func serve(t *testing.T, s script, holdOpen bool) (net.Conn, <-chan []string) {
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
		var received []string
		defer func() { commands <- received }()
		command := make([]byte, 4096) // the client writes each with one call
		for i, text := range s {
			if i > 0 {
				n, err := server.Read(command)
				if err != nil {
					return
				}
				received = append(received, string(command[:n]))
			}
			if _, err := io.WriteString(server, text); err != nil {
				return
			}
		}
		if holdOpen {
			io.Copy(io.Discard, server)
		}
	}()
	t.Cleanup(func() { client.Close(); <-done })
	return client, commands
}

// A testCase is what a server sends, and the error of Start.
type testCase struct {
	name   string
	server script
	want   error  // matched by type if it is *Rejected or *ProtocolError, else by errors.Is
	text   string // substring of the error
}

// runCases runs test cases of a protocol.
func runCases(t *testing.T, protocol string, cases []testCase) {
	t.Helper()
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			conn, _ := serve(t, test.server, false)
			dialogue, err := newClient(t, protocol).Start(t.Context(), conn)
			if !matchesError(err, test.want) {
				t.Fatalf("got %T %v, want %T", err, err, test.want)
			}
			if err != nil && !strings.Contains(err.Error(), test.text) {
				t.Errorf("error %q does not contain %q", err, test.text)
			}
			if err == nil && !dialogue.Offered {
				t.Error("no error, and TLS was not offered")
			}
			if errors.Is(err, ErrNotOffered) && dialogue.Offered {
				t.Error("ErrNotOffered, and TLS was offered")
			}
			if strings.Join(test.server, "") != "" && len(dialogue.Transcript) == 0 {
				t.Error("no transcript")
			}
		})
	}
}

// newClient returns a client for a protocol.
func newClient(t testing.TB, protocol string) *Client {
	t.Helper()
	client, err := New(protocol, Settings{EHLO: "probe.example.net", Domain: "example.org"})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// matchesError compares *Rejected and *ProtocolError by type, all else by errors.Is.
func matchesError(err, want error) bool {
	switch want.(type) {
	case *Rejected:
		return isType[*Rejected](err)
	case *ProtocolError:
		return isType[*ProtocolError](err)
	}
	return errors.Is(err, want) && (err == nil) == (want == nil)
}

// isType reports whether err is or wraps an E.
func isType[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

func TestTranscript(t *testing.T) {
	conn, commands := serve(t, script{greeting, ehlo, ready}, false)
	got, err := newClient(t, "smtp").Start(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	want := Dialogue{Offered: true, Requested: true, Transcript: Transcript{
		{Text: "220 mx.example.org ESMTP"},
		{Sent: true, Text: "EHLO probe.example.net"},
		{Text: "250-mx.example.org"}, {Text: "250-SIZE 1000"}, {Text: "250 STARTTLS"},
		{Sent: true, Text: "STARTTLS"},
		{Text: "220 go ahead"},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got := <-commands; !slices.Equal(got, []string{"EHLO probe.example.net\r\n", "STARTTLS\r\n"}) {
		t.Errorf("the server received %q", got)
	}
}

func TestTranscriptIsPrintable(t *testing.T) {
	hostile := "550-\x00\x1b[2J\xff\u202e\r\r\n550 " + strings.Repeat("\xff", 4000) + "\r\n"
	conn, _ := serve(t, script{greeting, hostile, hostile}, false)
	dialogue, err := newClient(t, "smtp").Start(t.Context(), conn)
	rejected, ok := errors.AsType[*Rejected](err)
	if !ok {
		t.Fatal(err)
	}
	texts := []string{err.Error(), rejected.Reply}
	for _, line := range dialogue.Transcript {
		texts = append(texts, line.Text)
	}
	for _, text := range texts {
		if !isPrintable(text) {
			t.Errorf("not printable: %q", text)
		}
	}
}

// isPrintable reports whether text is safe in a terminal, a page and a log.
func isPrintable(text string) bool {
	return utf8.ValidString(text) && len(text) <= 2500 && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}

// wellBehaved returns a server that agrees to TLS for each protocol with a dialogue.
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

// atEachStep calls do for the well-behaved server of each protocol, which stops
// before each text that it sends, and in the middle of it.
func atEachStep(t *testing.T, do func(t *testing.T, protocol string, stopped script)) {
	for protocol, server := range wellBehaved() {
		for i, text := range server {
			for _, part := range []string{"", text[:len(text)/2]} {
				if len(text) > 0 {
					t.Run(fmt.Sprintf("%s, step %d after %d bytes", protocol, i, len(part)), func(t *testing.T) {
						do(t, protocol, append(slices.Clone(server[:i]), part))
					})
				}
			}
		}
	}
}

func TestWellBehavedServers(t *testing.T) {
	servers := wellBehaved()
	for _, protocol := range Names() {
		server, known := servers[protocol]
		if !known {
			if protocol != ImplicitTLS {
				t.Errorf("no server for %s", protocol)
			}
			continue
		}
		runCases(t, protocol, []testCase{{protocol, server, nil, ""}})
	}
}

func TestServerClosesConnection(t *testing.T) {
	atEachStep(t, func(t *testing.T, protocol string, stopped script) {
		conn, _ := serve(t, stopped, false)
		if _, err := newClient(t, protocol).Start(t.Context(), conn); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("got %v", err)
		}
	})
}

// A tarpit accepts the connection, and sends nothing or never ends a line.
func TestContextEndsDialogue(t *testing.T) {
	atEachStep(t, func(t *testing.T, protocol string, stopped script) {
		t.Parallel()
		conn, _ := serve(t, stopped, true)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err := newClient(t, protocol).Start(ctx, conn)
		timeout, ok := errors.AsType[net.Error](err)
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, os.ErrDeadlineExceeded) || !ok || !timeout.Timeout() {
			t.Errorf("got %v", err)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		conn, _ := serve(t, script{""}, true)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := newClient(t, "smtp").Start(ctx, conn); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

// TestSilenceAfterSTARTTLS checks the separate limit for the reply to the request
// for TLS. The error is ErrSilent. After a reply, the limit no longer applies.
func TestSilenceAfterSTARTTLS(t *testing.T) {
	limited := func(t *testing.T, protocol string, limit time.Duration) *Client {
		client, err := New(protocol, Settings{EHLO: "probe.example.net", Domain: "example.org", ReplyBy: func() time.Time {
			if limit == 0 {
				return time.Time{}
			}
			return time.Now().Add(limit)
		}})
		if err != nil {
			t.Fatal(err)
		}
		return client
	}
	for protocol, server := range wellBehaved() {
		last := len(server) - 1
		for _, c := range []struct {
			name   string
			limit  time.Duration // of the reply
			after  time.Duration // when the server replies
			reply  string
			silent bool
		}{
			{"in time", 6 * time.Second, 5 * time.Second, server[last], false},
			{"late", 6 * time.Second, 7 * time.Second, server[last], true},
			{"no limit", 0, 25 * time.Second, server[last], false},
			{"never, no limit", 0, time.Hour, server[last], true},
			{"half a reply", 6 * time.Second, time.Second, server[last][:len(server[last])/2], true},
		} {
			t.Run(protocol+", "+c.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					conn, far := net.Pipe()
					done := make(chan struct{})
					defer func() { conn.Close(); <-done }()
					go func() {
						defer close(done)
						defer far.Close()
						command := make([]byte, 4096)
						for i, text := range server[:last] {
							if i > 0 {
								far.Read(command)
							}
							if text != "" { // a write to a pipe waits for a read
								io.WriteString(far, text)
							}
						}
						far.Read(command)
						time.Sleep(c.after) // of the clock in the bubble
						io.WriteString(far, c.reply)
						far.Read(command)
						time.Sleep(10 * time.Second)
						io.WriteString(far, "TLS\n")
					}()
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					defer cancel()
					dialogue, err := limited(t, protocol, c.limit).Start(ctx, conn)
					if errors.Is(err, ErrSilent) != c.silent || (err != nil) != c.silent || !dialogue.Requested || c.silent && !errors.Is(err, os.ErrDeadlineExceeded) {
						t.Fatalf("requested %t, got %v, want silence %t", dialogue.Requested, err, c.silent)
					}
					if c.silent {
						return
					}
					conn.Write([]byte("ClientHello"))
					if line, err := bufio.NewReader(conn).ReadString('\n'); line != "TLS\n" {
						t.Errorf("TLS reads %q, %v", line, err)
					}
				})
			})
		}
	}
	t.Run("before the request", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			conn, far := net.Pipe()
			defer conn.Close()
			defer far.Close()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if dialogue, err := limited(t, "smtp", time.Second).Start(ctx, conn); errors.Is(err, ErrSilent) || dialogue.Requested || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("requested %t, %v", dialogue.Requested, err)
			}
		})
	})
	t.Run("cancelled", func(t *testing.T) {
		conn, _ := serve(t, script{"", ""}, true)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := limited(t, "postgres", time.Minute).Start(ctx, conn); errors.Is(err, ErrSilent) || !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

// Plaintext after the last reply may be an attack (CVE-2011-0411). It is
// discarded, so that TLS does not read it. Clients of PostgreSQL refuse it.
func TestPlaintextAfterLastReply(t *testing.T) {
	for protocol, server := range wellBehaved() {
		server = slices.Clone(server)
		server[len(server)-1] += "injected"
		const want = `8 bytes in plaintext after the reply to STARTTLS: "injected"`
		if protocol == "postgres" {
			runCases(t, protocol, []testCase{{protocol, server, &ProtocolError{}, want}})
			continue
		}
		t.Run(protocol, func(t *testing.T) {
			conn, _ := serve(t, append(server, "TLS\n"), false)
			dialogue, err := newClient(t, protocol).Start(t.Context(), conn)
			if err != nil || dialogue.EarlyData != want {
				t.Fatalf("got %v, early data %q", err, dialogue.EarlyData)
			}
			if _, err := io.WriteString(conn, "ClientHello"); err != nil {
				t.Fatal(err)
			}
			if line, err := bufio.NewReader(conn).ReadString('\n'); line != "TLS\n" {
				t.Errorf("TLS reads %q, %v", line, err)
			}
		})
	}
}

// A context that ends after Start has returned must not affect the handshake.
func TestContextEndsAfterStart(t *testing.T) {
	conn, _ := serve(t, script{greeting, ehlo, ready, "TLS\n"}, true)
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := newClient(t, "smtp").Start(ctx, conn); err != nil {
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
	conn, commands := serve(t, script{"", "221 bye\r\n"}, false)
	newClient(t, "smtp").Goodbye(t.Context(), conn)
	if got := <-commands; !slices.Equal(got, []string{"QUIT\r\n"}) {
		t.Errorf("the server received %q", got)
	}
	silent, commands := serve(t, script{""}, true)
	newClient(t, "smtp").Goodbye(t.Context(), silent) // returns although the server does not answer
	silent.Close()
	<-commands

	ended, end := context.WithCancel(t.Context())
	end()
	cancelled, commands := serve(t, script{""}, true)
	newClient(t, "smtp").Goodbye(ended, cancelled) // does not wait
	if _, err := cancelled.Write([]byte("x")); err == nil {
		t.Error("the connection can still be written to")
	}
	cancelled.Close()
	<-commands
}

// The client reads the whole reply to its goodbye, so that the server sees no reset.
// In IMAP, BYE precedes the reply (RFC 9051 §6.1.3).
func TestGoodbyeIsAnswered(t *testing.T) {
	for _, c := range []struct {
		protocol, command string
		reply             []string
	}{
		{"imap", "z LOGOUT\r\n", []string{"* BYE logging out\r\n", "* 1 EXISTS\r\n", "z OK done\r\n"}},
		{"pop3", "QUIT\r\n", []string{"+OK bye\r\n"}},
		{"sieve", "LOGOUT\r\n", []string{"\"X\"\r\n", "OK\r\n"}},
		{"smtp", "QUIT\r\n", []string{"221-bye\r\n", "221 bye\r\n"}},
		{"lmtp", "QUIT\r\n", []string{"221-bye\r\n", "221 bye\r\n"}},
		{"xmpp-client", "</stream:stream>", []string{"<presence/>", "</stream:stream>"}},
	} {
		t.Run(c.protocol, func(t *testing.T) {
			conn, server := net.Pipe()
			received := make(chan string, 1)
			go func() {
				defer server.Close()
				command := make([]byte, 100)
				n, _ := server.Read(command)
				for _, line := range c.reply {
					if _, err := io.WriteString(server, line); err != nil { // the client has not read the line
						received <- fmt.Sprintf("%q: %v", line, err)
						return
					}
				}
				received <- string(command[:n])
			}()
			newClient(t, c.protocol).Goodbye(t.Context(), conn)
			conn.Close()
			if got := <-received; got != c.command {
				t.Errorf("the server received %q", got)
			}
		})
	}
}

func TestTLSHasNoDialogue(t *testing.T) {
	conn, server := net.Pipe() // blocks on any byte
	defer server.Close()
	defer conn.Close()
	client, err := New(ImplicitTLS, Settings{})
	if err != nil {
		t.Fatal(err)
	}
	if dialogue, err := client.Start(t.Context(), conn); err != nil || len(dialogue.Transcript) != 0 {
		t.Errorf("%v, %v", dialogue, err)
	}
	client.Goodbye(t.Context(), conn)
}

func TestNew(t *testing.T) {
	for _, name := range Names() {
		if _, err := New(name, Settings{EHLO: "[192.0.2.1]", Domain: "example.org"}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, test := range []struct{ protocol, ehlo, text string }{
		{"gopher", "x", `unknown protocol "gopher": must be one of imap, ldap, lmtp, pop3`},
		{"smtp", "", "EHLO"},
		{"smtp", "a\r\nMAIL FROM:<>", "EHLO"},
		{"smtp", "two words", "EHLO"},
		{"smtp", "bücher.example", "EHLO"},
	} {
		if _, err := New(test.protocol, Settings{EHLO: test.ehlo}); err == nil || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%q %q: %v", test.protocol, test.ehlo, err)
		}
	}
}

// Texts are cut only if they exceed the limit.
func TestTextLimits(t *testing.T) {
	for _, c := range []struct {
		name string
		cut  func(string) string
		size int
	}{{"escape", escape, 512}, {"truncate", truncate, 600}} {
		longest := strings.Repeat("x", c.size)
		if got := c.cut(longest); got != longest {
			t.Errorf("%s: %d bytes are cut to %d", c.name, len(longest), len(got))
		}
		if got := c.cut(longest + "y"); got != longest+"…" {
			t.Errorf("%s: %d bytes are cut to %d", c.name, len(longest)+1, len(got))
		}
	}
}

// A refusal of a hundred long lines fits into one error.
func TestReplyIsTruncated(t *testing.T) {
	r := smtpReply{code: 550, lines: slices.Repeat([]string{strings.Repeat("ü", 200)}, maxLines)}
	if text := r.String(); len(text) > 700 || !utf8.ValidString(text) || !strings.HasPrefix(text, "550 ü") {
		t.Errorf("%d bytes: %q", len(text), text)
	}
}
