package dnssec

import (
	"bytes"
	"fmt"

	"github.com/miekg/dns"
)

// Inside this package a name is in presentation form, fully qualified and in
// lower case, as fold makes it; names are compared label by label.

// question is what is asked of a resolver; the class is always IN.
type question struct {
	name  string
	qtype uint16
}

func (q question) String() string { return q.name + " " + typeName(q.qtype) }

// newQuestion checks a name from outside and brings it into the form used here.
func newQuestion(name string, qtype uint16) (question, error) {
	wire, err := wireName(name)
	if err != nil {
		return question{}, fmt.Errorf("%.300q is not a domain name: %w", name, err)
	}
	unpacked, _, err := dns.UnpackDomainName(wire, 0)
	if err != nil {
		return question{}, fmt.Errorf("%.300q is not a domain name: %w", name, err)
	}
	return question{fold(unpacked), qtype}, nil
}

func typeName(t uint16) string { return dns.Type(t).String() }

func fold(name string) string { return dns.CanonicalName(name) }

// within reports whether name is zone or lies below it.
func within(name, zone string) bool { return dns.IsSubDomain(zone, name) }

// below reports whether name lies strictly below zone.
func below(name, zone string) bool { return name != zone && within(name, zone) }

func labels(name string) int { return dns.CountLabel(name) }

// suffix returns the last n labels of name.
func suffix(name string, n int) string {
	offsets := dns.Split(name)
	switch {
	case n <= 0:
		return "."
	case n >= len(offsets):
		return name
	}
	return name[offsets[len(offsets)-n]:]
}

func parentOf(name string) string { return suffix(name, labels(name)-1) }

// shared returns how many labels two names have in common, from the root.
func shared(a, b string) int { return dns.CompareDomainName(a, b) }

// wildcardAt is the wildcard that stands directly below name.
func wildcardAt(name string) string {
	if name == "." {
		return "*."
	}
	return "*." + name
}

// wireName is the canonical wire form of a name: uncompressed and in lower
// case (RFC 4034 §6.2).
func wireName(name string) ([]byte, error) {
	buffer := make([]byte, 256)
	n, err := dns.PackDomainName(dns.Fqdn(name), buffer, 0, nil, false)
	if err != nil {
		return nil, err
	}
	lowerASCII(buffer[:n]) // a length octet is at most 63, below any letter
	return buffer[:n], nil
}

func lowerASCII(b []byte) {
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
}

// compareNames is the canonical order of names (RFC 4034 §6.1).
func compareNames(a, b string) int {
	x, y := wireLabels(a), wireLabels(b)
	for i, j := len(x)-1, len(y)-1; i >= 0 && j >= 0; i, j = i-1, j-1 {
		if c := bytes.Compare(x[i], y[j]); c != 0 {
			return c
		}
	}
	return len(x) - len(y)
}

func wireLabels(name string) [][]byte {
	wire, err := wireName(name)
	if err != nil {
		return nil
	}
	var list [][]byte
	for len(wire) > 1 {
		n := int(wire[0])
		list = append(list, wire[1:1+n])
		wire = wire[1+n:]
	}
	return list
}
