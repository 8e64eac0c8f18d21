package starttls

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const sieveGreeting = "\"IMPLEMENTATION\" \"example\"\r\n\"SIEVE\" \"fileinto\"\r\n\"StartTLS\"\r\nOK \"ready\"\r\n"

func TestSieve(t *testing.T) {
	runCases(t, "sieve", []testCase{
		{"a name that is a literal", script{"{8}\r\nSTARTTLS\r\nok\r\n", "OK\r\n"}, nil, ""},
		{"a text that is a literal", script{sieveGreeting, "OK (WARNINGS) {5}\r\nNO!\r\n\r\n"}, nil, ""},
		{"an escaped name", script{"\"START\\TLS\"\nOK\n", "OK\n"}, nil, ""},

		{"no STARTTLS", script{"\"SIEVE\" \"STARTTLS\"\r\nOK\r\n"}, ErrNotOffered, ""},
		{"STARTTLS in a literal that is a value", script{"\"SIEVE\" {13}\r\nx\r\n\"STARTTLS\"\r\nOK\r\n"}, ErrNotOffered, ""},
		{"no capabilities", script{"OK\r\n"}, ErrNotOffered, ""},

		{"the connection is refused", script{"BYE (TRYLATER) \"too many\"\r\n"}, &Rejected{}, `greets with BYE (TRYLATER) "too many"`},
		{"STARTTLS refused", script{sieveGreeting, "NO {6}\r\nno key\r\n"}, &Rejected{}, `answers STARTTLS with NO "no key"`},

		{"another protocol", script{"+OK ready\r\n"}, &ProtocolError{}, "+OK ready"},
		{"an unterminated quoted string", script{"\"STARTTLS\r\nOK\r\n"}, &ProtocolError{}, "the greeting"},
		{"an empty line", script{"\r\n"}, &ProtocolError{}, "the greeting"},
		{"endless capabilities", script{strings.Repeat("\"X\"\r\n", 1000)}, &ProtocolError{}, "more than 128 lines"},
		{"an endless line", script{strings.Repeat("\"", 1<<16)}, &ProtocolError{}, "more than 4096 bytes"},
		{"a literal that is too large", script{"{2147483647+}\r\n"}, &ProtocolError{}, "in literals"},
	})
}

func TestQuotedStrings(t *testing.T) {
	for _, text := range []string{"", "x", `"`, `\`, `a\"b`, "two words"} {
		if got, rest, ok := unquote(quote(text) + " more"); got != text || rest != " more" || !ok {
			t.Errorf("%q is read back as %q, %q, %v", text, got, rest, ok)
		}
	}
	if _, _, ok := unquote(`"\"`); ok {
		t.Error("an escaped quotation mark ends the string")
	}
}

// Inside TLS the server lists its capabilities without being asked.
func TestSieveGoodbyeInsideTLS(t *testing.T) {
	conn, commands := serve(t, script{sieveGreeting, "OK\r\n"}, false)
	client := newClient(t, "sieve")
	if _, err := client.Start(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	<-commands
	inside, commands := serve(t, script{sieveGreeting, "OK \"bye\"\r\n"}, false)
	if made, err := client.FirstExchange(t.Context(), inside); !made || err != nil {
		t.Fatal(made, err)
	}
	client.Goodbye(t.Context(), inside)
	if got := <-commands; !slices.Equal(got, []string{"LOGOUT\r\n"}) {
		t.Errorf("the server received %q", got)
	}
}

// TestSieveSilentInsideTLS checks the first exchange with a server that does not list
// its capabilities without being asked, although it must.
func TestSieveSilentInsideTLS(t *testing.T) {
	const capabilities = "\"SIEVE\" \"x\"\r\nOK\r\n"
	for _, c := range []struct {
		name     string
		unasked  time.Duration // after which the server sends the capabilities; 0: never
		reply    string        // to CAPABILITY; empty: none
		deadline time.Duration
		want     error
		asked    time.Duration // when the server received CAPABILITY; 0: never
	}{
		{"listed after a second", time.Second, "", 20 * time.Second, nil, 0},
		{"silent, answers the command", 0, capabilities, 20 * time.Second, nil, 2 * time.Second},
		{"listed late, with the command crossing", 3 * time.Second, "", 20 * time.Second, nil, 2 * time.Second},
		{"silent, and little time: it is asked earlier", 0, capabilities, 3 * time.Second, nil, 1500 * time.Millisecond},
		{"silent, refuses the command", 0, "BYE \"no\"\r\n", 20 * time.Second, &Rejected{}, 2 * time.Second},
		{"silent throughout", 0, "", 20 * time.Second, context.DeadlineExceeded, 2 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn, server := net.Pipe()
				defer conn.Close()
				defer server.Close()
				started := time.Now()
				var asked time.Duration
				done := make(chan struct{})
				go func() {
					defer close(done)
					command := make([]byte, 100)
					if n, _ := server.Read(command); string(command[:n]) == "CAPABILITY\r\n" {
						asked = time.Since(started)
						io.WriteString(server, c.reply)
					}
				}()
				if c.unasked > 0 {
					go func() {
						time.Sleep(c.unasked) // of the clock in the bubble
						io.WriteString(server, capabilities)
					}()
				}
				ctx, cancel := context.WithTimeout(t.Context(), c.deadline)
				defer cancel()
				if made, err := newClient(t, "sieve").FirstExchange(ctx, conn); !made || !matchesError(err, c.want) {
					t.Errorf("made %t, got %v, want %T %[3]v", made, err, c.want)
				}
				conn.Close()
				<-done
				if asked != c.asked {
					t.Errorf("the server was asked after %v, want %v", asked, c.asked)
				}
			})
		})
	}
	t.Run("closed", func(t *testing.T) {
		conn, _ := serve(t, script{""}, false)
		if made, err := newClient(t, "sieve").FirstExchange(t.Context(), conn); !made || !errors.Is(err, io.EOF) {
			t.Errorf("made %t, %v", made, err)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		conn, _ := serve(t, script{""}, true)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if made, err := newClient(t, "sieve").FirstExchange(ctx, conn); !made || !errors.Is(err, context.Canceled) || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("made %t, %v", made, err)
		}
	})
}
