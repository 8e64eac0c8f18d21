package mtasts

import "strings"

// one picks the record of a version among TXT records: those that do not begin
// with the version and a semicolon do not count, and of the rest there must be
// one (RFC 8461 §3.1, RFC 8460 §3).
//
// Where none is left but one looks as if it was meant, its author learns that
// it does not count, and why.
func one(records []string, version string) (string, error) {
	var found, meant []string
	for _, record := range records {
		rest, ok := strings.CutPrefix(record, version)
		switch {
		case ok && strings.HasPrefix(strings.TrimLeft(rest, wsp), ";"):
			found = append(found, record)
		case resembles(record, version):
			meant = append(meant, record)
		}
	}
	switch {
	case len(found) > 1:
		return "", &SeveralError{found}
	case len(found) == 1:
		return found[0], nil
	case len(meant) > 0:
		return "", wrong(meant[0], "does not begin with %q", version+";")
	default:
		return "", ErrNone
	}
}

// resembles reports whether a record is one of the version but for case and
// white space, or for the number at its end.
func resembles(record, version string) bool {
	squeeze := func(s string) string {
		return strings.ToLower(strings.NewReplacer(" ", "", "\t", "").Replace(s))
	}
	return strings.HasPrefix(squeeze(record), squeeze(strings.TrimRight(version, "0123456789")))
}

// wsp is white space, as ABNF has it (RFC 5234 appendix B.1).
const wsp = " \t"

// field is one name=value of a record.
type field struct{ name, value string }

// fields splits what follows the version. The delimiter is a semicolon with
// white space around it; one may stand at the end.
func fields(record, version string) ([]field, error) {
	var all []field
	parts := strings.Split(strings.TrimPrefix(record, version), ";")[1:]
	if last := len(parts) - 1; strings.Trim(parts[last], wsp) == "" {
		parts = parts[:last]
	}
	for _, part := range parts {
		part = strings.Trim(part, wsp)
		name, value, ok := strings.Cut(part, "=")
		if !ok || !isFieldName(name) {
			return nil, wrong(record, "%s is no field of the form name=value", quote(part))
		}
		all = append(all, field{name, value})
	}
	return all, nil
}

// isFieldName: sts-ext-name of RFC 8461 §3.1, which RFC 8460 §3 has as well.
func isFieldName(name string) bool {
	return len(name) >= 1 && len(name) <= 32 && isAlphanumeric(name[0]) &&
		!strings.ContainsFunc(name, func(r rune) bool {
			return r > 127 || !isAlphanumeric(byte(r)) && !strings.ContainsRune("_-.", r)
		})
}

func isAlphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
