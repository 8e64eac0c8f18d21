package dnssec

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	"github.com/miekg/dns"
)

// limits bound what one look-up may cost, whatever zones and resolvers send:
// many keys with one tag and many signatures (CVE-2023-50387), many NSEC3
// hashes (CVE-2023-50868), long chains of aliases, deep chains of zones.
type limits struct {
	queries    int // messages sent
	opinion    int // messages that each second opinion may send, though fewer be left
	signatures int // signature checks
	digests    int // digests of keys, to compare with DS records
	collisions int // keys tried for one signature or DS: those of the same tag and algorithm
	signers    int // zones tried for one RRset
	hashes     int // NSEC3 hashes
	aliases    int // CNAME steps
	guesses    int // levels of the chain fetched before a signature names them
}

func defaultLimits() limits {
	return limits{queries: 120, opinion: 30, signatures: 128, digests: 64, collisions: 4, signers: 3, hashes: 128, aliases: 16, guesses: 6}
}

// guessed is how many of the queries may be sent on a guess. They are set apart
// from the others, whether there are guesses or not: so a guess in vain takes
// nothing from the verdict.
func (l limits) guessed() int { return l.queries / 3 }

// ledger keeps the account of one look-up. It remembers what was computed, so
// that going over the same evidence again costs nothing.
type ledger struct {
	limits   limits
	work     Work
	needed   []question // whose replies the verdict rests on
	memo     *memo      // of all look-ups
	verified []checked
	digests  map[digestInput][]byte
	hashes   map[hashInput][]byte
}

// check is one signature with one key; within a look-up they are the same
// values in memory each time.
type check struct {
	sig *dns.RRSIG
	key *dns.DNSKEY
}

// checked is a check, and why the signature is wrong, if it is. There are
// 128 at the most, which are looked through.
type checked struct {
	check
	err error
}

// digestInput is one key with one digest type; the key as in check.
type digestInput struct {
	key        *dns.DNSKEY
	digestType uint8
}

type hashInput struct {
	name, salt string
	iterations uint16
}

func newLedger(l limits, m *memo) *ledger {
	return &ledger{limits: l, memo: m}
}

// need notes a question whose reply the verdict rests on.
func (l *ledger) need(q question) {
	if !slices.Contains(l.needed, q) {
		l.needed = append(l.needed, q)
	}
}

func exceeded(limit int, what string) *fault {
	why := fmt.Sprintf("the look-up was given up: it would take more than %d %s", limit, what)
	return &fault{status: Indeterminate, why: why, err: fmt.Errorf("%w: more than %d %s", ErrLimit, limit, what)}
}

// share is what is left, divided by n second opinions, of which there are
// twice opinionServers at most. Each may send a few queries in any case: a zone
// whose first verdict was dear should not be called bad for want of another.
func (l *ledger) share(n int) limits {
	rest := l.limits
	rest.queries = max(rest.opinion, (rest.queries-rest.guessed()-len(l.needed))/max(1, n))
	rest.signatures = max(0, rest.signatures-l.work.Signatures) / max(1, n)
	rest.digests = max(0, rest.digests-l.work.Digests) / max(1, n)
	rest.hashes = max(0, rest.hashes-l.work.Hashes) / max(1, n)
	return rest
}

// verify checks one signature, once. The fault is a limit; the error says why
// the signature is wrong.
func (l *ledger) verify(set *rrset, sig *dns.RRSIG, k *key) (*fault, error) {
	id := check{sig, k.DNSKEY}
	for _, known := range l.verified {
		if known.check == id {
			return nil, known.err
		}
	}
	if l.work.Signatures >= l.limits.signatures {
		return exceeded(l.limits.signatures, "signature checks"), nil
	}
	l.work.Signatures++
	err := l.compute(set, sig, k)
	l.verified = append(l.verified, checked{id, err})
	return nil, err
}

// compute does the arithmetic, unless it is known to hold. What is spared
// counts as a check all the same, so that no verdict depends on the memo.
func (l *ledger) compute(set *rrset, sig *dns.RRSIG, k *key) error {
	data, err := signedData(set, sig)
	if err != nil {
		return err
	}
	signature, err := base64.StdEncoding.DecodeString(sig.Signature)
	if err != nil {
		return errors.New("the signature is not base64")
	}
	if l.memo == nil {
		return k.verify(data, signature)
	}
	f := factOf(k, data, signature)
	if l.memo.holds(f) {
		l.work.Remembered++
		return nil
	}
	if err := k.verify(data, signature); err != nil {
		return err
	}
	l.memo.add(f)
	return nil
}

// digest computes what a DS of digestType has for the key k of zone, once.
func (l *ledger) digest(k *key, zone string, digestType uint8) ([]byte, *fault) {
	id := digestInput{k.DNSKEY, digestType}
	if d, ok := l.digests[id]; ok {
		return d, nil
	}
	if l.work.Digests >= l.limits.digests {
		return nil, exceeded(l.limits.digests, "digests of keys")
	}
	l.work.Digests++
	d := k.digest(zone, digestType)
	put(&l.digests, id, d)
	return d, nil
}

// hash computes an NSEC3 hash (RFC 5155 §5), once.
func (l *ledger) hash(name string, salt []byte, iterations uint16) ([]byte, *fault) {
	id := hashInput{name, string(salt), iterations}
	if h, ok := l.hashes[id]; ok {
		return h, nil
	}
	if l.work.Hashes >= l.limits.hashes {
		return nil, exceeded(l.limits.hashes, "NSEC3 hashes")
	}
	l.work.Hashes++
	h := nsec3Hash(name, salt, iterations)
	put(&l.hashes, id, h)
	return h, nil
}
