package discovery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"dane_exporter/internal/printable"
)

// loader reads the list of a source.
type loader interface {
	// load returns the current list, or one without names if it has not changed since the
	// last call that succeeded. wait is the time until the next call, also after an error.
	load(ctx context.Context) (read reading, wait time.Duration, err error)
}

// reading is a list that was read.
type reading struct {
	list *List    // nil: unchanged
	bad  int      // number of entries that are not domain names
	why  []string // descriptions of the first ones, at most maxLogged
}

// errUnsettled is the error of a list that may still be being written. It is not a failure.
var errUnsettled = errors.New("the list may still be being written")

// maxLogged is the number of bad entries of one list that are logged.
const maxLogged = 10

// addBad counts a bad entry. place is its position, or empty.
func (r *reading) addBad(place, entry string, err error) {
	if r.bad++; r.bad <= maxLogged {
		r.why = append(r.why, fmt.Sprintf("%s%s is not a domain name: %v", place, printable.Text(strconv.Quote(entry), 100), err))
	}
}

// source is one source and its last good list.
type source struct {
	settings Source
	key      string // the settings, for comparison
	loader   loader
	now      func() time.Time
	logger   *slog.Logger
	changed  func() // called after the list has changed

	cancel func()        // stops run; nil before it is started; guarded by Discovery.mu
	poked  chan struct{} // has an element if the list is to be read now; has a buffer of one

	mu    sync.Mutex
	state SourceStatus
	list  *List // nil: no list was read
	err   error // of the last attempt
}

func (s *source) poke() {
	select {
	case s.poked <- struct{}{}:
	default:
	}
}

// run reads the list repeatedly until ctx ends.
func (s *source) run(ctx context.Context) {
	for ctx.Err() == nil {
		read, wait, err := s.loader.load(ctx)
		if ctx.Err() != nil {
			return
		}
		s.record(read, err)
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-s.poked:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// record stores the result of an attempt, and logs what differs from the last one.
func (s *source) record(read reading, err error) {
	if errors.Is(err, errUnsettled) {
		return
	}
	s.mu.Lock()
	before := s.err
	s.err = err
	s.state.Tried, s.state.Up = true, err == nil
	replaced := false
	if err == nil {
		s.state.Success = s.now()
		if read.list != nil {
			replaced = !read.list.equal(s.list)
			s.list = read.list
			s.state.Complete, s.state.Domains, s.state.BadLines = true, read.list.Len(), read.bad
		}
	}
	s.mu.Unlock()
	switch {
	case err != nil && (before == nil || before.Error() != err.Error()):
		s.logger.Error("Reading a list of domains failed; the previous list remains in use", "err", err)
	case err == nil && before != nil:
		s.logger.Info("Reading a list of domains succeeds again")
	}
	for _, why := range read.why {
		s.logger.Warn("A list of domains has an invalid entry; it is omitted", "entry", why)
	}
	if read.bad > len(read.why) {
		s.logger.Warn("A list of domains has more invalid entries", "entries", read.bad-len(read.why))
	}
	if replaced {
		s.logger.Info("A list of domains has changed", "domains", read.list.Len())
		s.changed()
	}
}

func (s *source) status() SourceStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	status := s.state
	status.Name = s.settings.Name
	return status
}

// current returns the list, or the reason why there is none.
func (s *source) current() (*List, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.list != nil:
		return s.list, nil
	case s.err != nil:
		return nil, fmt.Errorf("the source %s has no list: %w", s.settings.Name, s.err)
	default:
		return nil, fmt.Errorf("the source %s has not been read yet", s.settings.Name)
	}
}
