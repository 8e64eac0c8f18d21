package dnssec

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strconv"

	"github.com/miekg/dns"
)

// supports reports whether signatures of an algorithm count.
func (o Options) supports(algorithm uint8) bool {
	switch algorithm {
	case dns.RSASHA1, dns.RSASHA1NSEC3SHA1:
		return o.SHA1 == SHA1Accept // RFC 9905 §2
	case dns.RSASHA256, dns.RSASHA512, dns.ECDSAP256SHA256, dns.ECDSAP384SHA384, dns.ED25519:
		return true
	}
	return false
}

// mayVerify reports whether k can verify records of its zone: the ZONE flag
// (RFC 4034 §2.1.1), the protocol (§2.1.2), and not revoked (RFC 5011 §2.1).
func mayVerify(k *dns.DNSKEY) bool {
	return k.Flags&dns.ZONE != 0 && k.Flags&dns.REVOKE == 0 && k.Protocol == 3
}

// usableDS returns the DS records of a set that can be followed: algorithm and
// digest are supported, and SHA-1 digests count only where there is no better
// one (RFC 4509 §3).
func (o Options) usableDS(set []*dns.DS) []*dns.DS {
	var strong, sha1 []*dns.DS
	for _, ds := range set {
		if !o.supports(ds.Algorithm) {
			continue
		}
		switch ds.DigestType {
		case dns.SHA256, dns.SHA384:
			strong = append(strong, ds)
		case dns.SHA1:
			sha1 = append(sha1, ds)
		}
	}
	if len(strong) > 0 {
		return strong
	}
	return sha1
}

// key is a DNSKEY that was read once, for all that it will check.
type key struct {
	*dns.DNSKEY
	rdata  []byte // RFC 4034 §2.1
	tag    uint16
	verify verifier
}

func newKey(rr *dns.DNSKEY) *key {
	k := &key{DNSKEY: rr}
	public, err := base64.StdEncoding.DecodeString(rr.PublicKey)
	if err != nil {
		k.verify = func(_, _ []byte) error { return errors.New("the key is not base64") }
		return k
	}
	k.rdata = binary.BigEndian.AppendUint16(make([]byte, 0, 4+len(public)), rr.Flags)
	k.rdata = append(k.rdata, rr.Protocol, rr.Algorithm)
	k.rdata = append(k.rdata, public...)
	k.tag = keyTag(k.rdata)
	k.verify = newVerifier(rr.Algorithm, public)
	return k
}

func newKeys(set []dns.RR) []*key {
	var keys []*key
	for _, rr := range records[*dns.DNSKEY](set) {
		keys = append(keys, newKey(rr))
	}
	return keys
}

// keyTag is RFC 4034 appendix B.
func keyTag(rdata []byte) uint16 {
	var sum uint32
	for i, octet := range rdata {
		sum += uint32(octet) << (8 * (1 - i&1))
	}
	return uint16(sum + sum>>16)
}

// digest returns what a DS of digestType has for k, the apex of whose zone is
// zone (RFC 4034 §5.1.4); nil where the type is not supported.
func (k *key) digest(zone string, digestType uint8) []byte {
	owner, err := wireName(zone)
	if err != nil || k.rdata == nil {
		return nil
	}
	data := append(owner, k.rdata...)
	switch digestType {
	case dns.SHA1:
		return digest(crypto.SHA1, data)
	case dns.SHA256:
		return digest(crypto.SHA256, data)
	case dns.SHA384:
		return digest(crypto.SHA384, data)
	}
	return nil
}

// leadsTo reports whether ds names k (RFC 4035 §5.2).
func leadsTo(ds *dns.DS, k *key, zone string) bool {
	if ds.Algorithm != k.Algorithm || ds.KeyTag != k.tag {
		return false
	}
	return hasDigest(ds, k.digest(zone, ds.DigestType))
}

func hasDigest(ds *dns.DS, digest []byte) bool {
	want, err := hex.DecodeString(ds.Digest)
	return err == nil && len(want) > 0 && bytes.Equal(want, digest)
}

// keyName names a key as operators do.
func keyName(tag uint16, algorithm uint8) string {
	return "key " + strconv.Itoa(int(tag)) + ", " + algorithmName(algorithm)
}

func records[T dns.RR](set []dns.RR) []T {
	var list []T
	for _, rr := range set {
		if r, ok := rr.(T); ok {
			list = append(list, r)
		}
	}
	return list
}
