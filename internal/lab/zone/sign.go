package zone

import (
	"fmt"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// Signatures hold from an hour or two ago for two weeks.
const (
	backdate = time.Hour
	lifetime = 14 * 24 * time.Hour
)

// Signing is one RRset about to be signed. A Fault may change all of it.
type Signing struct {
	Set       []dns.RR
	Keys      []Key  // each makes one signature; none: the RRset goes out unsigned
	Signer    string // the signer's name: the zone's apex
	Inception time.Time
	Expiry    time.Time
}

// window is the validity of signatures made at now. It moves once an hour, so
// that equal times give equal signatures and few need making.
func window(now time.Time) (inception, expiry time.Time) {
	inception = now.Add(-backdate).UTC().Truncate(time.Hour)
	return inception, inception.Add(lifetime)
}

// signing says how the zone signs set (RFC 4035 §2.2). What is delegated away
// is not the zone's to sign, but for the DS.
func (l *loaded) signing(set []dns.RR, now time.Time) Signing {
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

// signs reports whether key signs RRsets of that type: secure entry points
// sign the keys, the others everything else; who has no other, does both.
func (l *loaded) signs(key Key, rrtype uint16) bool {
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

// make signs: one signature for each key.
func (s Signing) make() ([]*dns.RRSIG, error) {
	var signatures []*dns.RRSIG
	for _, key := range s.Keys {
		if key.signer == nil {
			return nil, fmt.Errorf("sign %s with key %d: nobody can sign with it", s.Set[0].Header().Name, key.Public.KeyTag())
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

// memo keeps the signatures made for the window of one hour. The zone belongs
// to the key: at a cut, parent and child have RRsets of the same name and type.
type memo struct {
	mu        sync.Mutex
	inception time.Time
	made      map[Place][]*dns.RRSIG
}

func (m *memo) get(place Place, inception time.Time) ([]*dns.RRSIG, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.inception.Equal(inception) {
		m.inception, m.made = inception, map[Place][]*dns.RRSIG{}
	}
	signatures, ok := m.made[place]
	return signatures, ok
}

func (m *memo) put(place Place, inception time.Time, signatures []*dns.RRSIG) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.inception.Equal(inception) {
		m.made[place] = signatures
	}
}
