package probe

import (
	"container/list"
	"errors"
	"sync"
	"time"

	"dane_exporter/probe/starttls"
)

// What is remembered of handshakes, at the most.
const (
	maxMet      = 4096     // encounters
	maxMetBytes = 32 << 20 // that they take, estimated
)

// met remembers encounters for a while, the oldest first to go. It is safe for
// concurrent use, and so is what it remembers: nobody writes to that.
type met struct {
	life  time.Duration
	mu    sync.Mutex
	byKey map[handshakeKey]*list.Element
	order *list.List // of *memory, oldest first
	bytes int
}

type memory struct {
	key handshakeKey
	encounter
	until time.Time
	bytes int
}

func newMet(life time.Duration) *met {
	return &met{life: life, byKey: make(map[handshakeKey]*list.Element), order: list.New()}
}

// lately returns the encounter of that key, if there was one lately.
func (m *met) lately(key handshakeKey) (encounter, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forgetOld()
	if at, ok := m.byKey[key]; ok {
		return at.Value.(*memory).encounter, true
	}
	return encounter{}, false
}

// remember keeps an encounter that says something lasting of the server.
func (m *met) remember(key handshakeKey, e encounter) {
	if m.life <= 0 || !lasting(e) {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if at, ok := m.byKey[key]; ok {
		m.drop(at)
	}
	one := &memory{key: key, encounter: e, until: time.Now().Add(m.life), bytes: weigh(e)}
	m.byKey[key] = m.order.PushBack(one)
	m.bytes += one.bytes
	m.forgetOld()
}

// lasting reports whether an encounter may stand for the next: a handshake, and
// the server's considered word that there is none to be had. A connection that
// failed, or a server that turns clients away, may be well again a second later,
// and whoever looks then should see it; such an attempt costs the server little.
func lasting(e encounter) bool {
	var rejected *starttls.Rejected
	return e.Err == nil || errors.Is(e.Err, starttls.ErrNotOffered) || errors.As(e.Err, &rejected) && rejected.Step == "STARTTLS"
}

// weigh estimates what an encounter takes.
func weigh(e encounter) int {
	var b bulk
	b.endpoint(&e.Endpoint)
	return b.bytes
}

// forgetOld drops what is over, and the oldest of what is too much.
func (m *met) forgetOld() {
	now := time.Now()
	for at := m.order.Front(); at != nil; at = m.order.Front() {
		if m.order.Len() <= maxMet && m.bytes <= maxMetBytes && now.Before(at.Value.(*memory).until) {
			return
		}
		m.drop(at)
	}
}

func (m *met) drop(at *list.Element) {
	one := m.order.Remove(at).(*memory)
	delete(m.byKey, one.key)
	m.bytes -= one.bytes
}
