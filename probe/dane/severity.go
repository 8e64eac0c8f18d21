package dane

import "slices"

// Severity is how urgent a verdict is. Exit codes, pages and alerts agree on it. Its
// numbers are the return codes of monitoring plugins.
type Severity uint8

const (
	SeverityOK       Severity = iota
	SeverityWarning           // mail is delivered, or the domain accepts none; something is wrong
	SeverityCritical          // senders do not deliver now
	SeverityUnknown           // the target could not be judged, and the cause is on our side
)

// Severities lists the severities in numerical order.
func Severities() []Severity {
	return []Severity{SeverityOK, SeverityWarning, SeverityCritical, SeverityUnknown}
}

// String returns "ok", "warning", "critical" or "unknown".
func (s Severity) String() string { return [...]string{"ok", "warning", "critical", "unknown"}[s] }

// Severity returns the severity of the verdict under a requirement. It is critical
// only if DANE senders, or the senders of an enforced MTA-STS policy, deliver to no
// host. It is unknown if the outcome is, or if the probe fails and all findings are
// about the exporter. With RequireIfPublished, a finding that only degrades DANE is
// no warning.
func (v *Verdict) Severity(require Requirement) Severity {
	isTargets := func(f Finding) bool { return f.Reason.Info().Effect != EffectInternal }
	isWarning := func(f Finding) bool {
		allowed := require == RequireIfPublished && f.Reason.Info().Effect == EffectDegraded
		return isTargets(f) && !allowed
	}
	switch {
	case v.Outcome == Refused, v.Outcome == Unreachable, v.MTASTS != nil && v.MTASTS.Senders.MTASTS == Refused:
		return SeverityCritical
	case v.Outcome == Unknown:
		return SeverityUnknown
	case !v.Success && len(v.Findings) > 0 && !slices.ContainsFunc(v.Findings, isTargets):
		return SeverityUnknown
	case !v.Success, slices.ContainsFunc(v.Findings, isWarning):
		return SeverityWarning
	default:
		return SeverityOK
	}
}
