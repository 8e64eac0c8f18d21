package transport

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// errShort is the error of a message with fewer records than its header counts.
var errShort = errors.New("the message ends before its last record")

// Offsets of the counts in the header (RFC 1035 §4.1.1).
const (
	answerCount     = 6
	additionalCount = 10
)

// unpack parses a message. Its additional section serves no verdict, so records and
// EDNS options there that cannot be parsed are left out. NSEC and NSEC3 records whose
// type bitmap has another form than the shortest are returned as RFC 3597 records,
// because signatures cover the form received.
func unpack(message []byte) (*dns.Msg, error) {
	response := new(dns.Msg)
	err := response.Unpack(message)
	if err != nil {
		if response, err = unpackLeniently(message, err); err != nil {
			return nil, err
		}
	}
	if len(message) >= headerSize {
		counts := message[answerCount:additionalCount]
		if len(response.Answer) < int(binary.BigEndian.Uint16(counts)) || len(response.Ns) < int(binary.BigEndian.Uint16(counts[2:])) {
			return nil, fmt.Errorf("%w: %w", errMalformed, errShort)
		}
	}
	keepBitmaps(response, message)
	return response, nil
}

// unpackLeniently parses a message without what cannot be parsed in its additional
// section. It returns err if the rest cannot be parsed either.
func unpackLeniently(message []byte, err error) (*dns.Msg, error) {
	malformed := fmt.Errorf("%w: %w", errMalformed, err)
	end, ok := endOfSections(message, 3)
	if !ok {
		return nil, malformed
	}
	start := slices.Clone(message[:end])
	binary.BigEndian.PutUint16(start[additionalCount:], 0)
	response := new(dns.Msg)
	if response.Unpack(start) != nil {
		return nil, malformed
	}
	for range binary.BigEndian.Uint16(message[additionalCount:]) {
		record, ok := recordAt(message, end)
		if !ok {
			break
		}
		end = record.end
		if rr, _, err := dns.UnpackRR(message[:record.end], record.start); err == nil {
			response.Extra = append(response.Extra, rr)
		} else if record.rrtype == dns.TypeOPT { // the header has a part of the response code
			opt := &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT}}
			opt.Hdr.Class = binary.BigEndian.Uint16(message[record.rdata-8:])
			opt.Hdr.Ttl = binary.BigEndian.Uint32(message[record.rdata-6:])
			response.Extra = append(response.Extra, opt)
		}
	}
	if opt := response.IsEdns0(); opt != nil {
		response.Rcode |= opt.ExtendedRcode()
	}
	return response, nil
}

// wireRecord is where a record is in a message.
type wireRecord struct {
	start, rdata, end int
	rrtype            uint16
}

// recordAt returns the record that starts at an offset.
func recordAt(message []byte, start int) (r wireRecord, ok bool) {
	fixed, ok := endOfName(message, start) // type, class, TTL and length follow
	if !ok || len(message) < fixed+10 {
		return wireRecord{}, false
	}
	r = wireRecord{start: start, rdata: fixed + 10, rrtype: binary.BigEndian.Uint16(message[fixed:])}
	r.end = r.rdata + int(binary.BigEndian.Uint16(message[fixed+8:]))
	return r, r.end <= len(message)
}

// endOfName returns the offset behind a name, which may end with a pointer.
func endOfName(message []byte, at int) (int, bool) {
	for at < len(message) {
		switch length := message[at]; {
		case length == 0:
			return at + 1, true
		case length >= 0xc0:
			return at + 2, at+2 <= len(message)
		case length > 63:
			return 0, false
		default:
			at += 1 + int(length)
		}
	}
	return 0, false
}

// endOfSections returns the offset behind the first n sections of a message.
func endOfSections(message []byte, n int) (int, bool) {
	if len(message) < headerSize {
		return 0, false
	}
	at := headerSize
	for section := range n {
		for range binary.BigEndian.Uint16(message[4+2*section:]) {
			if section == 0 {
				end, ok := endOfName(message, at)
				if at = end + 4; !ok || at > len(message) { // type and class follow the name
					return 0, false
				}
				continue
			}
			record, ok := recordAt(message, at)
			if !ok {
				return 0, false
			}
			at = record.end
		}
	}
	return at, true
}

// keepBitmaps replaces the NSEC and NSEC3 records that would be packed in another
// form than they arrived in. RFC 4034 §4.1.2 forbids zero octets at the end of a
// bitmap, but some signers add them.
func keepBitmaps(response *dns.Msg, message []byte) {
	if !slices.ContainsFunc(response.Answer, isLong) && !slices.ContainsFunc(response.Ns, isLong) {
		return
	}
	at, _ := endOfSections(message, 1) // response was parsed, so its sections are there
	for _, section := range [][]dns.RR{response.Answer, response.Ns} {
		for i, rr := range section {
			record, ok := recordAt(message, at)
			if !ok {
				return
			}
			at = record.end
			if isLong(rr) {
				section[i] = asReceived(rr, message[record.rdata:record.end])
			}
		}
	}
}

// isLong reports whether rr is an NSEC or NSEC3 record that arrived with another
// length than it would be packed with.
func isLong(rr dns.RR) bool {
	header := rr.Header()
	if header.Rrtype != dns.TypeNSEC && header.Rrtype != dns.TypeNSEC3 {
		return false
	}
	return strings.Contains(header.Name, `\`) || dns.Len(rr)-dns.Len(header) != int(header.Rdlength)
}

// asReceived returns the record with the RDATA as received. It returns rr if rr is
// packed to the same RDATA. It also returns rr if the RDATA is no record by itself,
// because a name in it is compressed.
func asReceived(rr dns.RR, rdata []byte) dns.RR {
	header := *rr.Header() // PackRR sets the length
	packed := make([]byte, dns.Len(rr)+len(rdata))
	end, err := dns.PackRR(rr, packed, 0, nil, false)
	if err != nil || bytes.HasSuffix(packed[:end], rdata) && end-len(rdata) == dns.Len(&header) {
		return rr
	}
	alone, _, err := dns.UnpackRRWithHeader(header, slices.Clone(rdata), 0)
	if err != nil || !dns.IsDuplicate(alone, rr) {
		return rr
	}
	return &dns.RFC3597{Hdr: header, Rdata: hex.EncodeToString(rdata)}
}
