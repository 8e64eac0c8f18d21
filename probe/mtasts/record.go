package mtasts

import "strings"

// RecordName returns the name of the domain's MTA-STS record (RFC 8461 §3.1).
func RecordName(domain string) string { return "_mta-sts." + domain }

// Record is an MTA-STS record. It says that the domain has a policy.
type Record struct {
	ID string // changes whenever the policy does
}

// ParseRecord returns the MTA-STS record among the TXT records at RecordName. The
// strings of each TXT record must have been joined without spaces (RFC 8461 §3.1).
//
// The error is ErrNoRecord, a *MultipleRecordsError or a *SyntaxError. In each case
// senders assume that the domain has no policy.
func ParseRecord(txt []string) (Record, error) {
	text, all, err := parseVersion(txt, "v=STSv1")
	if err != nil {
		return Record{}, err
	}
	for _, f := range all {
		if f.name != "id" {
			continue // an extension, to be ignored
		}
		if !isID(f.value) {
			return Record{}, syntaxErrorf(text, "id %s is not 1 to 32 letters and digits", quote(f.value))
		}
		return Record{ID: f.value}, nil // the first of several counts (RFC 8461 §3.2)
	}
	return Record{}, syntaxErrorf(text, "the field id is missing")
}

func isID(id string) bool {
	return len(id) >= 1 && len(id) <= 32 &&
		!strings.ContainsFunc(id, func(r rune) bool { return r > 127 || !isAlphanumeric(byte(r)) })
}

// MTA-STS and TLSRPT records have one syntax: a version and fields, separated by
// semicolons.

// wsp is the white space of ABNF (RFC 5234 appendix B.1).
const wsp = " \t"

// field is one name=value of a record.
type field struct{ name, value string }

// parseVersion returns the record of a version among TXT records, and its fields.
func parseVersion(txt []string, version string) (text string, all []field, err error) {
	if text, err = findVersion(txt, version); err != nil {
		return "", nil, err
	}
	all, err = parseFields(text, version)
	return text, all, err
}

// findVersion returns the record of a version among TXT records. Records that do
// not begin with the version and a semicolon do not count, and exactly one must
// remain (RFC 8461 §3.1, RFC 8460 §3).
//
// If none remains but one resembles such a record, the error says why that one
// does not count.
func findVersion(txt []string, version string) (string, error) {
	var found, similar []string
	for _, record := range txt {
		rest, ok := strings.CutPrefix(record, version)
		switch {
		case ok && strings.HasPrefix(strings.TrimLeft(rest, wsp), ";"):
			found = append(found, record)
		case resembles(record, version):
			similar = append(similar, record)
		}
	}
	switch {
	case len(found) > 1:
		return "", &MultipleRecordsError{found}
	case len(found) == 1:
		return found[0], nil
	case len(similar) > 0:
		return "", syntaxErrorf(similar[0], "does not begin with %q", version+";")
	default:
		return "", ErrNoRecord
	}
}

// resembles reports whether a record begins with the version if case, white space
// and the version number are ignored.
func resembles(record, version string) bool {
	normalize := func(s string) string {
		return strings.ToLower(strings.NewReplacer(" ", "", "\t", "").Replace(s))
	}
	return strings.HasPrefix(normalize(record), normalize(strings.TrimRight(version, "0123456789")))
}

// parseFields splits what follows the version. The delimiter is a semicolon with
// optional white space around it. The last field may end with one.
func parseFields(record, version string) ([]field, error) {
	var all []field
	parts := strings.Split(strings.TrimPrefix(record, version), ";")[1:]
	if last := len(parts) - 1; strings.Trim(parts[last], wsp) == "" {
		parts = parts[:last]
	}
	for _, part := range parts {
		part = strings.Trim(part, wsp)
		name, value, ok := strings.Cut(part, "=")
		if !ok || !isFieldName(name) {
			return nil, syntaxErrorf(record, "%s is not of the form name=value", quote(part))
		}
		all = append(all, field{name, value})
	}
	return all, nil
}

// isFieldName reports whether name is an sts-ext-name (RFC 8461 §3.1). RFC 8460 §3
// has the same syntax.
func isFieldName(name string) bool {
	return len(name) >= 1 && len(name) <= 32 && isAlphanumeric(name[0]) &&
		!strings.ContainsFunc(name, func(r rune) bool {
			return r > 127 || !isAlphanumeric(byte(r)) && !strings.ContainsRune("_-.", r)
		})
}

func isAlphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
