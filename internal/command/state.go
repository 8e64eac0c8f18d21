package command

import (
	"slices"

	"dane_exporter/probe"
	"dane_exporter/probe/dane"
)

// state is what a check comes to, in the words of monitoring plugins. Its number
// is the exit code (Monitoring Plugins Development Guidelines, "Plugin Return Codes").
type state int

const (
	stateOK       state = exitOK       // it meets what the module requires
	stateWarning  state = exitWarning  // it does, and there is something to look at, or a later moment to fear
	stateCritical state = exitCritical // it does not
	stateUnknown  state = exitUnknown  // that could not be found out, and it is not the target's fault
)

// states lists all, in the order of their numbers.
func states() []state { return []state{stateOK, stateWarning, stateCritical, stateUnknown} }

func (s state) String() string { return [...]string{"OK", "WARNING", "CRITICAL", "UNKNOWN"}[s] }

// worse orders states: what is certainly bad comes before what is not known.
func worse(a, b state) state {
	rank := []state{stateOK, stateWarning, stateUnknown, stateCritical}
	return rank[max(slices.Index(rank, a), slices.Index(rank, b))]
}

// stateOf says what a probe comes to.
func stateOf(r *probe.Report) state {
	v := r.Verdict
	switch {
	case v.Success && clouded(r):
		return stateWarning
	case v.Success:
		return stateOK
	case v.Outcome == dane.Unknown, len(v.Findings) > 0 && !slices.ContainsFunc(v.Findings, theirs):
		return stateUnknown
	default:
		return stateCritical
	}
}

// clouded reports whether somebody should look at a target that meets what its
// module requires. A module that asks for DANE only where it is published is
// content with what lowers it.
func clouded(r *probe.Report) bool {
	if r.Later != nil && !r.Later.Success {
		return true
	}
	return slices.ContainsFunc(r.Verdict.Findings, func(f dane.Finding) bool {
		allowed := r.Module.Require == dane.RequireIfPublished && f.Reason.Info().Effect == dane.EffectDegraded
		return theirs(f) && !allowed
	})
}

// theirs reports whether a finding is about the target, not about this side.
func theirs(f dane.Finding) bool { return f.Reason.Info().Effect != dane.EffectInternal }
