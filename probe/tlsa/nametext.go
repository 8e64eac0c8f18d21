package tlsa

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"
	"unicode/utf8"

	"dane_exporter/internal/printable"
)

// NameText returns the first octets of name.String(), at most limit, and cuts the text
// between characters. pkix.Name.String takes time quadratic in the number of attributes,
// which the server chooses. NameText cuts the attributes first, so that only a few more
// than it returns are rendered.
//
// The value of an attribute whose type has no short name is rendered in DER. If the value
// is longer than limit, the DER length is that of the cut value. NameText ignores
// ExtraNames, which the name of a parsed certificate does not have.
func NameText(name pkix.Name, limit int) string {
	return printable.Cut(cutName(name, limit).String(), limit)
}

// cutName returns the attributes of name whose text begins within the first limit octets
// of name.String(). It may return a few more.
func cutName(name pkix.Name, limit int) pkix.Name {
	c := nameCutter{left: limit + 1} // no separator follows the last attribute
	// The order is that of pkix.Name.String.
	cut := pkix.Name{SerialNumber: c.value(name.SerialNumber), CommonName: c.value(name.CommonName)}
	cut.OrganizationalUnit = c.values(name.OrganizationalUnit)
	cut.Organization = c.values(name.Organization)
	cut.PostalCode = c.values(name.PostalCode)
	cut.StreetAddress = c.values(name.StreetAddress)
	cut.Locality = c.values(name.Locality)
	cut.Province = c.values(name.Province)
	cut.Country = c.values(name.Country)
	cut.Names = c.others(name.Names)
	return cut
}

// nameCutter cuts attributes. It counts at most as many octets as their text has, so that
// it drops no attribute that is visible.
type nameCutter struct{ left int }

// value returns the part of the value of one attribute that may be visible. An empty
// value means that the name does not have the attribute.
func (c *nameCutter) value(value string) string {
	if value == "" || c.left <= 0 {
		return ""
	}
	return c.values([]string{value})[0]
}

func (c *nameCutter) values(values []string) []string {
	var cut []string
	for _, value := range values {
		if c.left <= 0 {
			break
		}
		// An escape at the end of the cut value is beyond the limit.
		value = printable.Cut(value, c.left+utf8.UTFMax)
		cut = append(cut, value)
		c.left -= len(value) + len("C=,")
	}
	return cut
}

// others returns the attributes that are not in a field of pkix.Name. Their text is
// in reverse order.
func (c *nameCutter) others(attributes []pkix.AttributeTypeAndValue) []pkix.AttributeTypeAndValue {
	var cut []pkix.AttributeTypeAndValue
	for _, a := range slices.Backward(attributes) {
		if c.left <= 0 {
			break
		}
		if !isField(a.Type) {
			a.Type = a.Type[:min(len(a.Type), c.left)]
			a.Value = cutValue(a.Value, c.left+utf8.UTFMax)
			cut = append(cut, a)
			c.left -= len("1=,")
		}
	}
	slices.Reverse(cut)
	return cut
}

// isField reports whether pkix.Name has a field for a type of attribute.
func isField(t asn1.ObjectIdentifier) bool {
	return len(t) == 4 && t[0] == 2 && t[1] == 5 && t[2] == 4 && slices.Contains([]int{3, 5, 6, 7, 8, 9, 10, 11, 17}, t[3])
}

// cutValue cuts a value as encoding/asn1 parses it.
func cutValue(value any, limit int) any {
	switch v := value.(type) {
	case string:
		return printable.Cut(v, limit)
	case []byte:
		return v[:min(len(v), limit)]
	case asn1.BitString:
		if len(v.Bytes) > limit {
			return asn1.BitString{Bytes: v.Bytes[:limit], BitLength: 8 * limit}
		}
	case asn1.ObjectIdentifier:
		return v[:min(len(v), limit)]
	}
	return value
}
