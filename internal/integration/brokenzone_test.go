//go:build integration

package integration

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/common/expfmt"

	"dane_exporter/collector"
	"dane_exporter/probe"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec"
)

// TestBrokenZone counts the notifications while a top-level domain with 500 domains is
// broken, from the first probe that finds so until all domains have recovered. It must be
// one for the zone, and one for each domain that has another fault. Prometheus and
// Alertmanager have the files of deploy/prometheus, with shorter durations, see TestAlerts. A
// minute takes two seconds: an evaluation of the rules for so many domains takes up to a second.
func TestBrokenZone(t *testing.T) {
	const zone, number = "broken-tld", 500
	var below []string
	for i := range number {
		below = append(below, fmt.Sprintf("d%03d.%s", i, zone))
	}
	// Scraped each minute and every five minutes, before durations are scaled.
	own := append(slices.Clone(below[:100]), "mismatch.example", "good.example")
	partners := append(slices.Clone(below[100:]), "both."+zone, "good.test")

	run(t, "ip", "link", "set", "lo", "up")
	dir := tempDir(t)
	inbox := startWebhook(t)
	fleet := startFleet(t)
	startPrometheusFor(t, dir, minuteIsSecond/2, own, partners)
	waitFor(t, "all domains are probed", func() bool {
		return hasResult(t, fmt.Sprintf(`count(dane_outcome{outcome="authenticated"} == 1) == %d`, len(own)+len(partners)))
	})

	fleet.set(brokenBy(zone), below...)
	fleet.set(brokenBy(zone, dane.ConnectFailed), "both."+zone)
	fleet.set(brokenBy("", dane.TLSAMismatch), "mismatch.example")
	inbox.waitFor(t, "pager", "firing", "DaneZoneBroken", "")
	for _, domain := range []string{"both." + zone, "mismatch.example"} {
		inbox.waitFor(t, "pager", "firing", "DaneDomainRefused", domain)
	}
	for _, alert := range []string{"DaneDomainRefused", "DaneRequirementNotMet"} {
		waitFor(t, alert+" fires for all domains", func() bool {
			return hasResult(t, fmt.Sprintf(`count(ALERTS{alertname="%s", alertstate="firing"}) == %d`, alert, number+2))
		})
		waitFor(t, alert+" is inhibited for all domains below the zone", func() bool {
			stored := storedAlerts(t, alert, "")
			return len(slices.DeleteFunc(stored, func(a storedAlert) bool { return a.Labels["zone"] != zone || len(a.Status.InhibitedBy) == 0 })) == number
		})
	}

	// Another fault of one domain is not silenced, though the zone is still broken.
	fleet.set(brokenBy(zone, dane.TLSAMismatch), below[0])
	inbox.waitFor(t, "pager", "firing", "DaneDomainRefused", below[0])

	fleet.set(authenticated, slices.Concat(own, partners)...)
	inbox.waitFor(t, "pager", "resolved", "DaneZoneBroken", "")
	waitFor(t, "no alert fires", func() bool { return hasResult(t, `count(ALERTS{alertstate="firing"}) == 1`) }) // Watchdog

	want := []string{"DaneDomainRefused both." + zone, "DaneDomainRefused " + below[0], "DaneDomainRefused mismatch.example", "DaneZoneBroken " + zone}
	slices.Sort(want)
	if got := inbox.causes("firing"); !slices.Equal(got, want) {
		t.Errorf("notifications %q, want %q", got, want)
	}
}

// causes returns the alerts that notifications with a status were about, each once: the
// name, and the zone or the instance. It leaves out Watchdog.
func (b *inbox) causes(status string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []string
	for _, a := range b.alerts {
		about := a.Labels["instance"]
		if about == "" {
			about = a.Labels["zone"]
		}
		if a.Status == status && a.Labels["alertname"] != "Watchdog" {
			all = append(all, a.Labels["alertname"]+" "+about)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// A fleet stands for an exporter. It makes no probes: it returns the metrics of
// reports that a test has set.
type fleet struct {
	mu      sync.Mutex
	reports map[string]func(target string) *probe.Report // default authenticated
}

// startFleet serves a fleet at the address of the exporter until the test ends.
func startFleet(t *testing.T) *fleet {
	t.Helper()
	f := &fleet{reports: make(map[string]func(string) *probe.Report)}
	listener, err := net.Listen("tcp", exporterAddress)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: f}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	return f
}

// set sets the reports of targets from the next scrape on.
func (f *fleet) set(report func(target string) *probe.Report, targets ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, target := range targets {
		f.reports[target] = report
	}
}

// ServeHTTP returns the metrics of a target. Half of the targets are those of a module with
// "series: summary".
func (f *fleet) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	target := r.URL.Query().Get("target")
	if target == "" {
		return // the metrics of the exporter itself
	}
	f.mu.Lock()
	report := f.reports[target]
	f.mu.Unlock()
	if report == nil {
		report = authenticated
	}
	result := report(target)
	if number := strings.TrimLeft(target, "d"); number[2]%2 == 0 {
		result.Module.Series = probe.SeriesSummary
	}
	w.Header().Set("Content-Type", string(expfmt.NewFormat(expfmt.TypeTextPlain)))
	for _, family := range collector.Families(result) {
		expfmt.MetricFamilyToText(w, family)
	}
}

// authenticated returns the report of a target without faults.
func authenticated(string) *probe.Report {
	return &probe.Report{Module: probe.Module{Name: "smtp_mx"}, Start: time.Now(), Facts: dane.Facts{Complete: true},
		Verdict: dane.Verdict{Outcome: dane.Authenticated, Success: true}}
}

// brokenBy returns the reports of targets that are refused: their MX lookup is bogus
// because of a zone, unless zone is empty, and they have more findings.
func brokenBy(zone string, more ...dane.Reason) func(target string) *probe.Report {
	return func(target string) *probe.Report {
		r := authenticated(target)
		r.Verdict = dane.Verdict{Outcome: dane.Refused}
		if zone != "" {
			r.Facts.MX = &dnssec.Answer{Name: dns.Fqdn(target), Type: dns.TypeMX, Status: dnssec.Bogus, FaultZone: dns.Fqdn(zone)}
			r.Verdict = dane.Judge(&r.Facts, dane.Rules{Target: target, Policy: dane.SMTPRelay, Require: dane.RequireDANE}, r.Start)
		}
		for _, reason := range more {
			r.Verdict.Findings = append(r.Verdict.Findings, dane.Finding{Reason: reason})
			r.Verdict.FaultZone = "" // another reason
		}
		return r
	}
}
