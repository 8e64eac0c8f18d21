package tlsa

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"dane_exporter/internal/printable"
)

// attribute is an attribute whose type has no short name.
func attribute(value any) pkix.AttributeTypeAndValue {
	return pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}, Value: value}
}

// parsed returns name as a parsed certificate has it: with all attributes in Names.
func parsed(t *testing.T, name pkix.Name) pkix.Name {
	t.Helper()
	der, err := asn1.Marshal(name.ToRDNSequence())
	if err != nil {
		t.Fatal(err)
	}
	var sequence pkix.RDNSequence
	if _, err := asn1.Unmarshal(der, &sequence); err != nil {
		t.Fatal(err)
	}
	var again pkix.Name
	again.FillFromRDNSequence(&sequence)
	return again
}

// TestNameText compares NameText with pkix.Name.String at every limit.
func TestNameText(t *testing.T) {
	many := func(n int, value string) (list []string) {
		for i := range n {
			list = append(list, fmt.Sprint(value, i))
		}
		return list
	}
	full := pkix.Name{
		Country: []string{"DE"}, Province: []string{"Hessen"}, Locality: []string{"Bad <Homburg>"}, StreetAddress: []string{"Weg 1", "Weg 2"},
		PostalCode: []string{"61348"}, Organization: []string{`Müller, "Söhne" + Co; \`}, OrganizationalUnit: []string{" a ", "#b", ""},
		CommonName: "mx.example.org", SerialNumber: "42",
	}
	others := full
	others.ExtraNames = []pkix.AttributeTypeAndValue{attribute("hostmaster@example.org"), attribute("日本"), attribute([]byte{1, 2, 3}), attribute(7)}
	bits := pkix.Name{Names: []pkix.AttributeTypeAndValue{attribute(asn1.BitString{Bytes: []byte{1, 2}, BitLength: 12}), attribute(asn1.ObjectIdentifier{1, 3, 6}),
		attribute(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)), attribute(nil), {Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "skipped"}}}
	for label, name := range map[string]pkix.Name{
		"empty": {}, "common name": {CommonName: "mx.example.org"}, "spaces": {CommonName: "  "}, "character of 4 octets": {CommonName: strings.Repeat("𝄞 ", 90)},
		"invalid UTF-8": {CommonName: strings.Repeat("\xff\x80", 90)}, "escapes": {CommonName: strings.Repeat(",", 300)},
		"all fields": full, "all fields, parsed": parsed(t, full), "others, parsed": parsed(t, others), "other values": bits,
		"many values": {OrganizationalUnit: many(90, ""), Organization: many(90, "o")}, "empty values": {Organization: make([]string, 200), Country: []string{"DE"}},
	} {
		want := name.String()
		for limit := range 800 {
			if name.Names != nil && limit < len(want) {
				continue // a DER value that is cut has another length
			}
			if got := NameText(name, limit); got != printable.Cut(want, limit) {
				t.Fatalf("%s, limit %d:\n got %q\nwant %q", label, limit, got, printable.Cut(want, limit))
			}
		}
	}
}

// TestNameTextIsBounded checks that the attributes that are rendered do not grow
// with the name.
func TestNameTextIsBounded(t *testing.T) {
	const limit = 256
	long := strings.Repeat("é", 2<<20)
	attributes := func(n int, a pkix.AttributeTypeAndValue) (list []pkix.AttributeTypeAndValue) {
		for range n {
			list = append(list, a)
		}
		return list
	}
	for label, name := range map[string]pkix.Name{
		"7,500 values":      {Organization: make([]string, 7500), CommonName: "mx"},
		"7,500 attributes":  {Names: attributes(7500, attribute("x"))},
		"long values":       {Country: []string{long, long}, CommonName: long, SerialNumber: long},
		"long other values": {Names: attributes(3, attribute(long))},
		"long octets":       {Names: attributes(3, attribute([]byte(long)))},
		"long bits":         {Names: attributes(3, attribute(asn1.BitString{Bytes: []byte(long), BitLength: 8 * len(long)}))},
		"long identifiers":  {Names: attributes(3, pkix.AttributeTypeAndValue{Type: make([]int, 1<<20), Value: make(asn1.ObjectIdentifier, 1<<20)})},
	} {
		cut := cutName(name, limit)
		count := len(cut.Country) + len(cut.Organization) + len(cut.Names)
		if text := cut.String(); count > limit/3+1 || len(text) > 100*limit || len(text) < limit {
			t.Errorf("%s: %d attributes and %d octets are rendered", label, count, len(text))
		}
		if text := NameText(name, limit); len(text) > limit || len(text) <= limit-utf8.UTFMax {
			t.Errorf("%s: the text has %d octets", label, len(text))
		}
	}
}
