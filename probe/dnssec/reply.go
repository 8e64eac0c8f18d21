package dnssec

import (
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/miekg/dns"

	"dane_exporter/internal/printable"
)

// reply is the response to one question, sorted into RRsets. It has only those that can
// contribute to an answer, see relevant, and leaves out the additional section.
type reply struct {
	err       error // no response; wraps one of the Err… variables
	rcode     int
	answer    []*rrset
	authority []*rrset
	ede       []string
	server    string
	rtt       time.Duration
	truncated bool // over TCP too
	size      int  // estimated memory, in bytes
}

// rrset is the records of one name and type, with the signatures over them.
type rrset struct {
	name    string
	rrtype  uint16
	records []dns.RR // see all
	sigs    []*dns.RRSIG

	canonical  [][]byte // the RDATA of the records in canonical form and order
	unreadable error    // why canonical is missing
	packed     bool     // only the first of records is kept, with the lowest TTL
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

// newReply sorts the response to q. It takes ownership of the response and modifies
// its records.
func newReply(msg *dns.Msg, q question) *reply {
	r := &reply{rcode: msg.Rcode}
	r.answer, r.authority = relevant(group(msg.Answer), group(msg.Ns), q)
	r.size = sizeOfReply
	for set := range r.sets() {
		set.canonicalize()
		if q.ofChain() && len(set.records) > maxParsed {
			set.pack()
		}
		r.size += set.memSize()
	}
	if opt := msg.IsEdns0(); opt != nil {
		for _, option := range opt.Option {
			if ede, ok := option.(*dns.EDNS0_EDE); ok && len(r.ede) < maxEDE {
				r.ede = append(r.ede, edeText(ede))
			}
		}
	}
	return r
}

// relevant returns the RRsets of the answer and authority sections that an answer to q
// can depend on: the records and aliases of the name queried and of the names that its
// aliases lead to, and denials of existence. A response has up to 64 KiB, and a zone may
// fill it with anything else.
func relevant(answer, authority []*rrset, q question) (keptAnswer, keptAuthority []*rrset) {
	names := []string{q.name}
	for i := 0; i < len(names) && i <= maxAliases; i++ {
		for _, set := range answer {
			target := set.aliasOf(names[i])
			if target != "" && !slices.Contains(names, target) {
				names = append(names, target)
			}
		}
	}
	keptAnswer = slices.DeleteFunc(answer, func(set *rrset) bool {
		switch set.rrtype {
		case q.qtype, dns.TypeCNAME:
			return !slices.Contains(names, set.name)
		case dns.TypeDNAME:
			return !slices.ContainsFunc(names, func(name string) bool { return below(name, set.name) })
		}
		return true
	})
	keptAuthority = slices.DeleteFunc(authority, func(set *rrset) bool {
		return set.rrtype != dns.TypeSOA && set.rrtype != dns.TypeNSEC && set.rrtype != dns.TypeNSEC3
	})
	return keptAnswer, keptAuthority
}

// maxParsed is the number of records that a large set of DS or DNSKEY records may have
// before it is packed. Real sets are smaller. A zone can publish thousands: parsed, they
// take ten times the memory of a response, and a lookup keeps those of a hundred zones.
const maxParsed = 16

// pack drops the parsed records, because canonical has the same data.
func (s *rrset) pack() {
	if s.unreadable != nil {
		return
	}
	first := s.records[0]
	first.Header().Ttl = uint32(s.ttl() / time.Second)
	s.records, s.packed = []dns.RR{first}, true
}

// all returns the records of the set, in any order. The caller must not modify them.
func (s *rrset) all() []dns.RR {
	if !s.packed {
		return s.records
	}
	list := make([]dns.RR, 0, len(s.canonical))
	for _, rdata := range s.canonical {
		header := *s.records[0].Header()
		header.Rdlength = uint16(len(rdata))
		if rr, _, err := dns.UnpackRRWithHeader(header, rdata, 0); err == nil {
			list = append(list, rr)
		}
	}
	return list
}

// aliasOf returns the name that set, a CNAME or DNAME, makes name an alias of, or the
// empty string.
func (s *rrset) aliasOf(name string) string {
	switch {
	case s.rrtype == dns.TypeCNAME && s.name == name:
		return targetOf(s.records[0])
	case s.rrtype == dns.TypeDNAME && below(name, s.name):
		if target, ok := substitute(name, s.name, targetOf(s.records[0])); ok {
			return target
		}
	}
	return ""
}

// Memory of the parts of a reply besides names and data, estimated in bytes.
const (
	sizeOfReply     = 512
	sizeOfRecord    = 200
	sizeOfCanonical = 36
	sizeOfSignature = 250
)

// memSize estimates the memory of the RRset. miekg/dns may hold data as hexadecimal text,
// and canonical has a copy in wire format.
func (s *rrset) memSize() int {
	size := 0
	for _, rr := range s.records {
		size += sizeOfRecord + 2*dns.Len(rr)
	}
	for _, rdata := range s.canonical {
		size += len(s.name) + sizeOfCanonical + len(rdata)
	}
	for _, sig := range s.sigs {
		size += sizeOfSignature + len(sig.Hdr.Name) + len(sig.SignerName) + len(sig.Signature)
	}
	return size
}

// group groups the records of a section. It leaves out RRsets of which only
// the signatures were sent. Each RRset has its own slices, so that a caller who
// keeps the records does not keep the rest of the response in memory.
func group(section []dns.RR) []*rrset {
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
	return slices.DeleteFunc(list, func(set *rrset) bool { return len(set.records) == 0 })
}

// canonicalize computes the canonical form and removes duplicates.
func (s *rrset) canonicalize() {
	s.canonical, s.unreadable = canonicalRDATA(s.records)
	if s.unreadable == nil && len(s.canonical) < len(s.records) {
		s.records = distinct(s.records)
	}
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
// resolver, so edeText bounds it and escapes what is not printable.
func edeText(ede *dns.EDNS0_EDE) string {
	text := fmt.Sprint(ede.InfoCode)
	if word, ok := dns.ExtendedErrorCodeToString[ede.InfoCode]; ok {
		text += " (" + word + ")"
	}
	if extra := printable.Text(ede.ExtraText, 256); extra != "" {
		text += ": " + extra
	}
	return text
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
