package dnssec

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// Trouble is what is wrong with a resolver, from a short closed list. Empty:
// nothing that was found.
type Trouble string

// The troubles.
const (
	Silent    Trouble = "silent"     // it does not answer
	NoTCP     Trouble = "no_tcp"     // large answers do not come through
	Strips    Trouble = "strips"     // it withholds DNSSEC records
	RefusesCD Trouble = "refuses_cd" // it fails when told not to check
	Lies      Trouble = "lies"       // it invents addresses for names that do not exist
	WrongRoot Trouble = "wrong_root" // the keys that it gives match no trust anchor
	WrongTime Trouble = "wrong_time" // no signature over the keys holds now: it is our clock
	Fails     Trouble = "fails"      // anything else
)

// Condition is what the self-check found of one resolver.
type Condition struct {
	Server  string
	Trouble Trouble
	Why     string // what it does, and what to do about it, in words; empty where nothing is wrong
	// Anchored says whether its keys of the anchors' zone lead from a trust
	// anchor; nil where there were none to judge.
	Anchored *bool
}

// Examination is what the self-check found.
type Examination struct {
	Resolvers []Condition // in the order in which they are asked
}

// Good reports whether nothing is wrong.
func (e Examination) Good() bool {
	return !slices.ContainsFunc(e.Resolvers, func(c Condition) bool { return c.Trouble != "" })
}

// Anchored says whether some resolver's keys lead from a trust anchor. It is
// not known where no resolver gave any.
func (e Examination) Anchored() (anchored, known bool) {
	for _, c := range e.Resolvers {
		if c.Anchored != nil {
			anchored, known = anchored || *c.Anchored, true
		}
	}
	return anchored, known
}

// String tells all in one line.
func (e Examination) String() string {
	var lines []string
	for _, c := range e.Resolvers {
		if c.Trouble == "" {
			lines = append(lines, c.Server+" is good")
		} else {
			lines = append(lines, c.Server+" "+c.Why)
		}
	}
	return strings.Join(lines, "; ")
}

// examinationTime is how long the self-check may take.
const examinationTime = 15 * time.Second

// Examine asks each resolver on its own for what every look-up needs: the keys
// of the root, and whether a top-level domain is signed. It uses nothing that
// is known already, and leaves nothing behind.
func (r *Resolver) Examine(ctx context.Context) Examination {
	ctx, cancel := context.WithTimeout(ctx, examinationTime)
	defer cancel()
	servers := r.transport.Servers()
	e := Examination{Resolvers: make([]Condition, len(servers))}
	var group sync.WaitGroup
	for i, server := range servers {
		group.Go(func() {
			e.Resolvers[i] = Condition{Server: server, Trouble: Fails, Why: "could not be examined: an internal error"}
			defer func() { _ = recover() }()
			e.Resolvers[i] = r.examine(ctx, server)
		})
	}
	group.Wait()
	return e
}

func (r *Resolver) examine(ctx context.Context, server string) Condition {
	x := &examination{Resolver: r.blank(), server: server}
	first, a := x.look(ctx, via{server: server})
	c := Condition{Server: server, Anchored: x.anchored(first)}
	switch {
	case a.Status.Failed():
		c.Trouble, c.Why = x.diagnose(ctx, first, a)
	default:
		if address := x.invented(ctx); address != "" {
			c.Trouble = Lies
			c.Why = fmt.Sprintf("gives the address %s for a name that does not exist, so that nothing about missing names can be validated; "+
				"turn that off, or set resolver.servers to another resolver", address)
		}
	}
	return c
}

// blank is a Resolver for the same world that knows nothing.
func (r *Resolver) blank() *Resolver {
	var anchors []Anchor
	for _, set := range r.anchors {
		for _, anchor := range set {
			anchors = append(anchors, *anchor)
		}
	}
	return New(r.transport, anchors, r.now, r.options)
}

// examination is that of one resolver.
type examination struct {
	*Resolver
	server string
}

// wanted is the question that is put: the answer, yes or no, needs the top's keys.
func (x *examination) wanted() question {
	if x.top() == "." {
		return question{"com.", dns.TypeDS}
	}
	return question{x.top(), dns.TypeDNSKEY}
}

func (x *examination) look(ctx context.Context, way via) (*gathering, Answer) {
	g := x.newGathering(x.wanted(), way, x.limits)
	return g, g.run(ctx)
}

// keys are those of the top, as the resolver gave them, or nil.
func (x *examination) keys(g *gathering) *rrset {
	if r := g.evidence.replies[question{x.top(), dns.TypeDNSKEY}]; r != nil {
		return r.find(x.top(), dns.TypeDNSKEY)
	}
	return nil
}

func (x *examination) anchored(g *gathering) *bool {
	if set := x.keys(g); set == nil || len(set.sigs) == 0 || len(x.anchors) == 0 {
		return nil
	}
	z := g.evidence.zones[x.top()]
	anchored := z != nil && z.secure()
	return &anchored
}

// diagnose finds out why an answer is of no use, the most telling cause first.
func (x *examination) diagnose(ctx context.Context, g *gathering, a Answer) (Trouble, string) {
	const another = "set resolver.servers to one that does not, such as an Unbound, Knot Resolver or BIND of your own"
	keys := x.keys(g)
	switch {
	case errors.Is(a.Err, ErrUnreachable) && x.answersShort(ctx), g.truncated():
		return NoTCP, "answers short queries, but long answers do not come through: allow TCP to its port 53, and fragments or 1232 octets of UDP"
	case errors.Is(a.Err, ErrUnreachable), errors.Is(a.Err, ErrDeadline):
		return Silent, "does not answer: check resolver.servers and the network between (" + a.Why + ")"
	case errors.Is(a.Err, ErrStripped), a.Status == Bogus && g.unsignedReply(x.wanted()):
		return Strips, "strips DNSSEC records, so that nothing can be validated: " + another
	case keys != nil && x.strange(keys):
		return WrongRoot, fmt.Sprintf("gives keys of %s that match no trust anchor: check resolver.trust_anchors, or find out who answers in its place", x.top())
	case keys != nil && x.allOutOfDate(keys):
		return WrongTime, fmt.Sprintf("gives keys of %s whose signatures hold %s, and the clock here says %s: set this machine's clock",
			x.top(), x.times(keys), clock(x.now()))
	}
	if _, checked := x.look(ctx, via{server: x.server, checked: true}); !checked.Status.Failed() {
		return RefusesCD, "fails when it is told not to check (CD=1), so that every look-up has to be repeated: " + another + " (" + a.Why + ")"
	}
	return Fails, "gives nothing that can be validated: " + another + " (" + a.Why + ")"
}

// answersShort asks for something short that needs no EDNS.
func (x *examination) answersShort(ctx context.Context) bool {
	response, err := x.transport.ExchangeWith(ctx, x.server, new(dns.Msg).SetQuestion(".", dns.TypeSOA))
	return err == nil && response != nil
}

// invented asks for a name that cannot exist (RFC 6761 §6.4), and returns the
// address that came all the same.
func (x *examination) invented(ctx context.Context) string {
	response, err := x.transport.ExchangeWith(ctx, x.server, new(dns.Msg).SetQuestion("no-such-name.invalid.", dns.TypeA))
	if err != nil || response == nil {
		return ""
	}
	for _, rr := range response.Answer {
		if a, ok := rr.(*dns.A); ok {
			return net.IP(a.A).String()
		}
	}
	return ""
}

// truncated reports whether a reply was cut short, over TCP too.
func (g *gathering) truncated() bool {
	for _, r := range g.evidence.replies {
		if r.truncated {
			return true
		}
	}
	return false
}

// unsignedReply reports whether a reply came without any signature.
func (g *gathering) unsignedReply(q question) bool {
	r := g.evidence.replies[q]
	if r == nil || r.err != nil {
		return false
	}
	for _, section := range [][]*rrset{r.answer, r.authority} {
		for _, set := range section {
			if len(set.sigs) > 0 {
				return false
			}
		}
	}
	return true
}

// strange reports whether no key is one that an anchor names.
func (x *examination) strange(set *rrset) bool {
	for _, k := range newKeys(set.records) {
		for _, anchor := range x.anchors[x.top()] {
			if leadsTo(anchor, k, x.top()) {
				return false
			}
		}
	}
	return true
}

func (x *examination) allOutOfDate(set *rrset) bool {
	at := x.now()
	for _, sig := range set.sigs {
		if times := signatureTimes(sig, at); !at.Before(times.Inception) && !at.After(times.Expiry) {
			return false
		}
	}
	return len(set.sigs) > 0
}

// times tells how long signatures hold, from the first inception to the last expiry.
func (x *examination) times(set *rrset) string {
	at := x.now()
	all := signatureTimes(set.sigs[0], at)
	for _, sig := range set.sigs[1:] {
		one := signatureTimes(sig, at)
		if one.Inception.Before(all.Inception) {
			all.Inception = one.Inception
		}
		if one.Expiry.After(all.Expiry) {
			all.Expiry = one.Expiry
		}
	}
	return "from " + clock(all.Inception) + " to " + clock(all.Expiry)
}
