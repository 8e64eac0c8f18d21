package mtasts

import "strings"

// RecordName is where the domain's MTA-STS record is (RFC 8461 §3.1).
func RecordName(domain string) string { return "_mta-sts." + domain }

// Record says that a domain has a policy.
type Record struct {
	ID string // changes whenever the policy does
}

// ParseRecord finds the MTA-STS record among the TXT records at RecordName. The
// strings of each have been joined, without spaces (RFC 8461 §3.1).
//
// The errors are ErrNone, *SeveralError and *SyntaxError. With each of them
// senders take it that the domain has no policy.
func ParseRecord(txt []string) (Record, error) {
	const version = "v=STSv1"
	text, err := one(txt, version)
	if err != nil {
		return Record{}, err
	}
	all, err := fields(text, version)
	if err != nil {
		return Record{}, err
	}
	for _, f := range all {
		if f.name != "id" {
			continue // others are extensions, to be ignored
		}
		if !isID(f.value) {
			return Record{}, wrong(text, "id %s is not 1 to 32 letters and digits", quote(f.value))
		}
		return Record{ID: f.value}, nil // of several, the first counts (RFC 8461 §3.2)
	}
	return Record{}, wrong(text, "it has no id")
}

func isID(id string) bool {
	return len(id) >= 1 && len(id) <= 32 &&
		!strings.ContainsFunc(id, func(r rune) bool { return r > 127 || !isAlphanumeric(byte(r)) })
}
