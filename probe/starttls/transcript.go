package starttls

import (
	"fmt"
	"strconv"
	"strings"
)

// Dialogue is the result of Start: what the server offered, and what was said.
type Dialogue struct {
	Offered    bool   // the server offered TLS, so a later failure is a failure of TLS
	Requested  bool   // the client requested TLS
	EarlyData  string // plaintext after the server agreed to TLS, described in one line; empty: none
	Transcript Transcript
}

// Transcript is the dialogue line by line, for people to read. It is limited in
// size and printable whatever the server sent.
type Transcript []Line

// Line is one line of a dialogue.
type Line struct {
	Sent bool // by the client
	Text string
}

// printable truncates text to 512 bytes and escapes characters that are not
// printable, so that the result is safe in a terminal, a page or a log.
func printable(text string) string {
	const limit = 512 // an SMTP line is no longer (RFC 5321 §4.5.3.1.5)
	ellipsis := ""
	if len(text) > limit {
		text, ellipsis = text[:limit], "…"
	}
	if strings.IndexFunc(text, needsQuoting) < 0 {
		return text + ellipsis
	}
	quoted := strconv.Quote(text)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`) + ellipsis
}

// needsQuoting reports whether strconv.Quote may change r.
func needsQuoting(r rune) bool { return r < ' ' || r > '~' || r == '\\' }

// truncate cuts printable text to a length that fits into an error.
func truncate(text string) string {
	const limit = 600 // bytes
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit], "") + "…"
	}
	return text
}

// rejected returns the error for a refusal that is made of a status and a text.
func rejected(step, status, text string) error {
	return &Rejected{Step: step, Reply: truncate(printable(strings.TrimSpace(status + " " + text)))}
}

// unexpected returns the error for an answer that is not allowed at this step.
func unexpected(step, answer string) error {
	return &ProtocolError{step, `"` + printable(answer) + `"`}
}

// protocolErrorf returns a ProtocolError whose Got is formatted. Text of the
// server among the arguments must have passed through printable.
func protocolErrorf(step, format string, args ...any) error {
	return &ProtocolError{step, fmt.Sprintf(format, args...)}
}
