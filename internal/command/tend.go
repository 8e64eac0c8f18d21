package command

import (
	"context"
	"sync"
	"time"

	"dane_exporter/probe/dnssec"
)

// How soon a resolver that is in trouble is examined again, twice as late each
// time; and how often one that is good.
const (
	examineSoon  = 10 * time.Second
	examineLate  = 10 * time.Minute
	examineAgain = time.Hour
)

// tend cares for the resolver of the configuration in force, until ctx ends. It
// begins anew whenever a configuration was applied.
func (s *service) tend(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-s.applied: // what is in force now is all that counts
		default:
		}
		resolver := s.current.Load().prober.Resolver()
		tending, cancel := context.WithCancel(ctx)
		var group sync.WaitGroup
		group.Go(func() { resolver.KeepWarm(tending) })
		group.Go(func() { s.examine(tending, resolver.SelfCheck) })
		select {
		case <-s.applied:
		case <-ctx.Done():
		}
		cancel()
		group.Wait()
	}
}

// examine looks after the resolvers again and again, and tells what it found
// where that is news.
func (s *service) examine(ctx context.Context, look func(context.Context) dnssec.SelfCheckResult) {
	told := ""
	for soon := examineSoon; ; {
		found := look(ctx)
		if ctx.Err() != nil {
			return
		}
		s.examined.Store(&found)
		if found.String() != told {
			told = found.String()
			s.tell(found)
		}
		wait := examineAgain
		if found.Healthy() {
			soon = examineSoon
		} else {
			wait = soon
			soon = min(2*soon, examineLate)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

func (s *service) tell(found dnssec.SelfCheckResult) {
	if found.Healthy() {
		s.logger.Info("The resolvers were examined", "result", found.String())
		return
	}
	s.logger.Warn("The resolvers were examined, and not all is well", "result", found.String())
}
