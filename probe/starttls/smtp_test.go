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
	runCases(t, "smtp", []testCase{
		{"the usual dialogue", script{greeting, ehlo, ready}, nil, ""},
		{"a greeting of several lines", script{"220-wait\r\n220-for\r\n220 it\r\n", ehlo, ready}, nil, ""},
		{"codes without text, lines without CR", script{"220\n", "250-x\n250 starttls\n", "220\n"}, nil, ""},
		{"a keyword in any case, with a parameter", script{greeting, "250-x\r\n250 StartTLS now\r\n", ready}, nil, ""},
		{"a line longer than RFC 5321 allows, as real servers send", script{greeting, "250-" + strings.Repeat("x", 4000) + "\r\n250 STARTTLS\r\n", ready}, nil, ""},
		{"other positive codes are positive", script{"221 hello\r\n", "251-x\r\n251 STARTTLS\r\n", "250 ok\r\n"}, nil, ""},

		{"no extensions", script{greeting, "250 mx.example.org\r\n"}, ErrNotOffered, ""},
		{"other extensions only", script{greeting, "250-mx\r\n250-XSTARTTLS\r\n250 AUTH STARTTLS\r\n"}, ErrNotOffered, ""},
		{"a server that supports HELO only", script{greeting, "502 5.5.1 no such command\r\n"}, ErrNotOffered, "answers EHLO with 502"},
		{"a server named STARTTLS", script{greeting, "250 STARTTLS\r\n"}, ErrNotOffered, ""},

		{"a permanent error as greeting", script{"554 no service here\r\n"}, &Rejected{}, "greets with 554 no service here"},
		{"a transient error as greeting", script{"421-too\r\n421 many\r\n"}, &Rejected{}, "421 too / many"},
		{"EHLO refused", script{greeting, "550 who are you\r\n"}, &Rejected{}, "answers EHLO with 550"},
		{"EHLO refused temporarily", script{greeting, "450 greylisted\r\n"}, &Rejected{}, "answers EHLO with 450"},
		{"STARTTLS offered and refused", script{greeting, ehlo, "454 TLS not available\r\n"}, &Rejected{}, "answers STARTTLS with 454"},

		{"HTTP", script{"HTTP/1.1 400 Bad Request\r\n\r\n"}, &ProtocolError{}, `"HTTP/1.1 400 Bad Request"`},
		{"TLS without a dialogue", script{"\x16\x03\x01\x00\x05\x01\n"}, &ProtocolError{}, `\x16\x03\x01`},
		{"an empty line", script{"\r\n"}, &ProtocolError{}, "the greeting"},
		{"a code of four digits", script{"2200 hi\r\n"}, &ProtocolError{}, "2200"},
		{"a code out of range", script{"920 hi\r\n"}, &ProtocolError{}, "920"},
		{"a code that is neither positive nor negative", script{greeting, "354 go on\r\n"}, &ProtocolError{}, "354"},
		{"two codes in one reply", script{greeting, "250-mx\r\n550 STARTTLS\r\n"}, &ProtocolError{}, "250 and 550"},
		{"an endless line", script{"220 " + strings.Repeat("x", 1<<20)}, &ProtocolError{}, "more than 4096 bytes"},
		{"an endless reply", script{strings.Repeat("220-more\r\n", 1<<16)}, &ProtocolError{}, "more than 128 lines"},
		{"plaintext after the last reply (CVE-2011-0411)", script{greeting, ehlo, ready + "250 injected\r\n"}, &ProtocolError{}, `in plaintext after the reply to STARTTLS: "250 injected`},

		{"connection closed immediately", script{""}, io.EOF, "the greeting"},
		{"connection closed within the greeting", script{"220 mx.exam"}, io.EOF, "the greeting"},
		{"connection closed within a reply", script{greeting, "250-mx\r\n"}, io.EOF, "the reply to EHLO"},
		{"connection closed after EHLO", script{greeting, ""}, io.EOF, "the reply to EHLO"},
		{"connection closed after STARTTLS", script{greeting, ehlo, ""}, io.EOF, "the reply to STARTTLS"},
	})
}
