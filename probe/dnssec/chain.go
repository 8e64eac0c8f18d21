package dnssec

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// zone is the verdict on one zone: secure, with the keys that sign its data,
// or insecure, with the reason. A zone is never changed once it is made, so
// that look-ups can share it.
type zone struct {
	name   string
	status Status // Secure or Insecure
	keys   []*key
	parent *zone // nil for one with a trust anchor of its own
	link   Link

	own     Validity  // of the signature over its keys
	parents Validity  // of everything above, its DS included
	until   time.Time // the end of its TTL or its signatures, whichever comes first
	since   time.Time // the latest inception above and in it
}

func (z *zone) secure() bool { return z.status == Secure }

// holds reports whether the verdict on z can be used at a time.
func (z *zone) holds(at time.Time) bool { return !at.Before(z.since) && !at.After(z.until) }

// links is the chain from the trust anchor down to z.
func (z *zone) links() []Link {
	depth := 0
	for above := z; above != nil; above = above.parent {
		depth++
	}
	list := make([]Link, depth)
	for ; z != nil; z = z.parent {
		depth--
		list[depth] = z.link
	}
	return list
}

// anchor is the zone with the trust anchor that z hangs from.
func (z *zone) anchor() *zone {
	for z.parent != nil {
		z = z.parent
	}
	return z
}

// zone judges the zone at name. Where the zone above is insecure, that is the
// answer. Where the zone above proves that there is no zone cut at name, it
// returns nil.
func (v *validation) zone(name string) (*zone, error) {
	if z := v.known(name); z != nil {
		return z, nil
	}
	if _, ok := v.uncut[name]; ok {
		return nil, nil
	}
	if f := cmp.Or(v.bogus[name], v.failed[name]); f != nil {
		own := *f // others hold it too
		return nil, &own
	}
	if set := v.anchors[name]; len(set) > 0 {
		z, err := v.keyed(name, set, nil, proof{})
		return v.keep(name, z, err)
	}
	if v.closest(name) == "" {
		return v.unanchored(), nil
	}
	if _, asked := v.replies[question{name, dns.TypeDS}]; slices.Contains(v.named, name) {
		v.ledger.need(question{name, dns.TypeDNSKEY})
		if !asked {
			v.want(question{name, dns.TypeDNSKEY})
		}
	}
	r, err := v.ask(question{name, dns.TypeDS})
	if err != nil {
		return nil, err
	}
	parent, err := v.delegator(name, r)
	if err != nil || !parent.secure() {
		return parent, err
	}
	z, err := v.delegation(name, r, parent)
	return v.keep(name, z, err)
}

// keep notes the verdict on the zone at name.
func (v *validation) keep(name string, z *zone, err error) (*zone, error) {
	if z != nil && err == nil {
		put(&v.judged, z.name, z)
	}
	if f := isBogus(err); f != nil {
		own := *f.beneath(f.above, name)
		put(&v.failed, name, &own)
	}
	return z, err
}

// signer judges a zone that a signature names: its keys are asked for together
// with its DS.
func (v *validation) signer(name string) (*zone, error) {
	if !slices.Contains(v.named, name) {
		v.named = append(v.named, name)
	}
	return v.zone(name)
}

// known is the zone at name where it has been judged, here or before; nil, if not.
func (v *validation) known(name string) *zone {
	if z := v.judged[name]; z != nil {
		return z
	}
	if z := v.zones[name]; z != nil && z.holds(v.at) {
		return z
	}
	return nil
}

// unanchored is the verdict on names under no trust anchor (RFC 4033 §5 calls
// them indeterminate; for a client they are insecure, see Insecure).
func (v *validation) unanchored() *zone {
	return &zone{name: ".", status: Insecure, since: v.at, until: v.at,
		link: Link{Zone: ".", Status: Insecure, Why: "no trust anchor covers the name"}}
}

// closest is the deepest zone at or above name that is known or has an anchor;
// empty where no anchor covers the name.
func (v *validation) closest(name string) string {
	for n := labels(name); n >= 0; n-- {
		candidate := suffix(name, n)
		if v.known(candidate) != nil || len(v.anchors[candidate]) > 0 {
			return candidate
		}
	}
	return ""
}

// apex is the deepest zone that holds name, found cut by cut from the deepest
// one known; an insecure one ends the walk.
func (v *validation) apex(name string) (*zone, error) {
	start := v.closest(name)
	if start == "" {
		return v.unanchored(), nil
	}
	z, err := v.zone(start)
	if err != nil {
		return nil, err
	}
	for n := labels(start) + 1; n <= labels(name) && z.secure(); n++ {
		child := suffix(name, n)
		next, err := v.zone(child)
		if err != nil {
			return nil, err
		}
		if next != nil {
			z = next
		} else if v.uncut[child].void {
			break // nothing exists below a name that does not (RFC 8020 §2)
		}
	}
	return z, nil
}

// delegator is the zone above a cut: the deepest that claims to have signed
// what r says about the DS of name, or, where none does that is a zone and below
// what is known already, the one that should have.
func (v *validation) delegator(name string, r *reply) (*zone, error) {
	above := parentOf(name)
	floor := v.closest(above)
	if signers := v.signersOf(delegationSigs(r, name), name, dns.TypeDS); len(signers) > 0 && within(signers[0], floor) {
		z, err := v.signer(signers[0])
		if z != nil || err != nil {
			return z, err
		}
	}
	return v.apex(above)
}

// delegationSigs gathers the signatures that say who answers for name.
func delegationSigs(r *reply, name string) []*dns.RRSIG {
	var sigs []*dns.RRSIG
	for _, set := range r.answer {
		if set.name == name && (set.rrtype == dns.TypeDS || set.rrtype == dns.TypeCNAME) ||
			set.rrtype == dns.TypeDNAME && below(name, set.name) {
			sigs = append(sigs, set.sigs...)
		}
	}
	return append(sigs, denialSigs(r)...)
}

// delegation judges the cut at name by what its parent, a secure zone, says of
// the DS (RFC 4035 §5.2). It returns nil where there is no cut.
func (v *validation) delegation(name string, r *reply, parent *zone) (*zone, error) {
	if set := r.find(name, dns.TypeDS); set != nil {
		p, f := v.authenticate(set, parent.keys, parent.name)
		switch {
		case f == nil && p.wildcard != "":
			f = bogus("%s was expanded from the wildcard %s", set, p.wildcard)
		case f != nil && len(set.sigs) == 0:
			return nil, v.unsigned(parent, set.String())
		}
		if f != nil {
			return nil, f.beneath(parent, name)
		}
		return v.keyed(name, records[*dns.DS](set.records), parent, p)
	}
	if set := r.find(name, dns.TypeCNAME); set != nil && len(set.sigs) > 0 {
		return v.aliasedCut(name, set, parent)
	}
	if set := r.dnameAbove(name); set != nil {
		return v.aliasedCut(name, set, parent)
	}
	d, err := v.denial(r, parent)
	if err != nil {
		return nil, err
	}
	if d.empty() && !d.tried {
		return nil, v.unsigned(parent, "the answer that "+name+" has no DS")
	}
	cut, why, limit := d.delegation(name)
	switch {
	case limit != nil:
		return nil, limit
	case cut == noCut || cut == nothingBelow:
		put(&v.uncut, name, uncut{void: cut == nothingBelow, until: v.at.Add(d.proof.ttl)})
		return nil, nil
	case cut == insecureCut:
		return v.insecure(name, parent, d.proof, nil, why), nil
	}
	return nil, bogus("%s proves neither that %s has a DS nor that it has none: %s", parent.name, name, why).beneath(parent, name)
}

// aliasedCut: a name that is an alias, or lies below a DNAME, is no zone cut.
func (v *validation) aliasedCut(name string, set *rrset, parent *zone) (*zone, error) {
	p, f := v.authenticate(set, parent.keys, parent.name)
	if f != nil {
		return nil, f.beneath(parent, name)
	}
	put(&v.uncut, name, uncut{until: v.at.Add(p.ttl)})
	return nil, nil
}

// insecure makes the verdict on a zone that its parent, a secure zone, proves
// to be insecure; p is the proof.
func (v *validation) insecure(name string, parent *zone, p proof, ds []*dns.DS, why string) *zone {
	z := &zone{name: name, status: Insecure, parent: parent, parents: parent.own.And(parent.parents).And(p.Validity)}
	z.link = Link{Zone: name, Status: Insecure, DS: describeDS(ds, nil), Why: why, Validity: p.Validity}
	z.since, z.until = lifetime(z, parent, v.at, p.ttl)
	return z
}

// maxTTL is the longest that a verdict is kept, whatever the TTL says: nobody
// should have to wait for years after a mistake (RFC 8767 §4 has a similar cap).
const maxTTL = 24 * time.Hour

// lifetime bounds the use of a verdict by TTL, signatures, and its parent's.
func lifetime(z, parent *zone, at time.Time, ttl time.Duration) (since, until time.Time) {
	all := z.own.And(z.parents)
	since, until = all.Inception, at.Add(min(ttl, maxTTL))
	if !all.Expiry.IsZero() && all.Expiry.Before(until) {
		until = all.Expiry
	}
	if parent != nil && parent.until.Before(until) {
		until = parent.until
	}
	return since, until
}

// keyed judges a zone by its DS set, or its trust anchors, and its DNSKEY
// RRset. p proves the DS set; an anchor needs no proof.
func (v *validation) keyed(name string, set []*dns.DS, parent *zone, p proof) (*zone, error) {
	usable := v.options.usableDS(set)
	if len(usable) == 0 {
		why := "no DS has both an algorithm and a digest type that are supported"
		if parent == nil {
			why = "no trust anchor has both an algorithm and a digest type that are supported"
			z := &zone{name: name, status: Insecure, since: v.at, until: v.at.Add(time.Hour)}
			z.link = Link{Zone: name, Status: Insecure, DS: describeDS(set, nil), Why: why}
			return z, nil
		}
		return v.insecure(name, parent, p, set, why+v.sha1Note(set)), nil
	}
	r, err := v.ask(question{name, dns.TypeDNSKEY})
	if err != nil {
		return nil, err
	}
	keys := r.find(name, dns.TypeDNSKEY)
	switch {
	case (keys == nil || len(keys.sigs) == 0) && parent == nil:
		return nil, stripped(r, name)
	case keys == nil:
		return nil, bogus("%s has a DS in %s but answers with no DNSKEY", name, parent.name).beneath(parent, name)
	case len(keys.sigs) == 0:
		return nil, v.unsigned(parent, keys.String())
	}
	z, f := v.trusted(name, usable, keys, parent, p)
	if f != nil {
		return nil, f.beneath(parent, name)
	}
	z.link.DS = describeDS(set, z.link.Keys)
	return z, nil
}

// trusted looks for a key that a DS names and that signs the zone's keys
// (RFC 4035 §5.2); then every key of the RRset may sign the zone's data
// (RFC 6840 §5.11: one path is enough).
func (v *validation) trusted(name string, usable []*dns.DS, keys *rrset, parent *zone, p proof) (*zone, *fault) {
	all := newKeys(keys.records)
	named, f := v.ledger.named(usable, all, name)
	if f != nil {
		return nil, f
	}
	var entry []*key
	revoked := false
	for _, k := range all {
		if named[k] {
			if mayVerify(k.DNSKEY) {
				entry = append(entry, k)
			}
			revoked = revoked || k.Flags&dns.REVOKE != 0
		}
	}
	if len(entry) == 0 {
		of := "the DS set names"
		if parent == nil {
			of = "the trust anchors name"
		}
		if revoked {
			return nil, bogus("the key of %s that %s is revoked (RFC 5011)", name, of)
		}
		return nil, bogus("no DNSKEY of %s matches what %s (%s)", name, of, tags(usable))
	}
	signed, f := v.authenticate(keys, entry, name)
	if f != nil {
		return nil, f
	}
	if signed.wildcard != "" {
		return nil, bogus("the keys of %s were expanded from the wildcard %s", name, signed.wildcard)
	}
	z := &zone{name: name, status: Secure, parent: parent, own: signed.Validity, parents: p.Validity}
	ttl := signed.ttl
	if parent != nil {
		z.parents = parent.own.And(parent.parents).And(p.Validity)
		ttl = min(ttl, p.ttl)
	}
	for _, k := range all {
		if mayVerify(k.DNSKEY) && v.options.supports(k.Algorithm) {
			z.keys = append(z.keys, k)
		}
	}
	z.since, z.until = lifetime(z, parent, v.at, ttl)
	z.link = Link{Zone: name, Status: Secure, Keys: describeKeys(all, signed.key), Validity: signed.Validity.And(p.Validity)}
	z.link.Why = fmt.Sprintf("its keys are signed by %s, valid until %s", keyName(signed.tag, signed.alg), clock(signed.Expiry))
	if parent == nil {
		z.link.Why += "; that key is a trust anchor"
	} else {
		z.link.Why += fmt.Sprintf("; %s vouches for that key", parent.name)
	}
	return z, nil
}

// named finds the keys of zone that a DS names (RFC 4035 §5.2). Nothing but the
// tag says which key a DS may mean, and anybody can make many keys of one tag, or
// many DS records: it gives up where there are too many (CVE-2023-50387).
func (l *ledger) named(set []*dns.DS, keys []*key, zone string) (map[*key]bool, *fault) {
	type label struct {
		tag       uint16
		algorithm uint8
	}
	labelled := make(map[label][]*key)
	for _, k := range keys {
		labelled[label{k.tag, k.Algorithm}] = append(labelled[label{k.tag, k.Algorithm}], k)
	}
	named := make(map[*key]bool)
	for _, ds := range set {
		for i, k := range labelled[label{ds.KeyTag, ds.Algorithm}] {
			if i == l.limits.collisions {
				return nil, exceeded(i, "keys of one tag for a DS of "+zone)
			}
			digest, limit := l.digest(k, zone, ds.DigestType)
			if limit != nil {
				return nil, limit
			}
			if hasDigest(ds, digest) {
				named[k] = true
				break
			}
		}
	}
	return named, nil
}

// sha1Note says what Options.SHA1 decided here.
func (v *validation) sha1Note(set []*dns.DS) string {
	if v.options.SHA1 == SHA1Accept {
		return ""
	}
	for _, ds := range set {
		if ds.Algorithm == dns.RSASHA1 || ds.Algorithm == dns.RSASHA1NSEC3SHA1 {
			return "; signatures made with SHA-1 count for nothing (RFC 9905)"
		}
	}
	return ""
}

// maxShown is how many keys, or DS records, of one zone are told to people.
const maxShown = 16

// describeKeys names the keys of a zone; those that sign come first.
func describeKeys(keys []*key, signing *key) []Key {
	list := make([]Key, 0, len(keys))
	for _, k := range keys {
		list = append(list, Key{Tag: k.tag, Algorithm: k.Algorithm, SEP: k.Flags&dns.SEP != 0, Signing: k == signing})
	}
	signingFirst(list)
	return list[:min(len(list), maxShown)]
}

func signingFirst(list []Key) {
	rank := func(k Key) int {
		if k.Signing {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(list, func(a, b Key) int { return rank(a) - rank(b) })
}

// describeDS names DS records; those that lead to a signing key are used, and
// come first where there are too many to show.
func describeDS(set []*dns.DS, keys []Key) []DS {
	list := make([]DS, 0, len(set))
	for _, ds := range set {
		used := slices.ContainsFunc(keys, func(k Key) bool {
			return k.Signing && k.Tag == ds.KeyTag && k.Algorithm == ds.Algorithm
		})
		one := DS{Tag: ds.KeyTag, Algorithm: ds.Algorithm, DigestType: ds.DigestType, Used: used}
		if used && len(list) >= maxShown {
			list = slices.Insert(list, 0, one)
		} else {
			list = append(list, one)
		}
	}
	return list[:min(len(list), maxShown)]
}

func tags(set []*dns.DS) string {
	var words []string
	for i, ds := range set {
		if len(words) == maxShown {
			words = append(words, fmt.Sprintf("and %d records more", len(set)-i))
			break
		}
		if word := keyName(ds.KeyTag, ds.Algorithm); !slices.Contains(words, word) {
			words = append(words, word)
		}
	}
	return strings.Join(words, "; ")
}
