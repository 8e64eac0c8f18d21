package dnssec

import (
	"errors"
	"fmt"

	"github.com/miekg/dns"
)

// fault is the error of a validation that ended without proof: bogus, or
// indeterminate because records are missing.
type fault struct {
	status Status
	why    string
	err    error  // becomes Answer.Err
	above  *zone  // the last zone of the chain that validated, if any
	failed string // the zone below it that did not
	zone   string // the zone at fault, see Answer.FaultZone

	unchecked bool // a signature was not verified because of its cost, and may be valid
}

func (f *fault) Error() string { return f.why }

// errMissing: the verdict needs replies that are not there yet. The validation
// has noted which.
var errMissing = errors.New("more replies are needed")

// errUnsigned: none of the zones that can sign something did.
var errUnsigned = errors.New("no signature")

func bogus(format string, args ...any) *fault {
	return &fault{status: Bogus, why: fmt.Sprintf(format, args...)}
}

// asBogus returns err as a fault, and whether it is one with status Bogus.
func asBogus(err error) (*fault, bool) {
	f, ok := errors.AsType[*fault](err)
	return f, ok && f.status == Bogus
}

// asUnchecked returns err as a fault, and whether it is that of a signature that was not
// verified because of its cost.
func asUnchecked(err error) (*fault, bool) {
	f, ok := errors.AsType[*fault](err)
	return f, ok && f.unchecked
}

// inZone records z as the last zone that validated and as the zone at fault, unless err
// already has a last zone. It returns err.
func inZone(err error, z *zone) error {
	if f, ok := errors.AsType[*fault](err); ok && f.above == nil {
		f.above = z
		return atFault(err, z.name)
	}
	return err
}

// atFault records the zone at fault, unless err is a limit of the lookup or a failure of
// the resolvers. It returns err.
func atFault(err error, zone string) error {
	if f, ok := errors.AsType[*fault](err); ok && (f.status == Bogus || errors.Is(f.err, ErrServer)) {
		f.zone = zone
	}
	return err
}

// atCut records that the chain of trust failed at the zone failed, below above,
// unless err has a failed zone. It returns err.
func atCut(err error, above *zone, failed string) error {
	if f, ok := errors.AsType[*fault](err); ok && f.failed == "" {
		f.above, f.failed = above, failed
	}
	return err
}

// links returns the chain of trust as far as it validated, and the link that
// failed.
func (f *fault) links() []Link {
	list := f.above.links()
	if f.failed != "" {
		list = append(list, Link{Zone: f.failed, Status: f.status, Why: f.why})
	}
	return list
}

// unsigned returns the fault of data without a signature in the secure zone z.
// If the zone with the trust anchor comes without signatures too, the resolver
// strips them. Otherwise the data is bogus. The error may be errMissing.
func (v *validation) unsigned(z *zone, what string) error {
	top := z.anchor().name
	r, err := v.reply(question{top, dns.TypeDNSKEY})
	if err != nil {
		return err
	}
	if set := r.find(top, dns.TypeDNSKEY); set == nil || len(set.sigs) == 0 {
		return stripped(r, top)
	}
	return inZone(bogus("%s carries no signature, though the zone %s is signed", what, z.name), z)
}

// stripped returns the fault of a resolver that withholds DNSSEC records.
func stripped(r *reply, anchor string) *fault {
	what := "its answer to " + anchor + " DNSKEY has no keys"
	if r.find(anchor, dns.TypeDNSKEY) != nil {
		what = "its answer to " + anchor + " DNSKEY has keys but no signatures"
	}
	why := fmt.Sprintf("%s strips DNSSEC records: %s; use a resolver that returns them", resolverName(r), what)
	return &fault{status: Indeterminate, why: why, err: fmt.Errorf("%w: %s", ErrStripped, what), failed: anchor}
}

// unusableReply returns the fault of a reply on which no verdict can be based.
func unusableReply(q question, r *reply) *fault {
	if r.err != nil {
		return &fault{status: Indeterminate, why: fmt.Sprintf("no answer to %s: %v", q, r.err), err: r.err}
	}
	why := fmt.Sprintf("%s answered %s to %s", resolverName(r), rcodeName(r.rcode), q)
	for _, text := range r.ede {
		why += "; extended error " + text
	}
	return &fault{status: Indeterminate, why: why, err: fmt.Errorf("%w: %s to %s", ErrServer, rcodeName(r.rcode), q)}
}

func resolverName(r *reply) string {
	if r.server == "" {
		return "the resolver"
	}
	return "the resolver " + r.server
}
