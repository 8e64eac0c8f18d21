//go:build integration

package integration

import (
	"encoding/base64"
	"encoding/hex"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// Names of the mutations that explanations refer to.
const (
	changeRecord          = "change a record"
	addRecord             = "add a record"
	changeClass           = "change the class"
	changeSigner          = "change the signer"
	signWithOtherZone     = "sign with a key of another zone"
	signWithParentOrChild = "sign with a key of the parent or child"
	changeBitmap          = "change the type bitmap"
	changeNext            = "change the next name"
	changeIterations      = "change the NSEC3 iterations"
	changeSalt            = "change the NSEC3 salt"
	moveAnswer            = "move the answer to the authority section"
)

// mutations returns all mutations. Their order matters: a trial picks them by index.
func mutations() []mutation {
	return slices.Concat(rrsetMutations(), signatureMutations(), keyMutations(), dsMutations(), denialMutations(), messageMutations())
}

func rrsetMutations() []mutation {
	return []mutation{
		{name: "drop the RRset", set: func(_ *rand.Rand, s *signedSet) { s.records, s.signatures = nil, nil }},
		{name: "drop the records", set: func(_ *rand.Rand, s *signedSet) { s.records = nil }},
		{name: "drop the signatures", set: func(_ *rand.Rand, s *signedSet) { s.signatures = nil }},
		{name: "drop one record", resign: true, set: func(rnd *rand.Rand, s *signedSet) {
			if len(s.records) > 0 {
				i := rnd.IntN(len(s.records))
				s.records = slices.Delete(s.records, i, i+1)
			}
		}},
		{name: "duplicate a record", resign: true, set: func(rnd *rand.Rand, s *signedSet) {
			if len(s.records) > 0 {
				s.records = append(s.records, dns.Copy(pick(rnd, s.records)))
			}
		}},
		{name: changeRecord, resign: true, set: func(rnd *rand.Rand, s *signedSet) {
			if len(s.records) > 0 {
				i := rnd.IntN(len(s.records))
				s.records[i] = tweak(rnd, s.records[i])
			}
		}},
		{name: addRecord, resign: true, set: func(rnd *rand.Rand, s *signedSet) {
			if len(s.records) > 0 {
				s.records = append(s.records, tweak(rnd, pick(rnd, s.records)))
			}
		}},
		{name: "change the TTL", resign: true, set: func(rnd *rand.Rand, s *signedSet) {
			ttl := pick(rnd, []uint32{0, 1, 299, 301, 86400, 1<<31 - 1, 1 << 31})
			for _, record := range s.all() {
				record.Header().Ttl = ttl
			}
		}},
		{name: "change one TTL", set: func(rnd *rand.Rand, s *signedSet) {
			pick(rnd, s.all()).Header().Ttl = pick(rnd, []uint32{0, 1, 301, 86400})
		}},
		{name: "uppercase the owner", resign: true, set: func(_ *rand.Rand, s *signedSet) {
			for _, record := range s.all() {
				record.Header().Name = strings.ToUpper(record.Header().Name)
			}
		}},
		{name: "uppercase names in the data", resign: true, set: func(_ *rand.Rand, s *signedSet) {
			for _, record := range s.records {
				upperNames(record)
			}
		}},
		{name: "change the owner", resign: true, set: func(rnd *rand.Rand, s *signedSet) {
			owner := relative(rnd, s.owner)
			for _, record := range s.all() {
				record.Header().Name = owner
			}
		}},
		{name: changeClass, set: func(rnd *rand.Rand, s *signedSet) {
			for _, record := range s.records {
				record.Header().Class = dns.ClassCHAOS
			}
		}},
	}
}

// tweak flips a bit near the end of a record's data. It returns the record
// unchanged if the result cannot be parsed.
func tweak(rnd *rand.Rand, record dns.RR) dns.RR {
	wire := make([]byte, dns.MaxMsgSize)
	end, err := dns.PackRR(record, wire, 0, nil, false)
	if err != nil {
		return record
	}
	wire[end-1-rnd.IntN(4)%int(max(1, record.Header().Rdlength))] ^= 1 << rnd.IntN(8)
	changed, _, err := dns.UnpackRR(wire[:end], 0)
	if err != nil {
		return record
	}
	return changed
}

func upperNames(record dns.RR) {
	switch r := record.(type) {
	case *dns.NS:
		r.Ns = strings.ToUpper(r.Ns)
	case *dns.CNAME:
		r.Target = strings.ToUpper(r.Target)
	case *dns.DNAME:
		r.Target = strings.ToUpper(r.Target)
	case *dns.MX:
		r.Mx = strings.ToUpper(r.Mx)
	case *dns.SOA:
		r.Ns = strings.ToUpper(r.Ns)
	case *dns.NSEC:
		r.NextDomain = strings.ToUpper(r.NextDomain)
	}
}

// relative returns a name near another: its parent, a sibling or a child.
func relative(rnd *rand.Rand, name string) string {
	parent := name
	if next, end := dns.NextLabel(name, 0); !end {
		parent = name[next:]
	}
	return strings.TrimSuffix(pick(rnd, []string{parent, "*." + parent, "text." + parent, "text." + name, "x" + name}), ".") + "."
}

func signatureMutations() []mutation {
	each := func(change func(*rand.Rand, *signedSet, *signature)) func(*rand.Rand, *signedSet) {
		return func(rnd *rand.Rand, s *signedSet) {
			for _, sig := range s.signatures {
				change(rnd, s, sig)
			}
		}
	}
	return []mutation{
		{name: "flip a bit of the signature", set: each(func(rnd *rand.Rand, _ *signedSet, sig *signature) {
			sig.octets(func(b []byte) []byte { b[rnd.IntN(len(b))] ^= 1 << rnd.IntN(8); return b })
		})},
		{name: "change the length of the signature", set: each(func(rnd *rand.Rand, _ *signedSet, sig *signature) {
			longer := rnd.IntN(3)
			sig.octets(func(b []byte) []byte {
				switch longer {
				case 0:
					return append([]byte{0}, b...)
				case 1:
					return append(b, 0)
				}
				return b[:len(b)-1]
			})
		})},
		{name: "change the dates", resign: true, set: each(func(rnd *rand.Rand, _ *signedSet, sig *signature) {
			const hour, day = 3600, 24 * 3600
			switch rnd.IntN(6) {
			case 0:
				sig.Expiration = sig.Inception + hour // expired
			case 1:
				sig.Inception, sig.Expiration = sig.Expiration, sig.Expiration+14*day
			case 2:
				sig.Inception, sig.Expiration = sig.Expiration, sig.Inception
			case 3:
				sig.Inception -= 1 << 30
			case 4:
				sig.Expiration += 1 << 30
			case 5:
				sig.Inception -= 3 << 30 // before 1970, or after 2038 in serial number arithmetic
			}
		})},
		{name: "change the label count", resign: true, set: each(func(rnd *rand.Rand, _ *signedSet, sig *signature) {
			sig.Labels += pick(rnd, []uint8{255, 254, 1, 2})
		})},
		{name: "change the original TTL", resign: true, set: each(func(rnd *rand.Rand, _ *signedSet, sig *signature) {
			sig.OrigTtl = pick(rnd, []uint32{0, 1, 299, 301, 1 << 31})
		})},
		{name: changeSigner, resign: true, set: each(func(rnd *rand.Rand, s *signedSet, sig *signature) {
			sig.SignerName = relative(rnd, sig.SignerName)
		})},
		{name: "uppercase the signer", resign: true, set: each(func(rnd *rand.Rand, s *signedSet, sig *signature) {
			sig.SignerName = strings.ToUpper(sig.SignerName)
		})},
		{name: "change the algorithm", resign: true, set: each(func(rnd *rand.Rand, _ *signedSet, sig *signature) {
			sig.Algorithm = pick(rnd, []uint8{0, 3, 7, 8, 13, 14, 15, 200, 253})
		})},
		{name: "change the key tag", resign: true, set: each(func(_ *rand.Rand, _ *signedSet, sig *signature) { sig.KeyTag++ })},
		{name: "change the covered type", resign: true, set: each(func(rnd *rand.Rand, _ *signedSet, sig *signature) {
			sig.TypeCovered = pick(rnd, []uint16{dns.TypeA, dns.TypeTXT, dns.TypeDS, dns.TypeNSEC})
		})},
		{name: "sign with another key of the zone", set: each(func(rnd *rand.Rand, s *signedSet, sig *signature) {
			if keys := s.gen.zoneKeys[dns.CanonicalName(sig.SignerName)]; len(keys) > 0 {
				sig.setKey(sig.SignerName, pick(rnd, keys))
				s.resign()
			}
		})},
		{name: signWithOtherZone, set: each(func(rnd *rand.Rand, s *signedSet, sig *signature) {
			sig.setKey(s.otherZoneKey(rnd))
			s.resign()
		})},
		{name: signWithParentOrChild, set: each(func(rnd *rand.Rand, s *signedSet, sig *signature) {
			zone := "signed." + sig.SignerName
			if next, end := dns.NextLabel(sig.SignerName, 0); rnd.IntN(2) == 0 {
				if zone = "."; !end {
					zone = sig.SignerName[next:]
				}
			}
			if keys := s.gen.zoneKeys[dns.CanonicalName(zone)]; len(keys) > 0 {
				sig.setKey(dns.CanonicalName(zone), pick(rnd, keys))
				s.resign()
			}
		})},
		{name: "add a wrong signature", set: func(rnd *rand.Rand, s *signedSet) {
			for _, sig := range slices.Clone(s.signatures) {
				wrong := &signature{dns.Copy(sig.RRSIG).(*dns.RRSIG), sig.private}
				wrong.octets(func(b []byte) []byte { b[0] ^= 1; return b })
				if rnd.IntN(2) == 0 {
					wrong.Expiration = wrong.Inception + 3600
				}
				s.signatures = slices.Insert(s.signatures, rnd.IntN(len(s.signatures)+1), wrong)
			}
		}},
		{name: "add a signature of another zone", set: func(rnd *rand.Rand, s *signedSet) {
			for _, sig := range slices.Clone(s.signatures) {
				other := &signature{RRSIG: dns.Copy(sig.RRSIG).(*dns.RRSIG)}
				other.setKey(s.otherZoneKey(rnd))
				s.signatures = slices.Insert(s.signatures, rnd.IntN(len(s.signatures)+1), other)
			}
			s.resign()
		}},
	}
}

// octets changes the octets of the signature.
func (sig *signature) octets(change func([]byte) []byte) {
	octets, err := base64.StdEncoding.DecodeString(sig.Signature)
	if err == nil && len(octets) > 1 {
		sig.Signature = base64.StdEncoding.EncodeToString(change(octets))
	}
}

func keyMutations() []mutation {
	keys := []uint16{dns.TypeDNSKEY}
	one := func(change func(*rand.Rand, *dns.DNSKEY)) func(*rand.Rand, *signedSet) {
		return func(rnd *rand.Rand, s *signedSet) {
			if len(s.records) == 0 {
				return
			}
			key, ok := pick(rnd, s.records).(*dns.DNSKEY)
			if !ok {
				return
			}
			old := key.KeyTag()
			change(rnd, key)
			for _, sig := range s.signatures {
				if sig.KeyTag == old {
					sig.KeyTag = key.KeyTag()
				}
			}
		}
	}
	list := []mutation{
		{name: "flip a flag of a key", types: keys, resign: true, set: one(func(rnd *rand.Rand, key *dns.DNSKEY) {
			key.Flags ^= pick(rnd, []uint16{dns.ZONE, dns.SEP, dns.REVOKE, 1 << 15})
		})},
		{name: "change the protocol of a key", types: keys, resign: true, set: one(func(_ *rand.Rand, key *dns.DNSKEY) { key.Protocol = 2 })},
		{name: "change the algorithm of a key", types: keys, resign: true, set: one(func(rnd *rand.Rand, key *dns.DNSKEY) {
			key.Algorithm = pick(rnd, []uint8{5, 8, 13, 15, 200})
		})},
		{name: "add the keys of another zone", types: keys, resign: true, set: func(rnd *rand.Rand, s *signedSet) {
			zone, _ := s.otherZoneKey(rnd)
			for _, key := range s.gen.zoneKeys[zone] {
				record := dns.Copy(key.record)
				record.Header().Name = s.owner
				s.records = append(s.records, record)
			}
		}},
	}
	for _, m := range list {
		m.name, m.updateDS = m.name+", with matching DS", true
		list = append(list, m)
	}
	return list
}

func dsMutations() []mutation {
	ds := []uint16{dns.TypeDS}
	one := func(change func(*rand.Rand, *signedSet, *dns.DS)) func(*rand.Rand, *signedSet) {
		return func(rnd *rand.Rand, s *signedSet) {
			if len(s.records) > 0 {
				change(rnd, s, pick(rnd, s.records).(*dns.DS))
			}
		}
	}
	added := func(change func(*rand.Rand, *signedSet, *dns.DS)) func(*rand.Rand, *signedSet) {
		return one(func(rnd *rand.Rand, s *signedSet, ds *dns.DS) {
			other := dns.Copy(ds).(*dns.DS)
			change(rnd, s, other)
			s.records = slices.Insert(s.records, rnd.IntN(len(s.records)+1), dns.RR(other))
		})
	}
	var list []mutation
	for _, m := range []mutation{
		{name: "corrupt the digest", set: one(wrongDigest)},
		{name: "add a DS with a wrong digest", set: added(wrongDigest)},
		{name: "change the digest type", set: one(otherDigestType)},
		{name: "add a DS with another digest type", set: added(otherDigestType)},
		{name: "use another correct digest", set: one(rightDigest)},
		{name: "add a DS with another correct digest", set: added(rightDigest)},
		{name: "change the algorithm of the DS", set: one(otherAlgorithm)},
		{name: "add a DS with another algorithm", set: added(otherAlgorithm)},
		{name: "change the key tag of the DS", set: one(func(_ *rand.Rand, _ *signedSet, ds *dns.DS) { ds.KeyTag++ })},
		{name: "use a DS of another key of the zone", set: one(otherKey)},
		{name: "add a DS of another key of the zone", set: added(otherKey)},
	} {
		m.types, m.resign = ds, true
		list = append(list, m)
	}
	return list
}

func wrongDigest(_ *rand.Rand, _ *signedSet, ds *dns.DS) {
	octets, err := hex.DecodeString(ds.Digest)
	if err == nil && len(octets) > 0 {
		octets[0] ^= 1
		ds.Digest = hex.EncodeToString(octets)
	}
}

func otherDigestType(rnd *rand.Rand, _ *signedSet, ds *dns.DS) {
	ds.DigestType = pick(rnd, []uint8{0, 1, 3, 4, 200})
}

func otherAlgorithm(rnd *rand.Rand, _ *signedSet, ds *dns.DS) {
	ds.Algorithm = pick(rnd, []uint8{0, 3, 5, 8, 12, 13, 15, 200, 253})
}

// rightDigest replaces the digest by one of another type of the same key (RFC
// 4509, RFC 6605 §2).
func rightDigest(rnd *rand.Rand, s *signedSet, ds *dns.DS) {
	if key := s.gen.zoneKeys.find(s.owner, ds.KeyTag); key.record != nil {
		pointTo(ds, key, pick(rnd, []uint8{dns.SHA1, dns.SHA384}))
	}
}

// otherKey makes the DS that of any key of the zone.
func otherKey(rnd *rand.Rand, s *signedSet, ds *dns.DS) {
	if keys := s.gen.zoneKeys[s.owner]; len(keys) > 0 {
		pointTo(ds, pick(rnd, keys), dns.SHA256)
	}
}

// pointTo makes a DS that of a key.
func pointTo(ds *dns.DS, key zoneKey, digest uint8) {
	header := ds.Hdr
	*ds = *key.record.ToDS(digest)
	ds.Hdr = header
}

func denialMutations() []mutation {
	hashed, either := []uint16{dns.TypeNSEC3}, []uint16{dns.TypeNSEC, dns.TypeNSEC3}
	each := func(change func(*rand.Rand, *dns.NSEC3)) func(*rand.Rand, *signedSet) {
		return func(rnd *rand.Rand, s *signedSet) {
			for _, record := range s.records {
				if n, ok := record.(*dns.NSEC3); ok {
					change(rnd, n)
				}
			}
		}
	}
	return []mutation{
		{name: changeBitmap, types: either, resign: true, set: func(rnd *rand.Rand, s *signedSet) {
			flip := pick(rnd, []uint16{dns.TypeA, dns.TypeNS, dns.TypeSOA, dns.TypeTXT, dns.TypeDS, dns.TypeCNAME, dns.TypeDNAME, dns.TypeTLSA, dns.TypeNXNAME})
			for _, record := range s.records {
				switch r := record.(type) {
				case *dns.NSEC:
					r.TypeBitMap = flipType(r.TypeBitMap, flip)
				case *dns.NSEC3:
					r.TypeBitMap = flipType(r.TypeBitMap, flip)
				}
			}
		}},
		{name: changeNext, types: either, resign: true, set: func(rnd *rand.Rand, s *signedSet) {
			for _, record := range s.records {
				switch r := record.(type) {
				case *dns.NSEC:
					r.NextDomain = pick(rnd, []string{relative(rnd, r.NextDomain), relative(rnd, s.owner), s.owner, "."})
				case *dns.NSEC3:
					r.NextDomain = pick(rnd, []string{strings.Repeat("0", 32), strings.Repeat("V", 32), strings.ToLower(r.NextDomain),
						strings.ToUpper(firstLabel(s.owner)), r.NextDomain[:31] + "0"})
				}
			}
		}},
		{name: "change the NSEC3 flags", types: hashed, resign: true, set: each(func(rnd *rand.Rand, n *dns.NSEC3) { n.Flags ^= pick(rnd, []uint8{1, 1, 2, 128}) })},
		{name: changeIterations, types: hashed, resign: true, set: each(func(rnd *rand.Rand, n *dns.NSEC3) {
			n.Iterations = pick(rnd, []uint16{0, 1, nsec3Limit, nsec3Limit + 1, 2500})
		})},
		{name: changeSalt, types: hashed, resign: true, set: each(func(_ *rand.Rand, n *dns.NSEC3) { n.Salt, n.SaltLength = "CD34", 2 })},
		{name: "pad the type bitmap with a zero", types: either, resign: true, set: func(_ *rand.Rand, s *signedSet) {
			for i, record := range s.records {
				s.records[i] = padBitmap(record)
			}
		}},
		{name: "change the NSEC3 hash algorithm", types: hashed, resign: true, set: each(func(_ *rand.Rand, n *dns.NSEC3) { n.Hash = 2 })},
	}
}

// padBitmap returns an NSEC or NSEC3 record with an octet of zero at the end of its
// type bitmap, which RFC 4034 §4.1.2 forbids. It returns other records unchanged.
func padBitmap(record dns.RR) dns.RR {
	wire := make([]byte, dns.MaxMsgSize)
	end, err := dns.PackRR(record, wire, 0, nil, false)
	if err != nil {
		return record
	}
	length := int(record.Header().Rdlength)
	rdata := slices.Clone(wire[end-length : end])
	block := 0 // where the bitmap starts
	switch r := record.(type) {
	case *dns.NSEC:
		for rdata[block] != 0 {
			block += 1 + int(rdata[block])
		}
		block++
	case *dns.NSEC3:
		block = 6 + int(r.SaltLength) + int(r.HashLength)
	default:
		return record
	}
	for block < length && block+2+int(rdata[block+1]) < length {
		block += 2 + int(rdata[block+1])
	}
	if block >= length || rdata[block+1] >= 32 {
		return record
	}
	rdata[block+1]++
	return &dns.RFC3597{Hdr: *record.Header(), Rdata: hex.EncodeToString(append(rdata, 0))}
}

func flipType(bitmap []uint16, flip uint16) []uint16 {
	if i := slices.Index(bitmap, flip); i >= 0 {
		return slices.Delete(slices.Clone(bitmap), i, i+1)
	}
	bitmap = append(slices.Clone(bitmap), flip)
	slices.Sort(bitmap)
	return bitmap
}

func messageMutations() []mutation {
	return []mutation{
		{name: "change the response code", message: func(rnd *rand.Rand, _ *generator, m *dns.Msg) {
			m.Rcode = pick(rnd, []int{dns.RcodeSuccess, dns.RcodeNameError, dns.RcodeNameError, dns.RcodeYXDomain, dns.RcodeServerFailure, dns.RcodeRefused})
		}},
		{name: "empty the response", message: func(rnd *rand.Rand, _ *generator, m *dns.Msg) {
			m.Answer, m.Ns, m.Extra = nil, nil, nil
			m.Rcode = pick(rnd, []int{dns.RcodeSuccess, dns.RcodeNameError})
		}},
		{name: "drop the denial", message: func(_ *rand.Rand, _ *generator, m *dns.Msg) {
			m.Ns = slices.DeleteFunc(m.Ns, func(r dns.RR) bool { c := covered(r); return c == dns.TypeNSEC || c == dns.TypeNSEC3 })
		}},
		{name: "drop all but the SOA", message: func(_ *rand.Rand, _ *generator, m *dns.Msg) {
			m.Answer = nil
			m.Ns = slices.DeleteFunc(m.Ns, func(r dns.RR) bool { return covered(r) != dns.TypeSOA })
		}},
		{name: "drop every signature", message: func(_ *rand.Rand, _ *generator, m *dns.Msg) {
			unsigned := func(r dns.RR) bool { return r.Header().Rrtype == dns.TypeRRSIG }
			m.Answer, m.Ns = slices.DeleteFunc(m.Answer, unsigned), slices.DeleteFunc(m.Ns, unsigned)
		}},
		{name: "drop the answer section", message: func(_ *rand.Rand, _ *generator, m *dns.Msg) { m.Answer = nil }},
		{name: "drop the authority section", message: func(_ *rand.Rand, _ *generator, m *dns.Msg) { m.Ns = nil }},
		{name: moveAnswer, message: func(_ *rand.Rand, _ *generator, m *dns.Msg) {
			m.Ns, m.Answer = append(m.Ns, m.Answer...), nil
		}},
		{name: "move the authority section to the answer section", message: func(_ *rand.Rand, _ *generator, m *dns.Msg) {
			m.Answer, m.Ns = append(m.Answer, m.Ns...), nil
		}},
		{name: "shuffle the records", message: func(rnd *rand.Rand, _ *generator, m *dns.Msg) {
			for _, section := range [][]dns.RR{m.Answer, m.Ns} {
				rnd.Shuffle(len(section), func(i, j int) { section[i], section[j] = section[j], section[i] })
			}
		}},
		{name: "cut the answer after the first alias", message: func(_ *rand.Rand, _ *generator, m *dns.Msg) {
			end := len(m.Answer)
			for i, r := range m.Answer {
				if covered(r) == dns.TypeCNAME && r.Header().Name != m.Question[0].Name {
					end = min(end, i)
				}
			}
			m.Answer = m.Answer[:end]
		}},
		{name: "answer with another denial", message: func(rnd *rand.Rand, g *generator, m *dns.Msg) {
			if other := g.another(rnd, m); other != nil {
				m.Rcode, m.Answer, m.Ns = other.Rcode, nil, other.Ns
			}
		}},
		{name: "replace the authority section", message: func(rnd *rand.Rand, g *generator, m *dns.Msg) {
			if other := g.another(rnd, m); other != nil {
				m.Ns = other.Ns
			}
		}},
		{name: "add another authority section", message: func(rnd *rand.Rand, g *generator, m *dns.Msg) {
			if other := g.another(rnd, m); other != nil {
				m.Ns = append(m.Ns, other.Ns...)
			}
		}},
		{name: "replace the answer section", message: func(rnd *rand.Rand, g *generator, m *dns.Msg) {
			if other := g.another(rnd, m); other != nil {
				m.Answer = other.Answer
			}
		}},
		{name: "add another answer section", message: func(rnd *rand.Rand, g *generator, m *dns.Msg) {
			if other := g.another(rnd, m); other != nil {
				m.Answer = append(m.Answer, other.Answer...)
			}
		}},
		{name: "answer with another response under this name", message: func(rnd *rand.Rand, g *generator, m *dns.Msg) {
			other := g.another(rnd, m)
			if other == nil {
				return
			}
			for _, r := range other.Answer {
				r.Header().Name = m.Question[0].Name
			}
			m.Rcode, m.Answer, m.Ns = other.Rcode, other.Answer, other.Ns
		}},
	}
}

// another returns the response to another question, usually about the same zone,
// or nil if none was found.
func (g *generator) another(rnd *rand.Rand, m *dns.Msg) *dns.Msg {
	home := zoneOf(g.zones, question{dns.CanonicalName(m.Question[0].Name), m.Question[0].Qtype})
	for range 500 {
		q := pick(rnd, g.all)
		if zoneOf(g.zones, q) != home && rnd.IntN(100) > 0 {
			continue
		}
		if response, err := g.source.ask(q); err == nil {
			return response
		}
	}
	return nil
}
