package command

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"dane_exporter/internal/config"
	"dane_exporter/internal/lab"
	"dane_exporter/probe"
	"dane_exporter/probe/dnssec/transport"
)

// TestControls: a healthy domain is broken and repaired while the lab runs, and
// its neighbours notice nothing.
func TestControls(t *testing.T) {
	l, err := lab.New(time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	defaults, err := config.Defaults(example(t))
	if err != nil {
		t.Fatal(err)
	}
	where := labWorld{l}
	c := where.adapt(defaults)
	prober, err := newProber(c, where, func(transport.Event) {})
	if err != nil {
		t.Fatal(err)
	}
	module := c.Modules["smtp_mx"]
	target, err := probe.ParseTarget("good.lab.test", "", module)
	if err != nil {
		t.Fatal(err)
	}
	order := func(scenario, fault string) int {
		query := url.Values{"scenario": {scenario}, "fault": {fault}}
		answer := httptest.NewRecorder()
		controls(l).ServeHTTP(answer, httptest.NewRequest("POST", "/break?"+query.Encode(), nil))
		return answer.Code
	}
	for _, step := range []struct {
		scenario, fault string
		code            int
		outcome         string // of good.lab.test, afterwards
	}{
		{"good", "none", http.StatusOK, "authenticated"},
		{"good", "new-certificate", http.StatusOK, "refused by tlsa_mismatch"},
		{"two-mx-one-broken", "new-certificate", http.StatusOK, "refused by tlsa_mismatch"},
		{"good", "expired-signature", http.StatusOK, "refused by dnssec_bogus"},
		{"good", "earthquake", http.StatusBadRequest, "refused by dnssec_bogus"},
		{"nobody", "none", http.StatusBadRequest, "refused by dnssec_bogus"},
		{"good", "none", http.StatusOK, "authenticated"},
		{"null-mx", "new-certificate", http.StatusBadRequest, "authenticated"},
	} {
		if code := order(step.scenario, step.fault); code != step.code {
			t.Errorf("%s %s: status %d, want %d", step.scenario, step.fault, code, step.code)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		report := prober.Probe(ctx, target, module)
		cancel()
		got := string(report.Verdict.Outcome)
		for _, finding := range report.Verdict.Findings {
			got += " by " + string(finding.Reason)
		}
		if got != step.outcome {
			t.Errorf("good.lab.test after %s %s: %s, want %s", step.scenario, step.fault, got, step.outcome)
		}
	}
}
