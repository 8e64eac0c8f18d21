package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// streams are the connections to one server. They are kept for the queries to
// come (RFC 7766 §6.2.1); one is enough until it is full. They close when
// nobody has used them for a while.
type streams struct {
	dial    func(context.Context) (net.Conn, error)
	timeout time.Duration
	places  chan struct{} // one for each query that is under way or waits for a stream

	mutex    sync.Mutex
	open     []*stream
	dialling *dialling // one at a time
}

// dialling is a connection in the making, for all who wait for it. It is
// nobody's own: who leaves does not end it.
type dialling struct {
	done   chan struct{}
	stream *stream
	err    error
}

// mostStreams bounds the connections to one server. RFC 7766 §6.2.2 wants few.
const mostStreams = 4

// errBusy: responses are due on all streams, and the server gives none.
var errBusy = fmt.Errorf("all %d connections are silent or full", mostStreams)

func newStreams(timeout time.Duration, dial func(context.Context) (net.Conn, error)) *streams {
	return &streams{dial: dial, timeout: timeout, places: make(chan struct{}, mostStreams*mostDue)}
}

// exchange sends query on a kept connection, or on a new one, and waits for the
// response until ctx ends.
//
// A kept connection may end at any moment, and a server may close one with
// queries still unanswered (RFC 7766 §6.2.4). Such a query is sent again, as
// long as each connection brings at least some query its response.
func (k *streams) exchange(ctx context.Context, q outgoing) (*dns.Msg, error) {
	if len(q.wire) > maxMessage {
		return nil, fmt.Errorf("a query of %d bytes is too long", len(q.wire))
	}
	select {
	case k.places <- struct{}{}:
		defer func() { <-k.places }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	for {
		c, err := k.begin(ctx)
		if err != nil {
			return nil, err
		}
		message, err := c.exchange(ctx, q)
		var ended *broken
		switch {
		case err == nil:
			return c.read(message, q)
		case !errors.As(err, &ended) || !c.hasAnswered():
			return nil, err
		}
	}
}

// begin finds a stream with a place, or opens one.
func (k *streams) begin(ctx context.Context) (*call, error) {
	for {
		c, awaited := k.place()
		switch {
		case c != nil:
			return c, nil
		case awaited == nil:
			return nil, errBusy
		}
		select {
		case <-awaited.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if awaited.err != nil {
			return nil, awaited.err
		}
		if c := awaited.stream.begin(); c != nil {
			return c, nil
		}
		select {
		case <-awaited.stream.ended: // before it was of any use
			return nil, awaited.stream.err
		default: // others took all its places
		}
	}
}

// place returns a place on an open stream; else the connection to wait for;
// neither where there are streams enough.
func (k *streams) place() (*call, *dialling) {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	for _, s := range k.open {
		if c := s.begin(); c != nil {
			return c, nil
		}
	}
	if k.dialling == nil && len(k.open) < mostStreams {
		k.dialling = &dialling{done: make(chan struct{})}
		go k.connect(k.dialling)
	}
	return nil, k.dialling
}

// connect opens a stream, and carries its messages until it ends.
func (k *streams) connect(d *dialling) {
	ctx, cancel := context.WithTimeout(context.Background(), k.timeout)
	conn, err := k.dial(ctx)
	cancel()

	k.mutex.Lock()
	k.dialling = nil
	if err == nil {
		d.stream = newStream(conn, k.timeout)
		k.open = append(k.open, d.stream)
	}
	d.err = err
	close(d.done)
	k.mutex.Unlock()
	if err != nil {
		return
	}
	d.stream.run()

	k.mutex.Lock()
	k.open = slices.DeleteFunc(k.open, func(s *stream) bool { return s == d.stream })
	k.mutex.Unlock()
}
