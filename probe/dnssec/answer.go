package dnssec

import (
	"time"

	"github.com/miekg/dns"
)

// Answer is what one look-up came to: the data, the verdict on it, and
// everything that somebody who doubts the verdict would ask for.
// A failed look-up is an Answer too.
type Answer struct {
	Name string // as asked: lower case, A-labels, fully qualified
	Type uint16 // as asked

	Status Status
	Why    string // the verdict in words: which zone, which record, which rule
	Err    error  // nil unless the look-up itself failed; see the Err… variables

	// Inconsistent says which resolver gave an answer that did not validate, and
	// why, before another gave this one. Empty: the first answer was as good.
	Inconsistent string

	Rcode     int      // of the last response, as dns.RcodeSuccess
	Records   []dns.RR // of the type asked, owned by Canonical; without signatures
	Canonical string   // the name at the end of the aliases; Name where there are none
	Aliases   []Alias  // each CNAME followed, in order
	Chain     []Link   // from the trust anchor down, one for each zone and cut
	NSEC3     []NSEC3  // the zones whose hashed denial was needed, by name

	Zone    Validity      // of the answer's signatures and its zone's keys
	Parents Validity      // of everything above
	TTL     time.Duration // how long the data may be kept: the least TTL of data and signatures

	EDE    []string      // extended DNS errors that came with it (RFC 8914), as "6 (DNSSEC Bogus): text"
	Server string        // the server that gave the answer
	RTT    time.Duration // of the query for the answer itself
	Work   Work
}

// Found reports whether the look-up gave records of the type asked.
func (a *Answer) Found() bool { return len(a.Records) > 0 }

// NameExists reports whether the answer says that the name exists,
// with or without records of the type asked.
func (a *Answer) NameExists() bool { return a.Err == nil && a.Rcode == dns.RcodeSuccess }

// Alias is one CNAME that the look-up followed, written in the zone or
// synthesized from a DNAME (RFC 6672).
type Alias struct {
	From, To string
	Status   Status // of this step alone
}

// Link is one step of the chain of trust, for people to read.
type Link struct {
	Zone   string // the zone judged
	Status Status
	Keys   []Key  // of the zone's DNSKEY RRset; those that signed come first; 16 at most
	DS     []DS   // that the parent publishes, or the trust anchors of the root; 16 at most
	Why    string // what was found, in words
	Validity
}

// NSEC3 is how a zone hashes the names in its denial (RFC 5155 §3.1).
type NSEC3 struct {
	Zone       string
	Iterations uint16
}

// Key is one DNSKEY, named as people name it.
type Key struct {
	Tag       uint16
	Algorithm uint8
	SEP       bool // secure entry point: usually the key-signing key
	Signing   bool // its signature over the zone's keys or the answer was used
}

// DS is one delegation signer record.
type DS struct {
	Tag        uint16
	Algorithm  uint8
	DigestType uint8
	Used       bool // it leads to a key that signs the zone's keys
}

// Validity is the time that a set of signatures has in common:
// the latest inception and the earliest expiry. Zero where nothing was signed.
type Validity struct {
	Inception, Expiry time.Time
	// Since is the inception of the signature that expires first: from there to
	// Expiry is how long its signer meant it to last.
	Since time.Time
}

// And narrows v to the time it shares with w.
func (v Validity) And(w Validity) Validity {
	if w.Inception.After(v.Inception) {
		v.Inception = w.Inception
	}
	if v.Expiry.IsZero() || !w.Expiry.IsZero() && w.Expiry.Before(v.Expiry) {
		v.Expiry, v.Since = w.Expiry, w.Since
	}
	return v
}

// Work counts what one look-up cost.
type Work struct {
	Queries    int // messages sent
	Signatures int // signature checks made
	Remembered int // of these, known from an earlier look-up
	Digests    int // digests of keys computed, to compare with DS records
	Hashes     int // NSEC3 hashes computed
}

func (w Work) plus(more Work) Work {
	return Work{Queries: w.Queries + more.Queries, Signatures: w.Signatures + more.Signatures,
		Remembered: w.Remembered + more.Remembered, Digests: w.Digests + more.Digests, Hashes: w.Hashes + more.Hashes}
}
