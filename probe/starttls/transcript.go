package starttls

import (
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
	quoted := strconv.Quote(text)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`) + cut
}
