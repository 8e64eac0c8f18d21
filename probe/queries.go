package probe

import (
	"context"
	"fmt"
	"sync"
)

// Limits on the queries of one probe. With nothing cached, ten MX hosts in ten zones take
// up to 200 of the first kind, and 250 of the second.
const (
	maxQueries           = 600 // of discovery, hosts and MTA-STS
	maxNameserverQueries = 400 // for what decides no outcome: checks of nameservers, also the queries to them, renewals, TLSRPT of hosts
	hostQueries          = 16  // set apart for each host whose lookups are in progress
	maxControls          = 120 // of either kind, which show whether the zone or the resolver failed
)

// queries is what is left of the queries that a probe may send. A
// domain may name 50 hosts in zones of a hundred labels each, and one probe of it would
// take thousands of queries.
//
// The best preference decides the outcome, so it comes first. While the lookups of a host
// are in progress, the hosts after it leave the last third of the queries to it. The
// lookups of a host begin as soon as enough queries are left for it and for the hosts in
// progress: those of 25 hosts at the same time, and with the last third one after the other.
type queries struct {
	total int

	mu       sync.Mutex
	left     int
	controls int             // left, of the queries
	begun    int             // hosts whose lookups may begin: the first ones
	begin    []chan struct{} // of the other hosts; closed when their lookups may begin
	first    int             // host of the first channel
	finished []bool          // by host
}

func newQueries(total int) *queries {
	return &queries{total: total, left: total, controls: maxControls}
}

// setHosts sets the number of hosts, in the order of preference. It is called once.
func (q *queries) setHosts(n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.finished = make([]bool, n)
	q.advance()
	q.first = q.begun
	for range n - q.first {
		q.begin = append(q.begin, make(chan struct{}))
	}
}

// wait returns when the lookups of a host may begin, or when half of the time of ctx has
// passed: better hosts may wait for servers. The caller must call finish.
func (q *queries) wait(ctx context.Context, host int) {
	if host < q.first {
		return
	}
	ctx, cancel := half(ctx)
	defer cancel()
	select {
	case <-q.begin[host-q.first]:
	case <-ctx.Done():
	}
}

// finish records that the lookups of a host have ended.
func (q *queries) finish(host int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.finished[host] = true
	q.advance()
}

// advance lets as many hosts begin as there are queries for.
func (q *queries) advance() {
	inProgress := 0
	for _, done := range q.finished[:q.begun] {
		if !done {
			inProgress++
		}
	}
	for ; q.begun < len(q.finished) && (inProgress == 0 || q.left-q.reserve() >= (inProgress+1)*hostQueries); q.begun++ {
		if len(q.begin) > 0 {
			close(q.begin[q.begun-q.first])
		}
		if !q.finished[q.begun] {
			inProgress++
		}
	}
}

// reserve is the number of queries that only the best host in progress may use.
func (q *queries) reserve() int { return q.total / 3 }

// take counts a query of a host. A speculative query never uses the reserve.
func (q *queries) take(host int, speculative bool) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.takeLocked(host, speculative)
}

func (q *queries) takeLocked(host int, speculative bool) error {
	reserve := 0
	if speculative || !q.isFirst(host) {
		reserve = q.reserve()
	}
	if q.left <= reserve {
		return fmt.Errorf("the probe may send %d queries, and the best hosts come first", q.total)
	}
	q.left--
	return nil
}

// control counts a query of a host that shows whether a zone or the resolver failed. The last
// third of them is for the best host in progress.
func (q *queries) control(host int) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.controls == 0 || q.controls <= maxControls/3 && !q.isFirst(host) {
		return fmt.Errorf("the probe may send %d queries to distinguish a failing zone from a failing resolver", maxControls)
	}
	if err := q.takeLocked(host, false); err != nil {
		return err
	}
	q.controls--
	return nil
}

// isFirst reports whether no host before this one is still looking up.
func (q *queries) isFirst(host int) bool {
	for _, done := range q.finished[:min(host, len(q.finished))] {
		if !done {
			return false
		}
	}
	return true
}

// meter is the [dnssec.Meter] of the lookups for one host, or for the target if host is 0.
type meter struct {
	*usage
	queries *queries
	host    int // its position in the order of preference
}

// Query implements [dnssec.Meter]. It counts a query.
func (m meter) Query(speculative bool) error {
	if err := m.err(); err != nil {
		return err
	}
	return m.queries.take(m.host, speculative)
}

// Control implements [dnssec.Meter].
func (m meter) Control() error {
	if err := m.err(); err != nil {
		return err
	}
	return m.queries.control(m.host)
}

// Compute implements [dnssec.Meter]. It counts CPU time.
func (m meter) Compute(cost int) error {
	if m.computed.Add(int64(cost)) > m.maxComputed {
		return fmt.Errorf("the signatures of the zones take more than %d ms of CPU time to check", m.maxComputed/1000)
	}
	return nil
}
