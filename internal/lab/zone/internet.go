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

// ErrSilent makes a query time out: if the Answer of a Fault returns it, the exchange
// waits until its context ends.
var ErrSilent = errors.New("no response")

// Addresses of the two resolvers, in the order in which Exchange queries them.
const (
	FirstServer  = "198.51.100.53:53"
	SecondServer = "198.51.100.54:53"
)

// Internet is a tree of zones with two resolvers and the authoritative nameservers.
// It is safe for concurrent use.
type Internet struct {
	now     func() time.Time
	servers []string
	zones   map[string]*zoneData
	copies  map[netip.Addr][]*copied // zones as single nameservers have them, by nameserver

	mu    sync.RWMutex
	state state
}

// state contains the faults, and the signatures made under them.
type state struct {
	faults   []Fault
	sigCache *sigCache
}

// New returns an Internet of those zones. The parent of a zone is the nearest zone
// above it. A signed root is added if none is given. Both resolvers give the same
// answers unless a fault applies to one.
//
// It fails if records cannot be parsed, if two zones have the same name, and if keys
// cannot be made.
func New(now func() time.Time, zones ...Zone) (*Internet, error) {
	n := &Internet{now: now, servers: []string{FirstServer, SecondServer}, zones: map[string]*zoneData{}, state: state{sigCache: new(sigCache)}}
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
	return n, n.connectZones()
}

// connectZones adds the delegation of each zone to its parent, and finishes all zones.
func (n *Internet) connectZones() error {
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

// zoneOf returns the zone that answers for name: the nearest at or above it, and for
// DS at a zone cut the parent (RFC 4035 §3.1.4.1).
func (n *Internet) zoneOf(name string, qtype uint16) *zoneData {
	if qtype == dns.TypeDS && name != "." {
		name = parentOf(name)
	}
	for n.zones[name] == nil {
		name = parentOf(name)
	}
	return n.zones[name]
}

// Anchors returns the DS records of the root's key-signing keys, or none if the root
// is unsigned.
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

// Break adds faults.
func (n *Internet) Break(faults ...Fault) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.state = state{faults: slices.Concat(n.state.faults, faults), sigCache: new(sigCache)}
}

// BreakOnly replaces all faults.
func (n *Internet) BreakOnly(faults ...Fault) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.state = state{faults: slices.Clone(faults), sigCache: new(sigCache)}
}

func (n *Internet) currentState() state {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.state
}

// Servers returns the addresses of the resolvers.
func (n *Internet) Servers() []string { return slices.Clone(n.servers) }

// Exchange queries the resolvers in order until one responds, and returns its address
// too. If none responds, it returns the errors of all; they are those of ExchangeWith.
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

// ExchangeWith queries one resolver. The caller owns the response, which has been
// packed and unpacked. It fails if server is not one of Servers, if the query does not
// have exactly one question, if ctx ends, and with the error of a Fault.
func (n *Internet) ExchangeWith(ctx context.Context, server string, query *dns.Msg) (*dns.Msg, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !slices.Contains(n.servers, server) {
		return nil, fmt.Errorf("no resolver at %q", server)
	}
	if len(query.Question) != 1 {
		return nil, fmt.Errorf("query has %d questions, want 1", len(query.Question))
	}
	state := n.currentState()
	response, err := n.answer(state, query)
	if err == nil {
		err = n.applyAnswerFaults(state.faults, server, query, response)
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

// Denial returns all records with which a zone proves non-existence: its SOA and its
// whole NSEC or NSEC3 chain, signed. An attacker can collect them by zone walking, and
// answer any question with any of them.
func (n *Internet) Denial(apex string) ([]dns.RR, error) {
	zone := n.zones[dns.CanonicalName(apex)]
	if zone == nil {
		return nil, fmt.Errorf("no zone %s", apex)
	}
	r := &responder{internet: n, state: n.currentState(), now: n.now(), dnssec: true, msg: new(dns.Msg)}
	r.negative(zone, zone.denial.all())
	return r.msg.Ns, r.err
}

// answer returns the response of a resolver without Answer faults.
func (n *Internet) answer(state state, query *dns.Msg) (*dns.Msg, error) {
	r := &responder{internet: n, state: state, now: n.now(), msg: new(dns.Msg).SetReply(query)}
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
	r.followAliases(dns.CanonicalName(question.Name), question.Qtype)
	return r.msg, r.err
}

// applyAnswerFaults applies the Answer of each fault to a response.
func (n *Internet) applyAnswerFaults(faults []Fault, server string, query, response *dns.Msg) error {
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

// applyEdits returns an RRset as edited by the faults.
func (s state) applyEdits(zone *zoneData, set []dns.RR) []dns.RR {
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

// signatures returns the signatures of an RRset, from the cache if possible.
func (s state) signatures(zone *zoneData, set []dns.RR, now time.Time) ([]*dns.RRSIG, error) {
	header := set[0].Header()
	place := Place{zone.apex, header.Name, header.Rrtype}
	signing := zone.signing(set, now)
	inception := signing.Inception
	if made, ok := s.sigCache.get(place, inception); ok {
		return made, nil
	}
	made, err := s.sign(place, signing)
	if err == nil {
		s.sigCache.put(place, inception, made)
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
	made, err := signing.sign()
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

// throughWire packs and unpacks m, so that it is what a client receives.
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
