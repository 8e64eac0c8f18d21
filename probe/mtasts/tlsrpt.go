package mtasts

import (
	"fmt"
	"net/url"
	"strings"
)

// TLSRPTName returns the name of the domain's TLSRPT record (RFC 8460 §3).
func TLSRPTName(domain string) string { return "_smtp._tls." + domain }

// TLSRPT is a TLSRPT record. It says where senders report TLS connections.
type TLSRPT struct {
	RUA []string // URIs with the scheme mailto or https
	// Tolerated is what some senders tolerate and others do not, one sentence each.
	Tolerated []string
}

// ParseTLSRPT returns the TLSRPT record among the TXT records at TLSRPTName. The
// strings of each TXT record must have been joined without spaces.
//
// The error is ErrNoRecord, a *MultipleRecordsError or a *SyntaxError. In each case
// senders do not report.
func ParseTLSRPT(txt []string) (TLSRPT, error) {
	text, all, tolerated, err := parseVersion(txt, "v=TLSRPTv1")
	if err != nil {
		return TLSRPT{}, err
	}
	record := TLSRPT{Tolerated: tolerated}
	unsupported := ""
	for _, f := range all {
		if f.name != "rua" { // an extension, to be ignored
			if !isExtensionValue(f.value) {
				return TLSRPT{}, extensionError(text, f)
			}
			continue
		}
		if strings.TrimLeft(f.value, wsp) != f.value {
			record.Tolerated = tolerate(record.Tolerated, "white space follows rua=, where the syntax allows none")
		}
		for uri := range strings.SplitSeq(f.value, ",") {
			uri = strings.Trim(uri, wsp)
			switch supported, why := checkReportURI(uri); {
			case why == "":
				record.RUA = append(record.RUA, uri)
			case supported:
				return TLSRPT{}, syntaxErrorf(text, "rua %s %s", quote(uri), why)
			default: // senders use the URIs that they support (RFC 8460 §3)
				unsupported = fmt.Sprintf("rua %s %s", quote(uri), why)
				record.Tolerated = tolerate(record.Tolerated, "%s; senders ignore it", unsupported)
			}
		}
	}
	if record.RUA == nil && unsupported != "" {
		return TLSRPT{}, syntaxErrorf(text, "%s", unsupported)
	}
	if record.RUA == nil {
		return TLSRPT{}, syntaxErrorf(text, "the field rua is missing")
	}
	return record, nil
}

// checkReportURI returns why reports cannot be sent to a URI, or "", and whether
// its scheme is supported or it is no URI. Reports are sent by mail or by POST over
// HTTPS (RFC 8460 §3).
func checkReportURI(text string) (supported bool, why string) {
	uri, err := url.Parse(text)
	switch {
	case err != nil || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' || r == '!' }):
		return true, "is not a URI, or contains characters that must be encoded"
	case uri.Scheme == "mailto" && isMailbox(uri.Opaque), uri.Scheme == "https" && uri.Hostname() != "":
		return true, ""
	default:
		supported = uri.Scheme == "" || uri.Scheme == "mailto" || uri.Scheme == "https"
		return supported, "is neither mailto: with an address nor https: with a host"
	}
}

// isMailbox reports whether text has a local part and a domain.
func isMailbox(text string) bool {
	local, domain, _ := strings.Cut(text, "@")
	return local != "" && domain != ""
}
