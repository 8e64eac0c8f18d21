package dnssec

import (
	"container/list"
	"crypto/sha256"
	"encoding/binary"
	"sync"
)

// memo remembers signatures that hold, so that the same arithmetic is not done
// for each probe anew. What it knows is a matter of numbers: that one key made
// one signature over some octets. Dates, names and what the key may sign are
// judged each time. Of too many, the one unused for longest is forgotten.
type memo struct {
	mu    sync.Mutex
	most  int
	known map[fact]*list.Element
	order *list.List // of fact, the last used first
}

// fact is the digest of a key, the octets signed, and the signature.
type fact [sha256.Size]byte

// memoEntries bounds the memo; each entry takes about 200 octets.
const memoEntries = 16384

func newMemo(most int) *memo {
	return &memo{most: most, known: make(map[fact]*list.Element), order: list.New()}
}

// factOf is unambiguous by the lengths that go before the parts.
func factOf(k *key, data, signature []byte) fact {
	all := make([]byte, 0, 12+len(k.rdata)+len(data)+len(signature))
	for _, part := range [][]byte{k.rdata, data, signature} {
		all = binary.BigEndian.AppendUint32(all, uint32(len(part)))
		all = append(all, part...)
	}
	return sha256.Sum256(all)
}

// holds reports whether a fact is known.
func (m *memo) holds(f fact) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	element := m.known[f]
	if element != nil {
		m.order.MoveToFront(element)
	}
	return element != nil
}

func (m *memo) add(f fact) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known[f] != nil {
		return
	}
	m.known[f] = m.order.PushFront(f)
	for m.order.Len() > m.most {
		delete(m.known, m.order.Remove(m.order.Back()).(fact))
	}
}
