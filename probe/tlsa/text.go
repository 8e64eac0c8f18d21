package tlsa

import (
	"crypto/x509"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"dane_exporter/internal/printable"
)

// The text of a certificate or a record is not trusted. It is truncated and
// escaped before it becomes part of a message.

// maxQuoted is the maximum number of bytes of a name in a message.
const maxQuoted = 80

// truncate returns the first 80 bytes of text. The result is to be quoted with %q.
func truncate(text string) string {
	if cut := printable.Cut(text, maxQuoted); cut != text {
		return cut + "…"
	}
	return text
}

// errorText returns the error text of a library, which may quote a certificate.
func errorText(err error) string { return printable.Text(err.Error(), 240) }

// subject describes a certificate by its subject.
func subject(c *x509.Certificate) string {
	return fmt.Sprintf("the certificate of %q", truncate(NameText(c.Subject, maxQuoted+utf8.UTFMax)))
}

// shortHex returns the first 8 bytes of data in hexadecimal.
func shortHex(data []byte) string {
	const limit = 8
	if len(data) <= limit {
		return fmt.Sprintf("%x", data)
	}
	return fmt.Sprintf("%x…", data[:limit])
}

// quoteList quotes the first 4 names.
func quoteList(names []string, separator string) string {
	const limit = 4
	if len(names) == 0 {
		return "none"
	}
	quoted := make([]string, 0, limit+1)
	for _, name := range names[:min(len(names), limit)] {
		quoted = append(quoted, fmt.Sprintf("%q", truncate(name)))
	}
	if len(names) > limit {
		quoted = append(quoted, fmt.Sprintf("%d more", len(names)-limit))
	}
	return strings.Join(quoted, separator)
}

func formatTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }
