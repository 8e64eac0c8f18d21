package starttls

import (
	"fmt"
	"strings"

	"dane_exporter/internal/printable"
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

// escape makes text of a server printable, at most as long as an SMTP line (RFC 5321
// §4.5.3.1.5).
func escape(text string) string { return printable.Text(text, 512) }

// truncate cuts printable text to a length that fits into an error.
func truncate(text string) string { return printable.Text(text, 600) }

// rejected returns the error for a refusal that is made of a status and a text.
func rejected(step, status, text string) error {
	return &Rejected{Step: step, Reply: truncate(escape(strings.TrimSpace(status + " " + text)))}
}

// unexpected returns the error for an answer that is not allowed at this step.
func unexpected(step, answer string) error {
	return &ProtocolError{step, `"` + escape(answer) + `"`}
}

// protocolErrorf returns a ProtocolError whose Got is formatted. Text of the
// server among the arguments must have passed through escape.
func protocolErrorf(step, format string, args ...any) error {
	return &ProtocolError{step, fmt.Sprintf(format, args...)}
}
