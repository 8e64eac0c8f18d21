package dnssec

import (
	"fmt"
	"sync/atomic"
)

// Meter counts what all lookups for one client cost together. The limits of a single
// lookup are not enough: a client may be made to look up hundreds of names. A Meter is
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
}

// ErrBudget is wrapped if the Meter of the client refused what the lookup needs. It wraps ErrLimit.
var ErrBudget = fmt.Errorf("%w by all lookups together", ErrLimit)

// account is the use of a Meter by one lookup and its retries.
type account struct {
	meter   Meter // nil: no limits
	refusal atomic.Pointer[error]
	held    atomic.Int64 // bytes
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

// hold pays for the memory of a reply until release. The error wraps ErrBudget.
func (a *account) hold(r *reply, speculative bool) error {
	if a == nil || a.meter == nil {
		return nil
	}
	err := a.meter.Grow(r.size)
	if err == nil {
		a.held.Add(int64(r.size))
	}
	return a.record(err, speculative)
}

// release releases all memory that the account holds. It is called when the lookup and all
// its retries have ended.
func (a *account) release() {
	if n := a.held.Swap(0); n > 0 {
		_ = a.meter.Grow(int(-n)) // which cannot fail
	}
}

// record wraps the error of a Meter, and notes what the lookup needed.
func (a *account) record(err error, speculative bool) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("%w: %w", ErrBudget, err)
	if !speculative {
		a.refusal.CompareAndSwap(nil, &err)
	}
	return err
}

// refused returns the first refusal of something that the lookup or one of its retries
// needed, or nil.
func (a *account) refused() error {
	if a == nil {
		return nil
	}
	if err := a.refusal.Load(); err != nil {
		return *err
	}
	return nil
}
