package discovery

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sort"
)

// Limits on one list. The largest hosters have 1.3 million domains.
const (
	maxNames = 2_000_000
	maxText  = 128 << 20 // bytes of all names
)

// List is a sorted list of distinct domain names. All names are in one array: a million
// names take about 20 MB, a third of what a slice of strings takes. A List is not
// modified after it is built. The zero List is empty.
type List struct {
	text []byte   // the names, one after the other
	ends []uint32 // the end of each name in text
}

// Len returns the number of names.
func (l *List) Len() int { return len(l.ends) }

// At returns a name. The caller must not modify it.
func (l *List) At(i int) []byte { return nameAt(l.text, l.ends, uint32(i)) }

// find returns the position of a name, or the position at which it would be inserted.
func (l *List) find(name string) (i int, found bool) {
	wanted := []byte(name)
	return sort.Find(l.Len(), func(i int) int { return bytes.Compare(wanted, l.At(i)) })
}

func (l *List) equal(other *List) bool {
	return other != nil && slices.Equal(l.ends, other.ends) && bytes.Equal(l.text, other.text)
}

func nameAt(text []byte, ends []uint32, i uint32) []byte {
	start := uint32(0)
	if i > 0 {
		start = ends[i-1]
	}
	return text[start:ends[i]]
}

// builder collects the names of a List. The zero builder is ready to use.
type builder struct {
	text []byte
	ends []uint32
}

var errTooManyNames = errors.New("the list is too long")

// add adds a name. It returns an error that wraps errTooManyNames if the list exceeds
// the limits.
func (b *builder) add(name string) error {
	if len(b.ends) >= maxNames || len(b.text)+len(name) > maxText {
		return fmt.Errorf("%w: it has more than %d names or %d MiB", errTooManyNames, maxNames, maxText>>20)
	}
	b.text = append(b.text, name...)
	b.ends = append(b.ends, uint32(len(b.text)))
	return nil
}

// list returns the sorted list. duplicate is a name that was added more than once, or "".
// The builder must not be used afterwards.
func (b *builder) list() (list *List, duplicate string) {
	order := make([]uint32, len(b.ends))
	for i := range order {
		order[i] = uint32(i)
	}
	compare := func(i, j uint32) int {
		return bytes.Compare(nameAt(b.text, b.ends, i), nameAt(b.text, b.ends, j))
	}
	slices.SortFunc(order, compare)
	distinct := slices.CompactFunc(order, func(i, j uint32) bool {
		same := compare(i, j) == 0
		if same && duplicate == "" {
			duplicate = string(nameAt(b.text, b.ends, i))
		}
		return same
	})
	list = &List{text: make([]byte, 0, len(b.text)), ends: make([]uint32, 0, len(distinct))}
	for _, i := range distinct {
		list.text = append(list.text, nameAt(b.text, b.ends, i)...)
		list.ends = append(list.ends, uint32(len(list.text)))
	}
	return list, duplicate
}
