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
//	0  no problem is known                                 success; with --check, the records are published as they should be
//	1  a problem, but mail is delivered; or one at --at    an address of --connect did not answer
//	2  senders do not deliver to a target                  --check: the records are not published as they should be
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

// exitCodeOf returns the code for one probe: the severity of its verdict. A verdict for
// the time of --at that is not OK is a warning now.
func exitCodeOf(r *probe.Report) exitCode {
	code := exitCode(r.Verdict.Severity(r.Module.Require))
	if code == exitOK && r.Later != nil && r.Later.Severity(r.Module.Require) != dane.SeverityOK {
		return exitWarning
	}
	return code
}
