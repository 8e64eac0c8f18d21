package command

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"dane_exporter/internal/config"
	"dane_exporter/internal/lab"
	"dane_exporter/probe"
)

func TestListScenarios(t *testing.T) {
	var list bytes.Buffer
	listScenarios(&list)
	for _, want := range []string{"good.lab.test ", "no-such-domain.lab.test ", "lab check tlsa-mismatch.lab.test"} {
		if !strings.Contains(list.String(), want) {
			t.Errorf("no %q in the list", want)
		}
	}
}

// TestControlHandler breaks and repairs a domain while the lab runs. Other domains
// are not affected.
func TestControlHandler(t *testing.T) {
	l, err := lab.New(time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	defaults, err := config.Defaults(defaultConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	env := labEnvironment{l}
	c := env.adjust(defaults)
	module := c.Modules["smtp_mx"]
	target, err := probe.ParseTarget("good.lab.test", "", module)
	if err != nil {
		t.Fatal(err)
	}
	breakScenario := func(scenario, fault string) int {
		query := url.Values{"scenario": {scenario}, "fault": {fault}}
		recorder := httptest.NewRecorder()
		controlHandler(l).ServeHTTP(recorder, httptest.NewRequest("POST", "/break?"+query.Encode(), nil))
		return recorder.Code
	}
	for _, step := range []struct {
		scenario, fault string
		status          int
		outcome         string // of good.lab.test, afterwards
	}{
		{"good", "none", http.StatusOK, "authenticated"},
		{"good", "new-certificate", http.StatusOK, "refused by tlsa_mismatch"},
		{"two-mx-one-broken", "new-certificate", http.StatusOK, "refused by tlsa_mismatch"},
		{"good", "expired-signature", http.StatusOK, "refused by dnssec_bogus"},
		{"good", "earthquake", http.StatusBadRequest, "refused by dnssec_bogus"},
		{"no-such-scenario", "none", http.StatusBadRequest, "refused by dnssec_bogus"},
		{"good", "none", http.StatusOK, "authenticated"},
		{"null-mx", "new-certificate", http.StatusBadRequest, "authenticated"},
	} {
		if status := breakScenario(step.scenario, step.fault); status != step.status {
			t.Errorf("%s %s: status %d, want %d", step.scenario, step.fault, status, step.status)
		}
		prober, err := newProber(c, env) // a new one, since failed lookups are cached for seconds
		if err != nil {
			t.Fatal(err)
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
