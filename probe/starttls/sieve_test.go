package starttls

import (
	"slices"
	"strings"
	"testing"
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
