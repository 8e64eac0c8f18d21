package handshake

import (
	"fmt"
	"testing"
	"time"

	"dane_exporter/probe/dane"
)

// The cache has bounds in number and in bytes.
func TestCacheIsBounded(t *testing.T) {
	for _, c := range []struct {
		name  string
		chain int
	}{
		{"many", 0},
		{"large", MaxChain},
	} {
		cache := newCache(time.Hour)
		key := func(i int) Key { return Key{SNI: fmt.Sprintf("mx%d.example.org", i)} }
		last := maxCacheEntries + 100
		for i := range last + 1 {
			cache.put(key(i), attempt{endpoint: dane.Endpoint{Reached: dane.StageTLS, Raw: [][]byte{make([]byte, c.chain)}}})
		}
		if len(cache.entries) != cache.order.Len() || len(cache.entries) > maxCacheEntries || cache.bytes > maxCacheBytes {
			t.Errorf("%s: %d entries, %d in order, %d bytes", c.name, len(cache.entries), cache.order.Len(), cache.bytes)
		}
		if _, ok := cache.get(key(0)); ok {
			t.Errorf("%s: the oldest entry is still there", c.name)
		}
		if _, ok := cache.get(key(last)); !ok {
			t.Errorf("%s: the newest entry is gone", c.name)
		}
	}
}
