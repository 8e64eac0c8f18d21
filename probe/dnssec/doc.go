// Package dnssec is a validating stub resolver (RFC 4033 §2, "validating
// security-aware stub resolver"). It queries recursive resolvers, which need
// not validate, and validates every answer itself, from trust anchors down. It
// ignores the AD bit.
//
// [Resolver.Lookup] returns an [Answer]: the records, their [Status], the chain
// of trust and the reason in words. A failed lookup is an Answer too.
//
// # Query
//
// A lookup (lookup.go) alternates two steps. It queries for the records and for
// the DS and DNSKEY records of the zones above them. Then it validates the
// replies, which gives a verdict or a list of replies that are still missing.
// Queries set DO and CD, so that the resolver returns the DNSSEC records and
// does not filter them (transport.go). Most chains are fetched speculatively,
// before a signature names the zones, so that a lookup takes one round trip.
// A speculative reply that no rule needs cannot change a verdict.
//
// # Validate
//
// validate (validate.go) is a pure function of the replies, the trust anchors
// and the time. It follows RFC 4035 §5. The signature over an RRset names the
// zone that made it. The signature is verified with the keys of that zone over
// the canonical form of the RRset (signature.go, key.go, canonical.go). Each
// alias is judged as a step of its own, and the answer has the worst status of
// its steps (alias.go).
//
// # Chain of trust
//
// The keys of a zone are authentic if a DS record in the parent zone matches one
// of them and that key signs the DNSKEY RRset. The DS record is authentic if the
// parent signed it, and so on up to a trust anchor (chain.go, anchors.go).
//
// Data without a valid signature is insecure only below a delegation for which a
// secure zone proves that no supported DS exists. Everywhere else it is bogus.
// To tell the two apart, the resolver looks up the DS of each name from the
// deepest known zone down to the data.
//
// # Denial of existence
//
// The absence of a name or type is proven by NSEC or NSEC3 records and never
// assumed (denial.go, nsec.go, nsec3.go).
//
// # Retry
//
// Before an answer is reported as bogus or failed, the lookup is repeated with
// each other resolver, and then with CD=0. The first answer that validates is
// used, and Answer.Inconsistent records the difference. If resolvers answer
// with a failure such as SERVFAIL, a query for the keys of the root shows
// whether the zone or the resolvers fail (retry.go, outage.go). Answer.FaultZone names the
// zone at fault, if it is known.
//
// # Cache
//
// The cache holds verdicts on zones, not answers, until their TTL or their
// signatures end. A second cache holds the digests of signatures that were
// verified (cache.go). A third one holds failed lookups for five seconds, as
// the first does bogus zones (failure.go, RFC 9520). [Resolver.KeepWarm] refreshes
// the root and the top-level domains in use before they expire (prefetch.go).
//
// # Budgets
//
// Every lookup has a budget of queries, signature checks, DS digests, NSEC3
// hashes and aliases, because zones and resolvers may send anything (budget.go).
// A lookup that exceeds its budget fails with [ErrLimit].
package dnssec
