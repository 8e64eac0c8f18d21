package dnssec

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/miekg/dns"
)

// proof is the result of one signature that verifies.
type proof struct {
	validity  Validity
	ttl       time.Duration // how long the RRset may be cached (RFC 4035 §5.3.3)
	tag       uint16
	algorithm uint8
	key       *key
	wildcard  string // the wildcard that the RRset was expanded from, if any
}

// signatureError is the reason why one signature is invalid. Of several, the one
// with the highest rank is reported.
type signatureError struct {
	why      string
	rank     int
	tooLarge bool // errTooLarge, so that the signature may be valid
}

func (e *signatureError) Error() string { return e.why }

// authenticate finds a signature over set by one of keys, the keys of zone, that
// is valid now (RFC 4035 §5.3). Of several, the one that expires last counts,
// because the RRset is valid until then. The error is a fault. It is not bogus if a
// signature was not verified because of its cost.
func (v *validation) authenticate(set *rrset, keys []*key, zone string) (proof, error) {
	sigs := slices.Clone(set.sigs)
	slices.SortStableFunc(sigs, func(a, b *dns.RRSIG) int {
		return signatureTimes(b, v.rules.at).Expiry.Compare(signatureTimes(a, v.rules.at).Expiry)
	})
	var worst, unchecked *signatureError
	for _, sig := range sigs {
		if fold(sig.SignerName) != zone {
			continue
		}
		p, err := v.checkSignature(set, sig, keys)
		if err == nil {
			return p, nil
		}
		invalid, ok := errors.AsType[*signatureError](err)
		if !ok {
			return proof{}, err
		}
		if worst == nil || invalid.rank > worst.rank {
			worst = invalid
		}
		if invalid.tooLarge {
			unchecked = invalid
		}
	}
	if unchecked != nil {
		return proof{}, &fault{status: Indeterminate, why: unchecked.why, err: fmt.Errorf("%w: %s", ErrLimit, unchecked.why), unchecked: true}
	}
	if worst == nil {
		return proof{}, bogus("%s carries no signature by %s", set, zone)
	}
	return proof{}, bogus("%s", worst.why)
}

// checkSignature verifies one signature (RFC 4035 §5.3.1 to 5.3.3). The error is
// a signatureError, or a fault if a limit is exceeded.
func (v *validation) checkSignature(set *rrset, sig *dns.RRSIG, keys []*key) (proof, error) {
	invalid := func(rank int, format string, args ...any) *signatureError {
		subject := fmt.Sprintf("the signature over %s by %s (%s) ", set, fold(sig.SignerName), keyName(sig.KeyTag, sig.Algorithm))
		return &signatureError{why: subject + fmt.Sprintf(format, args...), rank: rank}
	}
	times := signatureTimes(sig, v.rules.at)
	switch {
	case sig.TypeCovered != set.rrtype:
		return proof{}, invalid(0, "covers another type, %s", typeName(sig.TypeCovered))
	case !v.rules.options.supports(sig.Algorithm):
		return proof{}, invalid(1, "uses an algorithm that is not supported")
	case int(sig.Labels) > ownerLabels(set.name):
		return proof{}, invalid(2, "has a label count of %d, more than the name has", sig.Labels)
	case v.rules.at.Truncate(time.Second).After(times.Expiry):
		return proof{}, invalid(5, "expired on %s", clock(times.Expiry))
	case v.rules.at.Before(times.Inception):
		return proof{}, invalid(5, "is not valid before %s", clock(times.Inception))
	}
	tried, why, tooLarge := 0, "", ""
	for _, k := range keys {
		if k.record.Algorithm != sig.Algorithm || !mayVerify(k.record) || k.tag != sig.KeyTag {
			continue
		}
		if tried == v.budget.limits.keysPerTag {
			return proof{}, exceeded(tried, fmt.Sprintf("keys of one tag for %s", set))
		}
		tried++
		err := v.budget.verify(set, sig, k)
		if err == nil {
			return newProof(set, sig, k, times, v.rules.at), nil
		}
		if _, limit := errors.AsType[*fault](err); limit {
			return proof{}, err
		}
		why = err.Error()
		if errors.Is(err, errTooLarge) {
			tooLarge = why
		}
	}
	if tooLarge != "" {
		err := invalid(4, "cannot be verified here: %s", tooLarge)
		err.tooLarge = true
		return proof{}, err
	}
	if tried == 0 {
		return proof{}, invalid(3, "names a key that the zone does not publish")
	}
	return proof{}, invalid(4, "is wrong: %s", why)
}

func newProof(set *rrset, sig *dns.RRSIG, k *key, times Validity, at time.Time) proof {
	p := proof{validity: times, tag: sig.KeyTag, algorithm: sig.Algorithm, key: k}
	p.ttl = min(set.ttl(), seconds(sig.OrigTtl), seconds(sig.Header().Ttl), max(0, times.Expiry.Sub(at)))
	if int(sig.Labels) < ownerLabels(set.name) {
		p.wildcard = signedOwner(set.name, int(sig.Labels))
	}
	return p
}

// signatureTimes returns the validity of a signature. It converts the 32-bit
// times to the ones nearest to now, by serial number arithmetic (RFC 4034
// §3.1.5, RFC 1982).
func signatureTimes(sig *dns.RRSIG, now time.Time) Validity {
	at := func(serial uint32) time.Time {
		return time.Unix(now.Unix()+int64(int32(serial-uint32(now.Unix()))), 0).UTC()
	}
	return Validity{Inception: at(sig.Inception), Expiry: at(sig.Expiration), Since: at(sig.Inception)}
}

// clock formats a time for Answer.Why.
func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// signersOf returns the zones that claim to have signed an RRset or a denial of
// name, deepest first, without those that cannot have. A signer is the name
// itself or a zone above it. RFC 4035 §5.3.1 demands the zone that contains the
// name. Like Unbound, this does not search for a zone cut between them: a zone
// controls all names below it in any case. The parent signs a DS, so the
// signer of a DS is strictly above it, except for the root, which has no parent.
// Zones above the trust anchor that covers name do not count.
func (v *validation) signersOf(sigs []*dns.RRSIG, name string, rrtype uint16) []string {
	anchor := v.anchorOver(name, rrtype)
	var list []string
	for _, sig := range sigs {
		signer := fold(sig.SignerName)
		ownDS := rrtype == dns.TypeDS && signer == name && name != "."
		if !within(name, signer) || ownDS || anchor == "" || !within(signer, anchor) || slices.Contains(list, signer) {
			continue
		}
		list = append(list, signer)
	}
	slices.SortStableFunc(list, func(a, b string) int { return labels(b) - labels(a) })
	return list
}

// anchorOver returns the deepest zone with a trust anchor at or above name, for
// a DS strictly above it. It returns the empty string if there is none.
func (v *validation) anchorOver(name string, rrtype uint16) string {
	n := labels(name)
	if rrtype == dns.TypeDS && name != "." {
		n--
	}
	for ; n >= 0; n-- {
		if zone := suffix(name, n); len(v.rules.anchors[zone]) > 0 {
			return zone
		}
	}
	return ""
}
