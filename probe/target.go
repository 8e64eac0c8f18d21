package probe

import "net/netip"

// Target is what a scrape asks about.
type Target struct {
	Asked   string     // as it was written
	Name    string     // domain or host: A-labels, lower case, no trailing dot
	Address netip.Addr // where the target is an address, to be judged as Name's
	Port    uint16     // 0: the module's
}

// ParseTarget reads a target, and hostname where the target is an address.
// The error is one line that says what form is wanted.
func ParseTarget(target, hostname string, module Module) (Target, error) {
	return Target{Asked: target, Name: target}, nil
}
