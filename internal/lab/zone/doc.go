// Package zone is a signed DNS in memory: zones in zone-file form, signed with
// fixed keys, and recursive resolvers that return DNSSEC records but do not
// validate.
//
// A [Zone] describes the records of a zone and how it is signed. [New] connects
// zones from the root down: it adds delegations, DS records and NSEC or NSEC3
// chains. [Internet.Exchange] answers queries with all that a validator needs:
// signatures, alias chains across zones, and the proofs of RFC 4035 §3.1 and RFC
// 5155 §7.2 for negative and wildcard answers.
//
// All data depends on the description and the clock only. Keys are derived from
// names, and signing is deterministic (RFC 6979 for ECDSA). A signature is made when
// it is first needed, for a period around the current time, so that an Internet
// stays valid however long it runs.
//
// A [Fault] breaks one thing: a signature, a proof, a response. Faults can be
// combined.
package zone
