package collector

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxLabel is the most bytes that a label value has.
const maxLabel = 256

// label makes a label value of any text, whoever wrote it: lower case, without
// a trailing dot, printable UTF-8, and at most maxLabel bytes long.
// Names come here as A-labels already.
func label(text string) string {
	text = cut(text, 4*maxLabel) // enough to choose from, and no more work than that
	text = strings.ToValidUTF8(text, string(unicode.ReplacementChar))
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return unicode.ReplacementChar
		}
		return unicode.ToLower(r)
	}, text)
	return strings.TrimSuffix(cut(text, maxLabel), ".")
}

// cut shortens text to at most n bytes without splitting a character.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}
