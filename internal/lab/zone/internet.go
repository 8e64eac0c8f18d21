package zone

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// ErrSilent, returned by a Fault's Answer, lets an exchange wait until its
// context ends, as it would for a server that says nothing.
var ErrSilent = errors.New("no response")

// The two resolvers, in the order in which they are asked.
const (
	FirstServer  = "198.51.100.53:53"
	SecondServer = "198.51.100.54:53"
)

// Internet is a tree of zones and the resolvers that answer for it.
// It is safe for concurrent use.
type Internet struct {
	now     func() time.Time
	servers []string
	zones   map[string]*loaded
	copies  map[netip.Addr][]*copied // of servers that have not what the others have

	mu    sync.RWMutex
	state state
}

// state is what is broken, and what was signed since it is.
type state struct {
	faults []Fault
	memo   *memo
}

// New joins zones to an Internet. The parent of a zone is the nearest zone
// above it; a signed root is added where none is given. Two resolvers answer,
// alike unless a fault says otherwise.
//
// Records that do not parse, two zones of one name and keys that cannot be
// made are errors.
func New(now func() time.Time, zones ...Zone) (*Internet, error) {
	n := &Internet{now: now, servers: []string{FirstServer, SecondServer}, zones: map[string]*loaded{}, state: state{memo: new(memo)}}
	if !slices.ContainsFunc(zones, func(z Zone) bool { return z.Apex == "." }) {
		zones = append([]Zone{{Apex: "."}}, zones...)
	}
	for _, z := range zones {
		l, err := load(z)
		if err != nil {
			return nil, err
		}
		if n.zones[l.apex] != nil {
			return nil, fmt.Errorf("zone %s: given twice", l.apex)
		}
		n.zones[l.apex] = l
	}
	return n, n.join()
}

// join delegates each zone from its parent, and finishes all.
func (n *Internet) join() error {
	for _, l := range n.zones {
		if l.apex == "." {
			continue
		}
		if err := n.zoneOf(parentOf(l.apex), dns.TypeNone).delegate(l); err != nil {
			return err
		}
	}
	for _, l := range n.zones {
		if err := l.finish(); err != nil {
			return err
		}
	}
	return nil
}

// zoneOf finds the zone that answers for name: the nearest above or at it, and
// for DS the parent's side of a cut (RFC 4035 §3.1.4.1).
func (n *Internet) zoneOf(name string, qtype uint16) *loaded {
	if qtype == dns.TypeDS && name != "." {
		name = parentOf(name)
	}
	for n.zones[name] == nil {
		name = parentOf(name)
	}
	return n.zones[name]
}

// Anchors returns the DS records of the root's key-signing keys: none if the
// root is unsigned.
func (n *Internet) Anchors() []dns.DS {
	records, err := n.zones["."].ds()
	if err != nil {
		return nil
	}
	var anchors []dns.DS
	for _, rr := range records {
		anchors = append(anchors, *rr.(*dns.DS))
	}
	return anchors
}

// Break adds faults. They act from now on.
func (n *Internet) Break(faults ...Fault) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.state = state{faults: slices.Concat(n.state.faults, faults), memo: new(memo)}
}

// BreakOnly makes faults all that is broken. They act from now on, and those
// before no longer.
func (n *Internet) BreakOnly(faults ...Fault) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.state = state{faults: slices.Clone(faults), memo: new(memo)}
}

func (n *Internet) present() state {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.state
}

// Servers names the resolvers.
func (n *Internet) Servers() []string { return slices.Clone(n.servers) }

// Exchange asks the first resolver that answers. The errors are those of
// ExchangeWith, and of a Fault.
func (n *Internet) Exchange(ctx context.Context, query *dns.Msg) (*dns.Msg, string, error) {
	var failures []error
	for _, server := range n.servers {
		response, err := n.ExchangeWith(ctx, server, query)
		if err == nil {
			return response, server, nil
		}
		failures = append(failures, fmt.Errorf("%s: %w", server, err))
		if ctx.Err() != nil {
			break
		}
	}
	return nil, "", errors.Join(failures...)
}

// ExchangeWith asks one resolver. The response has been through its wire form,
// and nothing else holds it. A server that Servers does not name, and a query
// that is not one question, are errors; so is the end of ctx.
func (n *Internet) ExchangeWith(ctx context.Context, server string, query *dns.Msg) (*dns.Msg, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !slices.Contains(n.servers, server) {
		return nil, fmt.Errorf("no resolver %q", server)
	}
	if len(query.Question) != 1 {
		return nil, fmt.Errorf("%d questions in one query", len(query.Question))
	}
	state := n.present()
	response, err := n.answer(state, query)
	if err == nil {
		err = n.breakAnswer(state.faults, server, query, response)
	}
	if errors.Is(err, ErrSilent) {
		<-ctx.Done()
		return nil, fmt.Errorf("%w: %w", err, ctx.Err())
	}
	if err != nil {
		return nil, err
	}
	return throughWire(response)
}

// Denial returns all that a zone has to prove absence with: its SOA and its
// whole chain of NSEC or NSEC3 records, signed. Whoever walks the zone has the
// same, and may answer any question with any of it.
func (n *Internet) Denial(apex string) ([]dns.RR, error) {
	zone := n.zones[dns.CanonicalName(apex)]
	if zone == nil {
		return nil, fmt.Errorf("no zone %s", apex)
	}
	r := &reply{internet: n, state: n.present(), now: n.now(), dnssec: true, msg: new(dns.Msg)}
	r.negative(zone, zone.denial.all())
	return r.msg.Ns, r.err
}

// answer makes the response of a resolver that nothing is wrong with.
func (n *Internet) answer(state state, query *dns.Msg) (*dns.Msg, error) {
	r := &reply{internet: n, state: state, now: n.now(), msg: new(dns.Msg).SetReply(query)}
	r.msg.RecursionAvailable = true
	r.msg.CheckingDisabled = query.CheckingDisabled
	if opt := query.IsEdns0(); opt != nil {
		r.dnssec = opt.Do()
		r.msg.SetEdns0(1232, r.dnssec)
	}
	question := query.Question[0]
	if question.Qclass != dns.ClassINET {
		r.msg.Rcode = dns.RcodeRefused
		return r.msg, nil
	}
	r.resolve(dns.CanonicalName(question.Name), question.Qtype)
	return r.msg, r.err
}

func (n *Internet) breakAnswer(faults []Fault, server string, query, response *dns.Msg) error {
	place := Place{Name: dns.CanonicalName(query.Question[0].Name), Type: query.Question[0].Qtype}
	place.Zone = n.zoneOf(place.Name, place.Type).apex
	for _, fault := range faults {
		if fault.Answer == nil || fault.Server != "" && fault.Server != server || !fault.Where(place) {
			continue
		}
		if err := fault.Answer(query, response); err != nil {
			return err
		}
	}
	return nil
}

// edited is an RRset of a zone as its faults make it.
func (s state) edited(zone *loaded, set []dns.RR) []dns.RR {
	header := set[0].Header()
	place := Place{zone.apex, header.Name, header.Rrtype}
	for _, fault := range s.faults {
		if fault.Edit == nil || !fault.Where(place) {
			continue
		}
		changed := make([]dns.RR, len(set))
		for i, rr := range set {
			changed[i] = dns.Copy(rr)
			fault.Edit(changed[i])
		}
		set = changed
	}
	return set
}

// signatures signs an RRset of a zone, or remembers that it did.
func (s state) signatures(zone *loaded, set []dns.RR, now time.Time) ([]*dns.RRSIG, error) {
	header := set[0].Header()
	place := Place{zone.apex, header.Name, header.Rrtype}
	signing := zone.signing(set, now)
	inception := signing.Inception
	if made, ok := s.memo.get(place, inception); ok {
		return made, nil
	}
	made, err := s.sign(place, signing)
	if err == nil {
		s.memo.put(place, inception, made)
	}
	return made, err
}

func (s state) sign(place Place, signing Signing) ([]*dns.RRSIG, error) {
	faults := slices.DeleteFunc(slices.Clone(s.faults), func(f Fault) bool { return !f.Where(place) })
	for _, fault := range faults {
		if fault.Sign != nil {
			fault.Sign(&signing)
		}
	}
	made, err := signing.make()
	if err != nil {
		return nil, err
	}
	for _, fault := range faults {
		if fault.Signed == nil {
			continue
		}
		for _, signature := range made {
			fault.Signed(signature)
		}
	}
	return made, nil
}

// throughWire packs and unpacks m: what comes out is what a client would see.
func throughWire(m *dns.Msg) (*dns.Msg, error) {
	m.Compress = true
	wire, err := m.Pack()
	if err != nil {
		return nil, fmt.Errorf("pack response: %w", err)
	}
	unpacked := new(dns.Msg)
	if err := unpacked.Unpack(wire); err != nil {
		return nil, fmt.Errorf("unpack response: %w", err)
	}
	return unpacked, nil
}
