package probe

import (
	"context"

	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/tlsa"

	"github.com/miekg/dns"
)

// Published is what DNS has under the one name that holds the TLSA records of a
// port. Where a client looks for them that reaches the host through an alias is
// another question, which a probe answers.
type Published struct {
	Answer  dnssec.Answer
	Records []tlsa.Record
}

// Published looks up the TLSA records of a port of the host name, in A-labels.
// It never fails: a failure is an Answer.
func (p *Prober) Published(ctx context.Context, name string, port uint16) Published {
	answer := p.resolver.Lookup(ctx, TLSAOwner(name, port), dns.TypeTLSA)
	return Published{Answer: answer, Records: tlsaRecords(&answer)}
}

// TLSAOwner is the fully qualified name of the TLSA records of a TCP port
// (RFC 6698 §3).
func TLSAOwner(name string, port uint16) string { return dns.Fqdn(tlsaOwner(name, port)) }
