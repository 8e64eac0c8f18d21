package probe

import (
	"context"
	"fmt"
	"math"
	"sync"
)

// maxHeld is the memory in bytes that one probe may hold, estimated generously: replies
// while they are validated, answers, certificates and dialogues. A probe of one mail host
// holds less than 100 KiB.
const maxHeld = 24 << 20

// matchSize is the memory in bytes of the verdict on one endpoint and one TLSA record.
const matchSize = 256

// A Pool limits the memory that all probes in progress hold together. What zones and
// servers send decides how much a probe holds, so a few hostile targets could take all
// memory. If the Pool is full, the probe that holds most ends with reason
// limit_exceeded, and the others continue. It is safe for concurrent use.
type Pool struct {
	limit int

	mu     sync.Mutex
	held   int // by the probes that were not ended
	probes map[*memory]bool
}

// NewPool returns a pool of a number of bytes.
func NewPool(limit int) *Pool {
	return &Pool{limit: limit, probes: make(map[*memory]bool)}
}

// memory is what one probe holds of a Pool. Lookups and handshakes that the probe shares
// with others count for the probe that started them, even after that has ended.
type memory struct {
	pool *Pool
	end  context.CancelCauseFunc // ends the probe

	// Pool.mu guards the rest.
	held  int
	kept  int   // of held: in the facts of the probe
	ended error // not nil: the probe was ended
}

// newMemory adds a probe to the pool; nil is a pool without a limit. end ends the
// probe. The caller must call close.
func (p *Pool) newMemory(end context.CancelCauseFunc) *memory {
	if p == nil {
		p = NewPool(math.MaxInt)
	}
	m := &memory{pool: p, end: end}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.probes[m] = true
	return m
}

// close releases what the probe kept.
func (m *memory) close() {
	m.pool.mu.Lock()
	defer m.pool.mu.Unlock()
	delete(m.pool.probes, m)
	m.add(-m.kept)
	m.kept = 0
}

// Grow counts n more bytes, or releases some if n is negative. The error means that the
// probe may not hold them: its own limit is exceeded, or it was ended.
func (m *memory) Grow(n int) error {
	m.pool.mu.Lock()
	defer m.pool.mu.Unlock()
	return m.grow(n)
}

// keep counts n more bytes until the probe ends. Its errors are those of Grow.
func (m *memory) keep(n int) error {
	m.pool.mu.Lock()
	defer m.pool.mu.Unlock()
	if err := m.grow(n); err != nil {
		return err
	}
	m.kept += n
	return nil
}

// err returns why the probe was ended, or nil.
func (m *memory) err() error {
	m.pool.mu.Lock()
	defer m.pool.mu.Unlock()
	return m.ended
}

func (m *memory) grow(n int) error {
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

func (m *memory) add(n int) {
	m.held += n
	if m.ended == nil {
		m.pool.held += n
	}
}

// endLargest ends the probe that holds most. What it holds counts no longer: it is about
// to be released.
func (p *Pool) endLargest() {
	var largest *memory
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
