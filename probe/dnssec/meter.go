package dnssec

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"
)

// Meter counts what all lookups for one client cost together. The limits of a single
// lookup are not enough: a zone can cause lookups of hundreds of names. A Meter is
// safe for concurrent use.
//
// Lookups and queries are shared between clients. The Meter of the client that starts
// shared work pays for it. If that Meter ends the work, the other clients repeat it
// with their own, so that no client makes another one fail.
type Meter interface {
	// Query counts a message before it is sent. An error prevents that. A speculative
	// message only saves time, so it may be refused earlier.
	Query(speculative bool) error
	// Control counts a query for a random name, which shows whether a lookup failed
	// because of the zone or of the resolvers. It goes to zones of others, so fewer are
	// allowed. An error prevents it, and the lookup has no verdict.
	Control() error
	// Grow counts n bytes of memory that a lookup holds until it ends. An error means
	// that it must not hold them. If n is negative, Grow releases them.
	Grow(n int) error
	// Compute counts CPU time in units of about a microsecond, before it is used. An error
	// prevents that.
	Compute(cost int) error
	// Begin waits until the client may have one more query in progress. A query takes a
	// socket until the zone answers. The caller must call end. The error is that
	// of ctx, if it ends first.
	Begin(ctx context.Context) (end func(), err error)
}

// ErrBudget is wrapped if the Meter of the client refused what the lookup needs. It wraps ErrLimit.
var ErrBudget = fmt.Errorf("%w by all lookups together", ErrLimit)

// sizeOfQuery is the memory in bytes of a query that waits for its reply, with its
// goroutines, buffers and socket. A zone decides how long its queries wait.
const sizeOfQuery = 16 << 10

// account is the use of a Meter by one lookup and its retries.
type account struct {
	meter   Meter  // nil: no limits
	stalled func() // is called when a query waits for its turn; nil: nothing

	mu      sync.Mutex
	held    int // bytes
	closed  bool
	refusal error // see refused
}

// query pays for one message. The error wraps ErrBudget.
func (a *account) query(speculative bool) error {
	if a == nil || a.meter == nil {
		return nil
	}
	return a.record(a.meter.Query(speculative), speculative)
}

// control pays for one query of a control. The error wraps ErrBudget.
func (a *account) control() error {
	if a == nil || a.meter == nil {
		return nil
	}
	return a.record(a.meter.Control(), false)
}

// compute pays for CPU time. The error wraps ErrBudget.
func (a *account) compute(cost int) error {
	if a == nil || a.meter == nil {
		return nil
	}
	return a.record(a.meter.Compute(cost), false)
}

// maxTurn is how long a query may wait for its turn before other clients no longer join its
// lookup.
const maxTurn = 500 * time.Millisecond

// begin waits until another query may be in progress.
func (a *account) begin(ctx context.Context) (end func(), err error) {
	if a == nil || a.meter == nil {
		return func() {}, nil
	}
	if a.stalled != nil {
		defer time.AfterFunc(maxTurn, a.stalled).Stop()
	}
	return a.meter.Begin(ctx)
}

// hold pays for n bytes of memory until release. The error wraps ErrBudget.
func (a *account) hold(n int, speculative bool) error {
	if a == nil || a.meter == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed { // a query that the lookup no longer waits for
		return nil
	}
	err := a.meter.Grow(n)
	if err == nil {
		a.held += n
	}
	return a.recordLocked(err, speculative)
}

// release releases n bytes before the lookup ends.
func (a *account) release(n int) {
	if a == nil || a.meter == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if n = min(n, a.held); n > 0 {
		_ = a.meter.Grow(-n) // which cannot fail
		a.held -= n
	}
}

// unrecorded returns another account of the same Meter. If the Meter refuses it something, the
// verdict of the lookup does not change.
func (a *account) unrecorded() *account {
	if a == nil {
		return &account{}
	}
	return &account{meter: a.meter}
}

// close releases all memory that the account holds. It is called when the lookup and all
// its retries have ended.
func (a *account) close() {
	a.release(math.MaxInt)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
}

// record wraps the error of a Meter, and notes what the lookup needed.
func (a *account) record(err error, speculative bool) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.recordLocked(err, speculative)
}

func (a *account) recordLocked(err error, speculative bool) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("%w: %w", ErrBudget, err)
	if !speculative && a.refusal == nil {
		a.refusal = err
	}
	return err
}

// refused returns the first refusal of something that the lookup or one of its retries
// needed, or nil.
func (a *account) refused() error {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.refusal
}
