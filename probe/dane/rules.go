package dane

import (
	"crypto/x509"

	"dane_exporter/probe/caa"
)

// Rules is what a verdict depends on apart from the facts and the time.
type Rules struct {
	Target  string // the domain or host that was asked about
	Policy  Policy
	Require Requirement
	Lookups bool           // only the lookups are judged, because no connections were made
	Roots   *x509.CertPool // of the Web PKI; nil: what needs them is not measured
	Issuers caa.Issuers    // the CAs whose certificates are compared with CAA records
	Stop    func() error   // returns an error if there is no time for costly checks of certificates; nil: there is
}

// Policy says whose rules apply.
type Policy string

const (
	SMTPRelay Policy = "smtp-relay" // RFC 7672: a mail server that relays to another
	Client    Policy = "client"     // RFC 6698, RFC 7671, RFC 7673
)

// Policies lists the allowed values.
func Policies() []Policy { return []Policy{SMTPRelay, Client} }

// Requirement says which outcomes of the endpoints that count make probe_success 1.
type Requirement string

const (
	RequireDANE        Requirement = "dane"         // authenticated
	RequireIfPublished Requirement = "if_published" // authenticated, encrypted or opportunistic
)

// Requirements lists the allowed values.
func Requirements() []Requirement { return []Requirement{RequireDANE, RequireIfPublished} }
