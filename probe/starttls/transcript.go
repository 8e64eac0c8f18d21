package starttls

import (
	"fmt"
	"strconv"
	"strings"
)

// Transcript is the dialogue as it went, for people: bounded, and printable
// whatever the server sent.
type Transcript []Line

// Line is one line of a dialogue.
type Line struct {
	Sent bool // by us
	Text string
}

// printable cuts text and escapes what is no printable character, so that it
// can go to a terminal, a page or a log.
func printable(text string) string {
	const most = 512 // a line of SMTP has no more (RFC 5321 §4.5.3.1.5)
	cut := ""
	if len(text) > most {
		text, cut = text[:most], "…"
	}
	if strings.IndexFunc(text, special) < 0 {
		return text + cut
	}
	quoted := strconv.Quote(text)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`) + cut
}

// special reports whether a character may be written otherwise when it is quoted.
func special(r rune) bool { return r < ' ' || r > '~' || r == '\\' }

// sentence cuts text that is printable already to what fits into an error.
func sentence(text string) string {
	const most = 600 // bytes
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

// rejection is a server's "no" for people.
func rejection(status, text string) string {
	return sentence(printable(strings.TrimSpace(status + " " + text)))
}

// unexpected is the error about a line that has no place where it stands.
func unexpected(what, line string) error {
	return &ProtocolError{what, fmt.Sprintf("no reply: \"%s\"", printable(line))}
}
