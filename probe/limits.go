package probe

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"dane_exporter/probe/dane"
	"dane_exporter/probe/handshake"
)

// Limits on what one target may lead to. Ordinary targets stay far below them.
const (
	maxHosts        = 50
	maxAddresses    = 16      // of one host
	maxEndpoints    = 200     // of one target
	maxParallel     = 64      // handshakes at the same time
	maxCertificates = 4 << 20 // bytes of certificates in one report
)

// minWait is the minimum time that a server must have had before its silence is
// its fault. Delayed greetings are common.
const minWait = 5 * time.Second

// budget is what is left of the limits of one probe.
type budget struct {
	addresses    int // of each service that are connected to
	slots        chan struct{}
	certificates atomic.Int64 // bytes so far
}

func newBudget() *budget { return &budget{slots: make(chan struct{}, maxParallel)} }

// divide divides the endpoints among the services of the hosts, so that every
// service is examined. Each address takes one handshake for each key type.
func (b *budget) divide(hosts []dane.Host, keyTypes int) {
	services := 0
	for i := range hosts {
		services += len(hosts[i].Services)
	}
	share := maxEndpoints / max(1, services*max(1, keyTypes))
	b.addresses = min(maxAddresses, max(1, share))
}

// acquire waits for one of the slots for parallel handshakes. The caller must
// call release. The error is that of ctx, if it ends first.
func (b *budget) acquire(ctx context.Context) (release func(), err error) {
	select {
	case b.slots <- struct{}{}:
		return func() { <-b.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// addCertificates counts the bytes of a chain. It fails with [dane.CauseLimit]
// once the endpoints of the target exceed maxCertificates together.
func (b *budget) addCertificates(chain [][]byte) error {
	size := 0
	for _, certificate := range chain {
		size += len(certificate)
	}
	if b.certificates.Add(int64(size)) > maxCertificates {
		return dane.WithCause(dane.CauseLimit,
			fmt.Errorf("%d bytes of certificates exceed the limit of %d bytes for all endpoints of a target", size, maxCertificates))
	}
	return nil
}

// limitAddresses returns the first maxAddresses addresses of a host.
func limitAddresses(host *dane.Host) (addresses []netip.Addr, truncated bool) {
	addresses = host.Addresses()
	if len(addresses) > maxAddresses {
		return addresses[:maxAddresses], true
	}
	return addresses, false
}

// skipsAddresses reports whether a service of the host has no endpoint for the
// last of these addresses.
func skipsAddresses(host *dane.Host, addresses []netip.Addr) bool {
	return slices.ContainsFunc(host.Services, func(s dane.Service) bool {
		n := len(s.Endpoints)
		return n > 0 && len(addresses) > 0 && s.Endpoints[n-1].Address != addresses[len(addresses)-1]
	})
}

// half returns a context with half of the time of ctx: lookups may take that
// much, so that the handshakes have the rest.
func half(ctx context.Context) (context.Context, context.CancelFunc) { return share(ctx, 2) }

// share returns a context with one nth of the time of ctx.
func share(ctx context.Context, n int) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok || n <= 1 {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, time.Now().Add(time.Until(deadline)/time.Duration(n)))
}

// timedOutEarly reports whether a step that started at a time failed because
// the deadline of ctx came before minWait had passed.
func timedOutEarly(ctx context.Context, started time.Time, minWait time.Duration) bool {
	return !handshake.HasTime(ctx) && time.Since(started) < minWait
}
