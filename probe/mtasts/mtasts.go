// Package mtasts reads what a mail domain publishes for MTA-STS (RFC 8461) and
// for TLSRPT (RFC 8460), and fetches its policy.
//
// A domain that has an MTA-STS policy says so by a TXT record at _mta-sts below
// it ([ParseRecord]). The policy itself is a text file that the host mta-sts
// below the domain serves over HTTPS ([Fetcher.Fetch], [ParsePolicy]). It lists
// the MX hosts that mail may go to ([Policy.Covers]) and says how strict a sender
// is to be: each of those hosts has to offer STARTTLS, and show a certificate of
// the Web PKI for its own name. What proves the policy is the certificate of the
// policy host; DNSSEC plays no part.
//
// A TXT record at _smtp._tls says where senders report how TLS went
// ([ParseTLSRPT]).
//
// Parsing and matching are pure. Names are A-labels, as DNS has them.
package mtasts

import (
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// ErrNone: none of the TXT records is one of the kind that was looked for.
var ErrNone = errors.New("there is no such record")

// SeveralError: where one record is wanted there are more, so that none counts
// (RFC 8461 §3.1, RFC 8460 §3).
type SeveralError struct{ Records []string }

func (e *SeveralError) Error() string {
	return fmt.Sprintf("there are %d records where one is wanted: the first is %s, the second %s", len(e.Records), quote(e.Records[0]), quote(e.Records[1]))
}

// SyntaxError: a record or policy is not as its RFC wants it.
type SyntaxError struct {
	Line int    // of a policy, from 1; 0 where no line is to blame
	Text string // what is wrong; empty where something is missing
	Why  string // and with what
}

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

// wrong says what is wrong with some text.
func wrong(text, format string, args ...any) *SyntaxError {
	return &SyntaxError{Text: text, Why: fmt.Sprintf(format, args...)}
}

// quote makes what others wrote fit to be shown: printable, and short.
func quote(text string) string {
	const most = 100
	if len(text) > most {
		cut := most
		for cut > 0 && !utf8.RuneStart(text[cut]) {
			cut--
		}
		text = text[:cut] + "…"
	}
	return strconv.Quote(text)
}
