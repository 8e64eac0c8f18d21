package dnssec

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/miekg/dns"
)

// reply is the response to one question, sorted into RRsets. It leaves out the
// additional section, which is never used.
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

	canonical  [][]byte // the RDATA of the records in canonical form and order
	unreadable error    // why canonical is missing
}

func (s *rrset) String() string { return s.name + " " + typeName(s.rrtype) }

// ttl returns the lowest TTL of the records.
func (s *rrset) ttl() time.Duration {
	lowest := s.records[0].Header().Ttl
	for _, rr := range s.records[1:] {
		lowest = min(lowest, rr.Header().Ttl)
	}
	return seconds(lowest)
}

// seconds converts a TTL. A TTL with the top bit set counts as a large one, which is
// capped (RFC 8767 §4).
func seconds(ttl uint32) time.Duration {
	if ttl > 1<<31-1 {
		return maxTTL
	}
	return time.Duration(ttl) * time.Second
}

// maxEDE is the maximum number of extended errors kept of an answer.
const maxEDE = 8

// newReply sorts a response. It takes ownership of the response and modifies
// its records.
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

// rrsets groups the records of a section. It leaves out RRsets of which only
// the signatures were sent. Each RRset has its own slices, so that a caller who
// keeps the records does not keep the rest of the response in memory.
func rrsets(section []dns.RR) []*rrset {
	var list []*rrset
	index := make(map[question]*rrset)
	setOf := func(name string, rrtype uint16) *rrset {
		key := question{name, rrtype}
		if index[key] == nil {
			index[key] = &rrset{name: name, rrtype: rrtype}
			list = append(list, index[key])
		}
		return index[key]
	}
	for _, rr := range section {
		if rr == nil || rr.Header().Class != dns.ClassINET {
			continue
		}
		name := fold(rr.Header().Name)
		if sig, ok := rr.(*dns.RRSIG); ok {
			set := setOf(name, sig.TypeCovered)
			set.sigs = append(set.sigs, sig)
			continue
		}
		set := setOf(name, rr.Header().Rrtype)
		set.records = append(set.records, rr)
	}
	list = slices.DeleteFunc(list, func(set *rrset) bool { return len(set.records) == 0 })
	for _, set := range list {
		set.canonical, set.unreadable = canonicalRDATA(set.records)
		if set.unreadable == nil && len(set.canonical) < len(set.records) {
			set.records = distinct(set.records)
		}
	}
	return list
}

// sets iterates over the RRsets of the answer and authority sections.
func (r *reply) sets() iter.Seq[*rrset] {
	return func(yield func(*rrset) bool) {
		for _, section := range [][]*rrset{r.answer, r.authority} {
			for _, set := range section {
				if !yield(set) {
					return
				}
			}
		}
	}
}

// usable reports whether a verdict can be based on the reply.
func (r *reply) usable() bool { return r.err == nil && isUsableRcode(r.rcode) }

// find returns an RRset of the answer section, or nil.
func (r *reply) find(name string, rrtype uint16) *rrset {
	for _, set := range r.answer {
		if set.rrtype == rrtype && set.name == name {
			return set
		}
	}
	return nil
}

// dnameAbove returns the DNAME of the answer section that applies to name, the
// deepest one of several, or nil.
func (r *reply) dnameAbove(name string) *rrset {
	var closest *rrset
	for _, set := range r.answer {
		if set.rrtype == dns.TypeDNAME && below(name, set.name) && (closest == nil || below(set.name, closest.name)) {
			closest = set
		}
	}
	return closest
}

// mayAnswer reports whether the reply may contain the answer for name too: its
// records, or the SOA of a denial in a zone above it.
func (r *reply) mayAnswer(name string) bool {
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

// isUsableRcode reports whether a verdict can be based on a response with this
// code. YXDOMAIN is the response to a DNAME whose new name is too long
// (RFC 6672 §2.2).
func isUsableRcode(rcode int) bool {
	return rcode == dns.RcodeSuccess || rcode == dns.RcodeNameError || rcode == dns.RcodeYXDomain
}

func rcodeName(rcode int) string {
	if name, ok := dns.RcodeToString[rcode]; ok {
		return name
	}
	return fmt.Sprintf("RCODE %d", rcode)
}

// edeText formats an extended DNS error (RFC 8914 §2). Its text comes from the
// resolver, so edeText bounds it and removes unprintable characters.
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

// printable returns the valid, printable characters of s, at most limit bytes.
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

// appendNew appends the texts that list does not have, up to maxEDE in all.
func appendNew(list, more []string) []string {
	for _, text := range more {
		if len(list) < maxEDE && !slices.Contains(list, text) {
			list = append(list, text)
		}
	}
	return list
}
