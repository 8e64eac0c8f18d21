package dnssec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/miekg/dns"
)

// signedData returns the octets that an RRSIG signs: its own RDATA without the
// signature, then the RRset in canonical form (RFC 4034 §3.1.8.1). The RRset must
// not be empty.
func signedData(set *rrset, sig *dns.RRSIG) ([]byte, error) {
	owner, err := appendName(make([]byte, 0, maxName), signedOwner(set.name, int(sig.Labels)))
	if err != nil {
		return nil, fmt.Errorf("owner %s: %w", set.name, err)
	}
	signer, err := appendName(make([]byte, 0, maxName), sig.SignerName)
	if err != nil {
		return nil, fmt.Errorf("signer %s: %w", sig.SignerName, err)
	}
	if set.unreadable != nil {
		return nil, fmt.Errorf("record of %s: %w", set, set.unreadable)
	}
	size := 18 + len(signer)
	for _, rdata := range set.canonical {
		size += len(owner) + 10 + len(rdata)
	}
	data := make([]byte, 0, size)
	data = binary.BigEndian.AppendUint16(data, sig.TypeCovered)
	data = append(data, sig.Algorithm, sig.Labels)
	data = binary.BigEndian.AppendUint32(data, sig.OrigTtl)
	data = binary.BigEndian.AppendUint32(data, sig.Expiration)
	data = binary.BigEndian.AppendUint32(data, sig.Inception)
	data = binary.BigEndian.AppendUint16(data, sig.KeyTag)
	data = append(data, signer...)
	for _, rdata := range set.canonical {
		data = append(data, owner...)
		data = binary.BigEndian.AppendUint16(data, set.rrtype)
		data = binary.BigEndian.AppendUint16(data, dns.ClassINET)
		data = binary.BigEndian.AppendUint32(data, sig.OrigTtl)
		data = binary.BigEndian.AppendUint16(data, uint16(len(rdata)))
		data = append(data, rdata...)
	}
	return data, nil
}

// signedOwner returns the owner name that was signed: the wildcard if the
// signature has fewer labels than the name (RFC 4035 §5.3.2).
func signedOwner(name string, sigLabels int) string {
	if sigLabels >= ownerLabels(name) {
		return name
	}
	return wildcardAt(suffix(name, sigLabels))
}

// ownerLabels counts the labels of a name as the Labels field does: without the
// root and without a leading asterisk (RFC 4034 §3.1.3).
func ownerLabels(name string) int {
	n := labels(name)
	if isWildcard(name) {
		n--
	}
	return n
}

func isWildcard(name string) bool { return len(name) >= 2 && name[:2] == "*." }

// canonicalRDATA returns the RDATA of the records in canonical form and order,
// without duplicates (RFC 4034 §6.2, §6.3): uncompressed, and with names in lower
// case if the type requires it. It modifies the headers of the records.
func canonicalRDATA(records []dns.RR) ([][]byte, error) {
	size := 0
	for _, rr := range records {
		size += dns.Len(rr)
	}
	buffer, end := make([]byte, size), 0
	list := make([][]byte, 0, len(records))
	for _, rr := range records {
		start := end
		rr = lowerNames(rr)
		var err error
		if end, err = dns.PackRR(rr, buffer, start, nil, false); err != nil {
			buffer, start = make([]byte, dns.MaxMsgSize+512), 0
			if end, err = dns.PackRR(rr, buffer, start, nil, false); err != nil {
				return nil, err
			}
		}
		for start < end && buffer[start] != 0 { // skip the owner name
			start += 1 + int(buffer[start])
		}
		start += 1 + 10 // skip type, class, TTL and length
		if start > end {
			return nil, errors.New("no RDATA")
		}
		list = append(list, buffer[start:end:end])
	}
	slices.SortFunc(list, bytes.Compare)
	return slices.CompactFunc(list, bytes.Equal), nil
}

// distinct removes duplicates: an RRset has each record once, even if a server
// sends it twice (RFC 2181 §5, RFC 4034 §6.3).
func distinct(records []dns.RR) []dns.RR {
	seen := make(map[string]bool, len(records))
	return slices.DeleteFunc(records, func(rr dns.RR) bool {
		rdata, err := canonicalRDATA([]dns.RR{rr})
		if err != nil {
			return false
		}
		again := seen[string(rdata[0])]
		seen[string(rdata[0])] = true
		return again
	})
}

// lowerNames returns rr with the names in its RDATA in lower case. It returns a
// copy if it changes anything.
func lowerNames(rr dns.RR) dns.RR {
	if !slices.ContainsFunc(namesIn(rr), func(name *string) bool { return *name != fold(*name) }) {
		return rr
	}
	rr = dns.Copy(rr)
	for _, name := range namesIn(rr) {
		*name = fold(*name)
	}
	return rr
}

// namesIn returns the names in the RDATA of a type that RFC 4034 §6.2 lists for
// lower case. RFC 6840 §5.1 removes NSEC from that list.
func namesIn(rr dns.RR) []*string {
	switch r := rr.(type) {
	case *dns.NS:
		return []*string{&r.Ns}
	case *dns.MD:
		return []*string{&r.Md}
	case *dns.MF:
		return []*string{&r.Mf}
	case *dns.CNAME:
		return []*string{&r.Target}
	case *dns.SOA:
		return []*string{&r.Ns, &r.Mbox}
	case *dns.MB:
		return []*string{&r.Mb}
	case *dns.MG:
		return []*string{&r.Mg}
	case *dns.MR:
		return []*string{&r.Mr}
	case *dns.PTR:
		return []*string{&r.Ptr}
	case *dns.MINFO:
		return []*string{&r.Rmail, &r.Email}
	case *dns.MX:
		return []*string{&r.Mx}
	case *dns.RP:
		return []*string{&r.Mbox, &r.Txt}
	case *dns.AFSDB:
		return []*string{&r.Hostname}
	case *dns.RT:
		return []*string{&r.Host}
	case *dns.SIG:
		return []*string{&r.SignerName}
	case *dns.RRSIG:
		return []*string{&r.SignerName}
	case *dns.PX:
		return []*string{&r.Map822, &r.Mapx400}
	case *dns.NAPTR:
		return []*string{&r.Replacement}
	case *dns.KX:
		return []*string{&r.Exchanger}
	case *dns.SRV:
		return []*string{&r.Target}
	case *dns.DNAME:
		return []*string{&r.Target}
	}
	return nil
}
