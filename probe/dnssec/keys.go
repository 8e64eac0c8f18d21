package dnssec

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"

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

// mayVerify reports whether key can verify records of its zone: the ZONE flag
// (RFC 4034 §2.1.1), the protocol (§2.1.2), and not revoked (RFC 5011 §2.1).
func mayVerify(key *dns.DNSKEY) bool {
	return key.Flags&dns.ZONE != 0 && key.Flags&dns.REVOKE == 0 && key.Protocol == 3
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

// digestOf returns the digest that a DS of digestType has for key, the apex of
// whose zone is zone (RFC 4034 §5.1.4); nil where the type is not supported.
func digestOf(key *dns.DNSKEY, zone string, digestType uint8) []byte {
	owner, err := wireName(zone)
	if err != nil {
		return nil
	}
	rdata, err := keyRDATA(key)
	if err != nil {
		return nil
	}
	data := append(owner, rdata...)
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

func keyRDATA(key *dns.DNSKEY) ([]byte, error) {
	public, err := base64.StdEncoding.DecodeString(key.PublicKey)
	if err != nil {
		return nil, err
	}
	rdata := binary.BigEndian.AppendUint16(nil, key.Flags)
	rdata = append(rdata, key.Protocol, key.Algorithm)
	return append(rdata, public...), nil
}

// leadsTo reports whether ds names key (RFC 4035 §5.2).
func leadsTo(ds *dns.DS, key *dns.DNSKEY, zone string) bool {
	if ds.Algorithm != key.Algorithm || ds.KeyTag != key.KeyTag() {
		return false
	}
	want, err := hex.DecodeString(ds.Digest)
	return err == nil && len(want) > 0 && bytes.Equal(want, digestOf(key, zone, ds.DigestType))
}

// keyName names a key as operators do.
func keyName(tag uint16, algorithm uint8) string {
	return fmt.Sprintf("key %d, %s", tag, algorithmName(algorithm))
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
