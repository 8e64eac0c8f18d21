package repocheck

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"dane_exporter/internal/lab"
	"dane_exporter/probe/dane"
)

// A severityCase is one row of the table of severities in the runbook.
type severityCase struct {
	situation string
	alerts    []string // names in rules.yml, the worst first
	require   dane.Requirement
	verdict   dane.Verdict
	want      dane.Severity
	check     string // arguments of "lab check" that show it
}

func severityCases() []severityCase {
	find := func(reasons ...dane.Reason) (findings []dane.Finding) {
		for _, reason := range reasons {
			findings = append(findings, dane.Finding{Reason: reason})
		}
		return findings
	}
	failed := func(outcome dane.Outcome, reasons ...dane.Reason) dane.Verdict {
		return dane.Verdict{Outcome: outcome, Findings: find(reasons...)}
	}
	good := func(outcome dane.Outcome, reasons ...dane.Reason) dane.Verdict {
		return dane.Verdict{Outcome: outcome, Success: true, Findings: find(reasons...)}
	}
	senders := func(v dane.Verdict, mtasts dane.Outcome) dane.Verdict {
		v.MTASTS = &dane.MTASTSVerdict{Senders: dane.Senders{DANE: v.Outcome, MTASTS: mtasts, Both: v.Outcome}}
		return v
	}
	const (
		ok, warning, critical, unknown = dane.SeverityOK, dane.SeverityWarning, dane.SeverityCritical, dane.SeverityUnknown
		needed, ifPublished            = dane.RequireDANE, dane.RequireIfPublished
		mtasts                         = "--module smtp_mx_mta_sts "
	)
	return []severityCase{
		{"outcome `refused` of several targets, only because of one zone", []string{"DaneZoneBroken", "DaneDomainRefused"}, needed, failed(dane.Refused, dane.DNSSECBogus), critical, "first.broken-tld"},
		{"outcome `refused`", []string{"DaneDomainRefused"}, needed, failed(dane.Refused, dane.TLSAMismatch), critical, "tlsa-mismatch.lab.test"},
		{"outcome `unreachable`", []string{"DaneDomainUnreachable"}, needed, failed(dane.Unreachable, dane.ConnectFailed), critical, "connection-refused.lab.test"},
		{"MTA-STS senders `refused` by a policy in mode enforce, with any outcome", []string{"DaneMTASTSRefused", "DaneMTASTSDisagreement"}, needed, senders(good(dane.Authenticated, dane.MTASTSDisagreement), dane.Refused), critical, mtasts + "mta-sts-pkix-refuses.lab.test"},
		{"outcome `authenticated`, and a host is refused (effect error)", []string{"DaneHostRefused", "DaneTLSAMismatch", "DaneDNSSECBogus", "DaneSTARTTLSGone"}, needed, failed(dane.Authenticated, dane.TLSAMismatch), warning, "two-mx-one-broken.lab.test"},
		{"outcome `authenticated`, and a host is unreachable, or `null_mx_conflict` (effect error)", []string{"DaneRequirementNotMet"}, needed, failed(dane.Authenticated, dane.NullMXConflict), warning, "null-mx-conflict.lab.test"},
		{"outcome `encrypted`, DANE required (effect degraded)", []string{"DaneRequirementNotMet"}, needed, failed(dane.Encrypted, dane.TLSAUnusable), warning, "pkix-usages-only.lab.test"},
		{"outcome `opportunistic`, DANE required (effect degraded)", []string{"DaneRequirementNotMet", "DaneTLSARecordsGone"}, needed, failed(dane.Opportunistic, dane.NoTLSA), warning, "no-tlsa.lab.test"},
		{"outcome `none`", []string{"DaneRequirementNotMet"}, needed, failed(dane.None, dane.NullMX), warning, "null-mx.lab.test"},
		{"outcome `encrypted` or `opportunistic`, with `require: if_published` (effect degraded)", nil, ifPublished, good(dane.Opportunistic, dane.NoTLSA), ok, "--module smtp_mx_if_published no-tlsa.lab.test"},
		{"requirement met, MTA-STS policy broken, or nameservers disagree (effect warning)", []string{"DaneMTASTSPolicyBroken", "DaneNameserverInconsistent"}, needed, good(dane.Authenticated, dane.MTASTSPolicyInvalid), warning, mtasts + "mta-sts-wrong-media-type.lab.test"},
		{"requirement met, next certificate cannot be issued (effect warning)", []string{"DaneRenewalWillFail"}, needed, good(dane.Authenticated, dane.CAAForbidsIssuer), warning, "--module lab_renewal renewal-other-ca.lab.test"},
		{"requirement met, TLSRPT record invalid (effect warning)", []string{"DaneTLSRPTInvalid"}, needed, senders(good(dane.Authenticated, dane.TLSRPTRecordInvalid), dane.Authenticated), warning, mtasts + "mta-sts-tlsrpt-invalid.lab.test"},
		{"requirement met, another finding of effect warning", nil, needed, good(dane.Authenticated, dane.TLSObsolete), warning, "tls-1-0.lab.test"},
		{"requirement not met, and all findings have effect internal", []string{"DaneRequirementNotMet"}, needed, failed(dane.Authenticated, dane.LimitExceeded), unknown, "hundreds-of-mx.lab.test"},
		{"outcome `unknown`", []string{"DaneDomainNotJudged"}, needed, failed(dane.Unknown, dane.CertificateUnparsable), unknown, "unparsable-certificate.lab.test"},
		{"requirement met, findings of effect internal alone", nil, needed, good(dane.Authenticated, dane.ResolverInconsistent), ok, "one-bad-resolver.lab.test"},
		{"outcome `authenticated`, no finding", nil, needed, good(dane.Authenticated), ok, "good.lab.test"},
	}
}

// alertSeverities returns the severity of each alert in rules.yml.
func alertSeverities(t *testing.T) map[string]string {
	severities := make(map[string]string)
	for _, r := range readRules(t) {
		if r.Alert != "" {
			severities[r.Alert] = r.Labels["severity"]
		}
	}
	return severities
}

// severityTable returns the table of severities in the runbook.
func severityTable(t *testing.T) string {
	severities := alertSeverities(t)
	var b strings.Builder
	b.WriteString("| situation | alert | severity of the alert | exit code of `check` | page |\n|---|---|---|---|---|\n")
	for _, c := range severityCases() {
		links, levels := "none", "none"
		if len(c.alerts) > 0 {
			var all []string
			for _, alert := range c.alerts {
				all = append(all, fmt.Sprintf("[%s](#%s)", alert, strings.ToLower(alert)))
			}
			links, levels = strings.Join(all, ", "), severities[c.alerts[0]]
		}
		severity := c.verdict.Severity(c.require)
		fmt.Fprintf(&b, "| %s | %s | %s | %d %s | %s |\n", c.situation, links, levels, severity, strings.ToUpper(severity.String()), severity)
	}
	return b.String()
}

// TestSeverity checks that the severity of a verdict is the wanted one and that of the
// alerts about it, and that check exits with it in the lab. Monitoring plugins have no
// severity info, and rules have none for what cannot be judged: the alert is a warning.
func TestSeverity(t *testing.T) {
	allowed := map[dane.Severity][]string{
		dane.SeverityOK:       nil,
		dane.SeverityWarning:  {"warning", "info"},
		dane.SeverityCritical: {"critical"},
		dane.SeverityUnknown:  {"warning"},
	}
	severities := alertSeverities(t)
	l, err := lab.New(time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	config := []byte(readFile(t, "config.example.yml"))
	outcomes, named := make(map[dane.Outcome]bool), make(map[string]bool)
	for _, c := range severityCases() {
		t.Run(c.situation, func(t *testing.T) {
			got := c.verdict.Severity(c.require)
			if got != c.want {
				t.Errorf("severity %s, want %s", got, c.want)
			}
			for i, alert := range c.alerts {
				named[alert] = true
				// The other alerts are about the same cause, and may be less urgent.
				if level := severities[alert]; i == 0 && !slices.Contains(allowed[got], level) || level == "" || level == "critical" && got != dane.SeverityCritical {
					t.Errorf("%s: severity %q in the rules, %s in check and pages", alert, level, got)
				}
			}
			outcomes[c.verdict.Outcome] = true
			line := shellLine{text: "dane_exporter lab check " + c.check + "\n"}
			code, output, err := line.runInLab(t, l, config)
			if err != nil || code != int(got) {
				t.Errorf("%sexit code %d, %v, want %d\n%s", line.text, code, err, got, output)
			}
		})
	}
	for _, outcome := range dane.Outcomes() {
		if !outcomes[outcome] {
			t.Errorf("no row has the outcome %s", outcome)
		}
	}
	// The table is about targets. An alert about the exporter is critical if it inhibits
	// critical alerts.
	runbook := readFile(t, "docs/runbook.md")
	for _, r := range readRules(t) {
		if severity := r.Labels["severity"]; r.Alert != "" && severity != "none" && !strings.Contains(strings.ToLower(runbook), strings.ToLower("### "+r.Alert+"\n\n"+severity+".")) {
			t.Errorf("the runbook does not say that %s is %s", r.Alert, severity)
		}
		if r.Labels["severity"] == "critical" && r.Labels["scope"] != "exporter" && !named[r.Alert] {
			t.Errorf("%s is critical and in no row", r.Alert)
		}
	}
}
