package caa

import (
	"slices"
	"strings"
	"testing"
)

func TestAdmit(t *testing.T) {
	issue := func(values ...string) []Record {
		var set []Record
		for _, value := range values {
			set = append(set, Record{Tag: "issue", Value: value})
		}
		return set
	}
	tests := []struct {
		name, sentence string
		set            []Record
		want           string // of the error; empty: admitted
		wildcard       string // of the error for a wildcard name, if it differs; "-": admitted
	}{
		{"no records", "Without records, any CA may issue.", nil, "", ""},
		{"listed", "The CA is listed.", issue("ca.example"), "", ""},
		{"upper case", "Domain names are case-insensitive.", issue("CA.Example"), "", ""},
		{"parameters", "The parameters are for the CA.", issue(" ca.example ; account = 230123; validationmethods=dns-01"), "", ""},
		{"one of two", "Records are additive.", issue("other.example", "ca.example"), "", ""},
		{"empty and listed", "Records are additive (RFC 8659 §4.2).", issue(";", "ca.example"), "", ""},
		{"not listed", "Only another CA is listed.", issue("other.example"), `admit "other.example", not ca.example`, ""},
		{"no CA", "A record without a domain admits no CA.", issue(";"), `admit ";", not ca.example`, ""},
		{"empty value", "An empty issuer forbids all.", issue(""), "not ca.example", ""},
		{"malformed", "A malformed value forbids (RFC 8659 §4.2).", issue("%%%%%"), "not ca.example", ""},
		{"malformed parameters", "A malformed value forbids.", issue("ca.example; account"), "not ca.example", ""},
		{"malformed label", "A malformed value forbids.", issue("ca-.example"), "not ca.example", ""},
		{"subdomain", "Another name is another issuer.", issue("sub.ca.example"), "not ca.example", ""},
		{"wildcard only", "issuewild does not count for names without a wildcard (RFC 8659 §4.3).", []Record{{Tag: "issuewild", Value: ";"}}, "", "not ca.example"},
		{"wildcard and others", "issuewild replaces issue for wildcard names.", append(issue(";"), Record{Tag: "IssueWild", Value: "ca.example"}), "not ca.example", "-"},
		{"others and wildcard", "issuewild replaces issue for wildcard names.", append(issue("ca.example"), Record{Tag: "issuewild", Value: "other.example"}), "", "not ca.example"},
		{"many others", "The error does not quote all of them.", issue(slices.Repeat([]string{strings.Repeat("x", 200) + ".example"}, 1000)...), "and 995 more, not ca.example", ""},
		{"trailing semicolon", "An empty parameter is malformed (RFC 8659 §4.2).", issue("ca.example; account=1;"), "not ca.example", ""},
		{"semicolon alone", "Parameters are optional.", issue("ca.example ;"), "", ""},
		{"value with equals signs", "The first one ends the tag.", issue("ca.example; a=b=c"), "", ""},
		{"iodef only", "It does not restrict.", []Record{{Tag: "iodef", Value: "mailto:a@example.org"}}, "", ""},
		{"unknown tag", "It does not restrict.", []Record{{Tag: "policy", Value: "x"}}, "", ""},
		{"critical unknown tag", "A CA that does not know it must not issue.", []Record{{Tag: "policy", Value: "x", Critical: true}}, "critical", ""},
		{"critical unknown tag, and listed", "The tag counts although the issue record admits the CA.", append(issue("ca.example"), Record{Tag: "policy", Critical: true}), "critical", ""},
		{"critical issue", "CAs know the tag.", []Record{{Tag: "ISSUE", Value: "ca.example", Critical: true}}, "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			wild := test.want
			if test.wildcard != "" {
				wild = strings.TrimPrefix(test.wildcard, "-")
			}
			for wildcard, want := range map[bool]string{false: test.want, true: wild} {
				err := Admit(test.set, []string{"ca.example"}, wildcard)
				if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
					t.Errorf("%s\nwildcard %t: %v, want %q", test.sentence, wildcard, err, want)
				}
				if err != nil && len(err.Error()) > 1000 {
					t.Errorf("the error has %d bytes", len(err.Error()))
				}
			}
		})
	}
}

// TestKnownIssuers checks that each entry can be compared with a record.
func TestKnownIssuers(t *testing.T) {
	known := KnownIssuers()
	for organization, domains := range known {
		for _, domain := range domains {
			if issuerDomain(domain) != domain {
				t.Errorf("%s: %q is no issuer domain name", organization, domain)
			}
		}
	}
	changed := known.With(Issuers{"Amazon": {"ca.example"}, "Example": {"ca.example"}})
	if len(changed) != len(known)+1 || len(changed["Amazon"]) != 1 || len(known["Amazon"]) == 1 {
		t.Errorf("%d entries, Amazon %q", len(changed), changed["Amazon"])
	}
}
