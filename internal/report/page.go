package report

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// page writes lines for a terminal. Everything passes through printable, so
// that no server or zone writes to anybody's screen what it likes.
type page struct{ w *bufio.Writer }

func newPage(w io.Writer) *page { return &page{bufio.NewWriter(w)} }

// close writes what is left, and returns the first error of all.
func (p *page) close() error { return p.w.Flush() }

const (
	columns = 100
	// maxText is the most of one piece of text that is shown, in bytes.
	maxText = 4000
)

// line writes one line, or several where it is longer than the page is wide:
// then the further ones stand two columns further in.
func (p *page) line(indent int, format string, args ...any) {
	further := indent + 2
	for text := Printable(fmt.Sprintf(format, args...)); text != ""; indent = further {
		var now string
		now, text = breakAt(text, columns-indent)
		p.w.WriteString(strings.Repeat(" ", indent))
		p.w.WriteString(now)
		p.w.WriteByte('\n')
	}
}

// unbroken writes one line, however wide: a row of a table.
func (p *page) unbroken(indent int, format string, args ...any) {
	p.w.WriteString(strings.Repeat(" ", indent))
	p.w.WriteString(Printable(fmt.Sprintf(format, args...)))
	p.w.WriteByte('\n')
}

// blank leaves a line empty.
func (p *page) blank() { p.w.WriteByte('\n') }

// heading begins a section.
func (p *page) heading(text string) {
	p.blank()
	p.line(0, "%s", text)
}

// breakAt splits text at the last space that lets the first part fit, or at the
// first space there is.
func breakAt(text string, room int) (first, rest string) {
	if utf8.RuneCountInString(text) <= room {
		return text, ""
	}
	width, at := 0, -1
	for i, r := range text {
		if width > room && at >= 0 {
			break
		}
		if r == ' ' && i > 0 {
			at = i
		}
		width++
	}
	if at < 0 {
		return text, ""
	}
	return strings.TrimRight(text[:at], " "), strings.TrimLeft(text[at:], " ")
}

// Printable writes what cannot be printed as Go does, "\n" or "\x9b", and cuts
// off what is too much. Characters that turn the direction of writing count as
// not printable.
func Printable(text string) string {
	if plain(text) {
		return text
	}
	var b strings.Builder
	for i, r := range text {
		if b.Len() > maxText {
			b.WriteString("…")
			break
		}
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], string(utf8.RuneError)):
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
	}
	return b.String()
}

// plain reports whether text is as Printable leaves it, seen at a glance: short
// printable ASCII, as almost all is.
func plain(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return len(text) <= maxText
}
