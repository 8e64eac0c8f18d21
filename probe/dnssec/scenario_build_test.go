package dnssec_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/dns"

	"dane_exporter/internal/lab/zone"
	"dane_exporter/probe/dnssec"
)

// build builds the Internet with its faults, and the trust anchors.
func (s *scenario) build() error {
	zones, err := s.buildZones()
	if err != nil {
		return err
	}
	if s.net, err = zone.New(clock, zones...); err != nil {
		return err
	}
	var rrsets []zone.Fault
	for _, line := range s.faults {
		fault, err := (&faultBuilder{s}).fault(line)
		if err != nil {
			return fmt.Errorf("%s: %s: %w", line.at, line.verb, err)
		}
		s.net.Break(fault)
		fault.Answer = nil // the other faults concern RRsets, wherever they occur
		rrsets = append(rrsets, fault)
	}
	for _, twin := range s.twins {
		twin.Break(rrsets...)
	}
	s.trustAnchors, err = s.buildAnchors()
	return err
}

func (s *scenario) buildZones() ([]zone.Zone, error) {
	records := make(map[string]string) // DS records, by apex
	for _, z := range s.zones {
		for _, word := range z.ds {
			ds, err := s.ds(z.Apex, word)
			if err != nil {
				return nil, fmt.Errorf("zone %s: %w", z.Apex, err)
			}
			records[s.zoneAbove(z.Apex).Apex] += ds.String() + "\n"
		}
	}
	var zones []zone.Zone
	if s.zoneOf(".").Apex != "." {
		zones = append(zones, zone.Zone{Apex: ".", Records: records["."]})
	}
	for _, z := range s.zones {
		built := z.Zone
		built.Records += records[z.Apex]
		for _, word := range z.keys {
			key, err := s.key(z.Apex, word)
			if err != nil {
				return nil, fmt.Errorf("zone %s: %w", z.Apex, err)
			}
			if slices.ContainsFunc(built.Keys, func(k zone.Key) bool { return k.Public.PublicKey == key.Public.PublicKey }) {
				return nil, fmt.Errorf("zone %s: %s is the same as an earlier key: give it another role", z.Apex, word)
			}
			built.Keys = append(built.Keys, key)
		}
		zones = append(zones, built)
	}
	return zones, nil
}

// missingRoot stands for a root zone that the scenario does not have.
var missingRoot = &zoneText{}

// zoneOf returns the zone of the scenario that name is in.
func (s *scenario) zoneOf(name string) *zoneText {
	best := missingRoot
	for _, z := range s.zones {
		if dns.IsSubDomain(z.Apex, name) && len(z.Apex) > len(best.Apex) {
			best = z
		}
	}
	return best
}

func (s *scenario) zoneAbove(apex string) *zoneText {
	above := s.zoneOf(parentName(apex))
	if above == missingRoot {
		return &zoneText{Zone: zone.Zone{Apex: "."}}
	}
	return above
}

func parentName(name string) string {
	if i, end := dns.NextLabel(name, 0); !end {
		return name[i:]
	}
	return "."
}

// key returns the key for a word such as zsk, ksk-old:8, org./zsk:idle or
// ksk:revoked. apex is the default zone.
func (s *scenario) key(apex, word string) (zone.Key, error) {
	if before, after, ok := strings.Cut(word, "/"); ok {
		apex, word = dns.CanonicalName(before), after
	}
	words := strings.Split(word, ":")
	role := words[0]
	algorithm, flags := dns.ECDSAP256SHA256, uint16(dns.ZONE)
	if z := s.zoneOf(apex); z.Apex == apex && len(z.Algorithms) > 0 {
		algorithm = z.Algorithms[0]
	}
	if !strings.HasPrefix(role, "zsk") {
		flags |= dns.SEP
	}
	idle, protocol, twin := false, uint8(3), 0
	for _, attribute := range words[1:] {
		switch name, value, _ := strings.Cut(attribute, "="); name {
		case "idle":
			idle = true
		case "revoked":
			flags |= dns.REVOKE
		case "no-zone":
			flags &^= dns.ZONE
		case "no-sep":
			flags &^= dns.SEP
		case "protocol":
			n, err := octets([]string{value})
			if err != nil {
				return zone.Key{}, err
			}
			protocol = n[0]
		case "twin":
			n, err := strconv.Atoi(value)
			if err != nil {
				return zone.Key{}, err
			}
			twin = n
		default:
			n, err := octets([]string{attribute})
			if err != nil {
				return zone.Key{}, fmt.Errorf("key %s: %s is neither an algorithm nor an attribute", word, attribute)
			}
			algorithm = n[0]
		}
	}
	key, err := zone.NewKey(apex, role, algorithm, flags)
	if err != nil {
		return zone.Key{}, err
	}
	key.Public.Protocol = protocol
	if idle {
		key = key.Idle()
	}
	if twin > 0 {
		return key.Twin(twin)
	}
	return key, nil
}

// ds returns the DS record for a word such as ksk:digest=1: the words of a key,
// then those of the DS. wrong is a digest of something else, cut half of the right
// one. An unknown digest type has the digest of SHA-256.
func (s *scenario) ds(apex, word string) (*dns.DS, error) {
	words := strings.Split(word, ":")
	isDS := func(word string) bool {
		name, _, _ := strings.Cut(word, "=")
		return slices.Contains([]string{"digest", "wrong", "cut", "as-algorithm", "as-tag"}, name)
	}
	i := slices.IndexFunc(words, isDS)
	if i < 0 {
		i = len(words)
	}
	key, err := s.key(apex, strings.Join(words[:i], ":"))
	if err != nil {
		return nil, err
	}
	ds := key.Public.ToDS(dns.SHA256)
	for _, word := range words[i:] {
		name, value, _ := strings.Cut(word, "=")
		n, err := uint64(0), error(nil)
		if value != "" {
			if n, err = strconv.ParseUint(value, 10, 16); err != nil {
				return nil, fmt.Errorf("%s: %w", word, err)
			}
		}
		switch name {
		case "digest":
			if known := key.Public.ToDS(uint8(n)); known != nil {
				ds = known
			}
			ds.DigestType = uint8(n)
		case "wrong":
			ds.Digest = strings.Repeat("5a", len(ds.Digest)/2)
		case "cut":
			ds.Digest = ds.Digest[:len(ds.Digest)/2]
		case "as-algorithm":
			ds.Algorithm = uint8(n)
		case "as-tag":
			ds.KeyTag = uint16(n)
		default:
			return nil, fmt.Errorf("%s: not a word of DS records", word)
		}
	}
	return ds, nil
}

func (s *scenario) buildAnchors() ([]dnssec.Anchor, error) {
	if s.anchors == nil {
		return s.net.Anchors(), nil
	}
	var anchors []dnssec.Anchor
	for _, word := range s.anchors {
		if word == "none" {
			continue
		}
		ds, err := s.ds(".", word)
		if err != nil {
			return nil, fmt.Errorf("anchors: %w", err)
		}
		anchors = append(anchors, *ds)
	}
	return anchors, nil
}
