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
		{"other positive codes are positive", script{"221 hello\r\n", "251-x\r\n251 STARTTLS\r\n", "250 ok\r\n"}, nil, ""},

		{"blank and foreign lines before the greeting", script{"\r\n\r\nhello\r\n12 x\r\n2200 x\r\n" + greeting, ehlo, ready}, nil, ""},
		{"blank and foreign lines in the reply to EHLO", script{greeting, "250-mx\r\n\r\nhello\r\n250-STARTTLS\r\n\r\n250 X\r\n", ready}, nil, ""},
		{"blank and foreign lines before the reply to STARTTLS", script{greeting, ehlo, "junk\r\n\r\n220 go\r\n"}, nil, ""},
		{"two codes in one reply: the last counts", script{"554-wait\r\n220 ok\r\n", "550-mx\r\n250-STARTTLS\r\n250 X\r\n", "554-x\r\n220 go\r\n"}, nil, ""},
		{"a keyword on a line that is no reply", script{greeting, "250-mx\r\n25 STARTTLS\r\n 250 X\r\n250 X\r\n", ready}, nil, ""},
		{"a keyword after a space", script{greeting, "250-mx\r\n 250 STARTTLS\r\n250 X\r\n", ready}, nil, ""},
		{"a keyword with an equals sign", script{greeting, "250-mx\r\n250 STARTTLS=x\r\n", ready}, nil, ""},
		{"a reply of 4000 lines", script{greeting, "250-mx\r\n250-STARTTLS\r\n" + strings.Repeat("250-more\r\n", 4000) + "250 X\r\n", ready}, nil, ""},
		{"a line of 10000 bytes, cut after 2048", script{"220 " + strings.Repeat("x", 10000) + "\r\n", ehlo, ready}, nil, ""},
		{"a keyword that begins before byte 2048", script{greeting, "250-" + strings.Repeat("x", 2043) + "\r\n250 STARTTLS\r\n", ready}, nil, ""},
		{"plaintext after the last reply is discarded (CVE-2011-0411)", script{greeting, ehlo, ready + "250 injected\r\n"}, nil, ""},

		{"a keyword that begins after byte 2048, which Postfix does not read", script{greeting, "250-" + strings.Repeat("x", 2044) + "\r\n250 STARTTLS\r\n"}, ErrNotOffered, "first 2048 bytes of the reply to EHLO"},
		{"a keyword after a line of 4000 bytes", script{greeting, "250-" + strings.Repeat("x", 4000) + "\r\n250 STARTTLS\r\n"}, ErrNotOffered, "first 2048 bytes"},
		{"a keyword after a tab", script{greeting, "250-mx\r\n250 \tSTARTTLS\r\n"}, ErrNotOffered, ""},
		{"a keyword before a tab", script{greeting, "250-mx\r\n250 STARTTLS\tx\r\n"}, ErrNotOffered, ""},
		{"a keyword without a code", script{greeting, "250-mx\r\nSTARTTLS\r\n250 X\r\n"}, ErrNotOffered, ""},
		{"a keyword after a hyphen", script{greeting, "250-mx\r\n250 - STARTTLS\r\n"}, ErrNotOffered, ""},
		{"no extensions", script{greeting, "250 mx.example.org\r\n"}, ErrNotOffered, ""},
		{"other extensions only", script{greeting, "250-mx\r\n250-XSTARTTLS\r\n250 AUTH STARTTLS\r\n"}, ErrNotOffered, ""},
		{"a server named STARTTLS", script{greeting, "250 STARTTLS\r\n"}, ErrNotOffered, ""},
		{"a server named STARTTLS, after a line without a name", script{greeting, "250-\r\n250 STARTTLS\r\n"}, ErrNotOffered, ""},
		{"EHLO unknown, HELO accepted", script{greeting, "502 5.5.1 no such command\r\n", "250 mx\r\n"}, ErrNotOffered, "answers EHLO with 502"},
		{"EHLO refused, HELO accepted", script{greeting, "550 who are you\r\n", "250 mx\r\n"}, ErrNotOffered, "answers EHLO with 550"},
		{"EHLO refused temporarily, HELO accepted", script{greeting, "450 later\r\n", "250 mx\r\n"}, ErrNotOffered, "answers EHLO with 450"},
		{"EHLO answered with 354, HELO accepted", script{greeting, "354 go on\r\n", "250 mx\r\n"}, ErrNotOffered, "answers EHLO with 354"},
		{"extensions in the reply to HELO do not count", script{greeting, "502 no\r\n", "250-mx\r\n250 STARTTLS\r\n"}, ErrNotOffered, ""},

		{"a permanent error as greeting", script{"554 no service here\r\n"}, &Rejected{}, "greets with 554 no service here"},
		{"a transient error as greeting", script{"421-too\r\n421 many\r\n"}, &Rejected{}, "421 too / many"},
		{"a greeting that ends as postscreen drops clients", script{"220-wait\r\n554 5.7.1 blocked using dnsbl.example\r\n"}, &Rejected{}, "greets with 554 wait / 5.7.1 blocked using dnsbl.example"},
		{"a greeting that ends temporarily", script{"220-wait\r\n450 later\r\n"}, &Rejected{}, "greets with 450 wait / later"},
		{"a code out of range", script{"920 hi\r\n"}, &Rejected{}, "greets with 920 hi"},
		{"EHLO and HELO refused", script{greeting, "550 who are you\r\n", "550 nobody\r\n"}, &Rejected{}, "answers HELO with 550 nobody"},
		{"EHLO refused with 421: no HELO", script{greeting, "421 closing\r\n"}, &Rejected{}, "answers EHLO with 421"},
		{"an EHLO reply that ends with an error, HELO refused", script{greeting, "250-mx\r\n550 STARTTLS\r\n", "554 no\r\n"}, &Rejected{}, "answers HELO with 554"},
		{"STARTTLS offered and refused", script{greeting, ehlo, "454 TLS not available\r\n"}, &Rejected{}, "answers STARTTLS with 454"},
		{"STARTTLS answered with 354", script{greeting, ehlo, "354 go on\r\n"}, &Rejected{}, "answers STARTTLS with 354"},

		{"HTTP", script{"HTTP/1.1 400 Bad Request\r\n\r\n"}, &ProtocolError{}, `"HTTP/1.1 400 Bad Request"`},
		{"TLS without a dialogue", script{"\x16\x03\x01\x00\x05\x01\n"}, &ProtocolError{}, `\x16\x03\x01`},
		{"an empty line alone", script{"\r\n"}, io.EOF, "the greeting"},
		{"a code of four digits", script{"2200 hi\r\n"}, &ProtocolError{}, "2200"},
		{"an endless line", script{"220 " + strings.Repeat("x", 1<<20)}, &ProtocolError{}, "more than 262144 bytes"},
		{"an endless reply", script{strings.Repeat("220-more\r\n", 1<<16)}, &ProtocolError{}, "more than 262144 bytes"},
		{"endless blank lines", script{strings.Repeat("\n", 1<<19)}, &ProtocolError{}, "more than 262144 bytes"},

		{"connection closed immediately", script{""}, io.EOF, "the greeting"},
		{"connection closed within the greeting", script{"220 mx.exam"}, io.EOF, "the greeting"},
		{"connection closed within a reply", script{greeting, "250-mx\r\n"}, io.EOF, "the reply to EHLO"},
		{"connection closed after EHLO was refused", script{greeting, "550 no\r\n", ""}, &Rejected{}, "answers EHLO with 550 no: then reading the reply to HELO: EOF"},
		{"connection closed after EHLO", script{greeting, ""}, io.EOF, "the reply to EHLO"},
		{"connection closed after STARTTLS", script{greeting, ehlo, ""}, io.EOF, "the reply to STARTTLS"},
	})
}

// A transcript has a bounded number of lines, however many the server sends.
func TestTranscriptIsBounded(t *testing.T) {
	conn, _ := serve(t, script{strings.Repeat("220-more\r\n", 1<<10) + greeting, ehlo, ready}, false)
	dialogue, err := newClient(t, "smtp").Start(t.Context(), conn)
	if err != nil || len(dialogue.Transcript) != maxTranscript+1 || dialogue.Transcript[maxTranscript].Text != "…" {
		t.Errorf("%d lines, %v", len(dialogue.Transcript), err)
	}
}
