// Package mtasts reads what a mail domain publishes for MTA-STS (RFC 8461) and
// TLSRPT (RFC 8460), and fetches its MTA-STS policy.
//
// # MTA-STS
//
// A sender that supports MTA-STS takes three steps before it delivers to a domain:
//
//  1. Record. A TXT record at _mta-sts below the domain says that there is a
//     policy, and its id changes whenever the policy does (RFC 8461 §3.1):
//     [ParseRecord].
//  2. Policy. The host mta-sts below the domain serves the policy, a text file,
//     over HTTPS with a certificate of the Web PKI (§3.2, §3.3): [Fetcher.Fetch],
//     [ParsePolicy].
//  3. Match. The policy lists the MX hosts that mail may be delivered to (§4.1):
//     [Policy.Matches]. Each must offer STARTTLS and present a certificate of the
//     Web PKI for its own name. What the sender does with other hosts depends on
//     the mode of the policy (§5): [Mode].
//
// The policy is authenticated by the certificate of the policy host. DNSSEC plays
// no part.
//
// # TLSRPT
//
// A TXT record at _smtp._tls below the domain lists the URIs to which senders
// report successful and failed TLS connections (RFC 8460 §3): [ParseTLSRPT].
//
// Parsing and matching are pure. Names are A-labels, as in DNS.
package mtasts

import (
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// ErrNoRecord is returned if none of the TXT records is an MTA-STS or TLSRPT
// record.
var ErrNoRecord = errors.New("there is no such record")

// MultipleRecordsError is returned if there are several records where one is
// expected. Then none of them counts (RFC 8461 §3.1, RFC 8460 §3).
type MultipleRecordsError struct {
	Records []string // at least two
}

// Error returns the number of records and the first two.
func (e *MultipleRecordsError) Error() string {
	return fmt.Sprintf("there are %d records where one is expected; the first is %s, the second %s", len(e.Records), quote(e.Records[0]), quote(e.Records[1]))
}

// SyntaxError is returned if a record or policy violates the syntax of its RFC.
type SyntaxError struct {
	Line int    // line of a policy, from 1; 0 if the error is in no line or in a record
	Text string // the offending text; empty if something is missing
	Why  string // what is wrong with it
}

// Error returns the line, the quoted text and the reason.
func (e *SyntaxError) Error() string {
	message := e.Why
	if e.Text != "" {
		message = quote(e.Text) + ": " + e.Why
	}
	if e.Line > 0 {
		message = "line " + strconv.Itoa(e.Line) + ": " + message
	}
	return message
}

// maxTolerated is the greatest number of sentences in a Tolerated field.
const maxTolerated = 4

// tolerate adds a sentence about what some senders tolerate and others do not.
func tolerate(sentences []string, format string, args ...any) []string {
	if len(sentences) >= maxTolerated {
		return sentences
	}
	return append(sentences, fmt.Sprintf(format, args...))
}

// syntaxErrorf returns the error for text, with a formatted reason.
func syntaxErrorf(text, format string, args ...any) *SyntaxError {
	return &SyntaxError{Text: text, Why: fmt.Sprintf(format, args...)}
}

// quote truncates and quotes text that a domain or a policy host published.
func quote(text string) string {
	const limit = 100
	if len(text) > limit {
		cut := limit
		for cut > 0 && !utf8.RuneStart(text[cut]) {
			cut--
		}
		text = text[:cut] + "…"
	}
	return strconv.Quote(text)
}
