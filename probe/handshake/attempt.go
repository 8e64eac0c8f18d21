package handshake

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"dane_exporter/probe/dane"
)

// attempt is one handshake, as far as it has got. Requests that share it receive
// copies.
type attempt struct {
	endpoint dane.Endpoint
	step     string        // in progress; the address completes the phrase
	started  time.Time     // when the address was free; zero: the attempt still waits for it
	answered bool          // the server has answered the ClientHello
	silence  time.Duration // between the ClientHello and its answer, or the end of the handshake
	done     bool          // the result is final
	cut      bool          // the attempt's own deadline ended it before there was a cacheable result
	report   func(attempt) // publishes progress to the requests that wait
	grow     Grow          // counts the memory of its connections
}

func (a *attempt) begin(step string, span *dane.Span) {
	a.step, span.Start = step, time.Now()
	a.update()
}

func (a *attempt) end(span *dane.Span) { span.End = time.Now() }

// conclude makes the result final, although the connection is still to be closed.
func (a *attempt) conclude(err error) {
	a.endpoint.Err, a.done = err, true
	a.update()
}

func (a *attempt) update() { a.report(*a) }

// timedOutEarly reports whether the server had less than minWait to answer a
// request of that time, however long other requests have waited.
func (a *attempt) timedOutEarly(requested time.Time, minWait time.Duration) bool {
	if a.started.IsZero() {
		return true
	}
	if a.started.After(requested) {
		requested = a.started
	}
	return time.Since(requested) < minWait
}

// interrupt makes a copy of an unfinished attempt final for a request whose ctx has ended.
func (a *attempt) interrupt(ctx context.Context, address netip.AddrPort) {
	e := &a.endpoint
	if e.Err != nil {
		return // a further handshake was to explain the error
	}
	if a.started.IsZero() {
		e.Err = fmt.Errorf("waiting for another connection to %s to end: %w", address, context.Cause(ctx))
		return
	}
	for _, span := range []*dane.Span{&e.Connect, &e.StartTLS, &e.TLS} {
		if !span.Start.IsZero() && span.End.IsZero() {
			span.End = time.Now()
		}
	}
	e.Err = fmt.Errorf("%s %s: %w", a.step, address, context.Cause(ctx))
}
