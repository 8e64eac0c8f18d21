package dnssec

import (
	"errors"
	"fmt"
	"slices"

	"github.com/miekg/dns"
)

// fault is why something is not proven: bogus, or indeterminate for want of
// records. It keeps how far the chain of trust reached.
type fault struct {
	status Status
	why    string
	err    error // what Answer.Err becomes
	above  *zone // the last zone proven, if any
	failed string
}

func (f *fault) Error() string { return f.why }

// errMissing says that the verdict needs replies which are not there yet; the
// validation has noted which.
var errMissing = errors.New("more replies are needed")

// errUnsigned says that nobody who could have signed something did.
var errUnsigned = errors.New("no signature")

func bogus(format string, args ...any) *fault {
	return &fault{status: Bogus, why: fmt.Sprintf(format, args...)}
}

// beneath notes where in the chain f happened: at zone, below above.
func (f *fault) beneath(above *zone, zone string) *fault {
	if f.failed == "" {
		f.above, f.failed = above, zone
	}
	return f
}

// links is the chain as far as it reached, and the link that failed.
func (f *fault) links() []Link {
	list := f.above.links()
	if f.failed != "" {
		list = append(list, Link{Zone: f.failed, Status: f.status, Why: f.why})
	}
	return list
}

// isBogus returns err as a fault where it is one that says bogus.
func isBogus(err error) *fault {
	var f *fault
	if errors.As(err, &f) && f.status == Bogus {
		return f
	}
	return nil
}

// unsigned is the fault of data without a signature in a secure zone. If the
// zone with the trust anchor comes without signatures too, it is the resolver
// that withholds them; otherwise the data is bogus.
func (v *validation) unsigned(z *zone, what string) error {
	top := z.anchor()
	r, err := v.ask(question{top.name, dns.TypeDNSKEY})
	if err != nil {
		return err
	}
	if set := r.find(top.name, dns.TypeDNSKEY); set == nil || len(set.sigs) == 0 {
		return stripped(r, top.name)
	}
	f := bogus("%s carries no signature, though the zone %s is signed", what, z.name)
	f.above = z
	return f
}

// stripped is the fault of a resolver that does not hand out DNSSEC records.
func stripped(r *reply, anchor string) *fault {
	what := "its answer to " + anchor + " DNSKEY has no keys"
	if r.find(anchor, dns.TypeDNSKEY) != nil {
		what = "its answer to " + anchor + " DNSKEY has keys but no signatures"
	}
	why := fmt.Sprintf("the resolver %sstrips DNSSEC records: %s; nothing can be validated through it, use one that passes them on", resolverName(r), what)
	return &fault{status: Indeterminate, why: why, err: fmt.Errorf("%w: %s", ErrStripped, what), failed: anchor}
}

func resolverName(r *reply) string {
	if r.server == "" {
		return ""
	}
	return r.server + " "
}

// failing is the fault of a reply that is no answer.
func failing(q question, r *reply) *fault {
	if r.err != nil {
		return &fault{status: Indeterminate, why: fmt.Sprintf("no answer to %s: %v", q, r.err), err: r.err}
	}
	why := fmt.Sprintf("the resolver %sanswered %s to %s", resolverName(r), rcodeName(r.rcode), q)
	for _, text := range r.ede {
		why += "; it says: " + text
	}
	return &fault{status: Indeterminate, why: why, err: fmt.Errorf("%w: %s to %s", ErrServer, rcodeName(r.rcode), q)}
}

func rcodeName(rcode int) string {
	if name, ok := dns.RcodeToString[rcode]; ok {
		return name
	}
	return fmt.Sprintf("RCODE %d", rcode)
}

// answers are the response codes that a verdict can be built on; YXDOMAIN is
// what a DNAME gives where the new name would be too long (RFC 6672 §2.2).
func answers(rcode int) bool {
	return slices.Contains([]int{dns.RcodeSuccess, dns.RcodeNameError, dns.RcodeYXDomain}, rcode)
}
