package probe

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
)

// What the endpoints of one probe may cost, however many a zone leads to and
// whatever they send.
const (
	maxEndpoints = 200 // that are met
	maxAtOnce    = 64  // that are met at the same time
	// maxChain is how many bytes of certificates one endpoint may send: as many
	// as OpenSSL takes by default (SSL_CTX_set_max_cert_list), and so the senders
	// that use it.
	maxChain        = 100 << 10
	maxCertificates = 4 << 20 // bytes of certificates that a report keeps
)

// errLongChain: a server sends more certificates than senders take.
var errLongChain = errors.New("the server sends more certificates than clients take")

// errTooMuch: the endpoints of the target send more, together, than is kept.
var errTooMuch = errors.New("more than a probe keeps")

// allowance is what is left of the bounds of one probe.
type allowance struct {
	addresses    int // at which each service is met
	places       chan struct{}
	certificates atomic.Int64 // bytes so far
}

func newAllowance() *allowance { return &allowance{places: make(chan struct{}, maxAtOnce)} }

// share divides the endpoints among the services of the hosts, each of which is
// met once with each of keys types of key: so every host is seen.
func (a *allowance) share(hosts []Host, keys int) {
	services := 0
	for i := range hosts {
		services += len(hosts[i].Services)
	}
	each := maxEndpoints / max(1, services*max(1, keys))
	a.addresses = min(maxAddresses, max(1, each))
}

// misses reports whether some service of the host met fewer than addresses.
func (h *Host) misses(addresses []netip.Addr) bool {
	return slices.ContainsFunc(h.Services, func(s Service) bool {
		met := len(s.Endpoints)
		return met > 0 && len(addresses) > 0 && s.Endpoints[met-1].Address != addresses[len(addresses)-1]
	})
}

// place waits for one of the places at the same time; done gives it back. The
// error is that of ctx, which ended first.
func (a *allowance) place(ctx context.Context) (done func(), err error) {
	select {
	case a.places <- struct{}{}:
		return func() { <-a.places }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// bearable returns an error that wraps errLongChain where a chain is longer than
// senders take.
func bearable(chain [][]byte) error {
	if size := sizeOf(chain); size > maxChain {
		return fmt.Errorf("%w: %d bytes; OpenSSL and many others stop at %d", errLongChain, size, maxChain)
	}
	return nil
}

// keep takes the bytes of a chain off the allowance. The error wraps errTooMuch.
func (a *allowance) keep(chain [][]byte) error {
	size := sizeOf(chain)
	if a.certificates.Add(int64(size)) > maxCertificates {
		return fmt.Errorf("%d bytes of certificates: %w, %d bytes from all endpoints", size, errTooMuch, maxCertificates)
	}
	return nil
}

func sizeOf(chain [][]byte) int {
	size := 0
	for _, certificate := range chain {
		size += len(certificate)
	}
	return size
}
