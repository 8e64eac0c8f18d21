package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"dane_exporter/internal/lab/server"
	"dane_exporter/internal/lab/zone"
)

// Fault is a change that [Lab.Break] makes to a scenario while the lab runs.
type Fault string

const (
	None             Fault = "none"              // the scenario is as described
	NewCertificate   Fault = "new-certificate"   // its mail servers use a new certificate with a new key
	ExpiredSignature Fault = "expired-signature" // the signatures over its records expired yesterday
	SilentResolvers  Fault = "silent-resolvers"  // the resolvers answer no query, about any scenario
)

// Faults returns all faults.
func Faults() []Fault {
	return []Fault{None, NewCertificate, ExpiredSignature, SilentResolvers}
}

// Break applies a fault to a scenario, in place of any fault applied before. It
// fails if the scenario or the fault does not exist, and if [NewCertificate] is
// applied to a scenario whose mail servers have no certificate.
func (l *Lab) Break(scenario string, fault Fault) error {
	if domainOf(scenario) == "" {
		return fmt.Errorf("lab: no scenario %q", scenario)
	}
	if !slices.Contains(Faults(), fault) {
		return fmt.Errorf("lab: no fault %q: must be one of %q", fault, Faults())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	handlers, err := l.plan.handlersOf(scenario, fault)
	if err != nil {
		return fmt.Errorf("lab: break %s: %w", scenario, err)
	}
	for at, handler := range handlers {
		l.servers[at].Use(handler)
	}
	l.broken[scenario] = fault
	l.internet.BreakOnly(l.faults()...)
	return nil
}

// domainOf returns the domain of a scenario, or the empty string if there is none.
func domainOf(scenario string) string {
	for _, s := range Scenarios() {
		if s.Name == scenario {
			return s.domain()
		}
	}
	return ""
}

// faults returns the faults of the scenarios and those of Break.
func (l *Lab) faults() []zone.Fault {
	faults := slices.Clone(l.plan.faults)
	for scenario, fault := range l.broken {
		switch fault {
		case ExpiredSignature:
			faults = append(faults, zone.Expire(zone.Under(domainOf(scenario))))
		case SilentResolvers:
			faults = append(faults, zone.Silence(zone.Under(".")))
		}
	}
	return faults
}

// handlersOf returns the servers of a scenario under a fault.
func (p *plan) handlersOf(scenario string, fault Fault) (map[netip.AddrPort]server.Handler, error) {
	handlers := map[netip.AddrPort]server.Handler{}
	renewed := 0
	for at, owner := range p.owners {
		if owner != scenario {
			continue
		}
		handlers[at] = p.handlers[at]
		mail, ok := handlers[at].(server.SMTP)
		if fault != NewCertificate || !ok || mail.TLS == nil {
			continue
		}
		fresh, err := p.webCA.Issue(server.Leaf{Names: []string{mail.Name}})
		if err != nil {
			return nil, fmt.Errorf("issue a certificate for %s: %w", mail.Name, err)
		}
		mail.TLS = server.TLSConfig(fresh.Chain())
		handlers[at] = mail
		renewed++
	}
	if fault == NewCertificate && renewed == 0 {
		return nil, errors.New("the scenario has no mail server with a certificate")
	}
	return handlers, nil
}
