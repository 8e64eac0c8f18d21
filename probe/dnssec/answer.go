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

	// FaultZone is the zone whose data or nameservers made the lookup fail. It is empty if
	// the lookup did not fail, if the resolvers or the exporter are the cause, and if the
	// zone is not certain, such as when the resolvers disagree.
	//
	// If the answer is bogus, FaultZone is the zone that contains the data that does not
	// validate. A DS RRset and the proof of its absence are data of the parent. If no DS
	// matches the keys, or their signatures are invalid, the child is at fault: it
	// changes its keys and requests the DS. If nameservers fail, FaultZone is the highest
	// zone that does not answer while all zones above it do.
	FaultZone string

	// Inconsistent names the resolver whose answer did not validate, and the
	// reason, if another resolver gave this answer. Otherwise it is empty.
	Inconsistent string

	Rcode     int      // of the last response, such as dns.RcodeSuccess
	Records   []dns.RR // of the type queried, owned by Canonical; without signatures
	Canonical string   // the name at the end of the aliases, or Name
	Aliases   []Alias  // each CNAME followed, in order
	Chain     []Link   // from the trust anchor down, one for each zone and cut
	NSEC3     []NSEC3  // the zones whose hashed denial was needed, by name

	// Signer is the zone whose signature proves the last step of the answer, data or
	// denial, and Algorithm the algorithm of that signature, as "ECDSAP256SHA256", or
	// its number if it has no mnemonic. Both are empty if the answer is not secure.
	Signer, Algorithm string

	TTL    time.Duration // how long the data may be cached: the lowest TTL of data and signatures
	EDE    []string      // extended DNS errors received (RFC 8914), as "6 (DNSSEC Bogus): text"
	Server string        // the server that returned the answer
	RTT    time.Duration // of the query for the answer itself
	Work   Work
}

// Found reports whether the lookup returned records of the type queried.
func (a *Answer) Found() bool { return len(a.Records) > 0 }

// LongestTTL returns how long a resolver may keep the records of the answer. TTL may be
// that of the proof of a wildcard, which is often shorter.
func (a *Answer) LongestTTL() time.Duration {
	longest := a.TTL
	for _, rr := range a.Records {
		longest = max(longest, time.Duration(rr.Header().Ttl)*time.Second)
	}
	return longest
}

// NameExists reports whether the name exists according to the answer, with or
// without records of the type queried.
func (a *Answer) NameExists() bool { return a.Err == nil && a.Rcode == dns.RcodeSuccess }

// Validity returns the time that all signatures of the answer have in common. It
// is zero if the lookup failed: no time makes such an answer valid.
func (a *Answer) Validity() Validity {
	var all Validity
	if a.Status.Failed() {
		return all
	}
	for _, link := range a.Chain {
		all = all.And(link.Validity)
	}
	return all
}

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

	// Validity is that of the signatures by this zone that the answer depends on:
	// over its DNSKEY RRset, over the DS of the zone below or the proof of its
	// absence, and over the data or denial that the zone itself contributes to the
	// answer. It is zero if the zone is not secure.
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
	a.Signer, a.Algorithm = "", ""
	if a.Status == Secure {
		a.Signer, a.Algorithm = s.zone.name, algorithmName(s.signing.record.Algorithm)
	}
	b.addChain(s.zone.links())
	if s.zone.secure() {
		b.addSignature(s)
	}
}

// addAlias moves on to the target of an alias.
func (b *answerBuilder) addAlias(s step) {
	b.answer.Aliases = append(b.answer.Aliases, Alias{From: b.answer.Canonical, To: s.target, Status: s.status})
	b.answer.Canonical = s.target
}

// fail returns the Answer of a lookup that ended with err. It keeps the steps
// before.
func (b *answerBuilder) fail(err error) *Answer {
	a := &b.answer
	f, ok := errors.AsType[*fault](err)
	if !ok {
		f = &fault{status: Indeterminate, why: err.Error(), err: err}
	}
	a.Records, a.Signer, a.Algorithm = nil, "", ""
	if f.status <= a.Status {
		a.Status, a.Why, a.FaultZone = f.status, f.why, f.zone
	}
	if f.err != nil {
		a.Err = fmt.Errorf("look up %s %s: %w", a.Name, typeName(a.Type), f.err)
	}
	b.addChain(f.links())
	return a
}

// addChain adds the links that the answer does not have: the chains of several
// steps share their upper part. Of a link that it has, it adds the validity, since
// the zone may have signed another DS. The builder takes ownership of links.
func (b *answerBuilder) addChain(links []Link) {
	for _, link := range links {
		if known := b.link(link.Zone, link.Status); known != nil {
			known.Validity = known.And(link.Validity)
		} else {
			b.answer.Chain = append(b.answer.Chain, link)
		}
	}
}

// link returns the link of the answer for a zone with that status, or nil.
func (b *answerBuilder) link(zone string, status Status) *Link {
	for i := range b.answer.Chain {
		if link := &b.answer.Chain[i]; link.Zone == zone && link.Status == status {
			return link
		}
	}
	return nil
}

// addSignature adds the signatures over the data or denial of a step to the link
// of its zone, which must be secure and have a link. The keys of a link are shared
// with other lookups, so it copies them before it marks the one that signed.
func (b *answerBuilder) addSignature(s step) {
	link := b.link(s.zone.name, Secure)
	link.Validity = link.And(s.valid)
	link.Keys = slices.Clone(link.Keys)
	for i := range link.Keys {
		if link.Keys[i].Tag == s.signing.tag && link.Keys[i].Algorithm == s.signing.record.Algorithm {
			link.Keys[i].Signing = true
		}
	}
	sortSigningFirst(link.Keys)
}
