package zone

import (
	"bytes"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// Names in this package are absolute and lower case.

// parentOf returns the name without its first label; the root is its own parent.
func parentOf(name string) string {
	if i, end := dns.NextLabel(name, 0); !end {
		return name[i:]
	}
	return "."
}

// below reports whether name is a strict descendant of ancestor.
func below(name, ancestor string) bool {
	return name != ancestor && dns.IsSubDomain(ancestor, name)
}

// ancestors lists the names above name up to and with apex, the nearest first.
func ancestors(name, apex string) []string {
	var all []string
	for name != apex && name != "." {
		name = parentOf(name)
		all = append(all, name)
	}
	return all
}

// nextCloser is the name one label longer than encloser on the way to name
// (RFC 5155 §1.3).
func nextCloser(name, encloser string) string {
	for parentOf(name) != encloser {
		name = parentOf(name)
	}
	return name
}

// wildcardOf is the name of the wildcard directly under encloser.
func wildcardOf(encloser string) string {
	if encloser == "." {
		return "*."
	}
	return "*." + encloser
}

// compareNames orders names as RFC 4034 §6.1 does: label by label from the
// right, each as octets in lower case.
func compareNames(a, b string) int {
	return slices.CompareFunc(labels(a), labels(b), bytes.Compare)
}

// labels returns the labels of name in wire form, the rightmost first.
func labels(name string) [][]byte {
	wire := make([]byte, 256)
	end, err := dns.PackDomainName(strings.ToLower(name), wire, 0, nil, false)
	if err != nil {
		return nil
	}
	var all [][]byte
	for at := 0; at < end && wire[at] != 0; at += 1 + int(wire[at]) {
		all = append(all, wire[at+1:at+1+int(wire[at])])
	}
	slices.Reverse(all)
	return all
}
