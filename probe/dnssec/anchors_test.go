package dnssec_test

import (
	"fmt"
	"strings"
	"testing"

	"dane_exporter/probe/dnssec"
)

// rootKey is the key-signing key of 2017 as a DNSKEY record, in several lines.
const rootKey = `; autotrust trust anchor file
;;id: . 1
.	172800	IN	DNSKEY	257 3 8 (
	AwEAAaz/tAm8yTn4Mfeh5eyI96WSVexTBAvkMgJzkKTOiW1vkIbzxeF3
	+/4RgWOq7HrxRixHlFlExOLAJr5emLvN7SWXgnLh4+B5xQlNVz8Og8kv
	ArMtNROxVQuCaSnIDdD5LKyWbRd2n9WGe2R8PzgCmr3EgVLrjyBxWezF
	0jLHwVN8efS3rCj/EWgvIWgb9tarpVUDK/b58Da+sqqls3eNbuv7pr+e
	oZG+SrDK6nWeL3c6H5Apxz7LjVc1uTIdsIXxuOLYA4/ilBmSVIzuDWfd
	RUfhHdY6+cn8HFRm+2hM8AnXGXws9555KrUB5qihylGa8subX2Nn6UwN
	R1AkUTV74bU= ) ; ;;state=2 [ VALID ]
`

func text(anchors []dnssec.Anchor) string {
	var lines []string
	for _, a := range anchors {
		lines = append(lines, fmt.Sprint(a.Hdr.Name, " ", a.KeyTag, " ", a.Algorithm, " ", a.DigestType, " ", strings.ToLower(a.Digest)))
	}
	return strings.Join(lines, "\n")
}

const (
	ksk2017 = ". 20326 8 2 e06d44b80b8f1d39a95c0b0d7c65d08458e880409bbc683457104237c7f8ec8d"
	ksk2024 = ". 38696 8 2 683d2d0acb8c9b712a1948b27f741219298d0a450d612c483af444a4c0fb2b16"
)

func TestBuiltinAnchors(t *testing.T) {
	if got := text(dnssec.BuiltinAnchors()); got != ksk2017+"\n"+ksk2024 {
		t.Errorf("got %s", got)
	}
}

func TestParseAnchors(t *testing.T) {
	for _, c := range []struct {
		name, file string
		want       string // anchors, or the error
	}{
		{"root.key of Unbound", rootKey, ksk2017},
		{"DS records", "; two\n" + strings.Replace(ksk2017, ". ", ". IN DS ", 1) + "\n\n" + strings.Replace(ksk2024, ". ", ". 86400 IN DS ", 1) + " ; 2024\n", ksk2017 + "\n" + ksk2024},
		{"a zone-signing key is skipped", rootKey + ". IN DNSKEY 256 3 8 AwEAAaz/tAm8yTn4\n", ksk2017},
		{"a revoked key is skipped", rootKey + ". IN DNSKEY 385 3 8 AwEAAaz/tAm8yTn4\n", ksk2017},
		{"an empty file", "; nothing\n\n", "no trust anchor: expected a DS or DNSKEY record"},
		{"another record", "\n. IN NS a.root-servers.net.\n", "line 2: expected a DS or DNSKEY record, got"},
		{"no record", "hello\n", "line 1: not a record"},
		{"half a record", ". IN DS 20326 8\n", "line 1: not a record"},
		{"an invalid digest", ". IN DS 20326 8 2 xyz\n", "line 1: "},
		{"an open parenthesis", "\n. IN DNSKEY 257 3 8 (\nAwEAAaz\n", "line 2: unclosed parenthesis"},
		{"a line without end", strings.Repeat("a", 100000), "line 1: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			anchors, err := dnssec.ParseAnchors(strings.NewReader(c.file))
			if err != nil {
				if !strings.Contains(err.Error(), c.want) {
					t.Errorf("error %v, want %s", err, c.want)
				}
				return
			}
			if got := text(anchors); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// TestAnchorErrorsQuoteNothing: the setting may name a wrong file, and clients that reload see
// the error.
func TestAnchorErrorsQuoteNothing(t *testing.T) {
	for _, file := range []string{
		"hunter2", "PASSWORD=hunter2\n", "hunter2 IN TXT x\n", "x IN TXT hunter2\n", "x 60 IN NULL hunter2\n", ". IN DS 20326 8 2 hunter2\n", ". IN DS hunter2 8 2 00\n",
		". IN DNSKEY 257 3 8 hunter2\n", ". IN DNSKEY 257 3 8 =hunter2\n", "$ORIGIN hunter2\n", "$INCLUDE /hunter2\n", "$GENERATE hunter2\n", "$TTL hunter2\n", "( hunter2", "\"hunter2\n",
		"hunter2" + strings.Repeat("x", 100000), "-----BEGIN PRIVATE KEY-----\nhunter2\n", "user:hunter2\n", "\\hunter2 IN DS 1 8 2 zz\n", "x IN TYPE65534 \\# 7 hunter2\n", "x hunter2 DS 1 8 2 00\n",
	} {
		if _, err := dnssec.ParseAnchors(strings.NewReader(file)); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%.40q: %v", file, err)
		}
	}
}
