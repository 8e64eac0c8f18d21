package starttls

import (
	"io"
	"strings"
	"testing"
)

const ldapSuccess = "\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00"

// response writes an LDAPMessage with an extended response.
func response(id, result byte, text, more string) string {
	return encodeBER(tagSequence, encodeBER(tagInteger, string([]byte{id}))+
		encodeBER(tagExtendedDone, encodeBER(tagEnumerated, string([]byte{result}))+encodeBER(tagOctetString, "")+encodeBER(tagOctetString, text)+more))
}

func TestLDAP(t *testing.T) {
	name := encodeBER(tagResponseName, oidStartTLS)
	const largest = "\x02\x01\x01\x78\x82\x0f\xf9\x0a\x01\x00\x04\x00\x04\x82\x0f\xf0" // before a text of 4080 bytes
	runCases(t, "ldap", []testCase{
		{"with the name of the operation", script{"", response(1, 0, "", name)}, nil, ""},
		{"with a referral and a value too", script{"", response(1, 0, "", encodeBER(0xa3, "\x04\x01x")+name+encodeBER(0x8b, "v"))}, nil, ""},
		{"lengths in the long form", script{"", "\x30\x84\x00\x00\x00\x10\x02\x01\x01\x78\x84\x00\x00\x00\x07\x0a\x01\x00\x04\x00\x04\x00"}, nil, ""},

		{"a number of four bytes", script{"", "\x30\x0f\x02\x04\x00\x00\x00\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00"}, nil, ""},
		{"an empty text, its length in the long form", script{"", "\x30\x10\x02\x01\x01\x78\x0b\x0a\x01\x00\x04\x00\x04\x84\x00\x00\x00\x00"}, nil, ""},
		{"the largest message", script{"", "\x30\x82\x10\x00" + largest + strings.Repeat("x", 4080)}, nil, ""},

		{"TLS is not supported", script{"", response(1, 2, "unsupported extended operation", "")}, ErrNotOffered, "protocolError (2): unsupported extended operation"},

		{"TLS is temporarily unavailable", script{"", response(1, 52, "no key", "")}, &Rejected{}, "answers STARTTLS with unavailable (52): no key"},
		{"a referral", script{"", response(1, 10, "", "")}, &Rejected{}, "referral (10)"},
		{"a result code without a known name", script{"", response(1, 118, "\x1b[2J", "")}, &Rejected{}, `result (118): \x1b[2J`},
		{"a notice of disconnection", script{"", response(0, 51, "", encodeBER(tagResponseName, oidDisconnected))}, &Rejected{}, "answers the connection with Notice of Disconnection, busy (51)"},

		{"another protocol", script{"", "220 mx.example.org\r\n"}, &ProtocolError{}, "the response to StartTLS"},
		{"an unsolicited message", script{"", response(0, 0, "", "")}, &ProtocolError{}, "message 0"},
		{"a response to another message", script{"", response(2, 0, "", name)}, &ProtocolError{}, "message 2"},
		{"a response to another operation", script{"", response(1, 0, "", encodeBER(tagResponseName, "1.2.3"))}, &ProtocolError{}, "1.2.3"},
		{"another response", script{"", "\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00"}, &ProtocolError{}, "not an extended response"},
		{"an empty message", script{"", "\x30\x00"}, &ProtocolError{}, "not an extended response"},
		{"a negative message ID", script{"", "\x30\x0c\x02\x01\x81\x78\x07\x0a\x01\x00\x04\x00\x04\x00"}, &ProtocolError{}, "not an extended response"},
		{"an element longer than its parent", script{"", "\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x7f"}, &ProtocolError{}, "not an extended response"},
		{"a length longer than its parent", script{"", "\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x84"}, &ProtocolError{}, "not an extended response"},
		{"a truncated element after the text", script{"", response(1, 0, "", "\x8a")}, &ProtocolError{}, "not an extended response"},
		{"a message ID of -128", script{"", "\x30\x0c\x02\x01\x80\x78\x07\x0a\x01\x00\x04\x00\x04\x00"}, &ProtocolError{}, "not an extended response"},
		{"an indefinite length of the text", script{"", "\x30\x81\x8d\x02\x01\x01\x78\x81\x87\x0a\x01\x00\x04\x00\x04\x80" + strings.Repeat("x", 128)}, &ProtocolError{}, "not an extended response"},
		{"a message of one byte more than the largest", script{"", "\x30\x82\x10\x01" + largest + strings.Repeat("x", 4081)}, &ProtocolError{}, "a message of 4097 bytes"},
		{"an indefinite length", script{"", "\x30\x80\x02\x01\x01\x00\x00"}, &ProtocolError{}, "a length of 0 bytes"},
		{"a length field that is too long", script{"", "\x30\xff"}, &ProtocolError{}, "a length of 127 bytes"},
		{"a message that is too large", script{"", "\x30\x84\xff\xff\xff\xff"}, &ProtocolError{}, "a message of 4294967295 bytes"},
		{"connection closed within the length", script{"", "\x30\x84\x00"}, io.ErrUnexpectedEOF, ""},
	})
}
