package dnssec

import (
	"context"
	"time"

	"github.com/miekg/dns"
)

// Check judges a response that some server gave to one question, as Lookup
// would judge it from a resolver. The zones above and their keys come from the
// resolvers and the cache; nobody is asked for a better answer. The response is
// not changed.
func (r *Resolver) Check(ctx context.Context, name string, qtype uint16, response *dns.Msg) Answer {
	q, err := newQuestion(name, qtype)
	if err != nil {
		return Answer{Name: name, Type: qtype, Canonical: name, Why: err.Error(), Err: err}
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	g := r.newGathering(q, via{}, r.limits)
	g.evidence.replies[q], g.pending = newReply(response.Copy()), []question{q}
	return g.run(ctx)
}

// SignatureExpiry returns when the first RRset of a response loses its last
// signature, going by what the signatures say of themselves; zero where there
// are none. Whether they hold is Check's matter.
func SignatureExpiry(response *dns.Msg, at time.Time) time.Time {
	own := newReply(response.Copy())
	var first Validity
	for _, section := range [][]*rrset{own.answer, own.authority} {
		for _, set := range section {
			var last time.Time
			for _, sig := range set.sigs {
				if expiry := signatureTimes(sig, at).Expiry; expiry.After(last) {
					last = expiry
				}
			}
			first = first.And(Validity{Expiry: last})
		}
	}
	return first.Expiry
}
