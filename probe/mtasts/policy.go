package mtasts

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Mode says what a sender does with a host that fails (RFC 8461 §5).
type Mode string

const (
	Enforce Mode = "enforce" // it does not deliver there
	Testing Mode = "testing" // it delivers, and reports
	Off     Mode = "none"    // there is no policy any more
)

// Modes lists the allowed values, the strictest first.
func Modes() []Mode { return []Mode{Enforce, Testing, Off} }

// MaxAge is the longest life that a policy may have (RFC 8461 §3.2).
const MaxAge = 31557600 * time.Second

// Policy is what a sender holds the MX hosts to.
type Policy struct {
	Mode   Mode
	MaxAge time.Duration // how long a sender may keep it
	MX     []string      // patterns: names in lower case, "*." in front of some
}

// ParsePolicy reads a policy (RFC 8461 §3.2): keys and values, one pair a line,
// which LF or CRLF ends. Of a key other than mx the first counts; unknown keys
// are ignored. Empty lines are let pass, as senders do. The error is a
// *SyntaxError.
func ParsePolicy(text []byte) (*Policy, error) {
	if !utf8.Valid(text) {
		return nil, wrong(string(text), "it is no UTF-8")
	}
	policy, seen := new(Policy), make(map[string]bool)
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		line = strings.TrimRight(strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r"), wsp)
		if line == "" {
			continue
		}
		key, value, ok := strings.Cut(line, ":")
		if !ok || !isFieldName(key) {
			return nil, &SyntaxError{Line: number, Text: line, Why: "no line of the form key: value"}
		}
		first := !seen[key]
		seen[key] = true
		if key != "mx" && !first {
			continue
		}
		if why := policy.set(key, strings.TrimLeft(value, wsp)); why != "" {
			return nil, &SyntaxError{Line: number, Text: line, Why: why}
		}
	}
	for _, key := range []string{"version", "mode", "max_age", "mx"} {
		if !seen[key] && (key != "mx" || policy.Mode != Off) {
			return nil, &SyntaxError{Why: "it has no " + key}
		}
	}
	return policy, nil
}

// set takes in one line. It returns what is wrong with it.
func (p *Policy) set(key, value string) (why string) {
	switch key {
	case "version":
		if value != "STSv1" {
			return "the version is not STSv1"
		}
	case "mode":
		if !slices.Contains(Modes(), Mode(value)) {
			return "the mode is none of enforce, testing, none"
		}
		p.Mode = Mode(value)
	case "max_age":
		seconds, err := strconv.ParseUint(value, 10, 64)
		if err != nil || len(value) > 10 || seconds > uint64(MaxAge/time.Second) {
			return "max_age is no whole number of seconds from 0 to 31557600"
		}
		p.MaxAge = time.Duration(seconds) * time.Second
	case "mx":
		if !isPattern(value) {
			return "no host name in A-labels, and none with *. in front"
		}
		p.MX = append(p.MX, strings.ToLower(value))
	}
	return ""
}

// isPattern: sts-policy-mx-value of RFC 8461 §3.2, with Domain of RFC 5321 §4.1.2.
func isPattern(pattern string) bool {
	name := strings.TrimPrefix(pattern, "*.")
	if len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if len(label) < 1 || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if !isAlphanumeric(c) && c != '-' && c != '_' { // underscores are wrong, and there are hosts so named
				return false
			}
		}
	}
	return true
}

// Covers reports whether the policy names an MX host: by its name, or by a
// wildcard that stands for exactly its left-most label (RFC 8461 §4.1).
func (p *Policy) Covers(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	_, parent, _ := strings.Cut(host, ".")
	for _, pattern := range p.MX {
		rest, wildcard := strings.CutPrefix(pattern, "*.")
		if !wildcard && pattern == host || wildcard && rest == parent {
			return true
		}
	}
	return false
}
