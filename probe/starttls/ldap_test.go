package starttls

import (
	"io"
	"testing"
)

const ldapSuccess = "\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00"

// response writes an LDAPMessage with an extended response.
func response(id, result byte, text, more string) string {
	return ber(tagSequence, ber(tagInteger, string([]byte{id}))+
		ber(tagExtendedDone, ber(tagEnumerated, string([]byte{result}))+ber(tagOctetString, "")+ber(tagOctetString, text)+more))
}

func TestLDAP(t *testing.T) {
	name := ber(tagResponseName, oidStartTLS)
	tell(t, "ldap", []story{
		{"with the name of the operation", script{"", response(1, 0, "", name)}, nil, ""},
		{"with a referral and a value too", script{"", response(1, 0, "", ber(0xa3, "\x04\x01x")+name+ber(0x8b, "v"))}, nil, ""},
		{"lengths in the long form", script{"", "\x30\x84\x00\x00\x00\x10\x02\x01\x01\x78\x84\x00\x00\x00\x07\x0a\x01\x00\x04\x00\x04\x00"}, nil, ""},

		{"it knows no TLS", script{"", response(1, 2, "unsupported extended operation", "")}, ErrNotOffered, "protocolError (2): unsupported extended operation"},

		{"it cannot now", script{"", response(1, 52, "no key", "")}, &Rejected{}, "answers STARTTLS with unavailable (52): no key"},
		{"another may", script{"", response(1, 10, "", "")}, &Rejected{}, "referral (10)"},
		{"a result without a name", script{"", response(1, 118, "\x1b[2J", "")}, &Rejected{}, `result (118): \x1b[2J`},
		{"it hangs up", script{"", response(0, 51, "", ber(tagResponseName, oidDisconnected))}, &Rejected{}, "answers the connection with Notice of Disconnection, busy (51)"},

		{"another protocol", script{"", "220 mx.example.org\r\n"}, &ProtocolError{}, "the response to StartTLS"},
		{"a message nobody asked for", script{"", response(0, 0, "", "")}, &ProtocolError{}, "message 0"},
		{"a response to another message", script{"", response(2, 0, "", name)}, &ProtocolError{}, "message 2"},
		{"a response to another operation", script{"", response(1, 0, "", ber(tagResponseName, "1.2.3"))}, &ProtocolError{}, "1.2.3"},
		{"another response", script{"", "\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00"}, &ProtocolError{}, "no extended response"},
		{"nothing in it", script{"", "\x30\x00"}, &ProtocolError{}, "no extended response"},
		{"a number that is negative", script{"", "\x30\x0c\x02\x01\x81\x78\x07\x0a\x01\x00\x04\x00\x04\x00"}, &ProtocolError{}, "no extended response"},
		{"an element longer than its parent", script{"", "\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x7f"}, &ProtocolError{}, "no extended response"},
		{"a length longer than its parent", script{"", "\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x84"}, &ProtocolError{}, "no extended response"},
		{"nonsense behind the text", script{"", response(1, 0, "", "\x8a")}, &ProtocolError{}, "no extended response"},
		{"an indefinite length", script{"", "\x30\x80\x02\x01\x01\x00\x00"}, &ProtocolError{}, "a length of 0 bytes"},
		{"a length of many bytes", script{"", "\x30\xff"}, &ProtocolError{}, "a length of 127 bytes"},
		{"a huge message", script{"", "\x30\x84\xff\xff\xff\xff"}, &ProtocolError{}, "a message of 4294967295 bytes"},
		{"closes within the length", script{"", "\x30\x84\x00"}, io.ErrUnexpectedEOF, ""},
	})
}
