package zone

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Copy is a zone as one of its nameservers has it, if it differs from the others, such
// as a secondary that missed a zone transfer.
type Copy struct {
	Server netip.Addr
	Zone   Zone          // with the same apex, and so the same keys
	Age    time.Duration // of its signatures
}

// copied is a Copy with its zone data.
type copied struct {
	*zoneData
	age      time.Duration
	sigCache *sigCache // its signatures differ from the original's
}

// Add gives a nameserver its own copy of a zone. It must be called before the first
// query to that server. The errors are those of New; a zone that the Internet does not
// have is one too.
func (n *Internet) Add(c Copy) error {
	l, err := load(c.Zone)
	if err != nil {
		return err
	}
	original := n.zones[l.apex]
	if original == nil {
		return fmt.Errorf("copy of %s: no such zone", l.apex)
	}
	for _, other := range n.zones {
		if other != original && other.apex != "." && n.zoneOf(parentOf(other.apex), dns.TypeNone) == original {
			if err := l.delegate(other); err != nil {
				return err
			}
		}
	}
	if err := l.finish(); err != nil {
		return err
	}
	if n.copies == nil {
		n.copies = map[netip.Addr][]*copied{}
	}
	n.copies[c.Server] = append(n.copies[c.Server], &copied{l, c.Age, new(sigCache)})
	return nil
}

// Ask queries an authoritative nameserver: one that the NS records of a zone name, at
// one of its addresses. It answers for the zones that it serves, refers to those below,
// and answers REFUSED for others. Faults apply whose Server is empty or its address, as in
// "192.0.2.53:53".
//
// It fails if there is no nameserver at that address, and if ctx ends.
func (n *Internet) Ask(ctx context.Context, server netip.AddrPort, query *dns.Msg) (*dns.Msg, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(query.Question) != 1 {
		return nil, fmt.Errorf("query has %d questions, want 1", len(query.Question))
	}
	response, err := n.answerAsNameserver(server, query)
	if err == nil {
		err = n.applyAnswerFaults(n.currentState().faults, server.String(), query, response)
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

func (n *Internet) answerAsNameserver(server netip.AddrPort, query *dns.Msg) (*dns.Msg, error) {
	question := query.Question[0]
	name := dns.CanonicalName(question.Name)
	zone := n.zoneOf(name, question.Qtype)
	if server.Port() != 53 || !n.serves(server.Addr()) {
		return nil, fmt.Errorf("no nameserver at %s", server)
	}
	r := &responder{internet: n, state: n.currentState(), now: n.now(), msg: new(dns.Msg).SetReply(query)}
	if opt := query.IsEdns0(); opt != nil {
		r.dnssec = opt.Do()
		r.msg.SetEdns0(1232, r.dnssec)
	}
	if !n.servesZone(server.Addr(), zone) {
		if !r.refer(server.Addr(), zone) {
			r.msg.Rcode = dns.RcodeRefused
		}
		return r.msg, nil
	}
	for _, c := range n.copies[server.Addr()] {
		if c.apex == zone.apex {
			zone, r.now, r.state.sigCache = c.zoneData, r.now.Add(-c.age), c.sigCache
		}
	}
	r.msg.Authoritative = true
	r.answerFrom(zone, name, question.Qtype)
	return r.msg, r.err
}

// refer adds a referral to a zone, without glue. It returns false if the server does not
// serve the parent.
func (r *responder) refer(server netip.Addr, to *zoneData) bool {
	if to.apex == "." {
		return false
	}
	parent := r.internet.zoneOf(to.apex, dns.TypeDS)
	if !r.internet.servesZone(server, parent) {
		return false
	}
	for _, ns := range parent.nodes[to.apex][dns.TypeNS] {
		r.msg.Ns = append(r.msg.Ns, dns.Copy(ns))
	}
	return true
}

// serves reports whether a nameserver of any zone has that address.
func (n *Internet) serves(address netip.Addr) bool {
	for _, zone := range n.zones {
		if n.servesZone(address, zone) {
			return true
		}
	}
	return false
}

// servesZone reports whether one of the zone's nameservers has that address.
func (n *Internet) servesZone(address netip.Addr, zone *zoneData) bool {
	for _, rr := range zone.nodes[zone.apex][dns.TypeNS] {
		name := dns.CanonicalName(rr.(*dns.NS).Ns)
		node := n.zoneOf(name, dns.TypeNone).nodes[name]
		for _, rrtype := range []uint16{dns.TypeA, dns.TypeAAAA} {
			for _, rr := range node[rrtype] {
				if strings.HasSuffix(rr.String(), "\t"+address.String()) {
					return true
				}
			}
		}
	}
	return false
}
