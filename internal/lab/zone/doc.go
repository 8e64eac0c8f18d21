// Package zone is a signed Internet in memory: zones written as text, signed
// with fixed keys, and answered for as a recursive resolver would that knows
// DNSSEC and does not validate.
//
// A [Zone] says what a zone holds and how it is signed; [New] joins zones from
// the root down, and makes delegations, DS records and chains of NSEC or NSEC3.
// [Internet.Exchange] answers a query with everything a validator may ask for:
// signatures, alias chains across zones, and the proofs that RFC 4035 §3.1 and
// RFC 5155 §7.2 want with each negative or wildcard answer.
//
// Everything is a function of the description and the clock. Keys are derived
// from names, signatures are those of RFC 6979 (or of algorithms that need no
// chance), and a signature is made when it is first asked for, for a window
// around now, so that an Internet that runs for months stays valid.
//
// A [Fault] breaks one thing: a signature, a proof, a response. Faults compose.
package zone
