package probe

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"dane_exporter/probe/starttls"
)

// handshakeKey is all that a handshake depends on: probes that need the same at
// once wait for one, and what it brought serves others for a while. Ten
// thousand domains at one hoster are then one connection to it.
type handshakeKey struct {
	address  netip.AddrPort
	protocol string
	domain   string // of protocols that need one
	ehlo     string // as the module has it
	sni      string
	keyType  KeyType
	route    route
}

func (r *run) handshakeKey(service *Service, endpoint *Endpoint, sni string) handshakeKey {
	address := netip.AddrPortFrom(endpoint.Address, service.Port)
	key := handshakeKey{address: address, protocol: service.Protocol, ehlo: r.module.SMTP.EHLO,
		sni: sni, keyType: endpoint.KeyType, route: r.routeTo(address)}
	if p, _ := starttls.Lookup(key.protocol); p.NeedsDomain {
		key.domain = r.target.Name
	}
	return key
}

// encounter is a handshake with an endpoint, as far as it has come.
type encounter struct {
	Endpoint
	doing     string          // what is under way, in words that the address follows
	since     time.Time       // the server's time runs; zero: it waits for its turn
	concluded bool            // there is nothing more to learn
	cut       bool            // its own deadline came first
	tell      func(encounter) // those who wait how far it has come
}

func (e *encounter) begin(doing string, span *Span) {
	e.doing, span.Start = doing, time.Now()
	e.told()
}

func (e *encounter) end(span *Span) { span.End = time.Now() }

func (e *encounter) conclude(err error) {
	e.Err, e.concluded = err, true
	e.told()
}

func (e *encounter) told() { e.tell(*e) }

// encounter returns the handshake of a key: one that was made lately, one that
// is being made, or a new one.
func (r *run) encounter(ctx context.Context, key handshakeKey) Endpoint {
	asked := time.Now()
	for {
		e := r.share(ctx, key)
		if e.cut && hasTime(ctx) && r.hurries(e, asked) {
			continue // it was begun by a probe that has less time, and nothing came of it
		}
		if !e.concluded {
			e.breakOff(key, ctx)
		}
		if e.Err != nil && (e.cut || !hasTime(ctx)) {
			e.Hurried = r.hurries(e, asked)
		}
		e.Address, e.KeyType = key.address.Addr(), key.keyType
		return e.Endpoint
	}
}

// hasTime reports whether ctx has not ended, and does not end at this very moment:
// a connection that got its deadline from ctx may notice before ctx does, and
// must not be blamed.
func hasTime(ctx context.Context) bool {
	deadline, limited := ctx.Deadline()
	return ctx.Err() == nil && (!limited || time.Now().Before(deadline))
}

// hurries reports whether the server had less than its fair time from this
// probe, whoever else has waited for it.
func (r *run) hurries(e encounter, asked time.Time) bool {
	if e.since.IsZero() {
		return true
	}
	if e.since.After(asked) {
		asked = e.since
	}
	return time.Since(asked) < r.fairTime
}

// breakOff ends an encounter for a probe that cannot wait any longer.
func (e *encounter) breakOff(key handshakeKey, ctx context.Context) {
	if e.since.IsZero() {
		e.Err = fmt.Errorf("waiting for another connection to %s to end: %w", key.address, context.Cause(ctx))
		return
	}
	for _, span := range []*Span{&e.Connect, &e.StartTLS, &e.TLS} {
		if !span.Start.IsZero() && span.End.IsZero() {
			span.End = time.Now()
		}
	}
	e.Err = fmt.Errorf("%s %s: %w", e.doing, key.address, context.Cause(ctx))
}

// share finds a handshake, or makes one together with all who need it. Nobody's
// deadline is another's: it has as much time as the module gives to a probe.
func (r *run) share(ctx context.Context, key handshakeKey) encounter {
	if r.afresh {
		return r.makeEncounter(ctx, key, func(encounter) {})
	}
	if e, ok := r.met.lately(key); ok {
		e.Reused = true
		return e
	}
	e, joined, err := r.encounters.Do(ctx, key, r.module.Timeout, func(ctx context.Context, tell func(encounter)) encounter {
		return r.makeEncounter(ctx, key, tell)
	})
	if err != nil && ctx.Err() == nil {
		e.Err, e.concluded = err, true
	}
	e.Reused = joined
	return e
}

// makeEncounter makes a new handshake when it is its turn at the address.
func (p *Prober) makeEncounter(ctx context.Context, key handshakeKey, tell func(encounter)) encounter {
	e := encounter{tell: tell}
	done, err := p.turns.take(ctx, key.address)
	if err != nil {
		e.cut = true
		return e
	}
	defer done()
	e.since = time.Now()
	task{do: func() { e.Err = p.shakeHands(ctx, key, &e) }, fault: &e.Err}.run()
	e.concluded, e.cut, e.tell = true, e.Err != nil && !hasTime(ctx), nil
	p.met.remember(key, e)
	return e
}
