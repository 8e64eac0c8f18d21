//go:build integration

package integration

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	cryptorand "crypto/rand"
	"crypto/rsa"
	_ "crypto/sha1" // algorithms 5 and 7
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cloudflare/circl/sign/ed448"
	"github.com/miekg/dns"
)

// A signedSet is an RRset with its signatures, taken out of a response to be changed.
type signedSet struct {
	gen        *generator
	owner      string
	rrtype     uint16
	records    []dns.RR
	signatures []*signature
}

// A signature is an RRSIG with the key that made it, which stays the same when the
// RRSIG is changed.
type signature struct {
	*dns.RRSIG
	private crypto.Signer
}

// editRRset applies edit to an RRset of a section, and puts the result in its place.
func (g *generator) editRRset(section *[]dns.RR, owner string, rrtype uint16, edit func(*signedSet)) {
	set := &signedSet{gen: g, owner: owner, rrtype: rrtype}
	place := -1
	var rest []dns.RR
	for _, record := range *section {
		if dns.CanonicalName(record.Header().Name) != owner || covered(record) != rrtype {
			rest = append(rest, record)
			continue
		}
		if place < 0 {
			place = len(rest)
		}
		if sig, ok := record.(*dns.RRSIG); ok {
			set.signatures = append(set.signatures, &signature{sig, g.zoneKeys.find(sig.SignerName, sig.KeyTag).private})
		} else {
			set.records = append(set.records, record)
		}
	}
	if place < 0 {
		return
	}
	edit(set)
	*section = slices.Insert(rest, place, set.all()...)
}

// all returns the records and the signatures.
func (s *signedSet) all() []dns.RR {
	list := slices.Clone(s.records)
	for _, sig := range s.signatures {
		list = append(list, sig.RRSIG)
	}
	return list
}

// resign makes each signature again, with the key that made it.
func (s *signedSet) resign() {
	if len(s.records) == 0 {
		return
	}
	for _, sig := range s.signatures {
		if sig.private == nil {
			continue
		}
		if err := sign(sig.RRSIG, s.records[0].Header().Name, s.records, sig.private); err != nil {
			sig.Signature = "AAAA" // a wrong signature, since the set cannot be packed
		}
	}
}

// otherZoneKey returns another signed zone and one of its keys.
func (s *signedSet) otherZoneKey(rnd *rand.Rand) (string, zoneKey) {
	for {
		z := pick(rnd, s.gen.zones)
		if z.signer != signedByNone && (len(s.signatures) == 0 || dns.CanonicalName(s.signatures[0].SignerName) != z.name) {
			return z.name, pick(rnd, s.gen.zoneKeys[z.name])
		}
	}
}

// setKey names another key in a signature.
func (sig *signature) setKey(zone string, key zoneKey) {
	sig.SignerName, sig.KeyTag, sig.Algorithm, sig.private = zone, key.tag, key.record.Algorithm, key.private
}

// updateDS replaces the DS records of a zone by those of its keys after a mutation.
func (s *signedSet) updateDS(rnd *rand.Rand, m mutation) {
	if len(s.records) == 0 {
		return
	}
	header := *s.records[0].Header()
	response, err := s.gen.source.ask(question{s.owner, dns.TypeDNSKEY})
	if err != nil {
		return
	}
	s.gen.editRRset(&response.Answer, s.owner, dns.TypeDNSKEY, func(keys *signedSet) { m.set(rnd, keys) })
	s.records = nil
	for _, record := range response.Answer {
		if key, ok := record.(*dns.DNSKEY); ok {
			ds := key.ToDS(dns.SHA256)
			ds.Hdr = header
			s.records = append(s.records, ds)
		}
	}
}

// zoneKeys holds the private keys of all zones by zone name, key-signing keys first.
// Changed RRsets are signed again with them, so that a validator must check more
// than the signature.
type zoneKeys map[string][]zoneKey

type zoneKey struct {
	record  *dns.DNSKEY
	tag     uint16
	private crypto.Signer
}

// find returns the key of a zone with a tag, or the zero value.
func (s zoneKeys) find(zone string, tag uint16) zoneKey {
	for _, key := range s[dns.CanonicalName(zone)] {
		if key.tag == tag {
			return key
		}
	}
	return zoneKey{}
}

// loadKeys reads the keys that Knot and BIND made.
func loadKeys(t testing.TB, tb *testbed, source *source) zoneKeys {
	t.Helper()
	knotKeys := loadKnotKeys(t, tb.dir)
	all := make(zoneKeys)
	for _, z := range tb.zones {
		if z.signer == signedByNone {
			continue
		}
		response, err := source.ask(question{z.name, dns.TypeDNSKEY})
		if err != nil {
			t.Fatal(err)
		}
		for _, record := range response.Answer {
			key, ok := record.(*dns.DNSKEY)
			if !ok {
				continue
			}
			private := knotKeys[key.PublicKey]
			if z.signer == signedByBIND {
				private = loadBINDKey(t, tb.dir, z.name, key)
			}
			if private == nil {
				t.Fatalf("no private key for key %d of %s", key.KeyTag(), z.name)
			}
			all[z.name] = append(all[z.name], zoneKey{key, key.KeyTag(), private})
		}
		slices.SortFunc(all[z.name], func(a, b zoneKey) int { return int(b.record.Flags) - int(a.record.Flags) })
	}
	return all
}

// loadBINDKey reads the private part of a key from the file that dnssec-keygen made.
func loadBINDKey(t testing.TB, dir, zone string, key *dns.DNSKEY) crypto.Signer {
	t.Helper()
	path := filepath.Join(dir, fmt.Sprintf("K%s+%03d+%05d.private", zone, key.Algorithm, key.KeyTag()))
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if key.Algorithm == dns.ED448 {
		return readEd448(t, file)
	}
	private, err := key.ReadPrivateKey(file, path)
	if err != nil {
		t.Fatal(err)
	}
	return private.(crypto.Signer)
}

// readEd448 reads a key of an algorithm that miekg/dns does not support.
func readEd448(t testing.TB, file io.Reader) crypto.Signer {
	t.Helper()
	text, err := io.ReadAll(file)
	if err != nil {
		t.Fatal(err)
	}
	_, field, _ := strings.Cut(string(text), "\nPrivateKey: ")
	field, _, _ = strings.Cut(field, "\n")
	seed, err := base64.StdEncoding.DecodeString(field)
	if err != nil || len(seed) != ed448.SeedSize {
		t.Fatalf("a private key of %d octets: %v", len(seed), err)
	}
	return ed448.NewKeyFromSeed(seed)
}

// parsePKCS8 parses a private key. crypto/x509 lacks Ed448, of which the seed is at
// the end (RFC 8410 §7).
func parsePKCS8(der []byte) (crypto.Signer, error) {
	oidEd448 := []byte{6, 3, 0x2b, 0x65, 0x71}
	if bytes.Contains(der, oidEd448) && len(der) > ed448.SeedSize {
		return ed448.NewKeyFromSeed(der[len(der)-ed448.SeedSize:]), nil
	}
	private, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	return private.(crypto.Signer), nil
}

// loadKnotKeys reads the keys that keymgr made, by the public key field of their
// DNSKEY records.
func loadKnotKeys(t testing.TB, dir string) map[string]crypto.Signer {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "knot/keys/keys/*.pem"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no keys of Knot: %v", err)
	}
	keys := make(map[string]crypto.Signer)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(text)
		if block == nil {
			t.Fatalf("%s is not a PEM file", file)
		}
		signer, err := parsePKCS8(block.Bytes)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		keys[dnskeyPublicKey(t, signer.Public())] = signer
	}
	return keys
}

// dnskeyPublicKey returns the public key field of a DNSKEY (RFC 3110 §2, RFC 6605 §4, RFC 8080 §3).
func dnskeyPublicKey(t testing.TB, public crypto.PublicKey) string {
	t.Helper()
	var octets []byte
	switch key := public.(type) {
	case *rsa.PublicKey:
		exponent := big.NewInt(int64(key.E)).Bytes()
		octets = slices.Concat([]byte{byte(len(exponent))}, exponent, key.N.Bytes())
	case *ecdsa.PublicKey:
		point, err := key.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		octets = point[1:] // without the prefix of an uncompressed point
	case ed25519.PublicKey:
		octets = key
	case ed448.PublicKey:
		octets = key
	default:
		t.Fatalf("unsupported key type %T", public)
	}
	return base64.StdEncoding.EncodeToString(octets)
}

// sign sets the signature of an RRSIG. It uses the other fields as they are, valid
// or not (RFC 4034 §3.1.8.1). It fails if the set cannot be packed.
func sign(signature *dns.RRSIG, owner string, set []dns.RR, private crypto.Signer) error {
	data := binary.BigEndian.AppendUint16(nil, signature.TypeCovered)
	data = append(data, signature.Algorithm, signature.Labels)
	data = binary.BigEndian.AppendUint32(data, signature.OrigTtl)
	data = binary.BigEndian.AppendUint32(data, signature.Expiration)
	data = binary.BigEndian.AppendUint32(data, signature.Inception)
	data = binary.BigEndian.AppendUint16(data, signature.KeyTag)
	signer, err := packName(dns.CanonicalName(signature.SignerName))
	if err != nil {
		return err
	}
	data = append(data, signer...)
	var records [][]byte
	for _, record := range set {
		wire, err := canonicalRecord(record, signedOwner(owner, signature.Labels), signature.OrigTtl)
		if err != nil {
			return err
		}
		records = append(records, wire)
	}
	// Records are ordered by RDATA (RFC 4034 §6.3), which follows owner, type, class, TTL and length.
	rdata := func(wire []byte) []byte {
		for wire[0] != 0 {
			wire = wire[1+int(wire[0]):]
		}
		return wire[1+10:]
	}
	slices.SortFunc(records, func(a, b []byte) int { return bytes.Compare(rdata(a), rdata(b)) })
	for _, record := range slices.CompactFunc(records, bytes.Equal) {
		data = append(data, record...)
	}
	made, err := signOctets(private, signature.Algorithm, data)
	if err != nil {
		return err
	}
	signature.Signature = base64.StdEncoding.EncodeToString(made)
	return nil
}

// signedOwner returns the owner name in the signed data: the wildcard, if the
// signature has fewer labels than the owner (RFC 4035 §5.3.2).
func signedOwner(owner string, count uint8) string {
	labels := dns.SplitDomainName(dns.CanonicalName(owner))
	all := len(labels)
	if all > 0 && labels[0] == "*" {
		all--
	}
	if int(count) >= all {
		return dns.CanonicalName(owner)
	}
	return strings.TrimSuffix("*."+dns.Fqdn(strings.Join(labels[len(labels)-int(count):], ".")), ".") + "."
}

// canonicalRecord returns the canonical form of a record (RFC 4034 §6.2).
func canonicalRecord(record dns.RR, owner string, ttl uint32) ([]byte, error) {
	record = dns.Copy(record)
	header := record.Header()
	header.Name, header.Ttl = owner, ttl
	switch r := record.(type) {
	case *dns.NS:
		r.Ns = dns.CanonicalName(r.Ns)
	case *dns.CNAME:
		r.Target = dns.CanonicalName(r.Target)
	case *dns.DNAME:
		r.Target = dns.CanonicalName(r.Target)
	case *dns.MX:
		r.Mx = dns.CanonicalName(r.Mx)
	case *dns.SOA:
		r.Ns, r.Mbox = dns.CanonicalName(r.Ns), dns.CanonicalName(r.Mbox)
	}
	wire := make([]byte, dns.MaxMsgSize)
	end, err := dns.PackRR(record, wire, 0, nil, false)
	return wire[:end], err
}

func packName(name string) ([]byte, error) {
	wire := make([]byte, 256)
	end, err := dns.PackDomainName(name, wire, 0, nil, false)
	return wire[:end], err
}

// signOctets makes a signature of an algorithm (RFC 3110 §3, RFC 5702 §3, RFC 6605
// §4, RFC 8080 §4).
func signOctets(private crypto.Signer, algorithm uint8, data []byte) ([]byte, error) {
	hash := crypto.SHA256
	switch algorithm {
	case dns.RSASHA1, dns.RSASHA1NSEC3SHA1:
		hash = crypto.SHA1
	case dns.RSASHA512:
		hash = crypto.SHA512
	case dns.ECDSAP384SHA384:
		hash = crypto.SHA384
	}
	switch private.(type) {
	case ed25519.PrivateKey, ed448.PrivateKey:
		return private.Sign(nil, data, crypto.Hash(0))
	}
	digest := hash.New()
	digest.Write(data)
	made, err := private.Sign(cryptorand.Reader, digest.Sum(nil), hash)
	if err != nil {
		return nil, err
	}
	curve, ok := private.Public().(*ecdsa.PublicKey)
	if !ok {
		return made, nil
	}
	var numbers struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(made, &numbers); err != nil {
		return nil, err
	}
	size := (curve.Curve.Params().BitSize + 7) / 8
	return append(numbers.R.FillBytes(make([]byte, size)), numbers.S.FillBytes(make([]byte, size))...), nil
}
