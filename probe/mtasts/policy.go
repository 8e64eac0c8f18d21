package mtasts

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Mode says what a sender does if an MX host does not satisfy the policy
// (RFC 8461 §5).
type Mode string

const (
	Enforce Mode = "enforce" // it does not deliver to the host
	Testing Mode = "testing" // it delivers and reports the failure
	None    Mode = "none"    // the domain has withdrawn its policy
)

// Modes returns all modes, the strictest first.
func Modes() []Mode { return []Mode{Enforce, Testing, None} }

// MaxAge is the greatest max_age of a policy (RFC 8461 §3.2).
const MaxAge = 31557600 * time.Second

// Policy is an MTA-STS policy.
type Policy struct {
	Mode   Mode
	MaxAge time.Duration // how long a sender may cache the policy
	MX     []string      // patterns: hostnames in lower case, some with a leading "*."
	// Tolerated is what some senders tolerate and others do not, one sentence each.
	Tolerated []string
}

// ParsePolicy parses a policy (RFC 8461 §3.2): one key and value on each line,
// which ends with LF or CRLF. If a key other than mx is repeated, the first one
// counts. Unknown keys are ignored. The error is a *SyntaxError.
//
// Some senders ignore empty lines and unknown keys without a value, and accept
// underscores in mx. Others reject the policy, as the syntax does not have them. They
// are tolerated here.
func ParsePolicy(text []byte) (*Policy, error) {
	if !utf8.Valid(text) {
		return nil, syntaxErrorf(string(text), "the policy is not valid UTF-8")
	}
	keys := []string{"version", "mode", "max_age", "mx"}
	policy, seen := new(Policy), make(map[string]bool)
	number := 0
	tolerateLine := func(format string, args ...any) {
		policy.Tolerated = tolerate(policy.Tolerated, "line %d %s", number, fmt.Sprintf(format, args...))
	}
	for line := range strings.Lines(string(text)) {
		number++
		line = strings.TrimRight(strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r"), wsp)
		if line == "" {
			tolerateLine("is empty")
			continue
		}
		key, value, ok := strings.Cut(line, ":")
		if !ok || !isFieldName(key) {
			return nil, &SyntaxError{Line: number, Text: line, Why: "the line is not of the form key: value"}
		}
		repeated := seen[key]
		seen[key] = true
		if repeated && key != "mx" {
			tolerateLine("repeats the key %s; the first one counts", key)
			continue
		}
		value = strings.TrimLeft(value, wsp)
		switch {
		case key == "mx" && strings.Contains(value, "_"):
			tolerateLine("has an underscore in mx, which hostnames do not have: %s", quote(line))
		case !slices.Contains(keys, key) && !isPolicyValue(value):
			tolerateLine("has an unknown key with an empty value or control characters: %s", quote(line))
		}
		if why := policy.set(key, value); why != "" {
			return nil, &SyntaxError{Line: number, Text: line, Why: why}
		}
	}
	for _, key := range keys {
		if !seen[key] && (key != "mx" || policy.Mode != None) {
			return nil, &SyntaxError{Why: "the key " + key + " is missing"}
		}
	}
	return policy, nil
}

// isPolicyValue reports whether value is an sts-policy-ext-value (RFC 8461 §3.2):
// UTF-8 without control characters.
func isPolicyValue(value string) bool {
	return value != "" && !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// set sets the value of one key. It returns what is wrong with the value, or "".
func (p *Policy) set(key, value string) (why string) {
	switch key {
	case "version":
		if value != "STSv1" {
			return "the version is not STSv1"
		}
	case "mode":
		if !slices.Contains(Modes(), Mode(value)) {
			return "the mode is not one of enforce, testing, none"
		}
		p.Mode = Mode(value)
	case "max_age":
		seconds, err := strconv.ParseUint(value, 10, 64)
		if err != nil || len(value) > 10 || seconds > uint64(MaxAge/time.Second) {
			return "max_age is not a whole number of seconds from 0 to 31557600"
		}
		p.MaxAge = time.Duration(seconds) * time.Second
	case "mx":
		if !isPattern(value) {
			return "mx is not a hostname in A-labels, nor one after *."
		}
		p.MX = append(p.MX, strings.ToLower(value))
	}
	return ""
}

// isPattern reports whether pattern is an sts-policy-mx-value (RFC 8461 §3.2),
// whose domain has the syntax of RFC 5321 §4.1.2.
func isPattern(pattern string) bool {
	name := strings.TrimPrefix(pattern, "*.")
	if len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if len(label) < 1 || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, r := range label {
			if !isAlphanumeric(r) && r != '-' && r != '_' { // underscores are not allowed, but such hosts exist
				return false
			}
		}
	}
	return true
}

// Matches reports whether the policy lists an MX host: by its name, or by a
// wildcard that stands for exactly its leftmost label (RFC 8461 §4.1).
func (p *Policy) Matches(host string) bool {
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
