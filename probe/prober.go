package probe

import (
	"context"

	"dane_exporter/probe/dnssec"
)

// Settings are what a Prober needs beside its world.
type Settings struct {
	DNS    dnssec.Options
	Access Access
}

// Prober probes targets. It is safe for concurrent use.
type Prober struct {
	world    World
	access   Access
	resolver *dnssec.Resolver
}

// New returns a Prober of one world.
func New(world World, settings Settings) *Prober {
	return &Prober{
		world:    world,
		access:   settings.Access,
		resolver: dnssec.New(world.DNS, world.Anchors, world.Now, settings.DNS),
	}
}

// Resolver is the validator that the probes share.
func (p *Prober) Resolver() *dnssec.Resolver { return p.resolver }

// Probe asks everything about one target and judges it. It returns by the
// deadline of ctx with what it has.
func (p *Prober) Probe(ctx context.Context, target Target, module Module) *Report {
	return &Report{Target: target, Module: module}
}
