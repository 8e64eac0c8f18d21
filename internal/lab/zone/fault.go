package zone

import (
	"encoding/base64"
	"slices"
	"time"

	"github.com/miekg/dns"
)

// Fault breaks one thing. Any of its functions may be nil. They are called
// concurrently.
type Fault struct {
	Where  Where
	Server string // restricts Answer to the responses of this server; empty: all servers

	// Edit changes each record of the RRsets that Where accepts before they are
	// signed, so that wrong data has a valid signature. It must not change owner and
	// type. Sign changes how such an RRset is signed, and Signed changes each
	// signature. All three affect every response with the RRset.
	Edit   func(dns.RR)
	Sign   func(*Signing)
	Signed func(*dns.RRSIG)
	// Answer changes the response to the questions that Where accepts. If it returns
	// an error, the transport returns that error instead of a response: see ErrSilent.
	Answer func(query, response *dns.Msg) error
}

// Where selects the RRsets or questions that a fault affects.
type Where func(Place) bool

// Place identifies an RRset or a question. The name is absolute and lower case.
type Place struct {
	Zone string // that signs the RRset, or that the name of the question belongs to
	Name string
	Type uint16
}

// At selects one name, with all types or with those given.
func At(name string, types ...uint16) Where {
	name = dns.CanonicalName(name)
	return func(p Place) bool { return p.Name == name && accepts(types, p.Type) }
}

// Under selects a name and all names below it, in any zone. So it includes the DS
// records at a zone's apex.
func Under(name string, types ...uint16) Where {
	name = dns.CanonicalName(name)
	return func(p Place) bool { return dns.IsSubDomain(name, p.Name) && accepts(types, p.Type) }
}

// In selects all RRsets and questions of one zone.
func In(apex string, types ...uint16) Where {
	apex = dns.CanonicalName(apex)
	return func(p Place) bool { return p.Zone == apex && accepts(types, p.Type) }
}

func accepts(types []uint16, t uint16) bool { return len(types) == 0 || slices.Contains(types, t) }

// Corrupt flips one bit in each signature.
func Corrupt(where Where) Fault {
	return Fault{Where: where, Signed: flipBit}
}

// flipBit flips one bit in a signature.
func flipBit(signature *dns.RRSIG) {
	octets, err := base64.StdEncoding.DecodeString(signature.Signature)
	if err != nil || len(octets) == 0 {
		return
	}
	octets[len(octets)/2] ^= 1
	signature.Signature = base64.StdEncoding.EncodeToString(octets)
}

// Garble flips one bit in each signature of the answer section of responses. Unlike
// Corrupt, it can be restricted to one server.
func Garble(where Where) Fault {
	return Fault{Where: where, Answer: func(_, response *dns.Msg) error {
		for _, rr := range response.Answer {
			if signature, ok := rr.(*dns.RRSIG); ok {
				flipBit(signature)
			}
		}
		return nil
	}}
}

// From restricts the Answer of a fault to one server.
func From(server string, fault Fault) Fault {
	fault.Server = server
	return fault
}

// Shift moves the validity periods of signatures by d.
func Shift(where Where, d time.Duration) Fault {
	return Fault{Where: where, Sign: func(s *Signing) {
		s.Inception, s.Expiry = s.Inception.Add(d), s.Expiry.Add(d)
	}}
}

// Expire makes signatures expire about a day ago.
func Expire(where Where) Fault { return Shift(where, -lifetime-24*time.Hour) }

// SignWith signs with other keys.
func SignWith(where Where, keys ...Key) Fault {
	return Fault{Where: where, Sign: func(s *Signing) { s.Keys = keys }}
}

// Strip removes the signatures.
func Strip(where Where) Fault { return SignWith(where) }

// BloatDelegations adds useless signed records to the DS and DNSKEY RRsets that where
// accepts, as many as fit into a response.
func BloatDelegations(where Where) []Fault {
	return []Fault{
		bloat(where, dns.TypeDS, 1150, func(i int) []byte {
			return append([]byte{byte(i >> 8), byte(i), 13, 2}, make([]byte, 32)...)
		}),
		bloat(where, dns.TypeDNSKEY, 900, func(i int) []byte {
			return append([]byte{1, 0, 3, dns.ED25519, byte(i >> 8), byte(i)}, make([]byte, 30)...)
		}),
	}
}

// bloat adds n signed records of a type with the given RDATA to the RRsets that where
// accepts.
func bloat(where Where, rrtype uint16, n int, rdata func(i int) []byte) Fault {
	useless := func(first dns.RR) (list []dns.RR) {
		for i := range n {
			header := *first.Header()
			data := rdata(i)
			header.Rdlength = uint16(len(data))
			rr, _, err := dns.UnpackRRWithHeader(header, data, 0)
			if err != nil {
				panic(err) // the data is constant
			}
			list = append(list, rr)
		}
		return list
	}
	return Fault{
		Where: func(p Place) bool { return p.Type == rrtype && where(p) },
		Sign:  func(s *Signing) { s.Set = append(slices.Clone(s.Set), useless(s.Set[0])...) },
		Answer: func(_, m *dns.Msg) error {
			for i, rr := range m.Answer {
				if rr.Header().Rrtype == rrtype {
					m.Answer = slices.Insert(m.Answer, i, useless(rr)...)
					return nil
				}
			}
			return nil
		},
	}
}

// Drop removes RRsets of one name, and their signatures, from all responses.
func Drop(name string, types ...uint16) Fault {
	name = dns.CanonicalName(name)
	return Fault{Where: anywhere, Answer: func(_, response *dns.Msg) error {
		filter(response, func(rr dns.RR) bool {
			return dns.CanonicalName(rr.Header().Name) != name || !accepts(types, typeCovered(rr))
		})
		return nil
	}}
}

// DropProof removes NSEC and NSEC3 records, and their signatures, from responses.
func DropProof(where Where) Fault {
	return Fault{Where: where, Answer: func(_, response *dns.Msg) error {
		filter(response, func(rr dns.RR) bool {
			t := typeCovered(rr)
			return t != dns.TypeNSEC && t != dns.TypeNSEC3
		})
		return nil
	}}
}

// Rcode answers with a response code and no records.
func Rcode(where Where, rcode int) Fault {
	return Fault{Where: where, Answer: func(_, response *dns.Msg) error {
		response.Rcode = rcode
		filter(response, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeOPT })
		return nil
	}}
}

// Silence does not answer: see ErrSilent.
func Silence(where Where) Fault {
	return Fault{Where: where, Answer: func(_, _ *dns.Msg) error { return ErrSilent }}
}

func anywhere(Place) bool { return true }

// typeCovered returns the type of rr, or of the RRset that it signs.
func typeCovered(rr dns.RR) uint16 {
	if signature, ok := rr.(*dns.RRSIG); ok {
		return signature.TypeCovered
	}
	return rr.Header().Rrtype
}

// filter removes the records that keep does not accept from all sections.
func filter(m *dns.Msg, keep func(dns.RR) bool) {
	drop := func(rr dns.RR) bool { return !keep(rr) }
	m.Answer = slices.DeleteFunc(m.Answer, drop)
	m.Ns = slices.DeleteFunc(m.Ns, drop)
	m.Extra = slices.DeleteFunc(m.Extra, drop)
}
