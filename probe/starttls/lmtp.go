package starttls

// newLMTP returns a negotiator for LMTP (RFC 2033), the variant of SMTP that
// delivers into mailboxes. Up to TLS it differs from SMTP in the word that
// introduces the client: LHLO (RFC 2033 §4.1).
func newLMTP(s Settings) negotiator { return smtp{hello: "LHLO", name: s.EHLO} }
