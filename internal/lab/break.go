package lab

import (
	"fmt"
	"net/netip"
	"slices"

	"dane_exporter/internal/lab/server"
	"dane_exporter/internal/lab/zone"
)

// Fault is what can be done to a scenario while the lab runs.
type Fault string

const (
	None             Fault = "none"              // it is again what its story says
	NewCertificate   Fault = "new-certificate"   // its mail servers show a new certificate of a new key
	ExpiredSignature Fault = "expired-signature" // the signatures over its records ended yesterday
)

// Faults lists all.
func Faults() []Fault { return []Fault{None, NewCertificate, ExpiredSignature} }

// Break does one thing to a scenario, and undoes what was done to it before. A
// scenario or fault that does not exist is an error, and so is a new certificate
// where no mail server has one.
func (l *Lab) Break(scenario string, fault Fault) error {
	if !slices.ContainsFunc(Scenarios(), func(s Scenario) bool { return s.Name == scenario }) {
		return fmt.Errorf("lab: no scenario %q", scenario)
	}
	if !slices.Contains(Faults(), fault) {
		return fmt.Errorf("lab: no fault %q: it is one of %q", fault, Faults())
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

// faults are those of the scenarios' stories and those of Break.
func (l *Lab) faults() []zone.Fault {
	faults := slices.Clone(l.plan.faults)
	for scenario, fault := range l.broken {
		if fault == ExpiredSignature {
			faults = append(faults, zone.Expire(zone.Under(scenario+"."+origin)))
		}
	}
	return faults
}

// handlersOf are the servers of a scenario as a fault has them.
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
		fresh, err := p.web.Issue(server.Leaf{Names: []string{mail.Name}})
		if err != nil {
			return nil, fmt.Errorf("issue a certificate for %s: %w", mail.Name, err)
		}
		mail.TLS = server.Always(fresh.Chain())
		handlers[at] = mail
		renewed++
	}
	if fault == NewCertificate && renewed == 0 {
		return nil, fmt.Errorf("it has no mail server with a certificate")
	}
	return handlers, nil
}
