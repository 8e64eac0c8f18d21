package mtasts

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseRecord(t *testing.T) {
	for _, test := range []struct {
		name    string
		records []string
		id      string
		err     string // empty: none
	}{
		{"as the RFC has it", []string{"v=STSv1; id=20160831085700Z;"}, "20160831085700Z", ""},
		{"no delimiter at the end", []string{"v=STSv1; id=1"}, "1", ""},
		{"no white space", []string{"v=STSv1;id=1"}, "1", ""},
		{"white space around the delimiters", []string{"v=STSv1\t;  id=1 ; "}, "1", ""},
		{"an extension before the id", []string{"v=STSv1; a.b-c_d=x; id=1"}, "1", ""},
		{"of two ids the first counts", []string{"v=STSv1; id=1; id=2"}, "1", ""},
		{"the longest id", []string{"v=STSv1; id=" + strings.Repeat("a", 32)}, strings.Repeat("a", 32), ""},
		{"the first and the last of digits and letters", []string{"v=STSv1; 09azAZ=x; id=09azAZ"}, "09azAZ", ""},
		{"the longest name of an extension", []string{"v=STSv1; " + strings.Repeat("a", 32) + "=x; id=1"}, "1", ""},
		{"other records too", []string{"v=spf1 -all", "v=STSv1; id=1", "v=STSv2; id=2"}, "1", ""},

		{"no TXT record", nil, "", "there is no such record"},
		{"other records only", []string{"v=spf1 -all", ""}, "", "there is no such record"},
		{"two records", []string{"v=STSv1; id=1", "v=STSv1; id=2"}, "", `there are 2 records where one is expected; the first is "v=STSv1; id=1", the second "v=STSv1; id=2"`},
		{"wrong case", []string{"v=stsv1; id=1"}, "", `"v=stsv1; id=1": does not begin with "v=STSv1;"`},
		{"white space in the version", []string{"v = STSv1; id=1"}, "", `"v = STSv1; id=1": does not begin with "v=STSv1;"`},
		{"no delimiter", []string{"v=STSv1 id=1"}, "", `"v=STSv1 id=1": does not begin with "v=STSv1;"`},
		{"another version", []string{"v=STSv2; id=1"}, "", `"v=STSv2; id=1": does not begin with "v=STSv1;"`},
		{"no id", []string{"v=STSv1;"}, "", `"v=STSv1;": the field id is missing`},
		{"an empty id", []string{"v=STSv1; id="}, "", `"v=STSv1; id=": id "" is not 1 to 32 letters and digits`},
		{"an id too long", []string{"v=STSv1; id=" + strings.Repeat("1", 33)}, "", "is not 1 to 32 letters and digits"},
		{"an id with a hyphen", []string{"v=STSv1; id=2026-06"}, "", `id "2026-06" is not 1 to 32 letters and digits`},
		{"an id in another script", []string{"v=STSv1; id=١"}, "", "is not 1 to 32 letters and digits"},
		{"white space before the value", []string{"v=STSv1; id= 1"}, "", "is not 1 to 32 letters and digits"},
		{"a field without a value", []string{"v=STSv1; id"}, "", `"id" is not of the form name=value`},
		{"an empty field", []string{"v=STSv1;; id=1"}, "", `"" is not of the form name=value`},
		{"a name too long", []string{"v=STSv1; " + strings.Repeat("a", 33) + "=x; id=1"}, "", "is not of the form name=value"},
		{"a name in another script", []string{"v=STSv1; ı=x; id=1"}, "", "is not of the form name=value"},
		{"a name that begins with a hyphen", []string{"v=STSv1; -a=x; id=1"}, "", "is not of the form name=value"},
		{"an extension without a value", []string{"v=STSv1; id=1; foo="}, "", `the value "" of the field foo is empty`},
		{"an extension with an equals sign", []string{"v=STSv1; x=a=b; id=1"}, "", `the value "a=b" of the field x`},
		{"an extension with a space", []string{"v=STSv1; x=a b; id=1"}, "", `the value "a b" of the field x`},
		{"an extension that is not ASCII", []string{"v=STSv1; x=é; id=1"}, "", `the value "é" of the field x`},
		{"an extension with the last printable characters", []string{"v=STSv1; x=!~; id=1"}, "1", ""},
		{"a record in quotation marks", []string{`"v=STSv1; id=1"`}, "", `does not begin with "v=STSv1;"`},
		{"an id in quotation marks", []string{`v=STSv1; id="1"`}, "", "is not 1 to 32 letters and digits"},
		{"a record without v=", []string{"STSv1; id=1"}, "", `does not begin with "v=STSv1;"`},
		{"a version without v", []string{"v=STS1; id=1"}, "", `does not begin with "v=STSv1;"`},
		{"a byte order mark", []string{"\ufeffv=STSv1; id=1"}, "", `does not begin with "v=STSv1;"`},
		{"a terminal escape sequence", []string{"v=STSv1; id=\x1b[2J"}, "", `\x1b[2J`},
	} {
		t.Run(test.name, func(t *testing.T) {
			record, err := ParseRecord(test.records)
			check(t, err, test.err)
			if record.ID != test.id {
				t.Errorf("id %q, want %q", record.ID, test.id)
			}
		})
	}
}

// What some senders tolerate and others do not is never silent.
func TestTolerated(t *testing.T) {
	record := func(txt ...string) []string {
		t.Helper()
		r, err := ParseRecord(txt)
		if err != nil {
			t.Error(err)
		}
		return r.Tolerated
	}
	report := func(txt ...string) []string {
		t.Helper()
		r, err := ParseTLSRPT(txt)
		if err != nil {
			t.Error(err)
		}
		return r.Tolerated
	}
	policy := func(text string) []string {
		t.Helper()
		p, err := ParsePolicy([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return p.Tolerated
	}
	const rest = "mode: none\nmax_age: 1\n"
	for _, test := range []struct {
		name string
		got  []string
		want string // of the only sentence; empty: there is none
	}{
		{"a record", record("v=STSv1; id=1; x=y"), ""},
		{"white space after the version", record("v=STSv1 ; id=1"), `white space follows v=STSv1; senders that require "v=STSv1;" ignore the record`},
		{"two ids", record("v=STSv1; id=1; id=2"), "the field id is repeated"},
		{"another record in quotation marks", record("v=STSv1; id=1", `"v=STSv1; id=2"`), "another record, "},
		{"white space at the end", record("v=STSv1; id=1\t"), "white space ends the record"},
		{"white space around the last delimiter", record("v=STSv1; id=1 ; "), ""},
		{"an unrelated record", record("v=STSv1; id=1", "v=spf1 -all"), ""},

		{"a report record", report("v=TLSRPTv1; rua=mailto:a@example.com"), ""},
		{"one unsupported scheme of two", report("v=TLSRPTv1; rua=ftp://example.com/,mailto:a@example.com"), `rua "ftp://example.com/" is neither mailto: with an address nor https: with a host; senders ignore it`},
		{"an unsupported scheme in a second field", report("v=TLSRPTv1; rua=mailto:a@example.com; rua=http://example.com/"), `rua "http://example.com/"`},
		{"white space around a comma", report("v=TLSRPTv1; rua=mailto:a@example.com , mailto:b@example.com"), ""},
		{"white space before the first URI", report("v=TLSRPTv1; rua= mailto:a@example.com"), "white space follows rua="},
		{"white space at the end of a report record", report("v=TLSRPTv1; rua=mailto:a@example.com "), "white space ends the record"},
		{"another version beside it", report("v=TLSRPTv1; rua=mailto:a@example.com", "v=TLSRPT1; rua=mailto:a@example.com"), `another record, "v=TLSRPT1;`},

		{"a policy", policy("version: STSv1\r\n" + rest), ""},
		{"white space at the end of a line, no line end at the end", policy("version: STSv1 \t\nmode: none\nmax_age: 1"), ""},
		{"an extension", policy("version: STSv1\nx: ü y\n" + rest), ""},
		{"an empty line", policy("version: STSv1\n\n" + rest), "line 2 is empty"},
		{"an empty line at the end", policy("version: STSv1\n" + rest + "\r\n"), "line 4 is empty"},
		{"a line of white space", policy("version: STSv1\n \t\n" + rest), "line 2 is empty"},
		{"a repeated key", policy("version: STSv1\nversion: STSv1\n" + rest), "line 2 repeats the key version"},
		{"an extension without a value", policy("version: STSv1\nfoo:\n" + rest), `line 2 has an unknown key with an empty value or control characters: "foo:"`},
		{"an underscore in mx", policy("version: STSv1\nmx: *.my_mail.example\n" + rest), `line 2 has an underscore in mx, which hostnames do not have: "mx: *.my_mail.example"`},
		{"an extension with a control character", policy("version: STSv1\nfoo: a\x1bb\n" + rest), `line 2 has an unknown key with an empty value or control characters: "foo: a\x1bb"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.want == "" && len(test.got) > 0 || test.want != "" && (len(test.got) != 1 || !strings.HasPrefix(test.got[0], test.want)) {
				t.Errorf("got %q, want %q", test.got, test.want)
			}
		})
	}
	var similar []string
	for range 1000 {
		similar = append(similar, "v=STSv2; id=1", "v=TLSRPTv2;")
	}
	for name, many := range map[string][]string{
		"empty lines":         policy("version: STSv1\n" + strings.Repeat("\n", 1000) + rest),
		"ids":                 record("v=STSv1" + strings.Repeat("; id=1", 1000)),
		"similar records":     record(append(similar, "v=STSv1; id=1")...),
		"reports":             report(append(similar, "v=TLSRPTv1; rua=mailto:a@example.com")...),
		"unsupported schemes": report("v=TLSRPTv1; rua=mailto:a@example.com" + strings.Repeat(",ftp://example.com/", 1000)),
	} {
		if len(many) != maxTolerated {
			t.Errorf("%s: %d sentences", name, len(many))
		}
	}
}

// check reports an error unless err contains want, after which the text must end if
// want ends with "$". An empty want means no error.
func check(t *testing.T, err error, want string) {
	t.Helper()
	part, end := strings.CutSuffix(want, "$")
	switch {
	case want == "" && err != nil:
		t.Errorf("error %v", err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), part) || end && !strings.HasSuffix(err.Error(), part)):
		t.Errorf("error %v, want one that contains %q", err, want)
	}
}

func TestParseTLSRPT(t *testing.T) {
	for _, test := range []struct {
		name    string
		records []string
		rua     []string
		err     string
	}{
		{"by mail", []string{"v=TLSRPTv1;rua=mailto:reports@example.com"}, []string{"mailto:reports@example.com"}, ""},
		{"by POST", []string{"v=TLSRPTv1; rua=https://reporting.example.com/v1/tlsrpt?a=b;"}, []string{"https://reporting.example.com/v1/tlsrpt?a=b"}, ""},
		{"both", []string{"v=TLSRPTv1; rua=mailto:a@example.com , https://example.com/"}, []string{"mailto:a@example.com", "https://example.com/"}, ""},
		{"two fields", []string{"v=TLSRPTv1; rua=mailto:a@example.com; rua=mailto:b@example.com"}, []string{"mailto:a@example.com", "mailto:b@example.com"}, ""},
		{"an extension", []string{"v=TLSRPTv1; x=y; rua=mailto:a@example.com"}, []string{"mailto:a@example.com"}, ""},
		{"the last printable character", []string{"v=TLSRPTv1; rua=https://example.com/~"}, []string{"https://example.com/~"}, ""},
		{"an encoded comma", []string{"v=TLSRPTv1; rua=mailto:a%2Cb@example.com"}, []string{"mailto:a%2Cb@example.com"}, ""},

		{"no TXT record", nil, nil, "there is no such record"},
		{"two records", []string{"v=TLSRPTv1; rua=mailto:a@example.com", "v=TLSRPTv1;"}, nil, "there are 2 records where one is expected"},
		{"wrong case", []string{"v=tlsrptv1; rua=mailto:a@example.com"}, nil, `does not begin with "v=TLSRPTv1;"`},
		{"one unsupported scheme of two", []string{"v=TLSRPTv1; rua=http://example.com/,mailto:a@example.com"}, []string{"mailto:a@example.com"}, ""},
		{"a URI with an equals sign", []string{"v=TLSRPTv1; rua=https://example.com/?a=b"}, []string{"https://example.com/?a=b"}, ""},
		{"another version", []string{"v=TLSRPT1; rua=mailto:a@example.com"}, nil, `does not begin with "v=TLSRPTv1;"`},
		{"a record in quotation marks", []string{`"v=TLSRPTv1; rua=mailto:a@example.com"`}, nil, `does not begin with "v=TLSRPTv1;"`},
		{"a URI with a space", []string{"v=TLSRPTv1; rua=https://example.com/a b"}, nil, "is not a URI"},
		{"a URI in quotation marks", []string{`v=TLSRPTv1; rua="mailto:a@example.com"`}, nil, "is not a URI"},
		{"a URI that is not ASCII", []string{"v=TLSRPTv1; rua=mailto:é@example.com"}, nil, "is not a URI"},
		{"only unsupported schemes", []string{"v=TLSRPTv1; rua=http://example.com/,ftp://example.com/"}, nil, `rua "ftp://example.com/" is neither`},
		{"a malformed URI beside a valid one", []string{"v=TLSRPTv1; rua=mailto:a@example.com,reports@example.com"}, nil, `rua "reports@example.com" is neither`},
		{"an extension without a value", []string{"v=TLSRPTv1; x=; rua=mailto:a@example.com"}, nil, `the value "" of the field x`},
		{"no rua", []string{"v=TLSRPTv1;"}, nil, "the field rua is missing"},
		{"an empty rua", []string{"v=TLSRPTv1; rua="}, nil, `rua "" is neither mailto: with an address nor https: with a host`},
		{"a bare address", []string{"v=TLSRPTv1; rua=reports@example.com"}, nil, `rua "reports@example.com" is neither`},
		{"mailto without a local part", []string{"v=TLSRPTv1; rua=mailto:example.com"}, nil, `rua "mailto:example.com" is neither`},
		{"mailto with an empty local part", []string{"v=TLSRPTv1; rua=mailto:@example.com"}, nil, `rua "mailto:@example.com" is neither`},
		{"mailto without a domain", []string{"v=TLSRPTv1; rua=mailto:a@?subject=b@c"}, nil, `rua "mailto:a@?subject=b@c" is neither`},
		{"https with a port only", []string{"v=TLSRPTv1; rua=https://:443/"}, nil, `rua "https://:443/" is neither`},
		{"plain HTTP", []string{"v=TLSRPTv1; rua=http://example.com/"}, nil, `rua "http://example.com/" is neither`},
		{"a comma at the end", []string{"v=TLSRPTv1; rua=mailto:a@example.com,"}, nil, `rua "" is neither`},
		{"an exclamation mark", []string{"v=TLSRPTv1; rua=mailto:a@example.com!10m"}, nil, "must be encoded"},
		{"a malformed URI", []string{"v=TLSRPTv1; rua=https://[::1"}, nil, "is not a URI"},
	} {
		t.Run(test.name, func(t *testing.T) {
			record, err := ParseTLSRPT(test.records)
			check(t, err, test.err)
			if !slices.Equal(record.RUA, test.rua) {
				t.Errorf("rua %q, want %q", record.RUA, test.rua)
			}
		})
	}
}

func TestParsePolicy(t *testing.T) {
	const head = "version: STSv1\n"
	good := Policy{Mode: Enforce, MaxAge: 604800 * time.Second, MX: []string{"mail.example.com", "*.example.net"}}
	label := strings.Repeat("a", 63)
	longest := strings.Repeat(label+".", 3) + label[:61] // of 253 octets
	one := Policy{Mode: Testing, MaxAge: time.Second, MX: []string{"mx.example.com"}}
	for _, test := range []struct {
		name, text string
		want       *Policy
		err        string
	}{
		{"as the RFC has it", "version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\nmax_age: 604800\r\n", &good, ""},
		{"LF, another order, no line end at the end", "mx:mail.example.com\nmax_age:604800\nmode:enforce\nmx:\t*.example.net\nversion:STSv1", &good, ""},
		{"white space at the ends of lines, and empty lines", "\nversion: STSv1 \t\r\n\r\nmode: testing \nmx: mx.example.com\nmax_age: 1\n\n", &one, ""},
		{"upper case in a name", head + "mode: testing\nmx: MX.Example.COM\nmax_age: 1", &one, ""},
		{"an extension", head + "mode: testing\nfuture.key: whatever, in UTF-8: ü\nmx: mx.example.com\nmax_age: 1", &one, ""},
		{"of repeated keys the first counts", head + "version: STSv2\nmode: testing\nmode: enforce\nmx: mx.example.com\nmax_age: 1\nmax_age: x", &one, ""},
		{"mode none needs no mx", head + "mode: none\nmax_age: 86400", &Policy{Mode: None, MaxAge: 24 * time.Hour}, ""},
		{"the greatest max_age", head + "mode: none\nmax_age: 31557600", &Policy{Mode: None, MaxAge: MaxAge}, ""},
		{"max_age with leading zeros", head + "mode: none\nmax_age: 0031557600", &Policy{Mode: None, MaxAge: MaxAge}, ""},
		{"the longest label and the longest name", head + "mode: testing\nmx: " + longest + "\nmax_age: 1", &Policy{Mode: Testing, MaxAge: time.Second, MX: []string{longest}}, ""},
		{"max_age 0", head + "mode: none\nmax_age: 0", &Policy{Mode: None}, ""},

		{"an empty policy", "", nil, "the key version is missing"},
		{"no mode", head + "mx: a.example\nmax_age: 1", nil, "the key mode is missing"},
		{"no max_age", head + "mode: testing\nmx: a.example", nil, "the key max_age is missing"},
		{"no mx", head + "mode: testing\nmax_age: 1", nil, "the key mx is missing"},
		{"another version", "version: STSv2\n", nil, `line 1: "version: STSv2": the version is not STSv1`},
		{"another mode", head + "mode: report\n", nil, `line 2: "mode: report": the mode is not one of enforce, testing, none`},
		{"max_age above the limit", head + "max_age: 31557601\n", nil, "max_age is not a whole number of seconds from 0 to 31557600"},
		{"a negative max_age", head + "max_age: -1\n", nil, "max_age is not a whole number"},
		{"max_age with a sign", head + "max_age: +1\n", nil, "max_age is not a whole number"},
		{"max_age of 11 digits", head + "max_age: 00000000001\n", nil, "max_age is not a whole number"},
		{"max_age with a unit", head + "max_age: 1w\n", nil, "max_age is not a whole number"},
		{"a label too long", head + "mx: " + label + "a.example\n", nil, "mx is not a hostname in A-labels"},
		{"a name too long", head + "mx: a." + longest + "\n", nil, "mx is not a hostname in A-labels"},
		{"a hyphen at the start of a label", head + "mx: mx.-a.example\n", nil, "mx is not a hostname in A-labels"},
		{"a hyphen at the end of a label", head + "mx: mx.a-.example\n", nil, "mx is not a hostname in A-labels"},
		{"a wildcard in the middle", head + "mx: mx.*.example\n", nil, "mx is not a hostname in A-labels"},
		{"a wildcard inside a label", head + "mx: mx*.example\n", nil, "mx is not a hostname in A-labels"},
		{"a wildcard alone", head + "mx: *.\n", nil, "mx is not a hostname in A-labels"},
		{"a dot at the end", head + "mx: mx.example.\n", nil, "mx is not a hostname in A-labels"},
		{"a leading dot, as drafts had it", head + "mx: .example.net\n", nil, "mx is not a hostname in A-labels"},
		{"an IDN in U-labels", head + "mx: bücher.example\n", nil, "mx is not a hostname in A-labels"},
		{"an empty mx", head + "mx:\n", nil, "mx is not a hostname in A-labels"},
		{"HTML", "<!DOCTYPE html>\n", nil, `line 1: "<!DOCTYPE html>": the line is not of the form key: value`},
		{"white space before the colon", "version : STSv1\n", nil, "the line is not of the form key: value"},
		{"a byte order mark", "\ufeffversion: STSv1\n", nil, "the line is not of the form key: value"},
		{"CR alone", "version: STSv1\rmode: none\rmax_age: 1\r", nil, "the version is not STSv1"},
		{"invalid UTF-8", head + "mode: none\nmax_age: 1\nx: \xff\n", nil, "the policy is not valid UTF-8"},
	} {
		t.Run(test.name, func(t *testing.T) {
			policy, err := ParsePolicy([]byte(test.text))
			check(t, err, test.err)
			if (policy == nil) != (test.want == nil) || policy != nil && (policy.Mode != test.want.Mode || policy.MaxAge != test.want.MaxAge || !slices.Equal(policy.MX, test.want.MX)) {
				t.Errorf("got %+v, want %+v", policy, test.want)
			}
		})
	}
}

// Errors quote what was published: whole up to 100 bytes, else its beginning, cut
// between characters.
func TestSyntaxErrorText(t *testing.T) {
	x99 := strings.Repeat("x", 99)
	for _, test := range []struct {
		name string
		err  SyntaxError
		want string
	}{
		{"a line", SyntaxError{Line: 1, Text: "a\x1b", Why: "why"}, `line 1: "a\x1b": why`},
		{"no line", SyntaxError{Text: "a", Why: "why"}, `"a": why`},
		{"no text", SyntaxError{Why: "why"}, "why"},
		{"100 bytes", SyntaxError{Text: x99 + "y", Why: "why"}, `"` + x99 + `y": why`},
		{"101 bytes", SyntaxError{Text: x99 + "yz", Why: "why"}, `"` + x99 + `y…": why`},
		{"the limit within a character", SyntaxError{Text: x99 + "é", Why: "why"}, `"` + x99 + `…": why`},
		{"no start of a character", SyntaxError{Text: strings.Repeat("\x80", 101), Why: "why"}, `"…": why`},
	} {
		if got := test.err.Error(); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

func TestMatches(t *testing.T) {
	policy := &Policy{MX: []string{"mail.example.com", "*.example.net", "*.a.example.org"}}
	for host, want := range map[string]bool{
		"mail.example.com":     true,
		"Mail.Example.COM.":    true,
		"mx1.example.net":      true,
		"mx.a.example.org":     true,
		"example.net":          false, // the wildcard does not stand for no label
		"a.mx.example.net":     false, // nor for two labels
		"mx.example.org":       false,
		"www.mail.example.com": false,
		"example.com":          false,
		"xexample.net":         false,
		"net":                  false,
		"":                     false,
		"*.example.net":        true, // not a hostname, but one label
	} {
		if got := policy.Matches(host); got != want {
			t.Errorf("%q: %t, want %t", host, got, want)
		}
	}
	if (&Policy{}).Matches("mail.example.com") {
		t.Error("a policy without mx matches a host")
	}
}

// FuzzParsePolicy checks that every text gives a policy within its limits, whose
// patterns match what they should, or a printable error.
func FuzzParsePolicy(f *testing.F) {
	for _, seed := range []string{
		"version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\nmax_age: 604800\r\n",
		"version: STSv1\nmode: none\nmax_age: 0", "version:STSv1\nmode:testing\nmx:*.\nmax_age:31557601", ":", "\r\r\n", "mx: \xff", "<html>",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		policy, err := ParsePolicy(text)
		if _, ok := errors.AsType[*SyntaxError](err); (policy == nil) == (err == nil) || err != nil && !ok {
			t.Fatalf("got %v, %v", policy, err)
		}
		if err != nil {
			checkPrintable(t, err)
			return
		}
		if !slices.Contains(Modes(), policy.Mode) || policy.MaxAge < 0 || policy.MaxAge > MaxAge || policy.Mode != None && len(policy.MX) == 0 {
			t.Errorf("%+v is not a valid policy", policy)
		}
		for _, pattern := range policy.MX {
			host := strings.Replace(pattern, "*.", "mx.", 1)
			if !policy.Matches(host) || policy.Matches("a."+host) && !slices.Contains(policy.MX, "a."+host) && !slices.Contains(policy.MX, "*."+host) {
				t.Errorf("%q is matched or not matched wrongly by %q", host, policy.MX)
			}
		}
	})
}

// FuzzParseRecords checks that every pair of records gives a valid record or a
// documented, printable error.
func FuzzParseRecords(f *testing.F) {
	for _, seed := range []string{"v=STSv1; id=20160831085700Z;", "v=STSv1;", "v=STSv1 ; a=b; id=1", "v=TLSRPTv1; rua=mailto:a@example.com,https://example.com/", "v=TLSRPTv1;rua=mailto:%", ";", "\x00"} {
		f.Add(seed, "v=spf1 -all")
	}
	f.Fuzz(func(t *testing.T, one, other string) {
		record, err := ParseRecord([]string{one, other})
		if !isID(record.ID) == (err == nil) {
			t.Errorf("got id %q, %v", record.ID, err)
		}
		checkDocumented(t, err)
		report, err := ParseTLSRPT([]string{one, other})
		if (len(report.RUA) == 0) == (err == nil) {
			t.Errorf("got %q, %v", report.RUA, err)
		}
		checkDocumented(t, err)
	})
}

// checkDocumented reports errors that the parsers do not document.
func checkDocumented(t *testing.T, err error) {
	t.Helper()
	_, multiple := errors.AsType[*MultipleRecordsError](err)
	_, syntax := errors.AsType[*SyntaxError](err)
	if err != nil && !errors.Is(err, ErrNoRecord) && !multiple && !syntax {
		t.Errorf("error %#v", err)
	}
	if err != nil {
		checkPrintable(t, err)
	}
}

// checkPrintable reports errors that are not one line of limited length that is
// safe in a terminal, whatever they quote.
func checkPrintable(t *testing.T, err error) {
	t.Helper()
	if text := err.Error(); len(text) > 2000 || strings.ContainsAny(text, "\n\r\x1b\x00") {
		t.Errorf("error %q", text)
	}
}
