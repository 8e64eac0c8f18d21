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

// Copy is a zone as one of its servers has it, where that differs from what
// the others have: a secondary that missed a transfer.
type Copy struct {
	Server netip.Addr
	Zone   Zone          // with the apex of the original, and so its keys
	Age    time.Duration // its signatures were made so long ago
}

// copied is a Copy ready to answer.
type copied struct {
	*loaded
	age  time.Duration
	memo *memo // for its signatures are its own
}

// Add lets a server have a copy of its own. It goes before the first question
// to that server. Errors are those of New, and a zone that the Internet does
// not have.
func (n *Internet) Add(c Copy) error {
	l, err := load(c.Zone)
	if err != nil {
		return err
	}
	original := n.zones[l.apex]
	if original == nil {
		return fmt.Errorf("copy of %s: there is no such zone", l.apex)
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
	n.copies[c.Server] = append(n.copies[c.Server], &copied{l, c.Age, new(memo)})
	return nil
}

// Ask asks a server with authority: one of those that the NS records of a
// zone name, at an address that this Internet has for it. It answers from the
// zones that it serves alone, and refuses the rest. Faults with its name as
// Server, as "192.0.2.53:53", change what it says.
//
// An address at which there is no server is an error, as is the end of ctx.
func (n *Internet) Ask(ctx context.Context, server netip.AddrPort, query *dns.Msg) (*dns.Msg, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(query.Question) != 1 {
		return nil, fmt.Errorf("%d questions in one query", len(query.Question))
	}
	response, err := n.withAuthority(server, query)
	if err == nil {
		err = n.breakAnswer(n.present().faults, server.String(), query, response)
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

func (n *Internet) withAuthority(server netip.AddrPort, query *dns.Msg) (*dns.Msg, error) {
	question := query.Question[0]
	name := dns.CanonicalName(question.Name)
	zone := n.zoneOf(name, question.Qtype)
	if server.Port() != 53 || !n.serves(server.Addr()) {
		return nil, fmt.Errorf("no name server listens at %s", server)
	}
	r := &reply{internet: n, state: n.present(), now: n.now(), msg: new(dns.Msg).SetReply(query)}
	if opt := query.IsEdns0(); opt != nil {
		r.dnssec = opt.Do()
		r.msg.SetEdns0(1232, r.dnssec)
	}
	if !n.servesZone(server.Addr(), zone) {
		r.msg.Rcode = dns.RcodeRefused
		return r.msg, nil
	}
	for _, c := range n.copies[server.Addr()] {
		if c.apex == zone.apex {
			zone, r.now, r.state.memo = c.loaded, r.now.Add(-c.age), c.memo
		}
	}
	r.msg.Authoritative = true
	r.ask(zone, name, question.Qtype)
	return r.msg, r.err
}

// serves reports whether a server of any zone has that address.
func (n *Internet) serves(address netip.Addr) bool {
	for _, zone := range n.zones {
		if n.servesZone(address, zone) {
			return true
		}
	}
	return false
}

// servesZone reports whether one of the zone's servers has that address.
func (n *Internet) servesZone(address netip.Addr, zone *loaded) bool {
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
