package mtasts

import (
	"net/url"
	"strings"
)

// TLSRPTName is where the domain's TLSRPT record is (RFC 8460 §3).
func TLSRPTName(domain string) string { return "_smtp._tls." + domain }

// TLSRPT says where reports about TLS go.
type TLSRPT struct {
	RUA []string // URIs, mailto: or https:
}

// ParseTLSRPT finds the TLSRPT record among the TXT records at TLSRPTName, the
// strings of each joined. The errors are ErrNone, *SeveralError and
// *SyntaxError; with each of them nobody reports.
func ParseTLSRPT(txt []string) (TLSRPT, error) {
	const version = "v=TLSRPTv1"
	text, err := one(txt, version)
	if err != nil {
		return TLSRPT{}, err
	}
	all, err := fields(text, version)
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
			if why := notForReports(uri); why != "" {
				return TLSRPT{}, wrong(text, "rua %s %s", quote(uri), why)
			}
			record.RUA = append(record.RUA, uri)
		}
	}
	if record.RUA == nil {
		return TLSRPT{}, wrong(text, "it has no rua")
	}
	return record, nil
}

// notForReports says why reports cannot go to a URI; empty: they can. There
// are two ways of reporting, by mail and by POST (RFC 8460 §3).
func notForReports(text string) string {
	uri, err := url.Parse(text)
	switch {
	case err != nil || strings.ContainsAny(text, wsp+"!"):
		return "is no URI, or has characters in it that must be encoded"
	case uri.Scheme == "mailto" && strings.Contains(uri.Opaque, "@"), uri.Scheme == "https" && uri.Host != "":
		return ""
	default:
		return "is neither mailto: with an address nor https: with a host"
	}
}
