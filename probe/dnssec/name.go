package dnssec

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// A name in this package is in presentation form, fully qualified and in lower
// case, as fold returns it. Names are compared label by label.

// question is a name and a type to look up. The class is always IN.
type question struct {
	name  string
	qtype uint16
}

func (q question) String() string { return q.name + " " + typeName(q.qtype) }

// ofChain reports whether the answer belongs to the chain of trust, which many
// lookups share.
func (q question) ofChain() bool { return q.qtype == dns.TypeDS || q.qtype == dns.TypeDNSKEY }

// newQuestion converts a name from a caller. It fails if the name is not a
// domain name.
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

// fold returns a name fully qualified and in lower case.
func fold(name string) string { return dns.CanonicalName(name) }

// within reports whether name is zone or is below it.
func within(name, zone string) bool {
	if zone == "." || name == zone {
		return true
	}
	dot := len(name) - len(zone) - 1
	return dot >= 0 && strings.HasSuffix(name, zone) && isBoundary(name, dot)
}

// isBoundary reports whether a label ends at i, with a dot that no backslash
// escapes.
func isBoundary(name string, i int) bool {
	if name[i] != '.' {
		return false
	}
	backslashes := 0
	for i--; i >= 0 && name[i] == '\\'; i-- {
		backslashes++
	}
	return backslashes%2 == 0
}

// below reports whether name is strictly below zone.
func below(name, zone string) bool { return name != zone && within(name, zone) }

func labels(name string) int { return dns.CountLabel(name) }

// suffix returns the last n labels of name.
func suffix(name string, n int) string {
	if n <= 0 {
		return "."
	}
	for i := len(name) - 2; i >= 0; i-- { // the last dot ends the last label
		if isBoundary(name, i) {
			if n--; n == 0 {
				return name[i+1:]
			}
		}
	}
	return name
}

func parentOf(name string) string { return suffix(name, labels(name)-1) }

// commonLabels returns the number of labels that two names have in common, from
// the root.
func commonLabels(a, b string) int { return dns.CompareDomainName(a, b) }

// wildcardAt returns the wildcard directly below name.
func wildcardAt(name string) string {
	if name == "." {
		return "*."
	}
	return "*." + name
}

// wireName returns the canonical wire form of a name: uncompressed and in lower
// case (RFC 4034 §6.2).
func wireName(name string) ([]byte, error) { return appendName(nil, name) }

// maxName is the maximum length of a name in wire form, in octets (RFC 1035
// §2.3.4).
const maxName = 255

// appendName appends the canonical wire form of a name.
func appendName(to []byte, name string) ([]byte, error) {
	name = dns.Fqdn(name)
	to = slices.Grow(to, min(len(name)+1, maxName))
	room := to[:min(cap(to), len(to)+maxName)] // limits the packed length
	end, err := dns.PackDomainName(name, room, len(to), nil, false)
	if err != nil {
		return nil, err
	}
	lowerASCII(to[len(to):end]) // a length octet is at most 63, below any letter
	return to[:end], nil
}

func lowerASCII(b []byte) {
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
}

// compareNames compares two names in canonical order (RFC 4034 §6.1).
func compareNames(a, b string) int {
	x, y := wireLabels(a), wireLabels(b)
	for i, j := len(x)-1, len(y)-1; i >= 0 && j >= 0; i, j = i-1, j-1 {
		if c := bytes.Compare(x[i], y[j]); c != 0 {
			return c
		}
	}
	return len(x) - len(y)
}

// wireLabels returns the labels of a name in wire form, or nil if the name is
// invalid.
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
