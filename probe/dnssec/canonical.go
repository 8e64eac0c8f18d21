package dnssec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/miekg/dns"
)

// signedData is the octet string that an RRSIG signs: its own RDATA without
// the signature, then the RRset in canonical form (RFC 4034 §3.1.8.1).
// The RRset is not empty.
func signedData(set *rrset, sig *dns.RRSIG) ([]byte, error) {
	owner, err := wireName(signedOwner(set.name, int(sig.Labels)))
	if err != nil {
		return nil, fmt.Errorf("owner %s: %w", set.name, err)
	}
	signer, err := wireName(sig.SignerName)
	if err != nil {
		return nil, fmt.Errorf("signer %s: %w", sig.SignerName, err)
	}
	list := make([][]byte, 0, len(set.records))
	for _, rr := range set.records {
		rdata, err := canonicalRDATA(rr)
		if err != nil {
			return nil, fmt.Errorf("record of %s: %w", set, err)
		}
		list = append(list, rdata)
	}
	slices.SortFunc(list, bytes.Compare) // RFC 4034 §6.3
	list = slices.CompactFunc(list, bytes.Equal)

	data := make([]byte, 0, 512)
	data = binary.BigEndian.AppendUint16(data, sig.TypeCovered)
	data = append(data, sig.Algorithm, sig.Labels)
	data = binary.BigEndian.AppendUint32(data, sig.OrigTtl)
	data = binary.BigEndian.AppendUint32(data, sig.Expiration)
	data = binary.BigEndian.AppendUint32(data, sig.Inception)
	data = binary.BigEndian.AppendUint16(data, sig.KeyTag)
	data = append(data, signer...)
	for _, rdata := range list {
		data = append(data, owner...)
		data = binary.BigEndian.AppendUint16(data, set.rrtype)
		data = binary.BigEndian.AppendUint16(data, dns.ClassINET)
		data = binary.BigEndian.AppendUint32(data, sig.OrigTtl)
		data = binary.BigEndian.AppendUint16(data, uint16(len(rdata)))
		data = append(data, rdata...)
	}
	return data, nil
}

// signedOwner is the owner name that was signed: the wildcard, where the
// signature has fewer labels than the name (RFC 4035 §5.3.2).
func signedOwner(name string, sigLabels int) string {
	if sigLabels >= ownerLabels(name) {
		return name
	}
	return wildcardAt(suffix(name, sigLabels))
}

// ownerLabels counts labels as the Labels field does: without the root and
// without a leading asterisk (RFC 4034 §3.1.3).
func ownerLabels(name string) int {
	n := labels(name)
	if isWildcard(name) {
		n--
	}
	return n
}

func isWildcard(name string) bool { return len(name) >= 2 && name[:2] == "*." }

// canonicalRDATA is the RDATA without compression, with the names in it in
// lower case where the type demands it.
func canonicalRDATA(rr dns.RR) ([]byte, error) {
	rr = dns.Copy(rr) // packing writes to its header, and others may hold it too
	lowerNames(rr)
	buffer := make([]byte, dns.Len(rr)+16)
	end, err := dns.PackRR(rr, buffer, 0, nil, false)
	if err != nil {
		buffer = make([]byte, dns.MaxMsgSize+512)
		if end, err = dns.PackRR(rr, buffer, 0, nil, false); err != nil {
			return nil, err
		}
	}
	start := 0
	for start < end && buffer[start] != 0 { // past the owner name
		start += 1 + int(buffer[start])
	}
	start += 1 + 10 // and type, class, TTL and length
	if start > end {
		return nil, errors.New("no RDATA")
	}
	return buffer[start:end], nil
}

// lowerNames puts the names in the RDATA of rr in lower case, for the types
// that RFC 4034 §6.2 lists; RFC 6840 §5.1 takes NSEC off that list.
func lowerNames(rr dns.RR) {
	lower := func(names ...*string) {
		for _, name := range names {
			*name = fold(*name)
		}
	}
	switch r := rr.(type) {
	case *dns.NS:
		lower(&r.Ns)
	case *dns.MD:
		lower(&r.Md)
	case *dns.MF:
		lower(&r.Mf)
	case *dns.CNAME:
		lower(&r.Target)
	case *dns.SOA:
		lower(&r.Ns, &r.Mbox)
	case *dns.MB:
		lower(&r.Mb)
	case *dns.MG:
		lower(&r.Mg)
	case *dns.MR:
		lower(&r.Mr)
	case *dns.PTR:
		lower(&r.Ptr)
	case *dns.MINFO:
		lower(&r.Rmail, &r.Email)
	case *dns.MX:
		lower(&r.Mx)
	case *dns.RP:
		lower(&r.Mbox, &r.Txt)
	case *dns.AFSDB:
		lower(&r.Hostname)
	case *dns.RT:
		lower(&r.Host)
	case *dns.SIG:
		lower(&r.SignerName)
	case *dns.RRSIG:
		lower(&r.SignerName)
	case *dns.PX:
		lower(&r.Map822, &r.Mapx400)
	case *dns.NAPTR:
		lower(&r.Replacement)
	case *dns.KX:
		lower(&r.Exchanger)
	case *dns.SRV:
		lower(&r.Target)
	case *dns.DNAME:
		lower(&r.Target)
	}
}
