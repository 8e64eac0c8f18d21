package report

import (
	"bufio"
	"fmt"
	"strings"
	"unicode/utf8"

	"dane_exporter/internal/printable"
)

// textWriter writes lines for a terminal. All text passes through Printable, so that
// no server or zone can send control characters to the terminal.
type textWriter struct{ w *bufio.Writer }

const (
	columns = 100
	maxText = 4000 // bytes of one piece of text
)

// line writes one line. If it is longer than columns, it is broken into several, and
// all but the first are indented by two more.
func (t *textWriter) line(indent int, format string, args ...any) {
	further := indent + 2
	for text := Printable(fmt.Sprintf(format, args...)); text != ""; indent = further {
		var first string
		first, text = breakLine(text, columns-indent)
		t.w.WriteString(strings.Repeat(" ", indent))
		t.w.WriteString(first)
		t.w.WriteByte('\n')
	}
}

// unbroken writes one line of any length: a row of a table or a zone-file line.
func (t *textWriter) unbroken(indent int, format string, args ...any) {
	t.w.WriteString(strings.Repeat(" ", indent))
	t.w.WriteString(Printable(fmt.Sprintf(format, args...)))
	t.w.WriteByte('\n')
}

// more writes how many entries of a list are omitted, if any.
func (t *textWriter) more(indent, n int, what string) {
	if n > 0 {
		t.line(indent, "… and %d more %s", n, what)
	}
}

func (t *textWriter) blank() { t.w.WriteByte('\n') }

// heading starts a section.
func (t *textWriter) heading(text string) {
	t.blank()
	t.line(0, "%s", text)
}

// breakLine splits text at the last space that lets the first part fit into width
// characters, or at the first space. Without a space, text is not split.
func breakLine(text string, width int) (first, rest string) {
	if utf8.RuneCountInString(text) <= width {
		return text, ""
	}
	column, at := 0, -1
	for i, r := range text {
		if column > width && at >= 0 {
			break
		}
		if r == ' ' && i > 0 {
			at = i
		}
		column++
	}
	if at < 0 {
		return text, ""
	}
	return strings.TrimRight(text[:at], " "), strings.TrimLeft(text[at:], " ")
}

// Printable is printable.Text, at most maxText bytes.
func Printable(text string) string { return printable.Text(text, maxText) }
