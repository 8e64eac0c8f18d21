package zone

import (
	"encoding/base64"
	"slices"
	"time"

	"github.com/miekg/dns"
)

// Fault is one thing broken: any of its functions may be nil. They are called
// concurrently.
type Fault struct {
	Where  Where
	Server string // Answer only: breaks what this server says; empty: what each says

	// Edit changes each record of an RRset that Where accepts before it is signed:
	// what the zone says is wrong, and its signature right. It leaves owner and
	// type alone. Sign changes how the RRset is signed; Signed changes the
	// signature made. All three act wherever the RRset is seen.
	Edit   func(dns.RR)
	Sign   func(*Signing)
	Signed func(*dns.RRSIG)
	// Answer changes the response to a question that Where accepts. An error is
	// what the transport reports instead of a response: see ErrSilent.
	Answer func(query, response *dns.Msg) error
}

// Where says which RRsets or questions a fault concerns.
type Where func(Place) bool

// Place is one RRset, or one question. The name is absolute and lower case.
type Place struct {
	Zone string // the zone that signs the RRset, or that is asked first
	Name string
	Type uint16
}

// At accepts one name: with every type, or with those named.
func At(name string, types ...uint16) Where {
	name = dns.CanonicalName(name)
	return func(p Place) bool { return p.Name == name && accepts(types, p.Type) }
}

// Under accepts a name and all below it, whatever the zone: so the DS at a
// zone's apex is among what is under it.
func Under(name string, types ...uint16) Where {
	name = dns.CanonicalName(name)
	return func(p Place) bool { return dns.IsSubDomain(name, p.Name) && accepts(types, p.Type) }
}

// In accepts what one zone says.
func In(apex string, types ...uint16) Where {
	apex = dns.CanonicalName(apex)
	return func(p Place) bool { return p.Zone == apex && accepts(types, p.Type) }
}

func accepts(types []uint16, t uint16) bool { return len(types) == 0 || slices.Contains(types, t) }

// Corrupt flips one bit in each signature.
func Corrupt(where Where) Fault {
	return Fault{Where: where, Signed: garble}
}

func garble(signature *dns.RRSIG) {
	octets, err := base64.StdEncoding.DecodeString(signature.Signature)
	if err != nil || len(octets) == 0 {
		return
	}
	octets[len(octets)/2] ^= 1
	signature.Signature = base64.StdEncoding.EncodeToString(octets)
}

// Garble flips one bit in each signature of the answer section, on its way to
// who asked a question: unlike Corrupt, it can be the doing of one server.
func Garble(where Where) Fault {
	return Fault{Where: where, Answer: func(_, response *dns.Msg) error {
		for _, rr := range response.Answer {
			if signature, ok := rr.(*dns.RRSIG); ok {
				garble(signature)
			}
		}
		return nil
	}}
}

// From makes a fault in answers that of one server.
func From(server string, fault Fault) Fault {
	fault.Server = server
	return fault
}

// Shift moves the validity of signatures by d.
func Shift(where Where, d time.Duration) Fault {
	return Fault{Where: where, Sign: func(s *Signing) {
		s.Inception, s.Expiry = s.Inception.Add(d), s.Expiry.Add(d)
	}}
}

// Expire lets signatures end about a day ago.
func Expire(where Where) Fault { return Shift(where, -lifetime-24*time.Hour) }

// SignWith lets other keys sign.
func SignWith(where Where, keys ...Key) Fault {
	return Fault{Where: where, Sign: func(s *Signing) { s.Keys = keys }}
}

// Strip takes the signatures away.
func Strip(where Where) Fault { return SignWith(where) }

// Drop takes RRsets of one name, and their signatures, out of every response.
func Drop(name string, types ...uint16) Fault {
	name = dns.CanonicalName(name)
	return Fault{Where: anywhere, Answer: func(_, response *dns.Msg) error {
		filter(response, func(rr dns.RR) bool {
			return dns.CanonicalName(rr.Header().Name) != name || !accepts(types, covered(rr))
		})
		return nil
	}}
}

// DropProof takes NSEC and NSEC3 records, and their signatures, out of the
// response to a question.
func DropProof(where Where) Fault {
	return Fault{Where: where, Answer: func(_, response *dns.Msg) error {
		filter(response, func(rr dns.RR) bool {
			t := covered(rr)
			return t != dns.TypeNSEC && t != dns.TypeNSEC3
		})
		return nil
	}}
}

// Rcode answers a question with nothing but a response code.
func Rcode(where Where, rcode int) Fault {
	return Fault{Where: where, Answer: func(_, response *dns.Msg) error {
		response.Rcode = rcode
		filter(response, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeOPT })
		return nil
	}}
}

// Silence leaves a question without an answer.
func Silence(where Where) Fault {
	return Fault{Where: where, Answer: func(_, _ *dns.Msg) error { return ErrSilent }}
}

func anywhere(Place) bool { return true }

// covered is the type of rr, or the type that it signs.
func covered(rr dns.RR) uint16 {
	if signature, ok := rr.(*dns.RRSIG); ok {
		return signature.TypeCovered
	}
	return rr.Header().Rrtype
}

// filter leaves in every section what keep accepts.
func filter(m *dns.Msg, keep func(dns.RR) bool) {
	drop := func(rr dns.RR) bool { return !keep(rr) }
	m.Answer = slices.DeleteFunc(m.Answer, drop)
	m.Ns = slices.DeleteFunc(m.Ns, drop)
	m.Extra = slices.DeleteFunc(m.Extra, drop)
}
