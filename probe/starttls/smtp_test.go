package starttls

import (
	"io"
	"strings"
	"testing"
)

const (
	greeting = "220 mx.example.org ESMTP\r\n"
	ehlo     = "250-mx.example.org\r\n250-SIZE 1000\r\n250 STARTTLS\r\n"
	ready    = "220 go ahead\r\n"
)

func TestSMTP(t *testing.T) {
	tell(t, "smtp", []story{
		{"as it should be", script{greeting, ehlo, ready}, nil, ""},
		{"a greeting of several lines", script{"220-wait\r\n220-for\r\n220 it\r\n", ehlo, ready}, nil, ""},
		{"codes without text, lines without CR", script{"220\n", "250-x\n250 starttls\n", "220\n"}, nil, ""},
		{"a keyword in any case, with a parameter", script{greeting, "250-x\r\n250 StartTLS now\r\n", ready}, nil, ""},
		{"a line as long as real servers send", script{greeting, "250-" + strings.Repeat("x", 4000) + "\r\n250 STARTTLS\r\n", ready}, nil, ""},
		{"other positive codes are positive", script{"221 hello\r\n", "251-x\r\n251 STARTTLS\r\n", "250 ok\r\n"}, nil, ""},

		{"no extensions", script{greeting, "250 mx.example.org\r\n"}, ErrNotOffered, ""},
		{"others, but no STARTTLS", script{greeting, "250-mx\r\n250-XSTARTTLS\r\n250 AUTH STARTTLS\r\n"}, ErrNotOffered, ""},
		{"a server that knows HELO alone", script{greeting, "502 5.5.1 no such command\r\n"}, ErrNotOffered, "answers EHLO with 502"},
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
	})
}
