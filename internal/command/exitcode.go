package command

import (
	"slices"

	"dane_exporter/probe"
	"dane_exporter/probe/dane"
)

// exitCode is the exit code of the program. Those of check and tlsa are the
// return codes of monitoring plugins (Monitoring Plugins Development Guidelines,
// "Plugin Return Codes"):
//
//	   check                                               tlsa
//	0  all targets meet the requirements of the module     success; with --check, the records are published as they should be
//	1  they do, but with warnings, or not at --at          an address of --connect did not answer
//	2  a target does not                                   --check: the records are not published as they should be
//	3  the result is unknown                               no record could be made
//
// serve, lab and healthy exit with 0, or with exitError if they fail. Every
// command exits with 3 if its command line is invalid. If standard output cannot be
// written, check and tlsa exit with 3, and the others with exitError.
type exitCode int

const (
	exitOK       exitCode = 0
	exitWarning  exitCode = 1
	exitCritical exitCode = 2
	exitUnknown  exitCode = 3

	exitError exitCode = 1
)

// pluginCodes lists the codes of monitoring plugins in numerical order.
func pluginCodes() []exitCode {
	return []exitCode{exitOK, exitWarning, exitCritical, exitUnknown}
}

// String returns the name of the code for monitoring plugins.
func (c exitCode) String() string { return [...]string{"OK", "WARNING", "CRITICAL", "UNKNOWN"}[c] }

// worse returns the worse of two codes. A certain failure is worse than an unknown result.
func worse(a, b exitCode) exitCode {
	rank := []exitCode{exitOK, exitWarning, exitUnknown, exitCritical}
	return rank[max(slices.Index(rank, a), slices.Index(rank, b))]
}

// exitCodeOf returns the code for one probe. A failed probe is unknown if its outcome
// is, or if all its findings are about this exporter, and critical otherwise.
func exitCodeOf(r *probe.Report) exitCode {
	v := r.Verdict
	switch {
	case v.Success && hasWarnings(r):
		return exitWarning
	case v.Success:
		return exitOK
	case v.Outcome == dane.Unknown, len(v.Findings) > 0 && !slices.ContainsFunc(v.Findings, isTargets):
		return exitUnknown
	default:
		return exitCritical
	}
}

// hasWarnings reports whether a successful probe has findings about the target,
// or would fail at the time of --at. With the requirement if_published, a finding
// that only degrades DANE is no warning.
func hasWarnings(r *probe.Report) bool {
	if r.Later != nil && !r.Later.Success {
		return true
	}
	return slices.ContainsFunc(r.Verdict.Findings, func(f dane.Finding) bool {
		allowed := r.Module.Require == dane.RequireIfPublished && f.Reason.Info().Effect == dane.EffectDegraded
		return isTargets(f) && !allowed
	})
}

// isTargets reports whether a finding is about the target, and not about this exporter.
func isTargets(f dane.Finding) bool { return f.Reason.Info().Effect != dane.EffectInternal }
