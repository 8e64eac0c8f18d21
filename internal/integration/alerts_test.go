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
)

// Where the shipped files have everything.
const (
	prometheusAddress   = "127.0.0.1:9090"
	alertmanagerAddress = "127.0.0.1:9093"
	webhookAddress      = "127.0.0.1:9095"
	controlAddress      = "127.0.0.1:10126" // of the lab; no shipped file knows of it
)

// TestAlerts lets a healthy domain break and be repaired under the eyes of
// Prometheus and Alertmanager, with the files of deploy/prometheus as they are
// but for two things: the domains are the lab's, and time runs sixty times as fast.
func TestAlerts(t *testing.T) {
	run(t, "ip", "link", "set", "lo", "up")
	dir := directory(t)
	inbox := startWebhook(t)
	exporter := start(t, dir, exec.Command(os.Getenv(binaryVariable), "lab",
		"--web.listen-address", exporterAddress, "--lab.control-address", controlAddress), exporterAddress, controlAddress)
	startPrometheus(t, dir)

	const domain, host = "good.lab.test", "mx.good.lab.test"
	await(t, "the domain is scraped, and well", func() bool {
		return holds(t, `dane_outcome{job="dane",instance="good.lab.test",outcome="authenticated"} == 1`)
	})

	// The certificate is renewed and the record is not.
	breakLab(t, "good", "new-certificate")
	page := inbox.await(t, "pager", "firing", "DaneDomainRefused", domain)
	if want := "tlsa_mismatch at " + host; !strings.Contains(page.Annotations["summary"], want) {
		t.Errorf("the page says %q, and not %q", page.Annotations["summary"], want)
	}
	for _, of := range []string{"DaneHostRefused", "DaneTLSAMismatch"} {
		await(t, of+" is silenced, since the whole domain is refused", func() bool { return silenced(t, of, host) })
	}

	// Scrapes are lost, which says nothing of the domain.
	signal(t, exporter, syscall.SIGSTOP)
	await(t, "a scrape was lost", func() bool { return holds(t, `up{job="dane",instance="good.lab.test"} == 0`) })
	signal(t, exporter, syscall.SIGCONT)
	await(t, "the domain is scraped again", func() bool { return holds(t, `up{job="dane",instance="good.lab.test"} == 1`) })

	// The old certificate is back, and nobody signs the zone any more.
	breakLab(t, "good", "expired-signature")
	inbox.await(t, "tickets", "firing", "DaneDNSSECBogus", domain)
	if inbox.has("pager", "resolved", "DaneDomainRefused", domain) {
		t.Error("the page was resolved, although the domain was refused all the time")
	}

	// What the exporter cannot see is no news of a domain.
	report(t, "DaneNoResolver", "another:10125", time.Time{})
	for _, trouble := range []string{"DaneExporterBlind", "DaneNoResolver", "DaneTrustAnchor"} {
		report(t, trouble, "localhost:10125", time.Time{})
		await(t, trouble+" silences the page", func() bool { return silenced(t, "DaneDomainRefused", "") })
		report(t, trouble, "localhost:10125", time.Now())
		await(t, trouble+" is over, and another exporter's does not matter", func() bool { return !silenced(t, "DaneDomainRefused", "") })
	}

	breakLab(t, "good", "none")
	inbox.await(t, "pager", "resolved", "DaneDomainRefused", domain)
	inbox.await(t, "tickets", "resolved", "DaneDNSSECBogus", domain)
	inbox.onlyOf(t, domain, "localhost:10125", "another:10125")
}

// startPrometheus starts Alertmanager and Prometheus with the shipped files.
func startPrometheus(t *testing.T, dir string) {
	t.Helper()
	domains := strings.NewReplacer(
		"[example.org, example.net]", "[good.lab.test, good-ipv6.lab.test]",
		"[example.com]", "[unsigned.lab.test]",
		"scrape_timeout: 30s", "scrape_timeout: 60s") // a second
	for _, name := range []string{"prometheus.yml", "rules.yml", "alertmanager.yml"} {
		content, err := os.ReadFile(filepath.Join("../../deploy/prometheus", name))
		if err != nil {
			t.Fatal(err)
		}
		write(t, dir, name, hurried(t, domains.Replace(string(content))))
	}
	start(t, dir, exec.Command(program(t, "prometheus-alertmanager"),
		"--config.file", filepath.Join(dir, "alertmanager.yml"), "--storage.path", filepath.Join(dir, "alertmanager"),
		"--web.listen-address", alertmanagerAddress, "--cluster.listen-address="), alertmanagerAddress)
	start(t, dir, exec.Command(program(t, "prometheus"),
		"--config.file", filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path", filepath.Join(dir, "prometheus"),
		"--web.listen-address", prometheusAddress, "--query.lookback-delta=5s"), prometheusAddress)
}

// hurried makes every duration a sixtieth, so that a minute takes a second.
func hurried(t *testing.T, content string) string {
	t.Helper()
	units := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}
	written := regexp.MustCompile(`\b(\d+)([smhd])\b`)
	return written.ReplaceAllStringFunc(content, func(duration string) string {
		parts := written.FindStringSubmatch(duration)
		count, err := strconv.Atoi(parts[1])
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%dms", (time.Duration(count) * units[parts[2]] / 60).Milliseconds())
	})
}

// await returns when something is so.
func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	retry := time.NewTicker(100 * time.Millisecond)
	defer retry.Stop()
	for deadline := time.After(2 * patience); !so(); {
		select {
		case <-retry.C:
		case <-deadline:
			t.Fatalf("not so after %v: %s", 2*patience, what)
		}
	}
}

// holds reports whether a query has a result.
func holds(t *testing.T, query string) bool {
	t.Helper()
	var answer struct {
		Data struct {
			Result []any `json:"result"`
		} `json:"data"`
	}
	get(t, "http://"+prometheusAddress+"/api/v1/query?"+url.Values{"query": {query}}.Encode(), &answer)
	return len(answer.Data.Result) > 0
}

// silenced reports whether Alertmanager has an alert about a host and keeps it to itself.
func silenced(t *testing.T, alert, host string) bool {
	t.Helper()
	var alerts []struct {
		Labels map[string]string `json:"labels"`
		Status struct {
			InhibitedBy []string `json:"inhibitedBy"`
		} `json:"status"`
	}
	get(t, "http://"+alertmanagerAddress+"/api/v2/alerts", &alerts)
	for _, one := range alerts {
		if one.Labels["alertname"] == alert && one.Labels["host"] == host {
			return len(one.Status.InhibitedBy) > 0
		}
	}
	return false
}

// get reads JSON; a server that is not ready yet gives none.
func get(t *testing.T, from string, into any) {
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

// report tells Alertmanager of an alert of an exporter's own, as Prometheus
// would; where it ends is zero, it goes on.
func report(t *testing.T, name, exporter string, ends time.Time) {
	t.Helper()
	told := map[string]any{"labels": map[string]string{"alertname": name, "scope": "exporter", "exporter": exporter, "instance": exporter}}
	if !ends.IsZero() {
		told["endsAt"] = ends
	}
	body, err := json.Marshal([]any{told})
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.Post("http://"+alertmanagerAddress+"/api/v2/alerts", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("tell Alertmanager of %s: %s", name, response.Status)
	}
}

// breakLab does something to a scenario of the lab.
func breakLab(t *testing.T, scenario, fault string) {
	t.Helper()
	order := url.Values{"scenario": {scenario}, "fault": {fault}}
	response, err := http.Post("http://"+controlAddress+"/break?"+order.Encode(), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("break %s by %s: %s", scenario, fault, response.Status)
	}
}

func signal(t *testing.T, p *process, s syscall.Signal) {
	t.Helper()
	if err := p.command.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// An alert, as Alertmanager tells of it.
type alert struct {
	Status      string            `json:"status"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	receiver    string            // the path that it came to
}

func (a alert) is(receiver, status, name, instance string) bool {
	return a.receiver == receiver && a.Status == status && a.Labels["alertname"] == name && a.Labels["instance"] == instance
}

// inbox keeps what the receivers of alertmanager.yml were told.
type inbox struct {
	mu     sync.Mutex
	alerts []alert
}

// startWebhook listens for Alertmanager's messages until the test ends.
func startWebhook(t *testing.T) *inbox {
	t.Helper()
	box := &inbox{}
	listener, err := net.Listen("tcp", webhookAddress)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: box}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	return box
}

// ServeHTTP takes one message.
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
	for _, one := range message.Alerts {
		one.receiver = strings.TrimPrefix(r.URL.Path, "/")
		b.alerts = append(b.alerts, one)
	}
}

func (b *inbox) find(receiver, status, name, instance string) (alert, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, one := range b.alerts {
		if one.is(receiver, status, name, instance) {
			return one, true
		}
	}
	return alert{}, false
}

func (b *inbox) has(receiver, status, name, instance string) bool {
	_, found := b.find(receiver, status, name, instance)
	return found
}

// await returns an alert when it has come.
func (b *inbox) await(t *testing.T, receiver, status, name, instance string) alert {
	t.Helper()
	await(t, fmt.Sprintf("%s is told that %s of %s is %s", receiver, name, instance, status), func() bool {
		return b.has(receiver, status, name, instance)
	})
	found, _ := b.find(receiver, status, name, instance)
	return found
}

// onlyOf wants nobody to have been told of other instances than these.
func (b *inbox) onlyOf(t *testing.T, instances ...string) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, one := range b.alerts {
		if !slices.Contains(instances, one.Labels["instance"]) {
			t.Errorf("%s was told that %s is %s: %s", one.receiver, one.Labels["alertname"], one.Status, one.Annotations["summary"])
		}
	}
}
