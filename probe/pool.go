package probe

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
)

// maxHeld is the memory in bytes that one probe may hold, estimated generously: replies
// while they are validated, answers, certificates and dialogues, and the goroutines of
// what is in progress. A probe of one mail host holds about 300 KiB.
const maxHeld = 24 << 20

// maxComputed is the CPU time in microseconds, as estimated, that the checks of DNSSEC
// signatures of one probe may take. Ten MX hosts in zones of their own take less than a
// fifth of it with nothing cached.
const maxComputed = 1_500_000

// Memory of the parts of a probe in bytes, with the stacks of their goroutines.
const (
	sizeOfHost   = 32 << 10
	sizeOfLookup = 16 << 10 // in progress, besides its queries
	sizeOfMatch  = 256      // the verdict on one endpoint and one TLSA record
)

// A Pool limits the memory and the queries of all probes in progress. Zones and servers
// decide how much memory a probe holds, and how long its queries are in progress. Without
// limits, a few hostile targets could take all memory or all sockets. A Pool is safe for
// concurrent use.
//
// If the memory is used up, the probe that holds the most ends with reason limit_exceeded,
// and the others continue. Each probe may have one query in progress. It may have more if
// few other queries are in progress, so that slow zones delay no other probe.
type Pool struct {
	limit int

	mu      sync.Mutex
	held    int             // by the probes that were not ended
	probes  map[*usage]bool // those that were not ended and hold something, or have not returned
	queries int             // that may begin
	waiting map[*usage]bool // probes with queries that wait
}

// Numbers of queries that all probes may have in progress. There are some more sockets in
// package transport, for queries of no probe.
const (
	maxInProgress = 960
	firstQueries  = 512 // of these, set apart for one query of each probe
)

// NewPool returns a Pool that limits the memory of all probes to a number of bytes.
func NewPool(limit int) *Pool {
	return &Pool{limit: limit, probes: make(map[*usage]bool), queries: maxInProgress, waiting: make(map[*usage]bool)}
}

// usage is what one probe takes of a Pool, and its CPU time. Lookups and handshakes that
// the probe shares with others count for the probe that started them, even after that has
// returned. It remains in the Pool for as long, so that no other probe ends for them.
type usage struct {
	pool *Pool
	end  context.CancelCauseFunc // ends the probe

	computed    atomic.Int64 // CPU time of signature checks, in microseconds
	maxComputed int64

	// Pool.mu guards the rest.
	held  int
	kept  int   // of held: in the facts of the probe
	ended error // not nil: the probe was ended

	returned bool

	inProgress int             // queries
	waiting    []chan struct{} // queries that wait; closed when they may begin
}

// newUsage adds a probe to the pool; nil is a pool without a limit. end ends the
// probe. The caller must call close.
func (p *Pool) newUsage(end context.CancelCauseFunc) *usage {
	if p == nil {
		p = NewPool(math.MaxInt)
	}
	m := &usage{pool: p, end: end, maxComputed: maxComputed}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.probes[m] = true
	return m
}

// close releases what the probe kept.
func (m *usage) close() {
	m.pool.mu.Lock()
	defer m.pool.mu.Unlock()
	m.returned = true
	m.add(-m.kept)
	m.kept = 0
}

// Grow counts n more bytes, or releases some if n is negative. The error means that the
// probe may not hold them: its own limit is exceeded, or it was ended.
func (m *usage) Grow(n int) error {
	m.pool.mu.Lock()
	defer m.pool.mu.Unlock()
	return m.grow(n)
}

// keep counts n more bytes until the probe ends. Its errors are those of Grow.
func (m *usage) keep(n int) error {
	m.pool.mu.Lock()
	defer m.pool.mu.Unlock()
	if err := m.grow(n); err != nil {
		return err
	}
	m.kept += n
	return nil
}

// err returns why the probe was ended, or nil.
func (m *usage) err() error {
	m.pool.mu.Lock()
	defer m.pool.mu.Unlock()
	return m.ended
}

func (m *usage) grow(n int) error {
	switch {
	case n <= 0:
		m.add(n)
		return nil
	case m.ended != nil:
		return m.ended
	case m.held+n > maxHeld:
		return fmt.Errorf("a probe may hold %d MiB of answers and certificates", maxHeld>>20)
	}
	m.add(n)
	for m.pool.held > m.pool.limit && len(m.pool.probes) > 0 {
		m.pool.endLargest()
	}
	if m.ended != nil {
		m.add(-n)
	}
	return m.ended
}

func (m *usage) add(n int) {
	m.held += n
	if m.ended == nil {
		m.pool.held += n
	}
	switch {
	case m.returned && m.held == 0:
		delete(m.pool.probes, m)
	case m.ended == nil: // shared work may begin to hold something again
		m.pool.probes[m] = true
	}
}

// endLargest ends the probe that holds most. What it holds counts no longer: it is about
// to be released.
func (p *Pool) endLargest() {
	var largest *usage
	for m := range p.probes {
		if largest == nil || m.held > largest.held {
			largest = m
		}
	}
	delete(p.probes, largest)
	p.held -= largest.held
	largest.ended = fmt.Errorf("the probe was ended: all probes together hold more than %d MiB, and it held most of them, %d KiB",
		p.limit>>20, largest.held>>10)
	largest.end(largest.ended)
}

// Begin implements [dnssec.Meter].
func (m *usage) Begin(ctx context.Context) (end func(), err error) {
	m.pool.mu.Lock()
	if len(m.waiting) == 0 && m.mayBegin() {
		m.begin()
		m.pool.mu.Unlock()
		return m.finishQuery, nil
	}
	turn := make(chan struct{})
	m.waiting = append(m.waiting, turn)
	m.pool.waiting[m] = true
	m.pool.mu.Unlock()
	select {
	case <-turn:
		return m.finishQuery, nil
	case <-ctx.Done():
	}
	m.pool.mu.Lock()
	defer m.pool.mu.Unlock()
	if i := slices.Index(m.waiting, turn); i >= 0 {
		if m.waiting = slices.Delete(m.waiting, i, i+1); len(m.waiting) == 0 {
			delete(m.pool.waiting, m)
		}
		return nil, ctx.Err()
	}
	return m.finishQuery, nil // it was its turn meanwhile
}

// mayBegin reports whether a query may begin. Besides its first one, a probe may have half
// as many in progress as are left.
func (m *usage) mayBegin() bool {
	return m.pool.queries > 0 && m.inProgress <= max(0, (m.pool.queries-firstQueries)/2)
}

func (m *usage) begin() {
	m.inProgress++
	m.pool.queries--
}

// finishQuery ends a query. It lets those begin that wait for it.
func (m *usage) finishQuery() {
	p := m.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	m.inProgress--
	p.queries++
	for other := range p.waiting { // in random order
		for len(other.waiting) > 0 && other.mayBegin() {
			other.begin()
			close(other.waiting[0])
			other.waiting = other.waiting[1:]
		}
		if len(other.waiting) == 0 {
			delete(p.waiting, other)
		}
		if p.queries == 0 {
			return
		}
	}
}
