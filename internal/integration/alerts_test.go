//go:build integration

package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"dane_exporter/probe/dane"
)

// TestAlerts breaks and repairs a domain of the lab while Prometheus and
// Alertmanager watch it with the files of deploy/prometheus. The test changes two
// things in these files: the domains, and every duration, which it divides by 60. It
// divides the defaults of Prometheus by 60 too.
func TestAlerts(t *testing.T) {
	run(t, "ip", "link", "set", "lo", "up")
	dir := tempDir(t)
	inbox := startWebhook(t)
	exporter := start(t, dir, exec.Command(os.Getenv(binaryEnv), "lab",
		"--web.listen-address", exporterAddress, "--lab.control-address", labControlAddress), exporterAddress, labControlAddress)
	startPrometheus(t, dir)

	const domain, host = "good.lab.test", "mx.good.lab.test"
	waitFor(t, "the scraped domain is authenticated", func() bool {
		return hasResult(t, `dane_outcome{job="dane",instance="good.lab.test",outcome="authenticated"} == 1`)
	})

	// The certificate changes and the TLSA record does not.
	breakLab(t, "good", "new-certificate")
	page := inbox.waitFor(t, "pager", "firing", "DaneDomainRefused", domain)
	if want := "tlsa_mismatch at " + host; !strings.Contains(page.Annotations["summary"], want) {
		t.Errorf("summary of the page = %q, want %q in it", page.Annotations["summary"], want)
	}
	if want := dane.TLSAMismatch.Info().Remedy; !strings.Contains(page.Annotations["description"], want) {
		t.Errorf("description of the page = %q, want the remedy in it", page.Annotations["description"])
	}
	if want := "http://localhost:10125/report?target=good.lab.test&module=smtp_mx"; page.Annotations["report_url"] != want {
		t.Errorf("report_url of the page = %q, want %q", page.Annotations["report_url"], want)
	}
	inbox.waitFor(t, "watchdog", "firing", "Watchdog", "")
	for _, name := range []string{"DaneHostRefused", "DaneTLSAMismatch"} {
		waitFor(t, name+" is inhibited, since the whole domain is refused", func() bool { return inhibited(t, name, host) })
	}
	waitFor(t, "DaneRequirementNotMet is inhibited, since the domain is refused", func() bool { return inhibited(t, "DaneRequirementNotMet", "") })

	// Lost scrapes do not resolve the alert.
	signal(t, exporter, syscall.SIGSTOP)
	waitFor(t, "a scrape fails", func() bool { return hasResult(t, `up{job="dane",instance="good.lab.test"} == 0`) })
	signal(t, exporter, syscall.SIGCONT)
	waitFor(t, "the domain is scraped again", func() bool { return hasResult(t, `up{job="dane",instance="good.lab.test"} == 1`) })

	// The old certificate is back, and the signatures of the zone have expired. One cause
	// sends one notification.
	breakLab(t, "good", "expired-signature")
	waitFor(t, "DaneDNSSECBogus is inhibited, since the whole domain is refused", func() bool { return inhibited(t, "DaneDNSSECBogus", "") })
	if inbox.has("pager", "resolved", "DaneDomainRefused", domain) {
		t.Error("the page was resolved while the domain was refused")
	}

	// A wrong trust anchor makes every verdict wrong. It inhibits the alerts about the
	// domains that the exporter probes, and only those. Without a resolver or a
	// network, the alert stands.
	postAlert(t, ofExporter("DaneTrustAnchor", "another:10125"), time.Time{})
	for _, name := range []string{"DaneExporterBlind", "DaneNoResolver", "DaneExporterDown"} {
		postAlert(t, ofExporter(name, "localhost:10125"), time.Time{})
	}
	trustAnchor := ofExporter("DaneTrustAnchor", "localhost:10125")
	postAlert(t, trustAnchor, time.Time{})
	waitFor(t, "DaneTrustAnchor inhibits the page", func() bool { return inhibited(t, "DaneDomainRefused", "") })
	postAlert(t, trustAnchor, time.Now())
	waitFor(t, "no other alert about an exporter inhibits the page", func() bool { return !inhibited(t, "DaneDomainRefused", "") })

	// Two modules of one job and instance do not inhibit each other.
	ofModule := func(name, module, host string) map[string]string {
		return map[string]string{"alertname": name, "scope": "host", "job": "dane", "instance": domain, "module": module, "exporter": "localhost:10125", "host": host, "port": "25"}
	}
	postAlert(t, ofModule("DaneTLSAMismatch", "smtp_mx_full", "mx2."+domain), time.Time{})
	for module, want := range map[string]bool{"smtp_mx": true, "smtp_mx_full": false} {
		host := module + "." + domain
		postAlert(t, ofModule("DaneNameserverInconsistent", module, host), time.Time{})
		waitFor(t, fmt.Sprintf("an alert about a host with the module %s is inhibited: %v", module, want), func() bool {
			return hasAlert(t, "DaneNameserverInconsistent", host) && inhibited(t, "DaneNameserverInconsistent", host) == want
		})
	}

	breakLab(t, "good", "none")
	inbox.waitFor(t, "pager", "resolved", "DaneDomainRefused", domain)
	inbox.checkInstances(t, domain, "localhost:10125", "another:10125")
	if inbox.has("tickets", "firing", "DaneDNSSECBogus", domain) {
		t.Error("one cause sent a page and a ticket")
	}
}

// TestAlertsStand checks that missing data resolves no alert. While a page fires, the
// resolvers stop, Prometheus restarts, and the exporter is killed. Each time, the page
// stands and another alert is added. It ends when the target is removed from the
// configuration. A target that the exporter rejects from the start raises an alert.
func TestAlertsStand(t *testing.T) {
	run(t, "ip", "link", "set", "lo", "up")
	dir := tempDir(t)
	inbox := startWebhook(t)
	exporter := start(t, dir, exec.Command(os.Getenv(binaryEnv), "lab",
		"--web.listen-address", exporterAddress, "--lab.control-address", labControlAddress), exporterAddress, labControlAddress)
	const domain, invalid = "good.lab.test", "bad..lab.test"
	prometheus := startPrometheus(t, dir, `"`+invalid+`"`)
	// The page has fired, and fires. A resolved message would arrive after this check, too:
	// the last check is at the end of the test.
	checkPage := func(during string) {
		t.Helper()
		if inbox.has("pager", "resolved", "DaneDomainRefused", domain) {
			t.Fatalf("the page was resolved: %s", during)
		}
		if !hasResult(t, `ALERTS{alertname="DaneDomainRefused", instance="good.lab.test", alertstate="firing"}`) {
			t.Errorf("the page does not fire: %s", during)
		}
	}
	// 22s is longer than the lookback of the rules and the time for which they keep an
	// alert.
	const nothingKnown = `absent(last_over_time(dane_outcome{instance="good.lab.test", outcome="refused"}[22s]))`

	waitFor(t, "the domain is authenticated", func() bool {
		return hasResult(t, `dane_outcome{instance="good.lab.test", outcome="authenticated"} == 1`)
	})
	breakLab(t, "good", "new-certificate")
	inbox.waitFor(t, "pager", "firing", "DaneDomainRefused", domain)
	inbox.waitFor(t, "tickets", "firing", "DaneTargetNeverScraped", invalid)

	breakLab(t, "unsigned", "silent-resolvers")
	waitFor(t, "nothing is known", func() bool { return hasResult(t, nothingKnown) })
	waitFor(t, "an alert says that the domain is not judged, or why", func() bool {
		return inbox.has("tickets", "firing", "DaneDomainNotJudged", domain) || inbox.has("tickets", "firing", "DaneNoResolver", "localhost:10125")
	})
	checkPage("the resolvers do not answer")
	breakLab(t, "unsigned", "none")
	waitFor(t, "the domain is judged again", func() bool {
		return hasResult(t, `dane_outcome{instance="good.lab.test", outcome="refused"} == 1`)
	})

	prometheus.stop(t)
	prometheus = startPrometheusServer(t, dir, minuteIsSecond)
	waitFor(t, "the page fires after the restart of Prometheus", func() bool {
		return hasResult(t, `ALERTS{alertname="DaneDomainRefused", instance="good.lab.test", alertstate="firing"}`)
	})
	checkPage("Prometheus was restarted")

	exporter.kill(t)
	inbox.waitFor(t, "tickets", "firing", "DaneExporterDown", "localhost:10125")
	waitFor(t, "nothing is known", func() bool { return hasResult(t, nothingKnown) })
	waitFor(t, "DaneScrapesFail is inhibited by DaneExporterDown", func() bool { return inhibited(t, "DaneScrapesFail", "") })
	checkPage("the exporter was killed")

	removed := strings.Replace(readFile(t, filepath.Join(dir, "prometheus.yml")), domain+",", "", 1)
	writeFile(t, dir, "prometheus.yml", removed)
	signal(t, prometheus, syscall.SIGHUP)
	inbox.waitFor(t, "pager", "resolved", "DaneDomainRefused", domain)
}

// startPrometheus starts Alertmanager and Prometheus with the files of deploy/prometheus.
// Prometheus probes two domains of the lab and the given targets. Alerts fire after 18 minutes
// at the latest, before durations are scaled, and in the same order: the shortest difference,
// two minutes, is two evaluations.
func startPrometheus(t *testing.T, dir string, targets ...string) *process {
	t.Helper()
	return startPrometheusFor(t, dir, minuteIsSecond, append([]string{"good.lab.test", "good-ipv6.lab.test"}, targets...), []string{"unsigned.lab.test"})
}

// minuteIsSecond is the divisor of durations with which a minute takes a second.
const minuteIsSecond = 60

// startPrometheusFor does the same with another divisor of durations and other targets: those
// of the jobs dane and dane_partners.
func startPrometheusFor(t *testing.T, dir string, divisor int, own, partners []string) *process {
	t.Helper()
	domains := strings.NewReplacer(
		"[example.org, example.net]", "["+strings.Join(own, ", ")+"]",
		"[example.com]", "["+strings.Join(partners, ", ")+"]",
		`for: "30m"`, `for: "12m"`, `for: "32m"`, `for: "18m"`, `for: "35m"`, `for: "18m"`,
		"scrape_timeout: 30s", "scrape_timeout: 60s") // a second or more after scaling
	for _, name := range []string{"prometheus.yml", "rules.yml", "alertmanager.yml"} {
		writeFile(t, dir, name, scaleDurations(t, divisor, domains.Replace(readFile(t, filepath.Join("../../deploy/prometheus", name)))))
	}
	start(t, dir, exec.Command(program(t, "prometheus-alertmanager"),
		"--config.file", filepath.Join(dir, "alertmanager.yml"), "--storage.path", filepath.Join(dir, "alertmanager"),
		"--web.listen-address", alertmanagerAddress, "--cluster.listen-address="), alertmanagerAddress)
	return startPrometheusServer(t, dir, divisor)
}

// startPrometheusServer starts Prometheus with the files and the database in dir. With
// a resend delay of 5 seconds, Alertmanager keeps alerts for 20 seconds. The restart of
// Prometheus takes part of that time, because its duration is not scaled.
func startPrometheusServer(t *testing.T, dir string, divisor int) *process {
	t.Helper()
	scaled := func(d time.Duration) string { return (d / time.Duration(divisor)).String() }
	return start(t, dir, exec.Command(program(t, "prometheus"),
		"--config.file", filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path", filepath.Join(dir, "prometheus"),
		"--web.listen-address", prometheusAddress, "--query.lookback-delta", scaled(5*time.Minute), "--rules.alert.resend-delay=5s",
		"--rules.alert.for-grace-period", scaled(10*time.Minute), "--rules.alert.for-outage-tolerance", scaled(time.Hour)), prometheusAddress)
}

// scaleDurations divides every duration.
func scaleDurations(t *testing.T, divisor int, content string) string {
	t.Helper()
	units := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}
	written := regexp.MustCompile(`\b(\d+)([smhd])\b`)
	return written.ReplaceAllStringFunc(content, func(duration string) string {
		parts := written.FindStringSubmatch(duration)
		count, err := strconv.Atoi(parts[1])
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%dms", (time.Duration(count) * units[parts[2]] / time.Duration(divisor)).Milliseconds())
	})
}

// waitFor returns when a condition holds, and fails the test if it does not hold in time.
func waitFor(t *testing.T, condition string, holds func() bool) {
	t.Helper()
	retry := time.NewTicker(100 * time.Millisecond)
	defer retry.Stop()
	const limit = 6 * timeout // half an hour takes a minute in TestBrokenZone
	for deadline := time.After(limit); !holds(); {
		select {
		case <-retry.C:
		case <-deadline:
			t.Fatalf("still waiting after %v: %s", limit, condition)
		}
	}
}

// hasResult reports whether a query has a result.
func hasResult(t *testing.T, query string) bool {
	t.Helper()
	var answer struct {
		Data struct {
			Result []any `json:"result"`
		} `json:"data"`
	}
	getJSON(t, "http://"+prometheusAddress+"/api/v1/query?"+url.Values{"query": {query}}.Encode(), &answer)
	return len(answer.Data.Result) > 0
}

// inhibited reports whether Alertmanager has an alert about a host and inhibits it.
func inhibited(t *testing.T, alert, host string) bool {
	t.Helper()
	return slices.ContainsFunc(storedAlerts(t, alert, host), func(a storedAlert) bool { return len(a.Status.InhibitedBy) > 0 })
}

// hasAlert reports whether Alertmanager has an alert about a host.
func hasAlert(t *testing.T, alert, host string) bool {
	t.Helper()
	return len(storedAlerts(t, alert, host)) > 0
}

// A storedAlert is an alert as the API of Alertmanager returns it.
type storedAlert struct {
	Labels map[string]string `json:"labels"`
	Status struct {
		InhibitedBy []string `json:"inhibitedBy"`
	} `json:"status"`
}

// storedAlerts returns the alerts of Alertmanager with a name and a label host.
func storedAlerts(t *testing.T, alert, host string) []storedAlert {
	t.Helper()
	var alerts []storedAlert
	getJSON(t, "http://"+alertmanagerAddress+"/api/v2/alerts", &alerts)
	return slices.DeleteFunc(alerts, func(a storedAlert) bool { return a.Labels["alertname"] != alert || a.Labels["host"] != host })
}

// getJSON reads a JSON document. It leaves the value unchanged if the server is
// not ready yet.
func getJSON(t *testing.T, from string, into any) {
	t.Helper()
	response, err := http.Get(from)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return
	}
	if err := json.NewDecoder(response.Body).Decode(into); err != nil {
		t.Fatalf("%s: %v", from, err)
	}
}

// ofExporter returns the labels of an alert about an exporter.
func ofExporter(name, exporter string) map[string]string {
	return map[string]string{"alertname": name, "scope": "exporter", "exporter": exporter, "instance": exporter}
}

// postAlert sends an alert to Alertmanager, as Prometheus does. A zero end means that the
// alert is still firing.
func postAlert(t *testing.T, labels map[string]string, ends time.Time) {
	t.Helper()
	message := map[string]any{"labels": labels}
	if !ends.IsZero() {
		message["endsAt"] = ends
	}
	body, err := json.Marshal([]any{message})
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.Post("http://"+alertmanagerAddress+"/api/v2/alerts", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("post alert %s: %s", labels["alertname"], response.Status)
	}
}

// breakLab applies a fault to a scenario of the lab; the fault none repairs it.
func breakLab(t *testing.T, scenario, fault string) {
	t.Helper()
	form := url.Values{"scenario": {scenario}, "fault": {fault}}
	response, err := http.Post("http://"+labControlAddress+"/break?"+form.Encode(), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("apply fault %[2]s to %[1]s: %[3]s", scenario, fault, response.Status)
	}
}

// An alert as in a webhook message of Alertmanager.
type alert struct {
	Status      string            `json:"status"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	receiver    string            // path of the request, which names the receiver
}

func (a alert) matches(receiver, status, name, instance string) bool {
	return a.receiver == receiver && a.Status == status && a.Labels["alertname"] == name && a.Labels["instance"] == instance
}

// An inbox collects the messages to the receivers of alertmanager.yml.
type inbox struct {
	mu     sync.Mutex
	alerts []alert
}

// startWebhook receives the messages of Alertmanager until the test ends.
func startWebhook(t *testing.T) *inbox {
	t.Helper()
	b := &inbox{}
	listener, err := net.Listen("tcp", webhookAddress)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: b}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	return b
}

// ServeHTTP receives one message.
func (b *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var message struct {
		Alerts []alert `json:"alerts"`
	}
	if err := json.NewDecoder(r.Body).Decode(&message); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, a := range message.Alerts {
		a.receiver = strings.TrimPrefix(r.URL.Path, "/")
		b.alerts = append(b.alerts, a)
	}
}

func (b *inbox) find(receiver, status, name, instance string) (alert, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, a := range b.alerts {
		if a.matches(receiver, status, name, instance) {
			return a, true
		}
	}
	return alert{}, false
}

func (b *inbox) has(receiver, status, name, instance string) bool {
	_, found := b.find(receiver, status, name, instance)
	return found
}

// waitFor waits for an alert and returns it.
func (b *inbox) waitFor(t *testing.T, receiver, status, name, instance string) alert {
	t.Helper()
	waitFor(t, fmt.Sprintf("%s receives %s of %s, %s", receiver, name, instance, status), func() bool {
		return b.has(receiver, status, name, instance)
	})
	found, _ := b.find(receiver, status, name, instance)
	return found
}

// checkInstances checks that no receiver got an alert of other instances than these.
// The alert Watchdog has no instance, and only its receiver gets it.
func (b *inbox) checkInstances(t *testing.T, instances ...string) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, a := range b.alerts {
		if a.receiver == "watchdog" && a.Labels["alertname"] == "Watchdog" {
			continue
		}
		if !slices.Contains(instances, a.Labels["instance"]) {
			t.Errorf("%s received the unexpected alert %s, %s: %s", a.receiver, a.Labels["alertname"], a.Status, a.Annotations["summary"])
		}
	}
}
