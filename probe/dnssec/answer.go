package dnssec

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/miekg/dns"
)

// Status is the DNSSEC verdict on one lookup, in the terms of RFC 4035 §4.3.
// The zero value is Indeterminate.
type Status uint8

const (
	// Indeterminate: the records needed for a verdict could not be obtained.
	// A DANE client treats it as Bogus.
	Indeterminate Status = iota
	// Bogus: the data should be secure and does not validate.
	Bogus
	// Insecure: it is proven that no chain of trust leads to the data, or no
	// trust anchor covers the name.
	Insecure
	// Secure: a chain of signatures leads from a trust anchor to the data.
	Secure
)

// Statuses returns the four statuses, best first.
func Statuses() []Status { return []Status{Secure, Insecure, Bogus, Indeterminate} }

// String returns the public name of s, as in metrics and reports.
func (s Status) String() string {
	switch s {
	case Secure:
		return "secure"
	case Insecure:
		return "insecure"
	case Bogus:
		return "bogus"
	default:
		return "indeterminate"
	}
}

// Failed reports whether s is Bogus or Indeterminate. A validating client cannot
// use such an answer.
func (s Status) Failed() bool { return s == Bogus || s == Indeterminate }

// Worst returns the worse of two statuses. An answer of several steps has the
// status of its worst step.
func Worst(a, b Status) Status { return min(a, b) }

// Answer is the result of one lookup: the data, the verdict, and the evidence
// for the verdict. The result of a failed lookup is an Answer too.
type Answer struct {
	Name string // as queried: lower case, A-labels, fully qualified
	Type uint16 // as queried

	Status Status
	Why    string // the reason for the verdict, in words: zone, record and rule
	Err    error  // nil unless the lookup itself failed; see the Err… variables

	// Inconsistent names the resolver whose answer did not validate, and the
	// reason, if another resolver gave this answer. Otherwise it is empty.
	Inconsistent string

	Rcode     int      // of the last response, such as dns.RcodeSuccess
	Records   []dns.RR // of the type queried, owned by Canonical; without signatures
	Canonical string   // the name at the end of the aliases, or Name
	Aliases   []Alias  // each CNAME followed, in order
	Chain     []Link   // from the trust anchor down, one for each zone and cut
	NSEC3     []NSEC3  // the zones whose hashed denial was needed, by name

	Zone    Validity      // of the answer's signatures and its zone's keys
	Parents Validity      // of everything above
	TTL     time.Duration // how long the data may be cached: the lowest TTL of data and signatures

	EDE    []string      // extended DNS errors received (RFC 8914), as "6 (DNSSEC Bogus): text"
	Server string        // the server that returned the answer
	RTT    time.Duration // of the query for the answer itself
	Work   Work
}

// Found reports whether the lookup returned records of the type queried.
func (a *Answer) Found() bool { return len(a.Records) > 0 }

// NameExists reports whether the name exists according to the answer, with or
// without records of the type queried.
func (a *Answer) NameExists() bool { return a.Err == nil && a.Rcode == dns.RcodeSuccess }

// Alias is one CNAME that the lookup followed, from the zone or synthesized
// from a DNAME (RFC 6672).
type Alias struct {
	From, To string
	Status   Status // of this step alone
}

// Link is one step of the chain of trust.
type Link struct {
	Zone   string // the zone validated
	Status Status
	Keys   []Key  // of the zone's DNSKEY RRset, signing keys first; at most 16
	DS     []DS   // in the parent, or the trust anchors of the zone; at most 16
	Why    string // the reason for the verdict, in words
	Validity
}

// NSEC3 is the NSEC3 hashing of one zone (RFC 5155 §3.1).
type NSEC3 struct {
	Zone       string
	Iterations uint16
}

// Key identifies one DNSKEY.
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
	Used       bool // it matches a key that signs the zone's keys
}

// Validity is the time that a set of signatures has in common: from the latest
// inception to the earliest expiry. It is zero if nothing was signed.
type Validity struct {
	Inception, Expiry time.Time
	// Since is the inception of the signature that expires first. Since to Expiry
	// is the lifetime that its signer gave it.
	Since time.Time
}

// And returns the time that v and w have in common.
func (v Validity) And(w Validity) Validity {
	if w.Inception.After(v.Inception) {
		v.Inception = w.Inception
	}
	if v.Expiry.IsZero() || !w.Expiry.IsZero() && w.Expiry.Before(v.Expiry) {
		v.Expiry, v.Since = w.Expiry, w.Since
	}
	return v
}

// Work is the cost of one lookup.
type Work struct {
	Queries    int // messages sent
	Signatures int // signatures checked
	Cached     int // of these, found in the cache of signatures
	Digests    int // DS digests computed
	Hashes     int // NSEC3 hashes computed
}

func (w Work) plus(more Work) Work {
	return Work{Queries: w.Queries + more.Queries, Signatures: w.Signatures + more.Signatures,
		Cached: w.Cached + more.Cached, Digests: w.Digests + more.Digests, Hashes: w.Hashes + more.Hashes}
}

// answerBuilder builds the Answer of a lookup from its steps.
type answerBuilder struct {
	answer Answer
	ttlSet bool // answer.TTL is that of a step
}

func newAnswerBuilder(q question) *answerBuilder {
	return &answerBuilder{answer: Answer{Name: q.name, Type: q.qtype, Status: Secure, Canonical: q.name}}
}

// addReply records the response code, server and extended errors of a reply.
func (b *answerBuilder) addReply(r *reply) {
	if r == nil {
		return
	}
	b.answer.Rcode = r.rcode
	if b.answer.Server == "" {
		b.answer.Server, b.answer.RTT = r.server, r.rtt
	}
	b.answer.EDE = appendNew(b.answer.EDE, r.ede)
}

// addStep adds the verdict on the current canonical name.
func (b *answerBuilder) addStep(s step) {
	a := &b.answer
	if s.status < a.Status || a.Status == Secure {
		a.Why = s.why
	}
	a.Status = Worst(a.Status, s.status)
	if !b.ttlSet || s.ttl < a.TTL {
		a.TTL, b.ttlSet = s.ttl, true
	}
	a.Rcode, a.Records = s.rcode, s.records
	b.addChain(s.zone.links())
	if s.zone.secure() {
		a.Zone = a.Zone.And(s.valid).And(s.zone.own)
		b.markSigning(s)
	}
	a.Parents = a.Parents.And(s.zone.parents)
}

// addAlias moves on to the target of an alias.
func (b *answerBuilder) addAlias(s step) {
	b.answer.Aliases = append(b.answer.Aliases, Alias{From: b.answer.Canonical, To: s.target, Status: s.status})
	b.answer.Canonical = s.target
}

// fail returns the Answer of a lookup that ended with err. It keeps the steps
// before.
func (b *answerBuilder) fail(err error) Answer {
	a := &b.answer
	f, ok := errors.AsType[*fault](err)
	if !ok {
		f = &fault{status: Indeterminate, why: err.Error(), err: err}
	}
	a.Records = nil
	if f.status <= a.Status {
		a.Status, a.Why = f.status, f.why
	}
	if f.err != nil {
		a.Err = fmt.Errorf("look up %s %s: %w", a.Name, typeName(a.Type), f.err)
	}
	b.addChain(f.links())
	return *a
}

// addChain adds the links that the answer does not have: the chains of several
// steps share their upper part. The builder takes ownership of links.
func (b *answerBuilder) addChain(links []Link) {
	if len(b.answer.Chain) == 0 && len(links) > 0 {
		b.answer.Chain = links
		return
	}
	for _, link := range links {
		known := slices.ContainsFunc(b.answer.Chain, func(other Link) bool {
			return other.Zone == link.Zone && other.Status == link.Status
		})
		if !known {
			b.answer.Chain = append(b.answer.Chain, link)
		}
	}
}

// markSigning marks in the chain the key of the zone that signed the answer. The
// keys of a link are shared with other lookups, so it copies them first.
func (b *answerBuilder) markSigning(s step) {
	if s.signing == nil {
		return
	}
	for i := range b.answer.Chain {
		link := &b.answer.Chain[i]
		if link.Zone != s.zone.name {
			continue
		}
		link.Keys = slices.Clone(link.Keys)
		for j := range link.Keys {
			if link.Keys[j].Tag == s.signing.tag && link.Keys[j].Algorithm == s.signing.record.Algorithm {
				link.Keys[j].Signing = true
			}
		}
		sortSigningFirst(link.Keys)
	}
}
