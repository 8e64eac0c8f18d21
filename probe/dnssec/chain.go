package dnssec

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// zone is the verdict on one zone: secure, with the keys that sign its data, or
// insecure, with the reason. It is immutable, so that lookups can share it.
type zone struct {
	name   string
	status Status // Secure or Insecure
	keys   []*key
	parent *zone // nil for a zone with a trust anchor
	link   Link

	// presumed: the parent does not prove that the name is delegated, only that it
	// may be. The cause is opt-out or NSEC3 records with too many iterations. A zone
	// that the parent delegates below that name with a signed DS is secure all the
	// same.
	presumed bool

	own   Validity  // of the signature over its keys
	cut   Validity  // of its DS or the proof of its absence, signed by the parent
	until time.Time // the end of its TTL or of its signatures, whichever is first
	since time.Time // the latest inception in it and above
}

func (z *zone) secure() bool { return z.status == Secure }

// validAt reports whether the verdict on z can be used at a time.
func (z *zone) validAt(at time.Time) bool { return !at.Before(z.since) && !at.After(z.until) }

// links returns the chain from the trust anchor down to z. The caller owns the
// links, but not their keys and DS records.
func (z *zone) links() []Link {
	var list []Link
	var below Validity // of the cut to the zone below
	for ; z != nil; z = z.parent {
		link := z.link
		link.Validity = z.own.And(below)
		list = append(list, link)
		below = z.cut
	}
	slices.Reverse(list)
	return list
}

// anchor returns the zone with the trust anchor at the top of the chain of z.
func (z *zone) anchor() *zone {
	for z.parent != nil {
		z = z.parent
	}
	return z
}

// zone judges the zone at name. If the zone above is insecure, it returns that
// zone. If the zone above proves that there is no zone cut at name, it returns
// nil.
func (v *validation) zone(name string) (*zone, error) {
	if z := v.knownZone(name); z != nil {
		return z, nil
	}
	if _, ok := v.noCut(name); ok {
		return nil, nil
	}
	if f := cmp.Or(v.evidence.bogus[name], v.bogus[name]); f != nil {
		own := *f // the original is shared
		return nil, &own
	}
	if anchors := v.rules.anchors[name]; len(anchors) > 0 {
		z, err := v.zoneFromDS(name, anchors, nil, proof{})
		v.recordZone(name, z, err)
		return z, err
	}
	if v.anchorOver(name, dns.TypeNone) == "" {
		return v.unanchoredZone(), nil
	}
	if slices.Contains(v.signers, name) {
		keys := question{name, dns.TypeDNSKEY}
		v.budget.addNeeded(keys)
		if v.evidence.replies[question{name, dns.TypeDS}] == nil {
			v.require(keys)
		}
	}
	r, err := v.reply(question{name, dns.TypeDS})
	if err != nil {
		return nil, err
	}
	parent, err := v.parentZone(name, r)
	if err != nil || !parent.secure() {
		return parent, err
	}
	z, err := v.delegation(name, r, parent)
	if z != nil && z.presumed {
		z, err = v.confirmPresumed(z, name)
	}
	v.recordZone(name, z, err)
	return z, err
}

// confirmPresumed returns z, which its parent presumes to be insecure, unless a
// zone between them contains the name: then the parent proves nothing about it.
func (v *validation) confirmPresumed(z *zone, name string) (*zone, error) {
	above := parentOf(name)
	if above == z.parent.name {
		return z, nil
	}
	closest, err := v.enclosingZone(above)
	switch {
	case err != nil:
		return nil, err
	case closest.name == z.parent.name:
		return z, nil
	case !closest.secure():
		return closest, nil
	}
	f := bogus("%s proves neither that %s has a DS nor that it has none: the denial is signed by %s", closest.name, name, z.parent.name)
	return nil, atFault(atCut(f, closest, name), closest.name)
}

// recordZone records the verdict on the zone at name.
func (v *validation) recordZone(name string, z *zone, err error) {
	if z != nil && err == nil {
		v.zones[z.name] = z
	}
	if f, isBogus := asBogus(err); isBogus {
		_ = atCut(err, f.above, name)
		own := *f
		v.bogus[name] = &own
	}
}

// signerZone judges a zone that a signature names. Its keys are queried together
// with its DS.
func (v *validation) signerZone(name string) (*zone, error) {
	if !slices.Contains(v.signers, name) {
		v.signers = append(v.signers, name)
	}
	return v.zone(name)
}

// knownZone returns the zone at name if it was validated, in this run or before,
// or nil.
func (v *validation) knownZone(name string) *zone {
	if z := v.zones[name]; z != nil {
		return z
	}
	if z := v.evidence.zones[name]; z != nil && z.validAt(v.rules.at) {
		return z
	}
	return nil
}

// unanchoredZone returns the verdict on names that no trust anchor covers.
// RFC 4033 §5 calls them indeterminate; for a client they are insecure, see
// Insecure.
func (v *validation) unanchoredZone() *zone {
	return &zone{name: ".", status: Insecure, since: v.rules.at, until: v.rules.at,
		link: Link{Zone: ".", Status: Insecure, Why: "no trust anchor covers the name"}}
}

// noCut returns the proof that name is not a zone cut, found in this run or
// before.
func (v *validation) noCut(name string) (noZoneCut, bool) {
	if n, ok := v.noCuts[name]; ok {
		return n, true
	}
	n, ok := v.evidence.noCuts[name]
	return n, ok
}

// enclosingZone returns the deepest zone that contains name. It finds it cut by
// cut, from the trust anchor down, and stops at an insecure zone. It does not start
// from a deeper zone that is known already: the result must not depend on what was
// looked up before.
func (v *validation) enclosingZone(name string) (*zone, error) {
	start := v.anchorOver(name, dns.TypeNone)
	if start == "" {
		return v.unanchoredZone(), nil
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
		} else if proof, _ := v.noCut(child); proof.nxdomain {
			break // nothing exists below a name that does not exist (RFC 8020 §2)
		}
	}
	return z, nil
}

// containingZone returns an answer whose FaultZone is the zone that contains a name. If the
// zone is not proven, FaultZone is the zone whose DNSKEY lookup failed, or empty. The error
// is errMissing or nil.
func (v *validation) containingZone(q question) (*Answer, error) {
	z, err := v.enclosingZone(q.name)
	switch {
	case errors.Is(err, errMissing):
		return nil, err
	case err != nil:
		return newAnswerBuilder(q).fail(err), nil
	case !z.secure() && z.name != q.name: // it is not proven which zones are below z
		return new(Answer), nil
	}
	return &Answer{FaultZone: z.name}, nil
}

// parentZone returns the zone above a cut at name. It is the deepest zone that
// claims to have signed what r contains about the DS of name. If that is no zone, it
// is the zone that should have signed it.
func (v *validation) parentZone(name string, r *reply) (*zone, error) {
	if signers := v.signersOf(delegationSigs(r, name), name, dns.TypeDS); len(signers) > 0 {
		z, err := v.signerZone(signers[0])
		if z != nil || err != nil {
			return z, err
		}
	}
	return v.enclosingZone(parentOf(name))
}

// delegationSigs returns the signatures that show which zone is authoritative for
// the DS of name. They are over the DS or an alias, or else over the denial.
func delegationSigs(r *reply, name string) []*dns.RRSIG {
	var sigs []*dns.RRSIG
	for _, set := range r.answer {
		if set.name == name && (set.rrtype == dns.TypeDS || set.rrtype == dns.TypeCNAME) ||
			set.rrtype == dns.TypeDNAME && below(name, set.name) {
			sigs = append(sigs, set.sigs...)
		}
	}
	if len(sigs) > 0 {
		return sigs
	}
	return denialSigs(r)
}

// delegation judges the cut at name by the reply about its DS, from the secure
// zone parent (RFC 4035 §5.2). It returns nil if there is no cut.
func (v *validation) delegation(name string, r *reply, parent *zone) (*zone, error) {
	set := r.find(name, dns.TypeDS)
	if set == nil {
		z, err := v.delegationWithoutDS(name, r, parent)
		return z, v.atParent(err, name, parent)
	}
	p, err := v.authenticateDS(set, parent)
	if err != nil {
		return nil, v.atParent(err, name, parent)
	}
	return v.zoneFromDS(name, records[*dns.DS](set.all()), parent, p)
}

// authenticateDS returns the proof of a DS RRset in parent.
func (v *validation) authenticateDS(set *rrset, parent *zone) (proof, error) {
	if len(set.sigs) == 0 {
		return proof{}, v.unsigned(parent, set.String())
	}
	p, err := v.authenticate(set, parent.keys, parent.name)
	if err == nil && p.wildcard != "" {
		err = bogus("%s was expanded from the wildcard %s", set, p.wildcard)
	}
	if err != nil {
		return proof{}, atCut(err, parent, set.name)
	}
	return p, nil
}

// atParent records the zone at fault for a DS at name, or for its denial, that does not
// validate: the zone that contains it. That is signer or a zone below signer, because a reply
// can name any zone above as its signer. atParent returns err, or errMissing.
func (v *validation) atParent(err error, name string, signer *zone) error {
	if _, isBogus := asBogus(err); !isBogus || signer.name == parentOf(name) {
		return atFault(err, signer.name)
	}
	container, containerErr := v.enclosingZone(parentOf(name))
	f, isBogus := asBogus(containerErr)
	switch {
	case errors.Is(containerErr, errMissing):
		return errMissing
	case containerErr == nil:
		return atFault(err, container.name)
	case isBogus:
		return atFault(err, f.zone)
	}
	return atFault(err, "")
}

// delegationWithoutDS judges the cut at name by a reply that has no DS RRset.
func (v *validation) delegationWithoutDS(name string, r *reply, parent *zone) (*zone, error) {
	if set := r.find(name, dns.TypeCNAME); set != nil && len(set.sigs) > 0 {
		return nil, v.recordAlias(name, set, parent)
	}
	if set := r.dnameAbove(name); set != nil {
		return nil, v.recordAlias(name, set, parent)
	}
	d, err := v.denial(r, parent)
	if err != nil {
		return nil, err
	}
	if d.empty() && !d.signed {
		return nil, v.unsigned(parent, "the answer that "+name+" has no DS")
	}
	result, err := d.delegation(name)
	if err != nil {
		return nil, err
	}
	switch result.cut {
	case noCut, nothingBelow:
		v.recordNoCut(name, result.cut == nothingBelow, result.chain.proof, parent)
		return nil, nil
	case insecureCut, presumedCut:
		z := v.insecureZone(name, parent, result.chain.proof, nil, result.why)
		z.presumed = result.cut == presumedCut
		return z, nil
	}
	return nil, atCut(d.unproven("%s proves neither that %s has a DS nor that it has none: %s", parent.name, name, result.why), parent, name)
}

// recordAlias records that name is no zone cut, because set, a CNAME at the name
// or a DNAME above it, makes it an alias.
func (v *validation) recordAlias(name string, set *rrset, parent *zone) error {
	p, err := v.authenticate(set, parent.keys, parent.name)
	if err != nil {
		return atCut(err, parent, name)
	}
	v.recordNoCut(name, false, p, parent)
	return nil
}

// recordNoCut records that parent proves that name is no zone cut; p is the proof. It
// is used for its TTL, and not longer than the verdict on parent, which maxTTL limits.
func (v *validation) recordNoCut(name string, nxdomain bool, p proof, parent *zone) {
	until := v.rules.at.Add(p.ttl)
	if parent.until.Before(until) {
		until = parent.until
	}
	v.noCuts[name] = noZoneCut{nxdomain: nxdomain, until: until}
}

// insecureZone returns the verdict on a zone that its parent, a secure zone,
// proves to be insecure; p is the proof.
func (v *validation) insecureZone(name string, parent *zone, p proof, ds []*dns.DS, why string) *zone {
	z := &zone{name: name, status: Insecure, parent: parent, cut: p.validity}
	z.link = Link{Zone: name, Status: Insecure, DS: describeDS(ds, nil), Why: why}
	z.setLifetime(v.rules.at, p.ttl)
	return z
}

// maxTTL is the maximum time that a verdict is cached, whatever its TTL, so that
// a mistake does not last for years (RFC 8767 §4 has a similar cap).
const maxTTL = 24 * time.Hour

// setLifetime limits the use of a verdict to its TTL, its signatures, and the
// lifetime of its parent.
func (z *zone) setLifetime(at time.Time, ttl time.Duration) {
	signed := z.own.And(z.cut)
	z.since, z.until = signed.Inception, at.Add(min(ttl, maxTTL))
	if !signed.Expiry.IsZero() && signed.Expiry.Before(z.until) {
		z.until = signed.Expiry
	}
	if z.parent == nil {
		return
	}
	if z.parent.since.After(z.since) {
		z.since = z.parent.since
	}
	if z.parent.until.Before(z.until) {
		z.until = z.parent.until
	}
}

// zoneFromDS judges a zone by its DS set, or its trust anchors if parent is nil,
// and its DNSKEY RRset. p is the proof of the DS set; anchors need none.
func (v *validation) zoneFromDS(name string, set []*dns.DS, parent *zone, p proof) (*zone, error) {
	usable := v.rules.options.usableDS(set)
	if len(usable) == 0 {
		if parent == nil {
			why := "no trust anchor has both an algorithm and a digest type that are supported"
			z := &zone{name: name, status: Insecure, since: v.rules.at, until: v.rules.at.Add(time.Hour)}
			z.link = Link{Zone: name, Status: Insecure, DS: describeDS(set, nil), Why: why}
			return z, nil
		}
		why := "no DS has both an algorithm and a digest type that are supported"
		if v.rules.options.SHA1 != SHA1Accept && slices.ContainsFunc(set, usesSHA1) {
			why += "; signatures made with SHA-1 are not accepted (RFC 9905)"
		}
		return v.insecureZone(name, parent, p, set, why), nil
	}
	r, err := v.reply(question{name, dns.TypeDNSKEY})
	if err != nil {
		return nil, atFault(err, name)
	}
	keys := r.find(name, dns.TypeDNSKEY)
	switch {
	case (keys == nil || len(keys.sigs) == 0) && parent == nil:
		return nil, stripped(r, name)
	case keys == nil:
		return nil, atFault(atCut(bogus("%s has a DS in %s but no DNSKEY", name, parent.name), parent, name), name)
	case len(keys.sigs) == 0:
		return nil, atFault(v.unsigned(parent, keys.String()), name)
	}
	z, err := v.secureZone(name, usable, keys, parent, p)
	if err != nil {
		return nil, atFault(atCut(err, parent, name), name)
	}
	z.link.DS = describeDS(set, z.link.Keys)
	return z, nil
}

func usesSHA1(ds *dns.DS) bool {
	return ds.Algorithm == dns.RSASHA1 || ds.Algorithm == dns.RSASHA1NSEC3SHA1
}

// secureZone finds a key that matches a DS and signs the DNSKEY RRset (RFC 4035
// §5.2). Then every key of the RRset may sign the data of the zone (RFC 6840
// §5.11: one path is enough). The error is a fault.
func (v *validation) secureZone(name string, usable []*dns.DS, keys *rrset, parent *zone, p proof) (*zone, error) {
	all := newKeys(keys.all())
	matched, err := v.budget.matchKeys(usable, all, name)
	if err != nil {
		return nil, err
	}
	entry := slices.DeleteFunc(slices.Clone(all), func(k *key) bool {
		return !matched[k] || !mayVerify(k.record) || k.record.Flags&dns.REVOKE != 0 // it would revoke itself by its signature
	})
	if len(entry) == 0 {
		source := "the DS set"
		if parent == nil {
			source = "the trust anchors"
		}
		if slices.ContainsFunc(all, func(k *key) bool { return matched[k] && k.record.Flags&dns.REVOKE != 0 }) {
			return nil, bogus("the DNSKEY of %s that matches %s is revoked (RFC 5011)", name, source)
		}
		return nil, bogus("no DNSKEY of %s matches %s (%s)", name, source, describeTags(usable))
	}
	signed, err := v.authenticate(keys, entry, name)
	if err != nil {
		return nil, err
	}
	if signed.wildcard != "" {
		return nil, bogus("the keys of %s were expanded from the wildcard %s", name, signed.wildcard)
	}
	z := &zone{name: name, status: Secure, parent: parent, own: signed.validity, cut: p.validity}
	z.link = Link{Zone: name, Status: Secure, Keys: describeKeys(all, signed.key)}
	z.link.Why = fmt.Sprintf("its keys are signed by %s, valid until %s", keyName(signed.tag, signed.algorithm), clock(signed.validity.Expiry))
	ttl := signed.ttl
	if parent == nil {
		z.link.Why += fmt.Sprintf("; key %d is a trust anchor", signed.tag)
	} else {
		z.link.Why += fmt.Sprintf("; DS in %s matches key %d", parent.name, signed.tag)
		ttl = min(ttl, p.ttl)
	}
	for _, k := range all {
		if !mayVerify(k.record) || !v.rules.options.supports(k.record.Algorithm) {
			continue
		}
		revoked, err := v.isRevoked(k, keys, name)
		if err != nil {
			return nil, err
		}
		if !revoked {
			z.keys = append(z.keys, k)
		}
	}
	z.setLifetime(v.rules.at, ttl)
	return z, nil
}

// matchKeys returns the keys of zone that match a DS (RFC 4035 §5.2). A DS names
// a key only by its tag and algorithm, and it is easy to make many keys with one
// tag, or many DS records. If there are too many, matchKeys returns a fault
// (CVE-2023-50387).
func (b *workBudget) matchKeys(set []*dns.DS, keys []*key, zone string) (map[*key]bool, error) {
	type label struct {
		tag       uint16
		algorithm uint8
	}
	candidates := make(map[label][]*key)
	for _, k := range keys {
		name := label{k.tag, k.record.Algorithm}
		candidates[name] = append(candidates[name], k)
	}
	matched := make(map[*key]bool)
	for _, ds := range set {
		for i, k := range candidates[label{ds.KeyTag, ds.Algorithm}] {
			if i == b.limits.keysPerTag {
				return nil, exceeded(i, "keys of one tag for a DS of "+zone)
			}
			digest, err := b.digest(k, zone, ds.DigestType)
			if err != nil {
				return nil, err
			}
			if hasDigest(ds, digest) {
				matched[k] = true
				break
			}
		}
	}
	return matched, nil
}

// maxShown is the maximum number of keys, or DS records, in a Link.
const maxShown = 16

// describeKeys lists the keys of a zone, signing keys first.
func describeKeys(keys []*key, signing *key) []Key {
	list := make([]Key, 0, len(keys))
	for _, k := range keys {
		list = append(list, Key{Tag: k.tag, Algorithm: k.record.Algorithm, SEP: k.record.Flags&dns.SEP != 0, Signing: k == signing})
	}
	sortSigningFirst(list)
	return list[:min(len(list), maxShown)]
}

func sortSigningFirst(list []Key) {
	slices.SortStableFunc(list, func(a, b Key) int {
		switch {
		case a.Signing == b.Signing:
			return 0
		case a.Signing:
			return -1
		}
		return 1
	})
}

// describeDS lists DS records. Those that match a signing key are marked as
// used, and come first if there are too many to show.
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

// describeTags lists the tags of DS records, each once.
func describeTags(set []*dns.DS) string {
	var tags []string
	for i, ds := range set {
		if len(tags) == maxShown {
			tags = append(tags, fmt.Sprintf("and %d more records", len(set)-i))
			break
		}
		if tag := keyName(ds.KeyTag, ds.Algorithm); !slices.Contains(tags, tag) {
			tags = append(tags, tag)
		}
	}
	return strings.Join(tags, "; ")
}
