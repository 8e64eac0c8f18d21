package dane

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"dane_exporter/probe/dnssec"

	"github.com/miekg/dns"
)

// Cut is a zone cut: the delegation of a zone by its parent. The names are fully qualified.
type Cut struct{ Zone, Parent string }

// Cuts returns the zone cuts on the chain of an answer that are below a signed zone. It omits
// the delegations of the root: many others monitor its nameservers.
func Cuts(answer *dnssec.Answer) []Cut {
	var cuts []Cut
	for i, link := range answer.Chain {
		parent := "."
		for _, above := range answer.Chain[:i] {
			if above.Status == dnssec.Secure && above.Zone != link.Zone && dns.IsSubDomain(above.Zone, link.Zone) &&
				dns.CountLabel(above.Zone) > dns.CountLabel(parent) {
				parent = above.Zone
			}
		}
		if parent != "." {
			cuts = append(cuts, Cut{link.Zone, parent})
		}
	}
	return cuts
}

// Delegation is the result of comparing the answers of the nameservers of a zone and of its
// parent about the delegation of the zone. Probes share it, so it has only what verdicts and
// reports need. It is never modified.
type Delegation struct {
	Zone, Parent string    // in the form of TextName
	At           time.Time // when the nameservers were queried
	// ParentServers are the addresses of the parent's nameservers. Consistent: the server
	// returns the same DS records as most others, or the same proof of their absence, with
	// valid signatures.
	ParentServers []NameserverVerdict
	// Servers are the addresses of the zone's nameservers, according to the parent and to the
	// zone. Consistent: the signatures over the keys that the server returns are valid.
	Servers   []NameserverVerdict
	DS        []DelegationDS  // at most maxDelegationRecords
	DSKnown   bool            // DS is complete, or the absence of DS records is proven
	Keys      []DelegationKey // of the zone, at most maxDelegationRecords
	KeysKnown bool            // the keys validate, or the zone is insecure
	CDS       Consistency     // of CDS and CDNSKEY at the zone's servers; NotMeasured if it has none
	// CDSPending: the CDS and CDNSKEY records of the zone request DS records for other keys
	// than those of the parent (RFC 7344 §4.1). Digest types are not compared, because parents
	// choose their own.
	CDSPending Measure
	Requested  string      // the requested keys, as the text of DS records
	NS         Consistency // of the NS records of the parent and of the zone
	Truncated  bool        // there are more nameservers or records than were examined
}

// Consistency records whether copies of the same data agree, and how they differ.
type Consistency struct {
	Agree Measure
	Why   string // how they differ
}

// DelegationDS is a DS record of the parent.
type DelegationDS struct {
	dnssec.DS      // Used: it matches a key of the zone
	Compared  bool // the keys of the zone are known
}

// Matches returns whether the record matches a key of the zone: "yes", "no" or "unknown".
func (ds DelegationDS) Matches() string {
	switch {
	case !ds.Compared:
		return "unknown"
	case ds.Used:
		return "yes"
	default:
		return "no"
	}
}

// AlgorithmName returns the mnemonic of the algorithm, or its number.
func (ds DelegationDS) AlgorithmName() string { return nameOf(dns.AlgorithmToString, ds.Algorithm) }

// DigestName returns the mnemonic of the digest type, or its number.
func (ds DelegationDS) DigestName() string { return nameOf(dns.HashToString, ds.DigestType) }

// String describes the record.
func (ds DelegationDS) String() string {
	return fmt.Sprintf("key %d, algorithm %s, digest type %s", ds.Tag, ds.AlgorithmName(), ds.DigestName())
}

// nameOf returns the mnemonic of a number, or the number.
func nameOf(names map[uint8]string, number uint8) string {
	if name, ok := names[number]; ok {
		return name
	}
	return fmt.Sprint(number)
}

// DelegationKey is a key of the zone. Signing: a signature in the answers has its tag and
// algorithm.
type DelegationKey struct {
	dnssec.Key
	InDS bool // a DS record of the parent matches it
}

// Idle reports whether the key is not used: no DS record matches it, and it made no
// signature in the answers. It may be prepared for a rollover.
func (k DelegationKey) Idle() bool { return !k.InDS && !k.Signing }

// IdleKeys returns the number of keys that are not used. It is not known if no answer had a
// signature by a key of the zone.
func (d *Delegation) IdleKeys() (n int, known bool) {
	for _, key := range d.Keys {
		if key.Idle() {
			n++
		}
		known = known || key.Signing
	}
	return n, known
}

// AlgorithmName returns the mnemonic of the algorithm, or its number.
func (k DelegationKey) AlgorithmName() string { return nameOf(dns.AlgorithmToString, k.Algorithm) }

// maxDelegationRecords is the maximum number of DS, DNSKEY, CDS and CDNSKEY records of each
// answer that are compared. Zones in use have fewer than ten.
const maxDelegationRecords = 16

// DelegationEvidence has the answers from which NewDelegation makes a Delegation.
type DelegationEvidence struct {
	Cut
	At            time.Time
	DS, Keys, NS  dnssec.Answer // of the zone, as the resolvers return them
	Referral      []string      // nameservers in a referral of the parent; nil: not known
	ParentServers []DelegationServer
	Servers       []DelegationServer
	Truncated     bool
}

// DelegationServer is one address of a nameserver with its own answers. An answer is nil if
// the server was not queried for it, or did not return it.
type DelegationServer struct {
	Nameserver
	DS                   *dnssec.Answer // of a server of the parent
	DNSKEY, CDS, CDNSKEY *dnssec.Answer // of a server of the zone
	Signers              []dnssec.Key   // key tags and algorithms of the signatures by the zone
}

// NewDelegation compares the answers about a delegation.
func NewDelegation(e *DelegationEvidence) *Delegation {
	d := &Delegation{Zone: TextName(e.Zone), Parent: TextName(e.Parent), At: e.At, Truncated: e.Truncated}
	reference := referenceDS(e)
	for i := range e.ParentServers {
		d.ParentServers = append(d.ParentServers, judgeParentServer(&e.ParentServers[i], reference))
		d.ParentServers[i].Zone = d.Parent
	}
	for i := range e.Servers {
		d.Servers = append(d.Servers, judgeZoneServer(&e.Servers[i]))
		d.Servers[i].Zone = d.Zone
	}
	ds, all := recordsOfType[*dns.DS](reference)
	d.DSKnown = reference != nil && all
	keys, allKeys := recordsOfType[*dns.DNSKEY](&e.Keys)
	d.Truncated = d.Truncated || !all || !allKeys
	d.compareKeys(e, ds, keys)
	if len(keys) > 0 {
		d.compareRequests(e, ds, keys)
	}
	d.NS = compareNS(e)
	return d
}

// recordsOfType returns the first records of an answer, or none if it is nil. all is false if
// there are more.
func recordsOfType[T dns.RR](answer *dnssec.Answer) (list []T, all bool) {
	if answer == nil {
		return nil, true
	}
	for _, rr := range answer.Records {
		record, ok := rr.(T)
		switch {
		case !ok:
		case len(list) == maxDelegationRecords:
			return list, false
		default:
			list = append(list, record)
		}
	}
	return list, true
}

// dsText returns a DS record as text for comparisons.
func dsText(ds *dns.DS) string {
	return fmt.Sprintf("%d %d %d %s", ds.KeyTag, ds.Algorithm, ds.DigestType, strings.ToLower(ds.Digest))
}

// dsTexts returns the DS records of an answer as text, sorted, without duplicates. If there
// are too many, it returns the first ones after sorting, because servers may return equal sets
// in any order.
func dsTexts(answer *dnssec.Answer) []string {
	var texts []string
	for _, rr := range answer.Records {
		if ds, ok := rr.(*dns.DS); ok {
			texts = append(texts, dsText(ds))
		}
	}
	slices.Sort(texts)
	texts = slices.Compact(texts)
	return texts[:min(len(texts), maxDelegationRecords)]
}

// referenceDS returns the answer with the DS set that most of the parent's servers return with
// a valid proof, or nil. If several sets have equal votes, the answer of the resolvers decides.
// The cache of a resolver may be older than the data of the servers, so its answer counts less.
func referenceDS(e *DelegationEvidence) *dnssec.Answer {
	type candidate struct {
		answer *dnssec.Answer
		votes  int
	}
	candidates := make(map[string]*candidate) // by the text of the set
	vote := func(answer *dnssec.Answer, weight int) {
		if answer == nil || answer.Err != nil || answer.Status.Failed() {
			return
		}
		text := strings.Join(dsTexts(answer), ", ")
		if candidates[text] == nil {
			candidates[text] = &candidate{answer: answer}
		}
		candidates[text].votes += weight
	}
	for i := range e.ParentServers {
		vote(e.ParentServers[i].DS, 2)
	}
	vote(&e.DS, 1) // decides between equal votes
	var best candidate
	for _, text := range slices.Sorted(maps.Keys(candidates)) {
		if c := candidates[text]; c.votes > best.votes {
			best = *c
		}
	}
	return best.answer
}

// judgeParentServer judges the DS answer of one server of the parent.
func judgeParentServer(server *DelegationServer, reference *dnssec.Answer) NameserverVerdict {
	v := judgeReachable(&server.Nameserver)
	if server.DS == nil {
		return v
	}
	switch {
	case FailedLocally(server.DS), server.DS.Err != nil && server.DS.Status != dnssec.Bogus:
		v.Why = cmp.Or(v.Why, server.DS.Err.Error()) // the answer could not be validated
		return v
	case server.DS.Status.Failed():
		v.Consistent, v.Why = No, "its answer is "+server.DS.Status.String()+": "+server.DS.Why
		return v
	}
	own, most := dsTexts(server.DS), dsTexts(reference) // not nil, because this server has a vote
	if v.Consistent = MeasureOf(slices.Equal(own, most)); v.Consistent == No {
		v.Why = fmt.Sprintf("its DS records differ from those of most servers: missing %s; extra %s",
			cmp.Or(firstFew(without(most, own)), "none"), cmp.Or(firstFew(without(own, most)), "none"))
	}
	return v
}

// judgeZoneServer judges the keys that one server of the zone returns.
func judgeZoneServer(server *DelegationServer) NameserverVerdict {
	v := judgeReachable(&server.Nameserver)
	switch answer := server.DNSKEY; {
	case answer == nil, FailedLocally(answer), answer.Err != nil && answer.Status != dnssec.Bogus:
	case answer.Status == dnssec.Bogus:
		v.Consistent, v.Why = No, "its keys are bogus: "+answer.Why
	default:
		v.Consistent = Yes
	}
	return v
}

// compareKeys compares the DS records with the keys of the zone.
func (d *Delegation) compareKeys(e *DelegationEvidence, ds []*dns.DS, keys []*dns.DNSKEY) {
	d.KeysKnown = e.Keys.Err == nil && !e.Keys.Status.Failed()
	for _, one := range ds {
		matches := slices.ContainsFunc(keys, func(k *dns.DNSKEY) bool { return matchesKey(one, k) })
		d.DS = append(d.DS, DelegationDS{dnssec.DS{Tag: one.KeyTag, Algorithm: one.Algorithm, DigestType: one.DigestType, Used: matches}, d.KeysKnown})
	}
	for _, k := range keys {
		key := DelegationKey{Key: dnssec.Key{Tag: k.KeyTag(), Algorithm: k.Algorithm, SEP: k.Flags&dns.SEP != 0}}
		key.InDS = slices.ContainsFunc(ds, func(one *dns.DS) bool { return matchesKey(one, k) })
		signs := func(s dnssec.Key) bool { return s.Tag == key.Tag && s.Algorithm == key.Algorithm }
		key.Signing = slices.ContainsFunc(e.Servers, func(s DelegationServer) bool { return slices.ContainsFunc(s.Signers, signs) })
		d.Keys = append(d.Keys, key)
	}
}

// matchesKey reports whether a DS record matches a key. A digest of an unknown type counts as
// a match.
func matchesKey(ds *dns.DS, key *dns.DNSKEY) bool {
	if ds.KeyTag != key.KeyTag() || ds.Algorithm != key.Algorithm {
		return false
	}
	own := key.ToDS(ds.DigestType)
	return own == nil || strings.EqualFold(own.Digest, ds.Digest)
}

// keyNames maps the text of a DS record to that of the DS record of the same key with SHA-256,
// which is the name of the key. Parents compare keys, not digests (RFC 9975 §3.1).
type keyNames map[string]string

// add adds the DS records of a key and returns its name. Later calls of name find them.
func (n keyNames) add(key *dns.DNSKEY) string {
	best := key.ToDS(dns.SHA256)
	if best == nil {
		return ""
	}
	for _, digestType := range []uint8{dns.SHA1, dns.SHA256, dns.SHA384} {
		if ds := key.ToDS(digestType); ds != nil {
			n[dsText(ds)] = dsText(best)
		}
	}
	return dsText(best)
}

func (n keyNames) name(ds *dns.DS) string { return cmp.Or(n[dsText(ds)], dsText(ds)) }

// deleteRequest stands for the record by which a zone requests the removal of its DS set
// (RFC 8078 §4).
const deleteRequest = "delete"

// request has the CDS and CDNSKEY records of one server of a zone: the sorted names of the keys
// for which the zone requests DS records, or deleteRequest.
type request struct {
	server       string
	cds, cdnskey []string
}

// String describes the request.
func (r request) String() string {
	return fmt.Sprintf("CDS %s; CDNSKEY %s", cmp.Or(firstFew(r.cds), "none"), cmp.Or(firstFew(r.cdnskey), "none"))
}

// keys returns the requested keys. A parent reads either record type.
func (r request) keys() []string {
	if len(r.cds) == 0 {
		return r.cdnskey
	}
	return r.cds
}

// disagrees reports whether the CDS and CDNSKEY records name different keys.
func (r request) disagrees() bool {
	return len(r.cds) > 0 && len(r.cdnskey) > 0 && !slices.Equal(r.cds, r.cdnskey)
}

func (r request) equal(other request) bool {
	return slices.Equal(r.cds, other.cds) && slices.Equal(r.cdnskey, other.cdnskey)
}

// requestOf returns what a server requests. It is not known if the CDS or CDNSKEY answer is
// missing, is not valid, or has too many records.
func (n keyNames) requestOf(server *DelegationServer) (r request, known bool) {
	for _, answer := range []*dnssec.Answer{server.CDS, server.CDNSKEY} {
		if answer == nil || answer.Err != nil || answer.Status.Failed() {
			return request{}, false
		}
	}
	sorted := func(names []string) []string {
		slices.Sort(names)
		return slices.Compact(names)
	}
	cdnskey, allKeys := recordsOfType[*dns.CDNSKEY](server.CDNSKEY)
	for _, key := range cdnskey {
		if key.Algorithm == 0 {
			r.cdnskey = append(r.cdnskey, deleteRequest)
		} else if name := n.add(&key.DNSKEY); name != "" {
			r.cdnskey = append(r.cdnskey, name)
		}
	}
	cds, all := recordsOfType[*dns.CDS](server.CDS)
	for _, one := range cds {
		if one.Algorithm == 0 {
			r.cds = append(r.cds, deleteRequest)
		} else {
			r.cds = append(r.cds, n.name(&one.DS))
		}
	}
	r.server, r.cds, r.cdnskey = fmt.Sprintf("%s (%s)", server.Name, server.Address), sorted(r.cds), sorted(r.cdnskey)
	return r, all && allKeys
}

// compareRequests compares the CDS and CDNSKEY records of the zone's servers with each other
// and with the DS set. Servers that did not answer do not count (RFC 9975 §3.1).
func (d *Delegation) compareRequests(e *DelegationEvidence, ds []*dns.DS, keys []*dns.DNSKEY) {
	names := make(keyNames)
	for _, key := range keys {
		names.add(key)
	}
	for i := range e.Servers { // a CDS record may refer to a key in CDNSKEY records of another server
		names.requestOf(&e.Servers[i])
	}
	var requests []request
	for i := range e.Servers {
		if r, known := names.requestOf(&e.Servers[i]); known {
			requests = append(requests, r)
		}
	}
	if !slices.ContainsFunc(requests, func(r request) bool { return len(r.keys()) > 0 }) {
		return
	}
	if d.CDS = compareServers(requests); d.CDS.Agree != Yes || !d.DSKnown {
		return
	}
	requested := requests[0].keys()
	d.Requested = firstFew(requested)
	if slices.Equal(requested, []string{deleteRequest}) {
		requested = nil
	}
	var current []string
	for _, one := range ds {
		current = append(current, names.name(one))
	}
	slices.Sort(current)
	d.CDSPending = MeasureOf(!slices.Equal(requested, slices.Compact(current)))
}

// compareServers compares what the servers of a zone request.
func compareServers(requests []request) Consistency {
	servers := make(map[string][]string) // by what they request
	differ := false
	for _, r := range requests {
		if r.disagrees() {
			return Consistency{No, fmt.Sprintf("the CDS and CDNSKEY records at %s name different keys: %s", r.server, r)}
		}
		servers[r.String()] = append(servers[r.String()], r.server)
		differ = differ || !r.equal(requests[0])
	}
	if !differ {
		return Consistency{Agree: Yes}
	}
	var texts []string
	for text, names := range servers {
		slices.Sort(names)
		texts = append(texts, firstFew(names)+": "+text)
	}
	slices.Sort(texts)
	return Consistency{No, firstFew(texts)}
}

// compareNS compares the NS records of the parent with those of the zone.
func compareNS(e *DelegationEvidence) Consistency {
	child := NSNames(e.NS.Records)
	if e.NS.Err != nil || e.NS.Status.Failed() || len(child) == 0 || len(e.Referral) == 0 {
		return Consistency{}
	}
	parent := slices.Sorted(slices.Values(e.Referral))
	if slices.Equal(child, parent) {
		return Consistency{Agree: Yes}
	}
	return Consistency{No, fmt.Sprintf("only in the parent: %s; only in the zone: %s",
		cmp.Or(firstFew(without(parent, child)), "none"), cmp.Or(firstFew(without(child, parent)), "none"))}
}

// NSNames returns the names of the nameservers in NS records, sorted, each once.
func NSNames(records []dns.RR) []string {
	var names []string
	for _, rr := range records {
		if ns, ok := rr.(*dns.NS); ok {
			names = append(names, TextName(ns.Ns))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Measured reports whether it is known of at least one nameserver that it answers or does not
// answer.
func (d *Delegation) Measured() bool {
	measured := func(v NameserverVerdict) bool { return v.Up != NotMeasured }
	return slices.ContainsFunc(d.ParentServers, measured) || slices.ContainsFunc(d.Servers, measured)
}

// MemSize estimates the memory that a delegation takes, in bytes.
func (d *Delegation) MemSize() int {
	const sizeOfDelegation, sizeOfState = 512, 256
	size := sizeOfDelegation + len(d.CDS.Why) + len(d.NS.Why) + len(d.Requested) + 16*(len(d.DS)+len(d.Keys))
	for _, v := range slices.Concat(d.ParentServers, d.Servers) {
		size += sizeOfState + len(v.Name) + len(v.Why)
	}
	return size
}
