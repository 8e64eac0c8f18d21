// Package tlsa parses TLSA records, decides which of them a client may use, and
// matches them against the certificates of a TLS server (RFC 6698, RFC 7671). It
// is pure: it looks nothing up and opens no connection.
//
// # The record
//
// A TLSA record says which certificate or public key a TLS server will present.
// It has three numbers and data, written "3 1 1 abcd…" (RFC 6698 §2.1):
//
//   - the certificate usage: which certificate is meant, and what else must hold
//     (§2.1.1);
//   - the selector: the whole certificate (0) or its public key (1) (§2.1.2);
//   - the matching type: the selected bytes themselves (0), their SHA-256 (1), or
//     their SHA-512 (2) (§2.1.3).
//
// Two questions give the four usages. Is the data that of the server's own
// certificate, the end entity (EE), or of an issuer above it, the trust anchor
// (TA)? And does DNSSEC suffice (DANE), or must the certificate also be valid
// under a certification authority that the client trusts (PKIX)?
//
//	                 an issuer above      the leaf itself
//	also PKIX        PKIX-TA(0)           PKIX-EE(1)
//	DNSSEC alone     DANE-TA(2)           DANE-EE(3)
//
// DANE-EE(3) matches if the leaf has the data. The names, the dates and the
// issuer of the leaf do not matter (RFC 7671 §5.1): the record itself binds the
// server's name to the key, and the DNSSEC signatures have dates of their own.
//
// DANE-TA(2) names an issuer. The client builds a path from the leaf to a
// certificate with the data. The path must satisfy PKIX: signatures, dates, CA
// flags, purposes, path lengths, and a name in the leaf that the client expects
// (RFC 7671 §5.2). The client's own roots never extend the path. The server must
// therefore send the issuer, unless the record contains it in full (§5.2.2, §5.2.3).
//
// Where RFC 5280 leaves room, OpenSSL decides, because most senders use it. The
// dates of an anchor count only if it is self-issued. Every certificate of the path
// must be for TLS servers. OpenSSL follows one path; [Verifier.SinglePath] returns
// it, and [Verifier.Match] tries all.
//
// What a server sends and a zone publishes can take minutes to check. Each search has
// a limit, and what is beyond it is [Unmeasured]: it neither authenticates the server
// nor refuses it.
//
// PKIX-EE(1) and PKIX-TA(0) restrict what PKIX accepts. They require a path to
// the client's own roots, valid by its dates and names, whose leaf or one of
// whose issuers has the data (RFC 7671 §5.3, §5.4).
//
// # The set
//
// One record that authenticates the server is enough. The client first drops the
// records that it cannot use. Then, for each usage and selector, it drops all
// digests but the strongest: a server that publishes both SHA-256 and SHA-512
// must match a SHA-512 record (digest agility, RFC 7671 §9). [Assess] does both.
//
// [Verifier.Match] matches what is left. It reports on every record, not only on
// the first that matches, because a record that matches nothing may be the cause
// of tomorrow's outage.
package tlsa
