package transport

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// errMalformed is the error of a response that is not a DNS message, or does not
// match the query.
var errMalformed = errors.New("malformed response")

// errTruncated is the error of a response over TCP with the TC bit.
var errTruncated = errors.New("the response is truncated even over TCP")

const (
	headerSize  = 12        // bytes (RFC 1035 §4.1.1)
	responseBit = 1 << 7    // QR, in the third byte of the header
	maxMessage  = 1<<16 - 1 // bytes over TCP: the length field has 16 bits (RFC 1035 §4.2.2)
)

// packedQuery is a query and its wire form. Each time it is sent, the wire form
// gets a new ID.
type packedQuery struct {
	msg  *dns.Msg
	wire []byte
}

func newPackedQuery(query *dns.Msg) (packedQuery, error) {
	wire, err := query.Pack()
	if err != nil {
		return packedQuery{}, fmt.Errorf("pack the query: %w", err)
	}
	return packedQuery{query, wire}, nil
}

// appendWithID appends the wire form with the given ID to b.
func (q packedQuery) appendWithID(b []byte, id uint16) []byte {
	start := len(b)
	b = append(b, q.wire...)
	binary.BigEndian.PutUint16(b[start:], id)
	return b
}

// matches reports whether a response belongs to the query that was sent with the
// given ID (RFC 5452 §9.1). Servers that cannot parse the query, and very simple
// ones, leave the question out; such a response matches only if it reports a
// failure and has no records in the answer section.
func (q packedQuery) matches(response *dns.Msg, id uint16) bool {
	if !response.Response || response.Id != id || response.Opcode != q.msg.Opcode {
		return false
	}
	if len(response.Question) == 0 {
		return faultOfResponse(response) != "" && len(response.Answer) == 0
	}
	equal := func(a, b dns.Question) bool {
		return a.Qtype == b.Qtype && a.Qclass == b.Qclass && strings.EqualFold(a.Name, b.Name)
	}
	return slices.EqualFunc(response.Question, q.msg.Question, equal)
}

// randomID returns an unpredictable ID (RFC 5452 §9.2).
func randomID() uint16 {
	var id [2]byte
	rand.Read(id[:]) // never fails
	return binary.BigEndian.Uint16(id[:])
}

// questionOf returns the question of a query as text, such as "example.org. MX".
func questionOf(query *dns.Msg) string {
	if len(query.Question) != 1 {
		return fmt.Sprintf("with %d questions", len(query.Question))
	}
	q := query.Question[0]
	return q.Name + " " + dns.Type(q.Qtype).String()
}

// faultOfResponse returns the fault that a response reports, and "" if it is an
// answer. NXDOMAIN is an answer to a validator, and so is YXDOMAIN: it says that
// a DNAME leads to a name that is too long (RFC 6672 §2.2).
func faultOfResponse(response *dns.Msg) Fault {
	switch response.Rcode {
	case dns.RcodeSuccess, dns.RcodeNameError, dns.RcodeYXDomain:
		return ""
	case dns.RcodeFormatError:
		return FormErr
	case dns.RcodeServerFailure:
		return ServFail
	case dns.RcodeNotImplemented:
		return NotImp
	case dns.RcodeRefused:
		return Refused
	default:
		return OtherCode
	}
}

// faultOfError returns the fault behind an error of server.exchange.
func faultOfError(err error) Fault {
	switch {
	case errors.Is(err, errMalformed):
		return Malformed
	case errors.Is(err, errTruncated):
		return Truncated
	case errors.Is(err, context.Canceled):
		return Cancelled
	case errors.Is(err, context.DeadlineExceeded):
		return Timeout
	}
	if network, ok := errors.AsType[net.Error](err); ok && network.Timeout() {
		return Timeout
	}
	return Network
}
