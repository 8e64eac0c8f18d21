package dnssec

import (
	"crypto/sha256"
	"encoding/binary"
	"sync"
)

// memo remembers signatures that hold, so that the same arithmetic is not done
// for each probe anew. What it knows is a matter of numbers: that one key made
// one signature over some octets. Dates, names and what the key may sign are
// judged each time. Half of its room is for the young; when that is full, they
// grow old, and what was old and has not been asked for since is forgotten.
type memo struct {
	mu         sync.Mutex
	room       int // for the young, and for the old
	young, old map[fact]struct{}
}

// fact is the digest of a key, the octets signed, and the signature.
type fact [sha256.Size]byte

// memoEntries bounds the memo; each entry takes about 80 octets.
const memoEntries = 65536

func newMemo(most int) *memo {
	return &memo{room: max(1, most/2), young: make(map[fact]struct{})}
}

// factOf is unambiguous by the lengths that go before the parts.
func factOf(k *key, data, signature []byte) (f fact) {
	hash := sha256.New()
	var length [4]byte
	for _, part := range [][]byte{k.rdata, data, signature} {
		binary.BigEndian.PutUint32(length[:], uint32(len(part)))
		hash.Write(length[:])
		hash.Write(part)
	}
	hash.Sum(f[:0])
	return f
}

// holds reports whether a fact is known.
func (m *memo) holds(f fact) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, young := m.young[f]; young {
		return true
	}
	_, old := m.old[f]
	if old {
		m.keep(f)
	}
	return old
}

func (m *memo) add(f fact) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keep(f)
}

// keep makes a fact one of the young. The caller holds mu.
func (m *memo) keep(f fact) {
	if len(m.young) >= m.room {
		m.old, m.young = m.young, make(map[fact]struct{})
	}
	m.young[f] = struct{}{}
}
