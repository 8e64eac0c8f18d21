package mtasts

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseRecord(t *testing.T) {
	for _, story := range []struct {
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
		{"other records beside it", []string{"v=spf1 -all", "v=STSv1; id=1", "v=STSv2; id=2"}, "1", ""},

		{"nothing", nil, "", "there is no such record"},
		{"other records alone", []string{"v=spf1 -all", ""}, "", "there is no such record"},
		{"two", []string{"v=STSv1; id=1", "v=STSv1; id=2"}, "", `there are 2 records where one is wanted: the first is "v=STSv1; id=1", the second "v=STSv1; id=2"`},
		{"wrong case", []string{"v=stsv1; id=1"}, "", `"v=stsv1; id=1": does not begin with "v=STSv1;"`},
		{"white space in the version", []string{"v = STSv1; id=1"}, "", `"v = STSv1; id=1": does not begin with "v=STSv1;"`},
		{"no delimiter", []string{"v=STSv1 id=1"}, "", `"v=STSv1 id=1": does not begin with "v=STSv1;"`},
		{"another version", []string{"v=STSv2; id=1"}, "", `"v=STSv2; id=1": does not begin with "v=STSv1;"`},
		{"no id", []string{"v=STSv1;"}, "", `"v=STSv1;": it has no id`},
		{"an empty id", []string{"v=STSv1; id="}, "", `"v=STSv1; id=": id "" is not 1 to 32 letters and digits`},
		{"an id too long", []string{"v=STSv1; id=" + strings.Repeat("1", 33)}, "", "is not 1 to 32 letters and digits"},
		{"an id with a hyphen", []string{"v=STSv1; id=2026-06"}, "", `id "2026-06" is not 1 to 32 letters and digits`},
		{"an id in another script", []string{"v=STSv1; id=١"}, "", "is not 1 to 32 letters and digits"},
		{"white space before the value", []string{"v=STSv1; id= 1"}, "", "is not 1 to 32 letters and digits"},
		{"a field without a value", []string{"v=STSv1; id"}, "", `"id" is no field of the form name=value`},
		{"an empty field", []string{"v=STSv1;; id=1"}, "", `"" is no field of the form name=value`},
		{"what a terminal would obey", []string{"v=STSv1; id=\x1b[2J"}, "", `\x1b[2J`},
	} {
		t.Run(story.name, func(t *testing.T) {
			record, err := ParseRecord(story.records)
			check(t, err, story.err)
			if record.ID != story.id {
				t.Errorf("id %q, want %q", record.ID, story.id)
			}
		})
	}
}

// check compares an error with what it should say, or begin or end with.
func check(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("error %v", err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestParseTLSRPT(t *testing.T) {
	for _, story := range []struct {
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
		{"an encoded comma", []string{"v=TLSRPTv1; rua=mailto:a%2Cb@example.com"}, []string{"mailto:a%2Cb@example.com"}, ""},

		{"nothing", nil, nil, "there is no such record"},
		{"two", []string{"v=TLSRPTv1; rua=mailto:a@example.com", "v=TLSRPTv1;"}, nil, "there are 2 records where one is wanted"},
		{"wrong case", []string{"v=tlsrptv1; rua=mailto:a@example.com"}, nil, `does not begin with "v=TLSRPTv1;"`},
		{"no rua", []string{"v=TLSRPTv1;"}, nil, "it has no rua"},
		{"an empty rua", []string{"v=TLSRPTv1; rua="}, nil, `rua "" is neither mailto: with an address nor https: with a host`},
		{"a bare address", []string{"v=TLSRPTv1; rua=reports@example.com"}, nil, `rua "reports@example.com" is neither`},
		{"mail to nobody", []string{"v=TLSRPTv1; rua=mailto:example.com"}, nil, `rua "mailto:example.com" is neither`},
		{"plain HTTP", []string{"v=TLSRPTv1; rua=http://example.com/"}, nil, `rua "http://example.com/" is neither`},
		{"a comma at the end", []string{"v=TLSRPTv1; rua=mailto:a@example.com,"}, nil, `rua "" is neither`},
		{"an exclamation mark", []string{"v=TLSRPTv1; rua=mailto:a@example.com!10m"}, nil, "must be encoded"},
		{"no URI at all", []string{"v=TLSRPTv1; rua=https://[::1"}, nil, "is no URI"},
	} {
		t.Run(story.name, func(t *testing.T) {
			record, err := ParseTLSRPT(story.records)
			check(t, err, story.err)
			if !slices.Equal(record.RUA, story.rua) {
				t.Errorf("rua %q, want %q", record.RUA, story.rua)
			}
		})
	}
}

func TestParsePolicy(t *testing.T) {
	const head = "version: STSv1\n"
	good := Policy{Mode: Enforce, MaxAge: 604800 * time.Second, MX: []string{"mail.example.com", "*.example.net"}}
	one := Policy{Mode: Testing, MaxAge: time.Second, MX: []string{"mx.example.com"}}
	for _, story := range []struct {
		name, text string
		want       *Policy
		err        string
	}{
		{"as the RFC has it", "version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\nmax_age: 604800\r\n", &good, ""},
		{"LF, another order, no end", "mx:mail.example.com\nmax_age:604800\nmode:enforce\nmx:\t*.example.net\nversion:STSv1", &good, ""},
		{"white space at the ends of lines, and empty lines", "\nversion: STSv1 \t\r\n\r\nmode: testing \nmx: mx.example.com\nmax_age: 1\n\n", &one, ""},
		{"upper case in a name", head + "mode: testing\nmx: MX.Example.COM\nmax_age: 1", &one, ""},
		{"an extension", head + "mode: testing\nfuture.key: whatever, in UTF-8: ü\nmx: mx.example.com\nmax_age: 1", &one, ""},
		{"of keys given twice the first counts", head + "version: STSv2\nmode: testing\nmode: enforce\nmx: mx.example.com\nmax_age: 1\nmax_age: x", &one, ""},
		{"mode none needs no mx", head + "mode: none\nmax_age: 86400", &Policy{Mode: Off, MaxAge: 24 * time.Hour}, ""},
		{"the longest life", head + "mode: none\nmax_age: 31557600", &Policy{Mode: Off, MaxAge: MaxAge}, ""},
		{"no life at all", head + "mode: none\nmax_age: 0", &Policy{Mode: Off}, ""},

		{"nothing", "", nil, "it has no version"},
		{"no mode", head + "mx: a.example\nmax_age: 1", nil, "it has no mode"},
		{"no max_age", head + "mode: testing\nmx: a.example", nil, "it has no max_age"},
		{"no mx", head + "mode: testing\nmax_age: 1", nil, "it has no mx"},
		{"another version", "version: STSv2\n", nil, `line 1: "version: STSv2": the version is not STSv1`},
		{"another mode", head + "mode: report\n", nil, `line 2: "mode: report": the mode is none of enforce, testing, none`},
		{"too long a life", head + "max_age: 31557601\n", nil, "max_age is no whole number of seconds from 0 to 31557600"},
		{"a life below nothing", head + "max_age: -1\n", nil, "max_age is no whole number"},
		{"a life with a sign", head + "max_age: +1\n", nil, "max_age is no whole number"},
		{"zeroes without end", head + "max_age: 00000000001\n", nil, "max_age is no whole number"},
		{"a life in words", head + "max_age: 1w\n", nil, "max_age is no whole number"},
		{"a wildcard in the middle", head + "mx: mx.*.example\n", nil, "no host name in A-labels"},
		{"half a wildcard", head + "mx: mx*.example\n", nil, "no host name in A-labels"},
		{"a wildcard alone", head + "mx: *.\n", nil, "no host name in A-labels"},
		{"a dot at the end", head + "mx: mx.example.\n", nil, "no host name in A-labels"},
		{"a leading dot, as drafts had it", head + "mx: .example.net\n", nil, "no host name in A-labels"},
		{"an IDN that is not encoded", head + "mx: bücher.example\n", nil, "no host name in A-labels"},
		{"no value", head + "mx:\n", nil, "no host name in A-labels"},
		{"HTML", "<!DOCTYPE html>\n", nil, `line 1: "<!DOCTYPE html>": no line of the form key: value`},
		{"white space before the colon", "version : STSv1\n", nil, "no line of the form key: value"},
		{"a byte order mark", "\ufeffversion: STSv1\n", nil, "no line of the form key: value"},
		{"CR alone", "version: STSv1\rmode: none\rmax_age: 1\r", nil, "the version is not STSv1"},
		{"no UTF-8", head + "mode: none\nmax_age: 1\nx: \xff\n", nil, "it is no UTF-8"},
	} {
		t.Run(story.name, func(t *testing.T) {
			policy, err := ParsePolicy([]byte(story.text))
			check(t, err, story.err)
			if (policy == nil) != (story.want == nil) || policy != nil && (policy.Mode != story.want.Mode || policy.MaxAge != story.want.MaxAge || !slices.Equal(policy.MX, story.want.MX)) {
				t.Errorf("got %+v, want %+v", policy, story.want)
			}
		})
	}
}

func TestCovers(t *testing.T) {
	policy := &Policy{MX: []string{"mail.example.com", "*.example.net", "*.a.example.org"}}
	for host, want := range map[string]bool{
		"mail.example.com":     true,
		"Mail.Example.COM.":    true,
		"mx1.example.net":      true,
		"mx.a.example.org":     true,
		"example.net":          false, // the wildcard stands for one label, not for none
		"a.mx.example.net":     false, // and not for two
		"mx.example.org":       false,
		"www.mail.example.com": false,
		"example.com":          false,
		"xexample.net":         false,
		"net":                  false,
		"":                     false,
		"*.example.net":        true, // nobody's host, and one label
	} {
		if got := policy.Covers(host); got != want {
			t.Errorf("%q: %t, want %t", host, got, want)
		}
	}
	if (&Policy{}).Covers("mail.example.com") {
		t.Error("a policy without mx covers a host")
	}
}

func FuzzParsePolicy(f *testing.F) {
	for _, seed := range []string{
		"version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\nmax_age: 604800\r\n",
		"version: STSv1\nmode: none\nmax_age: 0", "version:STSv1\nmode:testing\nmx:*.\nmax_age:31557601", ":", "\r\r\n", "mx: \xff", "<html>",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		policy, err := ParsePolicy(text)
		var syntax *SyntaxError
		if (policy == nil) == (err == nil) || err != nil && !errors.As(err, &syntax) {
			t.Fatalf("got %v, %v", policy, err)
		}
		if err != nil {
			oneShortLine(t, err)
			return
		}
		if !slices.Contains(Modes(), policy.Mode) || policy.MaxAge < 0 || policy.MaxAge > MaxAge || policy.Mode != Off && len(policy.MX) == 0 {
			t.Errorf("%+v is no policy", policy)
		}
		for _, pattern := range policy.MX {
			host := strings.Replace(pattern, "*.", "mx.", 1)
			if !policy.Covers(host) || policy.Covers("a."+host) && !slices.Contains(policy.MX, "a."+host) && !slices.Contains(policy.MX, "*."+host) {
				t.Errorf("%q is wrongly covered or not by %q", host, policy.MX)
			}
		}
	})
}

func FuzzParseRecords(f *testing.F) {
	for _, seed := range []string{"v=STSv1; id=20160831085700Z;", "v=STSv1;", "v=STSv1 ; a=b; id=1", "v=TLSRPTv1; rua=mailto:a@example.com,https://example.com/", "v=TLSRPTv1;rua=mailto:%", ";", "\x00"} {
		f.Add(seed, "v=spf1 -all")
	}
	f.Fuzz(func(t *testing.T, one, other string) {
		record, err := ParseRecord([]string{one, other})
		if !isID(record.ID) == (err == nil) {
			t.Errorf("got id %q, %v", record.ID, err)
		}
		known(t, err)
		report, err := ParseTLSRPT([]string{one, other})
		if (len(report.RUA) == 0) == (err == nil) {
			t.Errorf("got %q, %v", report.RUA, err)
		}
		known(t, err)
	})
}

// known wants an error to be one of those that are promised.
func known(t *testing.T, err error) {
	t.Helper()
	var several *SeveralError
	var syntax *SyntaxError
	if err != nil && !errors.Is(err, ErrNone) && !errors.As(err, &several) && !errors.As(err, &syntax) {
		t.Errorf("error %#v", err)
	}
	if err != nil {
		oneShortLine(t, err)
	}
}

// oneShortLine wants an error to be fit for a terminal, whatever is quoted in it.
func oneShortLine(t *testing.T, err error) {
	t.Helper()
	if text := err.Error(); len(text) > 2000 || strings.ContainsAny(text, "\n\r\x1b\x00") {
		t.Errorf("error %q", text)
	}
}
