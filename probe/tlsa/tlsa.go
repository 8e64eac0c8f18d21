// Package tlsa is the arithmetic of DANE: TLSA records, which of them a client
// may use, and whether the certificates that a server sent match them
// (RFC 6698, RFC 7671). It is pure: nothing is looked up, nothing is dialled.
//
// # The record
//
// A TLSA record says which certificate, or which key, a TLS server will show.
// It has three numbers and some data, written "3 1 1 abcd…":
//
//   - the certificate usage: whose certificate is meant, and what else must hold;
//   - the selector: the whole certificate (0), or its public key alone (1);
//   - the matching type: the selected bytes themselves (0), their SHA-256 (1)
//     or their SHA-512 (2).
//
// Four usages come from two questions. Is the data about the server's own
// certificate (EE), or about an issuer above it (TA, trust anchor)? And does
// the client believe DNSSEC alone (DANE), or must a certification authority
// that it trusts anyway agree (PKIX)?
//
//	                 an issuer above      the leaf itself
//	also PKIX        PKIX-TA(0)           PKIX-EE(1)
//	DNSSEC alone     DANE-TA(2)           DANE-EE(3)
//
// DANE-EE(3) is the simplest: the leaf has the data, or it has not. Its names,
// its dates and whoever signed it do not matter, because the record itself,
// found under the server's name and signed in DNSSEC, already binds name and
// key, and its signatures have dates of their own (RFC 7671 §5.1).
//
// DANE-TA(2) names an issuer. The client builds a path from the leaf to a
// certificate that has the data, and all that PKIX asks of a path is asked of
// it: signatures, dates, CA flags, path lengths, and a name that the client
// expects in the leaf (RFC 7671 §5.2). No other trust counts: the client's own
// roots never lengthen the path, so the server must send the issuer, unless
// the record holds the issuer in full (§5.2.2, §5.2.3).
//
// PKIX-EE(1) and PKIX-TA(0) narrow what PKIX accepts: a path to the client's
// own roots, valid with dates and name, whose leaf or one of whose issuers
// has the data (RFC 7671 §5.3, §5.4).
//
// # The set
//
// One record that authenticates is enough. Before that, a client drops the
// records it cannot use, and then, for each usage and selector, all digests
// but the strongest: a server that publishes SHA-512 beside SHA-256 is held to
// SHA-512 (RFC 7671 §9). Standings does both. What is left is matched by a
// Verifier, which answers for every record, not just for the first that fits,
// and says why: a record that matches nothing is tomorrow's outage.
package tlsa
