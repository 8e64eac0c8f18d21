// Package printable makes text from servers, zones, certificates and users safe for
// terminals, pages, logs and metrics. All of them apply the same rule: a character is
// kept if it is printable, in any script.
package printable

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Is reports whether a character is printable: a letter, mark, number, punctuation
// mark or symbol, or the ASCII space. Control characters, line ends, invisible characters
// and those that change the direction of writing are not printable.
func Is(r rune) bool { return unicode.IsPrint(r) }

// Text escapes the characters of text that are not printable, in the syntax of Go, such as
// \n, \x9b or \u202e. It does not change its own results. If the result has more than limit
// bytes, it is cut to at most limit bytes and an ellipsis.
func Text(text string, limit int) string {
	if len(text) <= limit && IsPlain(text) {
		return text
	}
	var b strings.Builder
	for i, r := range text {
		before := b.Len()
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], string(utf8.RuneError)):
			b.WriteString(`\x` + strconv.FormatUint(0x100|uint64(text[i]), 16)[1:])
		case Is(r):
			b.WriteRune(r)
		default:
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
		if b.Len() > limit {
			return b.String()[:before] + "…"
		}
	}
	return b.String()
}

// IsPlain reports whether text is printable ASCII, as nearly all text is.
func IsPlain(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}

// Cut returns the first bytes of text, at most limit, without splitting a character.
func Cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	n := limit
	for n > 0 && n > limit-utf8.UTFMax && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}
