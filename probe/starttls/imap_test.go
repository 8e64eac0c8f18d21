package starttls

import (
	"strings"
	"testing"
)

const (
	imapGreeting     = "* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] ready\r\n"
	imapCapabilities = "* CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED\r\na OK done\r\n"
)

func TestIMAP(t *testing.T) {
	runCases(t, "imap", []testCase{
		{"untagged responses before the reply", script{imapGreeting, "* OK [ALERT] x\r\n* 5 EXISTS\r\n" + imapCapabilities, "* OK wait\r\nb OK\r\n"}, nil, ""},
		{"words in any case, lines without CR", script{"* ok\n", "* capability starttls\na ok\n", "b Ok\n"}, nil, ""},
		{"a literal with lines that look like replies", script{imapGreeting, "* NOTE {11}\r\na OK\r\nb NO\n behind it\r\n" + imapCapabilities, "b OK\r\n"}, nil, ""},
		{"a greeting that is a literal", script{"* OK {2}\r\nhi\r\n", imapCapabilities, "b OK\r\n"}, nil, ""},

		{"no STARTTLS", script{imapGreeting, "* CAPABILITY IMAP4rev1 XSTARTTLS\r\na OK\r\n"}, ErrNotOffered, ""},
		{"STARTTLS in a literal", script{imapGreeting, "* CAPABILITY {8}\r\nSTARTTLS\r\na OK\r\n"}, ErrNotOffered, ""},
		{"no capabilities listed", script{imapGreeting, "a OK\r\n"}, ErrNotOffered, ""},
		{"the client is already authenticated", script{"* PREAUTH welcome\r\n"}, ErrNotOffered, "PREAUTH"},

		{"the connection is refused", script{"* BYE too many of you\r\n"}, &Rejected{}, "greets with BYE too many of you"},
		{"BYE after the greeting", script{imapGreeting, "* BYE shutting down\r\n"}, &Rejected{}, "answers CAPABILITY with BYE"},
		{"CAPABILITY refused", script{imapGreeting, "a BAD what?\r\n"}, &Rejected{}, "answers CAPABILITY with BAD what?"},
		{"STARTTLS refused", script{imapGreeting, imapCapabilities, "b NO no key\r\n"}, &Rejected{}, "answers STARTTLS with NO no key"},
		{"STARTTLS not understood", script{imapGreeting, imapCapabilities, "b BAD\r\n"}, &Rejected{}, "answers STARTTLS with BAD"},
		{"BYE instead of a reply to STARTTLS", script{imapGreeting, imapCapabilities, "* BYE\r\n"}, &Rejected{}, "answers STARTTLS with BYE"},

		{"another protocol", script{"220 mx.example.org\r\n"}, &ProtocolError{}, "expected the greeting, got"},
		{"the greeting has a tag", script{"a OK\r\n"}, &ProtocolError{}, "the greeting"},
		{"the tag of another command", script{imapGreeting, "b OK\r\n"}, &ProtocolError{}, `"b OK"`},
		{"a tag of which ours is a prefix", script{imapGreeting, "aa OK\r\n"}, &ProtocolError{}, "aa OK"},
		{"a continuation request", script{imapGreeting, "+ go on\r\n"}, &ProtocolError{}, "+ go on"},
		{"an endless reply", script{imapGreeting, strings.Repeat("* 1 EXISTS\r\n", 1000)}, &ProtocolError{}, "none within 128 lines"},
		{"an endless line", script{"* OK " + strings.Repeat("x", 1<<16)}, &ProtocolError{}, "more than 4096 bytes"},
		{"a literal that is too large", script{"* OK {2147483647}\r\n"}, &ProtocolError{}, "in literals"},
		{"many literals", script{"* OK" + strings.Repeat(" {1000}\r\n"+strings.Repeat("x", 1000), 5)}, &ProtocolError{}, "in literals"},
	})
}
