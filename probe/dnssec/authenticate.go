package dnssec

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/miekg/dns"
)

// proof is one signature that holds: who made it, how long it lasts.
type proof struct {
	Validity
	ttl      time.Duration // how long the RRset may be kept (RFC 4035 §5.3.3)
	tag      uint16
	alg      uint8
	key      *key
	wildcard string // the wildcard that the RRset was expanded from, if any
}

// authenticate looks for one signature over set, made by one of keys, the keys
// of zone, that holds today (RFC 4035 §5.3). Of several, the one that lasts
// longest counts: the RRset is valid until that one ends.
func (v *validation) authenticate(set *rrset, keys []*key, zone string) (proof, *fault) {
	sigs := set.sigs
	if len(sigs) > 1 {
		sigs = slices.SortedStableFunc(slices.Values(sigs), func(a, b *dns.RRSIG) int {
			return signatureTimes(b, v.at).Expiry.Compare(signatureTimes(a, v.at).Expiry)
		})
	}
	var failures []failure
	for _, sig := range sigs {
		if fold(sig.SignerName) != zone {
			continue
		}
		p, failed, limit := v.checkOne(set, sig, keys)
		if limit != nil {
			return proof{}, limit
		}
		if failed == nil {
			return p, nil
		}
		failures = append(failures, *failed)
	}
	if len(failures) == 0 {
		return proof{}, bogus("%s carries no signature by %s", set, zone)
	}
	telling := slices.MaxFunc(failures, func(a, b failure) int { return cmp.Compare(a.telling, b.telling) })
	return proof{}, bogus("%s", telling.why)
}

// failure is why one signature does not hold; the most telling of several is shown.
type failure struct {
	why     string
	telling int
}

func (v *validation) checkOne(set *rrset, sig *dns.RRSIG, keys []*key) (proof, *failure, *fault) {
	fail := func(telling int, format string, args ...any) (proof, *failure, *fault) {
		subject := fmt.Sprintf("the signature over %s by %s (%s) ", set, fold(sig.SignerName), keyName(sig.KeyTag, sig.Algorithm))
		return proof{}, &failure{subject + fmt.Sprintf(format, args...), telling}, nil
	}
	if sig.TypeCovered != set.rrtype {
		return fail(0, "covers another type, %s", typeName(sig.TypeCovered))
	}
	if !v.options.supports(sig.Algorithm) {
		return fail(1, "is of an algorithm that is not supported")
	}
	if int(sig.Labels) > ownerLabels(set.name) {
		return fail(2, "claims %d labels, more than the name has", sig.Labels)
	}
	times := signatureTimes(sig, v.at)
	if v.at.Truncate(time.Second).After(times.Expiry) {
		return fail(5, "expired on %s", clock(times.Expiry))
	}
	if v.at.Before(times.Inception) {
		return fail(5, "is not valid before %s", clock(times.Inception))
	}
	tried, why := 0, ""
	for _, k := range keys {
		if k.Algorithm != sig.Algorithm || !mayVerify(k.DNSKEY) || k.tag != sig.KeyTag {
			continue
		}
		if tried == v.ledger.limits.collisions {
			return proof{}, nil, exceeded(tried, fmt.Sprintf("keys of one tag for %s", set))
		}
		tried++
		limit, err := v.ledger.verify(set, sig, k)
		if limit != nil {
			return proof{}, nil, limit
		}
		if err == nil {
			return newProof(set, sig, k, times, v.at), nil, nil
		}
		why = err.Error()
	}
	if tried == 0 {
		return fail(3, "names a key that the zone does not publish")
	}
	return fail(4, "is wrong: %s", why)
}

func newProof(set *rrset, sig *dns.RRSIG, k *key, times Validity, at time.Time) proof {
	p := proof{Validity: times, tag: sig.KeyTag, alg: sig.Algorithm, key: k}
	p.ttl = min(set.ttl(), seconds(sig.OrigTtl), seconds(sig.Header().Ttl), max(0, times.Expiry.Sub(at)))
	if int(sig.Labels) < ownerLabels(set.name) {
		p.wildcard = signedOwner(set.name, int(sig.Labels))
	}
	return p
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// signersOf lists the zones that claim to have signed an RRset or denial about
// name and can have it: the name itself or one above it (RFC 4035 §5.3.1), for
// a DS strictly above it, since the parent signs it; the root, which has none,
// speaks for itself. None is above the trust anchor that name hangs from: what
// lies there has no say. Deepest first.
func (v *validation) signersOf(sigs []*dns.RRSIG, name string, rrtype uint16) []string {
	floor := v.anchorOver(name, rrtype)
	var list []string
	for _, sig := range sigs {
		signer := fold(sig.SignerName)
		ownDS := rrtype == dns.TypeDS && signer == name && name != "."
		if !within(name, signer) || ownDS || floor == "" || !within(signer, floor) || slices.Contains(list, signer) {
			continue
		}
		list = append(list, signer)
	}
	slices.SortStableFunc(list, func(a, b string) int { return labels(b) - labels(a) })
	return list
}

// anchorOver is the deepest zone with a trust anchor at or above name, for a DS
// strictly above it; empty where there is none.
func (v *validation) anchorOver(name string, rrtype uint16) string {
	top := labels(name)
	if rrtype == dns.TypeDS && name != "." {
		top--
	}
	for n := top; n >= 0; n-- {
		if zone := suffix(name, n); len(v.anchors[zone]) > 0 {
			return zone
		}
	}
	return ""
}
