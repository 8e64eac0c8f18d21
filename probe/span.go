package probe

import "time"

// Span is when some work began and ended. Zero: it was not done.
type Span struct{ Start, End time.Time }

// timed does some work and returns when.
func timed(work func()) Span {
	start := time.Now()
	work()
	return Span{start, time.Now()}
}

// or returns the least span that covers both.
func (s Span) or(t Span) Span {
	if s.Start.IsZero() {
		return t
	}
	if t.Start.IsZero() {
		return s
	}
	if t.Start.Before(s.Start) {
		s.Start = t.Start
	}
	if t.End.After(s.End) {
		s.End = t.End
	}
	return s
}

// phases gathers the spans of all the work of a kind, in the order in which a
// probe comes to them. What was not done, or not in this probe, is left out.
func phases(facts *Facts) []Phase {
	var lookup, connect, startTLS, tls Span
	for i := range facts.Hosts {
		host := &facts.Hosts[i]
		lookup = lookup.or(host.Looking)
		for j := range host.Services {
			for _, e := range host.Services[j].Endpoints {
				if e.Reused {
					continue
				}
				connect, startTLS, tls = connect.or(e.Connect), startTLS.or(e.StartTLS), tls.or(e.TLS)
			}
		}
	}
	var done []Phase
	for _, p := range []Phase{{"discover", facts.Discovery}, {"lookup", lookup}, {"connect", connect}, {"starttls", startTLS}, {"tls", tls}} {
		if !p.Start.IsZero() {
			done = append(done, p)
		}
	}
	return done
}
