package zone

import (
	"fmt"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// A signature is valid for two weeks, from one to two hours before it is made.
const (
	backdate = time.Hour
	lifetime = 14 * 24 * time.Hour
)

// Signing is an RRset before it is signed. A Fault may change any field.
type Signing struct {
	Set       []dns.RR
	Keys      []Key  // each makes one signature; none: the RRset stays unsigned
	Signer    string // the signer's name: the zone's apex
	Inception time.Time
	Expiry    time.Time
}

// window returns the validity period of signatures made at now. It changes once an
// hour, so that signatures can be cached and equal times give equal signatures.
func window(now time.Time) (inception, expiry time.Time) {
	inception = now.Add(-backdate).UTC().Truncate(time.Hour)
	return inception, inception.Add(lifetime)
}

// signing returns how the zone signs set (RFC 4035 §2.2). Of the RRsets at a zone
// cut, the parent signs DS but not NS.
func (l *zoneData) signing(set []dns.RR, now time.Time) Signing {
	s := Signing{Set: set, Signer: l.apex}
	s.Inception, s.Expiry = window(now)
	header := set[0].Header()
	if header.Rrtype == dns.TypeNS && l.isCut(header.Name) {
		return s
	}
	for _, key := range l.keys {
		if l.signs(key, header.Rrtype) {
			s.Keys = append(s.Keys, key)
		}
	}
	return s
}

// signs reports whether key signs RRsets of that type. Secure entry points sign
// DNSKEY, other keys sign the rest. A key that is the only one of its algorithm signs
// both.
func (l *zoneData) signs(key Key, rrtype uint16) bool {
	if key.signer == nil {
		return false
	}
	forKeys := rrtype == dns.TypeDNSKEY
	if key.SEP() == forKeys {
		return true
	}
	for _, other := range l.keys {
		if other.signer != nil && other.Public.Algorithm == key.Public.Algorithm && other.SEP() == forKeys {
			return false
		}
	}
	return true
}

// sign returns a signature by each key.
func (s Signing) sign() ([]*dns.RRSIG, error) {
	var signatures []*dns.RRSIG
	for _, key := range s.Keys {
		if key.signer == nil {
			return nil, fmt.Errorf("sign %s with key %d: it has no private key", s.Set[0].Header().Name, key.Public.KeyTag())
		}
		signature := &dns.RRSIG{
			Hdr:        dns.RR_Header{Ttl: s.Set[0].Header().Ttl},
			Algorithm:  key.Public.Algorithm,
			KeyTag:     key.Public.KeyTag(),
			SignerName: s.Signer,
			Inception:  uint32(s.Inception.Unix()),
			Expiration: uint32(s.Expiry.Unix()),
		}
		if err := signature.Sign(key.signer, s.Set); err != nil {
			header := s.Set[0].Header()
			return nil, fmt.Errorf("sign %s %s with key %d: %w", header.Name, dns.TypeToString[header.Rrtype], signature.KeyTag, err)
		}
		signatures = append(signatures, signature)
	}
	return signatures, nil
}

// sigCache contains the signatures with the current validity period. The zone is part
// of the key: at a zone cut, parent and child have RRsets of the same name and type.
type sigCache struct {
	mu         sync.Mutex
	inception  time.Time
	signatures map[Place][]*dns.RRSIG
}

func (c *sigCache) get(place Place, inception time.Time) ([]*dns.RRSIG, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.inception.Equal(inception) {
		c.inception, c.signatures = inception, map[Place][]*dns.RRSIG{}
	}
	signatures, ok := c.signatures[place]
	return signatures, ok
}

func (c *sigCache) put(place Place, inception time.Time, signatures []*dns.RRSIG) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inception.Equal(inception) {
		c.signatures[place] = signatures
	}
}
