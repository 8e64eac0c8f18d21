package dnssec

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/miekg/dns"
)

// reply is what came back for one question, sorted into RRsets. The
// additional section is left out: nothing in it is ever believed.
type reply struct {
	err       error // no response; wraps one of the Err… variables
	rcode     int
	answer    []*rrset
	authority []*rrset
	ede       []string
	server    string
	rtt       time.Duration
	truncated bool // over TCP too
}

// rrset is the records of one name and type, with the signatures over them.
type rrset struct {
	name    string
	rrtype  uint16
	records []dns.RR
	sigs    []*dns.RRSIG

	canonical  [][]byte // the records' RDATA as it is signed
	unreadable error    // why there is none

	room [1]*dns.RRSIG // for the usual: one signature
}

// newRRset has room for a signature, and none for a record: whoever keeps the
// records should not keep all that came with them.
func newRRset(name string, rrtype uint16) *rrset {
	s := &rrset{name: name, rrtype: rrtype}
	s.sigs = s.room[:0]
	return s
}

func (s *rrset) String() string { return s.name + " " + typeName(s.rrtype) }

// ttl is the least TTL of the records.
func (s *rrset) ttl() time.Duration {
	least := s.records[0].Header().Ttl
	for _, rr := range s.records[1:] {
		least = min(least, rr.Header().Ttl)
	}
	return seconds(least)
}

// seconds reads a TTL; one with the top bit set counts as zero (RFC 2181 §8).
func seconds(ttl uint32) time.Duration {
	if ttl > 1<<31-1 {
		return 0
	}
	return time.Duration(ttl) * time.Second
}

// maxEDE bounds the extended errors that are kept.
const maxEDE = 8

// newReply sorts a response, which becomes its own: it writes to the records.
func newReply(msg *dns.Msg) *reply {
	r := &reply{rcode: msg.Rcode, answer: rrsets(msg.Answer), authority: rrsets(msg.Ns)}
	if opt := msg.IsEdns0(); opt != nil {
		for _, option := range opt.Option {
			if ede, ok := option.(*dns.EDNS0_EDE); ok && len(r.ede) < maxEDE {
				r.ede = append(r.ede, edeText(ede))
			}
		}
	}
	return r
}

// few RRsets are looked through faster than they are looked up.
const few = 8

// rrsets groups the records of a section; an RRset without records, whose
// signatures alone were sent, is left out.
func rrsets(section []dns.RR) []*rrset {
	var list []*rrset
	index := make(map[question]*rrset) // where there are more than a few
	at := func(name string, rrtype uint16) *rrset {
		for _, set := range list[:min(len(list), few)] {
			if set.rrtype == rrtype && set.name == name {
				return set
			}
		}
		key := question{name, rrtype}
		set := index[key]
		if set == nil {
			set = newRRset(name, rrtype)
			if list = append(list, set); len(list) > few {
				index[key] = set
			}
		}
		return set
	}
	for _, rr := range section {
		if rr == nil || rr.Header().Class != dns.ClassINET {
			continue
		}
		name := fold(rr.Header().Name)
		if sig, ok := rr.(*dns.RRSIG); ok {
			set := at(name, sig.TypeCovered)
			set.sigs = append(set.sigs, sig)
			continue
		}
		set := at(name, rr.Header().Rrtype)
		set.records = append(set.records, rr)
	}
	kept := list[:0]
	for _, set := range list {
		if len(set.records) > 0 {
			set.canonical, set.unreadable = canonicalRDATA(set.records)
			if set.unreadable == nil && len(set.canonical) < len(set.records) {
				set.records = distinct(set.records)
			}
			kept = append(kept, set)
		}
	}
	return kept
}

// find returns the RRset of the answer section, or nil.
func (r *reply) find(name string, rrtype uint16) *rrset {
	for _, set := range r.answer {
		if set.rrtype == rrtype && set.name == name {
			return set
		}
	}
	return nil
}

// dnameAbove returns the DNAME of the answer section that rewrites name, the
// one closest to it, or nil.
func (r *reply) dnameAbove(name string) *rrset {
	var closest *rrset
	for _, set := range r.answer {
		if set.rrtype == dns.TypeDNAME && below(name, set.name) && (closest == nil || below(set.name, closest.name)) {
			closest = set
		}
	}
	return closest
}

// speaksOf reports whether the reply may hold the answer for name too: its
// records, or the SOA of a denial in a zone above it.
func (r *reply) speaksOf(name string) bool {
	for _, set := range r.answer {
		if set.name == name || set.rrtype == dns.TypeDNAME && below(name, set.name) {
			return true
		}
	}
	for _, set := range r.authority {
		if set.rrtype == dns.TypeSOA && within(name, set.name) {
			return true
		}
	}
	return false
}

// edeText writes an extended DNS error (RFC 8914 §2) for people; its text
// comes from the resolver and is bounded and cleaned.
func edeText(ede *dns.EDNS0_EDE) string {
	text := fmt.Sprint(ede.InfoCode)
	if word, ok := dns.ExtendedErrorCodeToString[ede.InfoCode]; ok {
		text += " (" + word + ")"
	}
	if extra := printable(ede.ExtraText, 256); extra != "" {
		text += ": " + extra
	}
	return text
}

// printable keeps valid, printable text of at most limit bytes.
func printable(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			return -1
		}
		return r
	}, s)
	if len(s) > limit {
		s = s[:limit]
		for !utf8.ValidString(s) {
			s = s[:len(s)-1]
		}
	}
	return s
}
