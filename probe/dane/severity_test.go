package dane

import "testing"

// TestSeverity has the cases that the table of severities in the runbook does not show.
func TestSeverity(t *testing.T) {
	mtasts := func(senders Senders) *MTASTSVerdict { return &MTASTSVerdict{State: PolicyEnforced, Senders: senders} }
	tests := []struct {
		name    string
		require Requirement
		verdict Verdict
		want    Severity
	}{
		{"MTA-STS senders are refused, DANE is unknown", RequireDANE,
			Verdict{Outcome: Unknown, Findings: []Finding{{Reason: LimitExceeded}}, MTASTS: mtasts(Senders{Unknown, Refused, Unknown})}, SeverityCritical},
		{"MTA-STS senders are refused, DANE is not required", RequireIfPublished,
			Verdict{Outcome: Opportunistic, Success: true, Findings: []Finding{{Reason: NoTLSA}, {Reason: MTASTSHostNotCovered}}, MTASTS: mtasts(Senders{Opportunistic, Refused, Refused})}, SeverityCritical},
		{"MTA-STS senders are unknown", RequireDANE,
			Verdict{Outcome: Authenticated, Success: true, MTASTS: mtasts(Senders{Authenticated, Unknown, Authenticated})}, SeverityOK},
		{"refused, although DANE is not required", RequireIfPublished,
			Verdict{Outcome: Refused, Findings: []Finding{{Reason: TLSAMismatch}}}, SeverityCritical},
		{"refused, with an internal finding", RequireDANE,
			Verdict{Outcome: Refused, Findings: []Finding{{Reason: ResolverInconsistent}}}, SeverityCritical},
		{"a host is refused, another one is unknown", RequireDANE,
			Verdict{Outcome: Authenticated, Findings: []Finding{{Reason: CertificateUnparsable}, {Reason: TLSAMismatch}}}, SeverityWarning},
		{"an unusable record among others, DANE required", RequireDANE,
			Verdict{Outcome: Authenticated, Success: true, Findings: []Finding{{Reason: TLSAUnusable}}}, SeverityWarning},
		{"a failure without findings", RequireDANE, Verdict{Outcome: None}, SeverityWarning},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := test.verdict.Severity(test.require); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}

// TestSeverityText pins the words and the numbers, which are the return codes of monitoring plugins.
func TestSeverityText(t *testing.T) {
	for i, want := range []string{"ok", "warning", "critical", "unknown"} {
		if s := Severities()[i]; int(s) != i || s.String() != want {
			t.Errorf("%d is %q, want %d %q", s, s, i, want)
		}
	}
}
