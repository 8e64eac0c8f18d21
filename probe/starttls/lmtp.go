package starttls

// lmtp is SMTP for the last step, into the mailbox. It differs, as far as a
// probe goes, in the word for hello alone (RFC 2033 §4.1); STARTTLS is the same.
func lmtp(name string) smtp { return smtp{hello: "LHLO", name: name} }
