package discovery

import (
	"bytes"
	"cmp"
	"crypto/md5" // the hash of the relabel action hashmod
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// By is the kind of the targets.
type By string

const (
	ByDomain By = "domain" // the domains of the lists
	ByMX     By = "mx"     // the MX hosts of the domains
)

// Query selects targets.
type Query struct {
	By     By
	Source string // empty: all sources
	Shard  int    // from 1 to Shards
	Shards int    // 0: all targets
}

// Errors of Targets, apart from NotReadyError.
var (
	ErrNoSources     = errors.New("the configuration has no discovery.sources")
	ErrUnknownSource = errors.New("unknown source")
)

// NotReadyError has the reason why not all targets are known.
type NotReadyError struct{ err error }

func (e *NotReadyError) Error() string { return "the targets are not complete: " + e.err.Error() }
func (e *NotReadyError) Unwrap() error { return e.err }

func notReady(err error) error { return &NotReadyError{err} }

// Targets returns the targets as a document for http_sd_configs of Prometheus. Each
// occurs once. The caller must not modify the document. Targets returns a NotReadyError if
// not all targets are known, and otherwise an error that wraps ErrNoSources or
// ErrUnknownSource.
//
// Targets with equal labels share a group, which keeps the document small. The labels are:
//
//   - __meta_dane_source: the sources that list the domain, separated by commas, in the
//     order of the configuration. A host has the sources that list any of its domains.
//   - __meta_dane_domains: with ByMX, the number of domains that use the host.
func (d *Discovery) Targets(q Query) ([]byte, error) {
	d.building.Lock() // not mu, because a large document takes a second
	defer d.building.Unlock()
	sources, version, err := d.selectSources(q)
	if err != nil {
		return nil, err
	}
	if body, ok := d.cache.get(q, version); ok {
		return body, nil
	}
	lists, err := currentLists(sources)
	if err != nil {
		return nil, err
	}
	document := newDocument(sources, q)
	if q.By == ByMX {
		hosts, err := d.mx.hostCounts(lists)
		if err != nil {
			return nil, err
		}
		for _, host := range slices.Sorted(maps.Keys(hosts)) {
			document.add([]byte(host), labels{hosts[host].mask, hosts[host].domains})
		}
	} else {
		for name, mask := range merged(lists) {
			document.add(name, labels{mask: mask})
		}
	}
	body := document.encode()
	d.cache.put(q, version, body)
	return body, nil
}

// selectSources returns the sources of a query, and the version of their lists. It starts
// the MX lookups if the query is the first that needs them.
func (d *Discovery) selectSources(q Query) (sources []*source, version uint64, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.sources) == 0 {
		return nil, 0, ErrNoSources
	}
	sources = d.sources
	if q.Source != "" {
		i := slices.IndexFunc(sources, func(s *source) bool { return s.settings.Name == q.Source })
		if i < 0 {
			var names []string
			for _, s := range sources {
				names = append(names, s.settings.Name)
			}
			return nil, 0, fmt.Errorf("%w %.80q; must be one of: %s", ErrUnknownSource, q.Source, strings.Join(names, ", "))
		}
		sources = sources[i : i+1]
	}
	if q.By == ByMX && !d.wantMX {
		d.wantMX = true
		d.listsChangedLocked()
	}
	return sources, d.version.Load(), nil
}

// currentLists returns the list of each source. The error is a NotReadyError that names
// each source without a list.
func currentLists(sources []*source) ([]*List, error) {
	var lists []*List
	var missing []string
	for _, s := range sources {
		list, err := s.current()
		if err != nil {
			missing = append(missing, err.Error())
			continue
		}
		lists = append(lists, list)
	}
	if len(missing) > 0 {
		return nil, notReady(errors.New(strings.Join(missing, "; ")))
	}
	return lists, nil
}

// union returns the list of all domains of the sources that have a list.
func union(sources []*source) *List {
	var lists []*List
	for _, s := range sources {
		if list, err := s.current(); err == nil {
			lists = append(lists, list)
		}
	}
	if len(lists) == 1 {
		return lists[0]
	}
	all := new(List)
	for name := range merged(lists) {
		all.text = append(all.text, name...)
		all.ends = append(all.ends, uint32(len(all.text)))
	}
	return all
}

// merged yields the names of several lists in order, each once. Bit i of mask is set if
// list i has the name.
func merged(lists []*List) iter.Seq2[[]byte, uint64] {
	return func(yield func(name []byte, mask uint64) bool) {
		at := make([]int, len(lists)) // the next name of each list
		for {
			var least []byte
			for i, list := range lists {
				if at[i] < list.Len() && (least == nil || bytes.Compare(list.At(at[i]), least) < 0) {
					least = list.At(at[i])
				}
			}
			if least == nil {
				return
			}
			var mask uint64
			for i, list := range lists {
				if at[i] < list.Len() && bytes.Equal(list.At(at[i]), least) {
					at[i]++
					mask |= 1 << i
				}
			}
			if !yield(least, mask) {
				return
			}
		}
	}
}

// labels has the values of the labels of a group of targets.
type labels struct {
	mask    uint64 // of the sources
	domains int    // 0: no such label
}

// document collects the targets of a query.
type document struct {
	sources []*source
	query   Query
	groups  map[labels][]byte // the list of targets, without brackets
}

func newDocument(sources []*source, q Query) *document {
	return &document{sources: sources, query: q, groups: make(map[labels][]byte)}
}

// add adds a target if it belongs to the shard. Names have no characters that JSON escapes.
func (d *document) add(name []byte, of labels) {
	if d.query.Shards > 0 && shardOf(name, d.query.Shards) != d.query.Shard {
		return
	}
	group := d.groups[of]
	if len(group) > 0 {
		group = append(group, ',')
	}
	group = append(group, '"')
	group = append(group, name...)
	d.groups[of] = append(group, '"')
}

// shardOf returns the shard of a target, from 1: the value of the relabel action hashmod,
// plus 1.
func shardOf(name []byte, shards int) int {
	sum := md5.Sum(name)
	return int(binary.BigEndian.Uint64(sum[8:])%uint64(shards)) + 1
}

// encode returns the document as JSON.
func (d *document) encode() []byte {
	keys := slices.SortedFunc(maps.Keys(d.groups), func(a, b labels) int {
		return cmp.Or(cmp.Compare(a.mask, b.mask), cmp.Compare(b.domains, a.domains))
	})
	size := 2
	for _, group := range d.groups {
		size += len(group) + 200
	}
	body := append(make([]byte, 0, size), '[')
	for i, key := range keys {
		if i > 0 {
			body = append(body, ",\n"...)
		}
		body = append(body, `{"targets":[`...)
		body = append(body, d.groups[key]...)
		body = append(body, `],"labels":{"__meta_dane_source":"`...)
		body = append(body, d.sourceNames(key.mask)...)
		if key.domains > 0 {
			body = append(body, `","__meta_dane_domains":"`...)
			body = strconv.AppendInt(body, int64(key.domains), 10)
		}
		body = append(body, `"}}`...)
	}
	return append(body, "]\n"...)
}

// sourceNames returns the names of the sources in mask.
func (d *document) sourceNames(mask uint64) string {
	var names []string
	for i, s := range d.sources {
		if mask&(1<<i) != 0 {
			names = append(names, s.settings.Name)
		}
	}
	return strings.Join(names, ",")
}

// documentCache keeps the documents of one version of the lists.
type documentCache struct {
	version uint64
	size    int
	bodies  map[Query][]byte
}

// Sizes in bytes. Half a million different shards can be requested, so empty documents count
// too.
const (
	maxCached   = 64 << 20 // of all cached documents
	sizeOfEntry = 256      // of a document in the cache, without its text
)

func (c *documentCache) get(q Query, version uint64) (body []byte, ok bool) {
	if c.version != version {
		return nil, false
	}
	body, ok = c.bodies[q]
	return body, ok
}

// put adds a document. It drops all others if they are of another version, or if the cache
// exceeds its limit.
func (c *documentCache) put(q Query, version uint64, body []byte) {
	size := len(body) + sizeOfEntry
	if c.version != version || c.size+size > maxCached || c.bodies == nil {
		*c = documentCache{version: version, bodies: make(map[Query][]byte)}
	}
	c.bodies[q] = body
	c.size += size
}
