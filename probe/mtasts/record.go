package mtasts

import "strings"

// RecordName returns the name of the domain's MTA-STS record (RFC 8461 §3.1).
func RecordName(domain string) string { return "_mta-sts." + domain }

// Record is an MTA-STS record. It says that the domain has a policy.
type Record struct {
	ID string // changes whenever the policy does
	// Tolerated is what some senders tolerate and others do not, one sentence each.
	Tolerated []string
}

// ParseRecord returns the MTA-STS record among the TXT records at RecordName. The
// strings of each TXT record must have been joined without spaces (RFC 8461 §3.1).
//
// The error is ErrNoRecord, a *MultipleRecordsError or a *SyntaxError. In each case
// senders assume that the domain has no policy.
func ParseRecord(txt []string) (Record, error) {
	text, all, tolerated, err := parseVersion(txt, "v=STSv1")
	if err != nil {
		return Record{}, err
	}
	record := Record{Tolerated: tolerated}
	for _, f := range all {
		switch {
		case f.name != "id": // an extension, to be ignored
			if !isExtensionValue(f.value) {
				return Record{}, extensionError(text, f)
			}
		case record.ID != "": // the first of several counts (RFC 8461 §3.2)
			record.Tolerated = tolerate(record.Tolerated, "the field id is repeated; the first one counts")
		case !isID(f.value):
			return Record{}, syntaxErrorf(text, "id %s is not 1 to 32 letters and digits", quote(f.value))
		default:
			record.ID = f.value
		}
	}
	if record.ID == "" {
		return Record{}, syntaxErrorf(text, "the field id is missing")
	}
	return record, nil
}

// isExtensionValue reports whether value is an sts-ext-value: printable ASCII
// without "=" and ";" (RFC 8461 §3.1). RFC 8460 §3 has the same syntax.
func isExtensionValue(value string) bool {
	return value != "" && !strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r > '~' || r == '=' || r == ';' })
}

func extensionError(text string, f field) error {
	return syntaxErrorf(text, "the value %s of the field %s is empty or has characters other than printable ASCII without = and ;", quote(f.value), f.name)
}

func isID(id string) bool {
	return len(id) >= 1 && len(id) <= 32 && !strings.ContainsFunc(id, func(r rune) bool { return !isAlphanumeric(r) })
}

// MTA-STS and TLSRPT records have one syntax: a version and fields, separated by
// semicolons.

// wsp is the white space of ABNF (RFC 5234 appendix B.1).
const wsp = " \t"

// field is one name=value of a record.
type field struct{ name, value string }

// parseVersion returns the record of a version among TXT records, its fields, and
// what strict senders do not tolerate.
func parseVersion(txt []string, version string) (text string, all []field, tolerated []string, err error) {
	if text, tolerated, err = findVersion(txt, version); err != nil {
		return "", nil, nil, err
	}
	all, err = parseFields(text, version)
	return text, all, tolerated, err
}

// findVersion returns the record of a version among TXT records. Records that do
// not begin with the version and a semicolon do not count, and exactly one must
// remain (RFC 8461 §3.1, RFC 8460 §3).
//
// If none remains but one resembles such a record, the error says why that one
// does not count. If one remains, a record that resembles it is tolerated.
func findVersion(txt []string, version string) (text string, tolerated []string, err error) {
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
		return "", nil, &MultipleRecordsError{found}
	case len(found) == 0 && len(similar) > 0:
		return "", nil, syntaxErrorf(similar[0], "does not begin with %q", version+";")
	case len(found) == 0:
		return "", nil, ErrNoRecord
	}
	if !strings.HasPrefix(found[0], version+";") {
		tolerated = tolerate(tolerated, "white space follows %s; senders that require %q ignore the record", version, version+";")
	}
	if last := found[0][strings.LastIndex(found[0], ";")+1:]; strings.Trim(last, wsp) != "" && strings.TrimRight(last, wsp) != last {
		// White space is part of a delimiter only (RFC 8461 §3.1, RFC 8460 §3).
		tolerated = tolerate(tolerated, "white space ends the record, which the syntax allows only around a semicolon")
	}
	for _, record := range similar {
		tolerated = tolerate(tolerated, "another record, %s, does not begin with %q and does not count", quote(record), version+";")
	}
	return found[0], tolerated, nil
}

// resembles reports whether a record is meant to have the version. Such a record
// contains the version, or begins with it apart from case, white space, quotation
// marks and the number of the version.
func resembles(record, version string) bool {
	text := strings.ToLower(strings.NewReplacer(" ", "", "\t", "", `"`, "", `'`, "", `\`, "").Replace(record))
	version = strings.ToLower(version) // as "v=stsv1"
	return strings.HasPrefix(text, strings.TrimSuffix(version, "v1")) || strings.Contains(text, strings.TrimPrefix(version, "v="))
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
	return len(name) >= 1 && len(name) <= 32 && isAlphanumeric(rune(name[0])) &&
		!strings.ContainsFunc(name, func(r rune) bool { return !isAlphanumeric(r) && !strings.ContainsRune("_-.", r) })
}

func isAlphanumeric(r rune) bool {
	return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
}
