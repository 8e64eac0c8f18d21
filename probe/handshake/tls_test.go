package handshake

import (
	"errors"
	"testing"
)

func TestChainSizeIsBounded(t *testing.T) {
	chain := func(sizes ...int) (chain [][]byte) {
		for _, size := range sizes {
			chain = append(chain, make([]byte, size))
		}
		return chain
	}
	for _, c := range []struct {
		name  string
		chain [][]byte
		want  error
	}{
		{"an ordinary chain", chain(1500, 1500), nil},
		{"as long as OpenSSL accepts", chain(50<<10, 50<<10), nil},
		{"a byte longer", chain(50<<10, 50<<10, 1), errChainTooLong},
		{"one certificate that is too large", chain(MaxChain + 1), errChainTooLong},
	} {
		if err := verifyChainSize(c.chain, nil); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}
