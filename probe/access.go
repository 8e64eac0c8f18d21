package probe

import "net/netip"

// Access says where a probe may go.
type Access struct {
	Targets       []string       `yaml:"targets"`        // patterns of target names, as path.Match reads them
	AllowNetworks []netip.Prefix `yaml:"allow_networks"` // special-purpose networks that may be connected to
}
