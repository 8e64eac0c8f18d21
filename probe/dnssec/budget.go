package dnssec

import (
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/miekg/dns"
)

// maxAliases is the number of CNAME and DNAME steps that a lookup follows.
const maxAliases = 16

// limits bound the cost of one lookup, whatever zones and resolvers send: many
// keys with one tag and many signatures (CVE-2023-50387), many NSEC3 hashes
// (CVE-2023-50868), long chains of aliases, deep chains of zones.
type limits struct {
	queries           int // messages sent
	retryQueries      int // messages that each retry may send, even if fewer are left
	signatures        int // signatures checked
	digests           int // DS digests computed
	keysPerTag        int // keys of one tag and algorithm tried for a signature or DS
	signers           int // zones tried for one RRset
	hashes            int // NSEC3 hashes computed
	aliases           int // CNAME steps
	speculativeLevels int // labels of a name for which the chain is queried speculatively
}

func defaultLimits() limits {
	return limits{queries: 120, retryQueries: 30, signatures: 128, digests: 64, keysPerTag: 4, signers: 3, hashes: 128, aliases: maxAliases, speculativeLevels: 6}
}

// speculativeQueries returns how many of the queries may be speculative. They
// are set apart from the others even if they are not used, so that a useless
// speculation takes nothing from the verdict.
func (l limits) speculativeQueries() int { return l.queries / 3 }

// workBudget limits and counts the work of one lookup. It keeps what was
// computed, so that validating the same evidence again costs nothing.
type workBudget struct {
	limits   limits
	work     Work
	needed   map[question]bool    // questions whose replies the verdict depends on
	spend    func(cost int) error // pays for CPU time, in units of about a microsecond; nil: no limit
	sigs     *sigCache            // shared by all lookups; nil: none
	verified map[sigCheck]error
	digests  map[digestInput][]byte
	hashes   map[hashInput][]byte
}

// sigCheck is one signature with one key. The signature is identified by its address:
// within a lookup it is the same value in memory each time.
type sigCheck struct {
	sig *dns.RRSIG
	key keyID
}

// digestInput is one key with one digest type.
type digestInput struct {
	key        keyID
	digestType uint8
}

type hashInput struct {
	name, salt string
	iterations uint16
}

func newWorkBudget(l limits, sigs *sigCache) *workBudget {
	return &workBudget{
		limits:   l,
		needed:   make(map[question]bool),
		sigs:     sigs,
		verified: make(map[sigCheck]error),
		digests:  make(map[digestInput][]byte),
		hashes:   make(map[hashInput][]byte),
	}
}

// exceeded returns the fault of a lookup that exceeds a limit.
func exceeded(limit int, what string) *fault {
	why := fmt.Sprintf("the lookup was stopped: it needs more than %d %s", limit, what)
	return &fault{status: Indeterminate, why: why, err: fmt.Errorf("%w: more than %d %s", ErrLimit, limit, what)}
}

// addNeeded notes a question whose reply the verdict depends on.
func (b *workBudget) addNeeded(q question) { b.needed[q] = true }

// queriesExceeded returns a fault if the verdict needs more replies than may be
// queried, or nil.
func (b *workBudget) queriesExceeded() *fault {
	if len(b.needed) > b.limits.queries-b.limits.speculativeQueries() {
		return exceeded(b.limits.queries, "queries")
	}
	return nil
}

// share returns the limits of each of n retries, of which there are at most
// twice retryServers: an equal share of what is left. Each retry may send a few
// queries in any case, so that a zone with an expensive first verdict is not
// called bogus because nothing is left for another.
func (b *workBudget) share(n int) limits {
	n = max(1, n)
	rest := b.limits
	rest.queries = max(rest.retryQueries, (rest.queries-rest.speculativeQueries()-len(b.needed))/n)
	rest.signatures = max(0, rest.signatures-b.work.Signatures) / n
	rest.digests = max(0, rest.digests-b.work.Digests) / n
	rest.hashes = max(0, rest.hashes-b.work.Hashes) / n
	return rest
}

// verify verifies one signature, once. The error is a fault if a limit is
// exceeded, and otherwise the reason why the signature is wrong.
func (b *workBudget) verify(set *rrset, sig *dns.RRSIG, k *key) error {
	check := sigCheck{sig, k.id}
	if known, ok := b.verified[check]; ok {
		return known
	}
	if b.work.Signatures >= b.limits.signatures {
		return exceeded(b.limits.signatures, "signature checks")
	}
	b.work.Signatures++
	err := b.verifyCached(set, sig, k)
	if _, stopped := errors.AsType[*fault](err); !stopped {
		b.verified[check] = err
	}
	return err
}

// checkPaid verifies a signature if there is CPU time left for it.
func (b *workBudget) checkPaid(k *key, data, signature []byte) error {
	if b.spend != nil {
		if err := b.spend(k.cost()); err != nil {
			return &fault{status: Indeterminate, why: "the lookup was stopped before a signature was checked: " + err.Error(), err: err}
		}
	}
	return k.verify(data, signature)
}

// verifyCached verifies a signature, unless the cache has it. Cached signatures
// count as checks too, so that no verdict depends on the cache. They take no CPU time.
func (b *workBudget) verifyCached(set *rrset, sig *dns.RRSIG, k *key) error {
	data, err := signedData(set, sig)
	if err != nil {
		return err
	}
	signature, err := base64.StdEncoding.DecodeString(sig.Signature)
	if err != nil {
		return errors.New("the signature is not base64")
	}
	if b.sigs == nil {
		return b.checkPaid(k, data, signature)
	}
	id := newSigKey(k, data, signature)
	if b.sigs.has(id) {
		b.work.Cached++
		return nil
	}
	if err := b.checkPaid(k, data, signature); err != nil {
		return err
	}
	b.sigs.add(id)
	return nil
}

// digest computes the digest of the key k of zone for a DS, once. The error is a
// fault.
func (b *workBudget) digest(k *key, zone string, digestType uint8) ([]byte, error) {
	input := digestInput{k.id, digestType}
	if d, ok := b.digests[input]; ok {
		return d, nil
	}
	if b.work.Digests >= b.limits.digests {
		return nil, exceeded(b.limits.digests, "digests of keys")
	}
	b.work.Digests++
	d := k.digest(zone, digestType)
	b.digests[input] = d
	return d, nil
}

// hash computes an NSEC3 hash (RFC 5155 §5), once. The error is a fault.
func (b *workBudget) hash(name string, salt []byte, iterations uint16) ([]byte, error) {
	input := hashInput{name, string(salt), iterations}
	if h, ok := b.hashes[input]; ok {
		return h, nil
	}
	if b.work.Hashes >= b.limits.hashes {
		return nil, exceeded(b.limits.hashes, "NSEC3 hashes")
	}
	b.work.Hashes++
	h := nsec3Hash(name, salt, iterations)
	b.hashes[input] = h
	return h, nil
}
