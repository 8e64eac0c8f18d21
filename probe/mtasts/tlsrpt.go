package mtasts

import (
	"net/url"
	"strings"
)

// TLSRPTName returns the name of the domain's TLSRPT record (RFC 8460 §3).
func TLSRPTName(domain string) string { return "_smtp._tls." + domain }

// TLSRPT is a TLSRPT record. It says where senders report TLS connections.
type TLSRPT struct {
	RUA []string // URIs with the scheme mailto or https
}

// ParseTLSRPT returns the TLSRPT record among the TXT records at TLSRPTName. The
// strings of each TXT record must have been joined without spaces.
//
// The error is ErrNoRecord, a *MultipleRecordsError or a *SyntaxError. In each case
// senders do not report.
func ParseTLSRPT(txt []string) (TLSRPT, error) {
	text, all, err := parseVersion(txt, "v=TLSRPTv1")
	if err != nil {
		return TLSRPT{}, err
	}
	var record TLSRPT
	for _, f := range all {
		if f.name != "rua" {
			continue // an extension, to be ignored
		}
		for uri := range strings.SplitSeq(f.value, ",") {
			uri = strings.Trim(uri, wsp)
			if why := checkReportURI(uri); why != "" {
				return TLSRPT{}, syntaxErrorf(text, "rua %s %s", quote(uri), why)
			}
			record.RUA = append(record.RUA, uri)
		}
	}
	if record.RUA == nil {
		return TLSRPT{}, syntaxErrorf(text, "the field rua is missing")
	}
	return record, nil
}

// checkReportURI returns why reports cannot be sent to a URI, or "". Reports are
// sent by mail or by POST over HTTPS (RFC 8460 §3).
func checkReportURI(text string) string {
	uri, err := url.Parse(text)
	switch {
	case err != nil || strings.ContainsAny(text, wsp+"!"):
		return "is not a URI, or contains characters that must be encoded"
	case uri.Scheme == "mailto" && strings.Contains(uri.Opaque, "@"), uri.Scheme == "https" && uri.Host != "":
		return ""
	default:
		return "is neither mailto: with an address nor https: with a host"
	}
}
