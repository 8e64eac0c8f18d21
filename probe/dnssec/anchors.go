package dnssec

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/miekg/dns"
)

// Anchor is one trust anchor: a DS of a zone's key (RFC 4033 §2).
type Anchor = dns.DS

// BuiltinAnchors returns the trust anchors of the root zone that IANA publishes
// in root-anchors.xml: the key-signing keys of 2017 and 2024.
func BuiltinAnchors() []Anchor {
	return []Anchor{
		rootAnchor(20326, "e06d44b80b8f1d39a95c0b0d7c65d08458e880409bbc683457104237c7f8ec8d"),
		rootAnchor(38696, "683d2d0acb8c9b712a1948b27f741219298d0a450d612c483af444a4c0fb2b16"),
	}
}

func rootAnchor(tag uint16, digest string) Anchor {
	return Anchor{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeDS, Class: dns.ClassINET},
		KeyTag: tag, Algorithm: dns.RSASHA256, DigestType: dns.SHA256, Digest: digest}
}

// ParseAnchors reads trust anchors in zone file format, as in Unbound's root.key:
// DS and DNSKEY records with comments, one in a line, or in several lines with
// parentheses. It converts a DNSKEY to a DS with a SHA-256 digest. It skips keys
// that are revoked or not secure entry points. A file without any anchor is an error.
// An error names the line, but quotes nothing: r may be another file, with a secret.
func ParseAnchors(r io.Reader) ([]Anchor, error) {
	var anchors []Anchor
	scanner := bufio.NewScanner(r)
	scanner.Buffer(nil, 64*1024)
	line, first, text := 0, 0, ""
	for scanner.Scan() {
		line++
		part := withoutComment(scanner.Text())
		if text == "" {
			first = line
		}
		text += part + " "
		if strings.Count(text, "(") > strings.Count(text, ")") {
			continue
		}
		anchor, err := parseAnchor(text)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", first, err)
		}
		if anchor != nil {
			anchors = append(anchors, *anchor)
		}
		text = ""
	}
	if err := scanner.Err(); err != nil {
		return nil, fmt.Errorf("line %d: %w", line+1, err)
	}
	if strings.TrimSpace(text) != "" {
		return nil, fmt.Errorf("line %d: unclosed parenthesis", first)
	}
	if len(anchors) == 0 {
		return nil, errors.New("no trust anchor: expected a DS or DNSKEY record")
	}
	return anchors, nil
}

func withoutComment(line string) string {
	before, _, _ := strings.Cut(line, ";")
	return before
}

// parseAnchor parses one record. It returns nil for an empty line and for a key
// that is skipped.
func parseAnchor(text string) (*Anchor, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	rr, err := dns.NewRR(text)
	if err != nil || rr == nil { // nil: a directive, such as $TTL
		return nil, errors.New("not a record in zone file format") // err quotes the line
	}
	switch record := rr.(type) {
	case *dns.DS:
		if _, err := hex.DecodeString(record.Digest); err != nil || record.Digest == "" {
			return nil, errors.New("the digest of the DS record is not hexadecimal")
		}
		return record, nil
	case *dns.DNSKEY:
		if !mayVerify(record) || record.Flags&dns.REVOKE != 0 || record.Flags&dns.SEP == 0 {
			return nil, nil
		}
		k := newKey(record)
		digest := k.digest(fold(record.Hdr.Name), dns.SHA256)
		if digest == nil {
			return nil, errors.New("the key of the DNSKEY record is not base64")
		}
		return &Anchor{Hdr: dns.RR_Header{Name: record.Hdr.Name, Rrtype: dns.TypeDS, Class: dns.ClassINET},
			KeyTag: k.tag, Algorithm: record.Algorithm, DigestType: dns.SHA256, Digest: hex.EncodeToString(digest)}, nil
	}
	return nil, fmt.Errorf("expected a DS or DNSKEY record, got a record of type %s", dns.Type(rr.Header().Rrtype))
}
