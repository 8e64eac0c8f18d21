package zone

import (
	"bytes"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// Names in this package are absolute and lower case.

// parentOf returns name without its first label. The parent of the root is the root.
func parentOf(name string) string {
	if i, end := dns.NextLabel(name, 0); !end {
		return name[i:]
	}
	return "."
}

// below reports whether name is a proper subdomain of ancestor.
func below(name, ancestor string) bool {
	return name != ancestor && dns.IsSubDomain(ancestor, name)
}

// ancestors returns the names above name up to and including apex, the nearest first.
func ancestors(name, apex string) []string {
	var all []string
	for name != apex && name != "." {
		name = parentOf(name)
		all = append(all, name)
	}
	return all
}

// nextCloser returns the next closer name: the ancestor of name, or name, that is one
// label longer than encloser (RFC 5155 §1.3).
func nextCloser(name, encloser string) string {
	for parentOf(name) != encloser {
		name = parentOf(name)
	}
	return name
}

// wildcardOf returns the wildcard name directly below encloser.
func wildcardOf(encloser string) string {
	if encloser == "." {
		return "*."
	}
	return "*." + encloser
}

// compareNames compares names in canonical order (RFC 4034 §6.1): label by label from
// the right, each as octets in lower case.
func compareNames(a, b string) int {
	return slices.CompareFunc(labels(a), labels(b), bytes.Compare)
}

// labels returns the labels of name without escapes, the rightmost first.
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
