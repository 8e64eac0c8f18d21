package starttls

import (
	"strings"
	"testing"
)

const (
	pop3Greeting     = "+OK ready <1@example.org>\r\n"
	pop3Capabilities = "+OK\r\nUSER\r\nSTLS\r\nIMPLEMENTATION x\r\n.\r\n"
)

func TestPOP3(t *testing.T) {
	runCases(t, "pop3", []testCase{
		{"words in any case, lines without CR", script{"+ok\n", "+Ok\nstls\n.\n", "+ok\n"}, nil, ""},
		{"a line that begins with a dot", script{pop3Greeting, "+OK\r\n..\r\nSTLS\r\n.\r\n", "+OK\r\n"}, nil, ""},

		{"no STLS", script{pop3Greeting, "+OK\r\nUSER STLS\r\n.\r\n"}, ErrNotOffered, ""},
		{"no capabilities", script{pop3Greeting, "+OK\r\n.\r\n"}, ErrNotOffered, ""},
		{"CAPA is unknown", script{pop3Greeting, "-ERR what?\r\n"}, ErrNotOffered, "answers CAPA with -ERR what?"},

		{"the connection is refused", script{"-ERR too many of you\r\n"}, &Rejected{}, "greets with -ERR too many of you"},
		{"STLS refused", script{pop3Greeting, pop3Capabilities, "-ERR no key\r\n"}, &Rejected{}, "answers STARTTLS with -ERR no key"},

		{"another protocol", script{"* OK ready\r\n"}, &ProtocolError{}, "expected the greeting, got"},
		{"a word of which OK is a prefix", script{"+OKAY\r\n"}, &ProtocolError{}, "+OKAY"},
		{"an invalid reply to CAPA", script{pop3Greeting, "CAPA\r\n"}, &ProtocolError{}, "the reply to CAPA"},
		{"an invalid reply to STLS", script{pop3Greeting, pop3Capabilities, "\r\n"}, &ProtocolError{}, "the reply to STLS"},
		{"an endless list", script{pop3Greeting, "+OK\r\n" + strings.Repeat("X\r\n", 1000)}, &ProtocolError{}, "more than 128 lines"},
		{"an endless line", script{"+OK " + strings.Repeat("x", 1<<16)}, &ProtocolError{}, "more than 4096 bytes"},
	})
}
