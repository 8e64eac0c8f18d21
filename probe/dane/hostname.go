package dane

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"dane_exporter/probe/dnssec"

	"github.com/miekg/dns"
)

// HostFault is why clients do not connect to a host, or connect without DANE,
// although its name alone is known.
type HostFault uint8

const (
	HostFine       HostFault = iota
	HostSpecialUse           // a special-use name, which no DNS lookup resolves
	HostInvalid              // not a hostname
	HostAddress              // an address in place of a hostname, which MX records must not name
)

// blocks reports whether clients do not connect to the host.
func (f HostFault) blocks() bool { return f == HostSpecialUse || f == HostInvalid }

// FaultOfMX returns the fault of a host that an MX record of target names. Names
// are as [TextName] returns them. Postfix takes a name that reads like an address
// for that address.
func FaultOfMX(name, target string) HostFault {
	if _, err := netip.ParseAddr(name); err == nil {
		return HostAddress
	}
	return FaultOfName(name, target)
}

// FaultOfName returns the fault of a host that records of target name. It never
// returns HostAddress.
func FaultOfName(name, target string) HostFault {
	switch {
	case IsSpecialUse(name, target):
		return HostSpecialUse
	case !isHostname(name):
		return HostInvalid
	}
	return HostFine
}

// IsSpecialUse reports whether a name that target leads to is a special-use name.
// Such a name has no meaning outside of one machine or network, or is no DNS name.
// Resolvers answer for such names themselves, without signatures (RFC 6761 §6.3,
// §6.4, RFC 6762 §22.1, RFC 7686 §2, RFC 8375 §4).
//
// A target below home.arpa may lead to hosts there. The name test is for tests
// (RFC 6761 §6.2), such as those of the lab, and is not listed.
func IsSpecialUse(name, target string) bool {
	for _, special := range []string{"localhost", "invalid", "local", "onion"} {
		if isBelow(name, special) {
			return true
		}
	}
	return isBelow(name, "home.arpa") && !isBelow(target, "home.arpa")
}

func isBelow(name, parent string) bool { return name == parent || strings.HasSuffix(name, "."+parent) }

// isHostname reports whether Postfix takes name for a hostname: labels of letters,
// digits, hyphens within a label, and underscores, not all of it digits. RFC 5321
// §2.3.5 allows no underscores, but such hosts exist.
func isHostname(name string) bool {
	allDigits := true
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			switch {
			case c >= '0' && c <= '9':
			case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '-', c == '_':
				allDigits = false
			default:
				return false
			}
		}
	}
	return !allDigits && len(name) <= 255
}

// ExamineAliases sets Fault if the host is an alias of a name that clients do not
// connect to, and FaultyName to that name. The addresses behind such an alias do
// not count, nor does a failure to look them up. A lookup that failed before that
// alias remains.
func (h *Host) ExamineAliases(target string) {
	for _, answer := range []**dnssec.Answer{&h.A, &h.AAAA} {
		if *answer == nil {
			continue
		}
		for _, alias := range (*answer).Aliases {
			fault := FaultOfName(TextName(alias.To), target)
			if fault == HostFine {
				continue
			}
			h.Fault, h.FaultyName = fault, TextName(alias.To)
			if (*answer).Status.Failed() {
				*answer = nil
			}
			break
		}
	}
}

// WithoutSpecialUse replaces a failed answer that leads target to a special-use name by
// an alias. The result has no records and the status of the aliases. There are no
// records at such a name. A resolver that answers for it without signatures fails
// validation, and one that asks the root proves its absence. It returns any other
// answer unchanged.
func WithoutSpecialUse(answer dnssec.Answer, target string) dnssec.Answer {
	if !answer.Status.Failed() {
		return answer
	}
	status := dnssec.Secure
	for i, alias := range answer.Aliases { // each step is validated
		status = dnssec.Worst(status, alias.Status)
		name := TextName(alias.To)
		if !IsSpecialUse(name, target) {
			continue
		}
		answer.Status, answer.Err, answer.Rcode = status, nil, dns.RcodeNameError
		answer.Why = fmt.Sprintf("%s is an alias of the special-use name %s, which has no records", TextName(alias.From), name)
		answer.Aliases, answer.Canonical, answer.Records = answer.Aliases[:i+1], alias.To, nil
		return answer
	}
	return answer
}

// hasNullMX reports whether one of the MX records is a null MX. It must be the only
// record (RFC 7505 §3).
func hasNullMX(records []dns.RR) bool { return slices.ContainsFunc(records, isNull) }

func isNull(rr dns.RR) bool {
	mx, ok := rr.(*dns.MX)
	return ok && mx.Mx == "."
}
