package dnssec

// Status is the DNSSEC verdict on one look-up, in the words of RFC 4035 §4.3.
// The zero value is Indeterminate: nothing is believed before it is proven.
type Status uint8

const (
	// Indeterminate: the records needed for a verdict could not be obtained.
	// A DANE client treats it as Bogus.
	Indeterminate Status = iota
	// Bogus: the data should be secure, and it does not validate.
	Bogus
	// Insecure: it is proven that no chain of trust leads to the data,
	// or the name lies under no trust anchor.
	Insecure
	// Secure: a chain of signatures leads from a trust anchor to the data.
	Secure
)

// Statuses lists the four states, best first.
func Statuses() []Status { return []Status{Secure, Insecure, Bogus, Indeterminate} }

// String returns the public word for s, as metrics and pages use it.
func (s Status) String() string {
	switch s {
	case Secure:
		return "secure"
	case Insecure:
		return "insecure"
	case Bogus:
		return "bogus"
	default:
		return "indeterminate"
	}
}

// Failed reports whether a client that validates cannot use the answer at all.
func (s Status) Failed() bool { return s == Bogus || s == Indeterminate }

// Worst returns the worse of two: an answer reached through several steps
// has the status of its worst step.
func Worst(a, b Status) Status { return min(a, b) }
