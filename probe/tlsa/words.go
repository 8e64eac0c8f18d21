package tlsa

import (
	"crypto/x509"
	"fmt"
	"strconv"
	"strings"
)

// What a certificate or a record says about itself is a stranger's text:
// it is cut and escaped before it goes into a sentence.

// clip cuts text to a length that fits into a sentence.
func clip(text string) string {
	const most = 80
	if len(text) <= most {
		return text
	}
	return text[:most] + "…"
}

// plain makes a library's error printable: it may quote what a stranger wrote.
func plain(text string) string {
	const most = 240
	if len(text) > most {
		text = text[:most] + "…"
	}
	quoted := strconv.Quote(text)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}

func subject(c *x509.Certificate) string {
	return fmt.Sprintf("the certificate of %q", clip(c.Subject.String()))
}

// digits shortens data to its first bytes.
func digits(data []byte) string {
	const few = 8
	if len(data) <= few {
		return fmt.Sprintf("%x", data)
	}
	return fmt.Sprintf("%x…", data[:few])
}

// what names the thing that r is about, as "SPKI SHA-256".
func what(r Record) string {
	selected := "certificate"
	if r.Selector == SPKI {
		selected = "SPKI"
	}
	switch r.MatchingType {
	case SHA256:
		return selected + " SHA-256"
	case SHA512:
		return selected + " SHA-512"
	default:
		return selected
	}
}
