package printable

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestText(t *testing.T) {
	for _, test := range []struct {
		in    string
		limit int
		want  string
	}{
		{"plain text", 100, "plain text"},
		{"Ä ö, 漢字, ру́сский, עברית, € … – “”", 100, "Ä ö, 漢字, ру́сский, עברית, € … – “”"},
		{"tab\tline\n", 100, `tab\tline\n`},
		{"\x1b[31m\x00\x7f", 100, `\x1b[31m\x00\x7f`},
		{"\x80\xff", 100, `\x80\xff`},
		{"\u0085\u009b", 100, `\u0085\u009b`},
		{"\ufffd", 100, "\ufffd"},
		{"\u202e\u2066\u2067\u2068\u2069\u202a\u202b\u202c\u202d\u200e\u200f\u061c", 100, `\u202e\u2066\u2067\u2068\u2069\u202a\u202b\u202c\u202d\u200e\u200f\u061c`},
		{"\u2028\u2029\u200b\u00ad\ufeff", 100, `\u2028\u2029\u200b\u00ad\ufeff`},
		{"\U000e0041", 100, `\U000e0041`},
		{`it's \n "quoted"`, 100, `it's \n "quoted"`},
		{"abcdefgh", 8, "abcdefgh"},
		{"abcdefghi", 8, "abcdefgh…"},
		{"ääää", 8, "ääää"},
		{"äääää", 8, "ääää…"},
		{"abcd\n\n", 8, "abcd\\n\\n"},
		{"abcde\n\n", 8, "abcde\\n…"},
		{"\n\n\n\n\n", 8, `\n\n\n\n…`},
	} {
		got := Text(test.in, test.limit)
		if got != test.want || Text(got, test.limit) != got {
			t.Errorf("Text(%q, %d) = %q, want %q", test.in, test.limit, got, test.want)
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add("ä\n\xff\u202e…", 8)
	f.Fuzz(func(t *testing.T, text string, limit int) {
		limit &= 0xff
		got := Text(text, limit)
		if len(got) > limit+len("…") || !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return !Is(r) }) || Text(got, limit) != got {
			t.Errorf("Text(%q, %d) = %q", text, limit, got)
		}
		if cut := Cut(got, limit/2); len(cut) > limit/2 || !utf8.ValidString(cut) || !strings.HasPrefix(got, cut) {
			t.Errorf("Cut(%q, %d) = %q", got, limit/2, cut)
		}
	})
}
