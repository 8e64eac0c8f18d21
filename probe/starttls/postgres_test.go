package starttls

import (
	"io"
	"strings"
	"testing"
)

func TestPostgres(t *testing.T) {
	// An error message of protocol 3: severity, code, message, and the end.
	const fields = "SFATAL\x00C53300\x00Mtoo many clients already\x00\x00"
	message := "E" + string([]byte{0, 0, 0, byte(4 + len(fields))}) + fields
	runCases(t, "postgres", []testCase{
		{"TLS is not supported", script{"", "N"}, ErrNotOffered, ""},
		{"an error", script{"", message}, &Rejected{}, "answers SSLRequest with too many clients already"},
		{"an error of protocol 2", script{"", "Ecould not fork\n\x00"}, &Rejected{}, "answers SSLRequest with could not fork"},
		{"an error without a message", script{"", "E\x00\x00\x00\x05\x00"}, &Rejected{}, "without a message"},
		{"the smallest error", script{"", "E\x00\x00\x00\x04"}, &Rejected{}, "without a message"},
		{"the largest error", script{"", "E\x00\x00\x10\x00Mno\x00" + strings.Repeat("\x00", 4088)}, &Rejected{}, "answers SSLRequest with no"},
		{"an error of one byte more", script{"", "E\x00\x00\x10\x01Mno\x00"}, &ProtocolError{}, "an error message of 4097 bytes"},
		{"unprintable", script{"", "E\x1b[2J\x00"}, &Rejected{}, `\x1b[2J`},

		{"another protocol", script{"", "220 x\r\n"}, &ProtocolError{}, `"2"`},
		{"an error whose length is too small", script{"", "E\x00\x00\x00\x03"}, &ProtocolError{}, "an error message of 3 bytes"},
		{"an error that is too large", script{"", "E\x00\xff\xff\xff"}, &ProtocolError{}, "an error message of 16777215 bytes"},
		{"an endless error of protocol 2", script{"", "E" + strings.Repeat("x", 1<<16)}, &ProtocolError{}, "more than 4096 bytes"},
		{"connection closed after the E", script{"", "E"}, io.EOF, ""},
		{"connection closed within the length", script{"", "E\x00\x00"}, io.ErrUnexpectedEOF, ""},
		{"connection closed within the error", script{"", message[:20]}, io.ErrUnexpectedEOF, ""},
		{"connection closed within an error of protocol 2", script{"", "Ecould"}, io.EOF, ""},
	})
}
