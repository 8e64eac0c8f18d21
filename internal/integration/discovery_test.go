//go:build integration

package integration

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// transferred is the number of domains in each zone of TestDiscovery with delegations. The
// zone takes many messages, some of which nameservers may leave unsigned.
const transferred = 20_000

// discoveryBed is Knot and BIND as primaries with TSIG, an exporter that transfers from
// them, and Prometheus, which uses its /sd.
type discoveryBed struct {
	dir      string
	exporter *exporter
	knot     *process
	bind     *process
	serving  *process // the exporter
	roots    string
}

// TestDiscovery transfers catalog zones and zones with delegations, from Knot over TCP and
// from BIND over TLS. It changes a zone, replaces the key, stops a primary and restarts the
// exporter. Prometheus must not lose a target.
func TestDiscovery(t *testing.T) {
	b := &discoveryBed{dir: tempDir(t), exporter: &exporter{url: "http://" + exporterAddress}}
	configureLoopback(t)
	authority := newAuthority(t, b.dir)
	b.roots = authority.root
	key := run(t, "tsig-keygen", "-a", "hmac-sha512", "transfer.example")
	writeFile(t, b.dir, "transfer.key", key)
	writeFile(t, b.dir, "exporter.key", key)
	certificate := authority.issue(t, "ns.bind.test", authority.intermediate, "leaf", certificate{names: []string{"ns.bind.test"}})
	chain := concatenate(t, filepath.Join(b.dir, "chain.pem"), certificate, authority.intermediate)
	if err := os.Chmod(keyOf(certificate), 0o644); err != nil {
		t.Fatal(err)
	}
	b.startKnot(t, key)
	b.startBIND(t, key, chain, keyOf(certificate))
	list := writeFile(t, b.dir, "domains/customers.txt", "# customers\nfile.example\nbücher.example\nnot a domain\n")
	writeFile(t, b.dir, "exporter.yml", fmt.Sprintf(`
resolver: {servers: ["127.0.0.1:1"]} # the self-check fails, which changes nothing here
discovery:
  sources:
    - {name: files, files: [%q]}
    - {name: knot_catalog, zone: catalog.knot.test, primary: %[2]s, tsig_file: %[4]q}
    - {name: knot_zone, zone: zone.knot.test, members: delegations, primary: "tcp://%[2]s:53", tsig_file: %[4]q}
    - {name: bind_catalog, zone: catalog.bind.test, primary: "tls://%[3]s#ns.bind.test", tsig_file: %[4]q}
    - {name: bind_zone, zone: zone.bind.test, members: delegations, primary: %[3]s, tsig_file: %[4]q}
`, filepath.Join(b.dir, "domains", "*.txt"), knotAddress, bindAddress, filepath.Join(b.dir, "exporter.key")))
	b.startExporter(t)

	want := map[string]int{"files": 2, "knot_catalog": 3, "knot_zone": transferred, "bind_catalog": 2, "bind_zone": transferred}
	b.expect(t, "all lists are read", want)
	if got := b.targets(t, "?source=knot_catalog")["knot_catalog"]; !slices.Equal(got, []string{"one.example", "three.example", "two.example"}) {
		t.Errorf("the catalog that Knot generates: %q", got)
	}
	if got := b.targets(t, "?source=files")["files"]; !slices.Equal(got, []string{"file.example", "xn--bcher-kva.example"}) {
		t.Errorf("the files: %q", got)
	}
	b.expectMetric(t, `dane_exporter_discovery_bad_lines{source="files"} 1`)
	if status, body := b.get(t, "?by=mx&source=files"); status != http.StatusServiceUnavailable || !strings.Contains(body, "MX records of 2 of 2 domains") {
		t.Errorf("by=mx without a resolver: %d %s", status, body)
	}

	writeFile(t, b.dir, "prometheus.yml", fmt.Sprintf(`
scrape_configs:
  - job_name: dane
    scrape_interval: 1h
    metrics_path: /probe
    http_sd_configs: [{url: "http://%[1]s/sd?source=bind_catalog", refresh_interval: 1s}, {url: "http://%[1]s/sd?source=files", refresh_interval: 1s}]
    relabel_configs:
      - {source_labels: [__address__], target_label: __param_target}
      - {source_labels: [__param_target], target_label: instance}
      - {source_labels: [__meta_dane_source], target_label: source}
      - {target_label: __address__, replacement: "%[1]s"}
`, exporterAddress))
	startPrometheusServer(t, b.dir, minuteIsSecond)
	b.expectPrometheus(t, "Prometheus has the targets", "a.example b.example file.example xn--bcher-kva.example")

	// A new serial number, and a changed file.
	b.writeBINDCatalog(t, 2, "a.example", "b.example", "c.example")
	signal(t, b.bind, syscall.SIGHUP)
	writeFile(t, b.dir, "domains/more.txt", "more.example\n")
	want["bind_catalog"], want["files"] = 3, 3
	b.expect(t, "the new catalog and the new file are read", want)
	all := "a.example b.example c.example file.example more.example xn--bcher-kva.example"
	b.expectPrometheus(t, "Prometheus has the new targets", all)

	// A broken catalog is rejected as a whole.
	b.writeBINDCatalog(t, 3, "a.example", "a.example")
	signal(t, b.bind, syscall.SIGHUP)
	b.awaitUp(t, "bind_catalog", false)
	b.expect(t, "a broken catalog changes nothing", want)
	b.writeBINDCatalog(t, 4, "a.example", "b.example", "c.example")
	signal(t, b.bind, syscall.SIGHUP)
	b.awaitUp(t, "bind_catalog", true)

	// Another secret: neither primary accepts it, and all lists remain.
	writeFile(t, b.dir, "exporter.key", run(t, "tsig-keygen", "-a", "hmac-sha512", "transfer.example"))
	for _, source := range []string{"knot_catalog", "knot_zone", "bind_catalog", "bind_zone"} {
		b.awaitUp(t, source, false)
	}
	b.expect(t, "a wrong key changes nothing", want)
	writeFile(t, b.dir, "exporter.key", key)
	for _, source := range []string{"knot_catalog", "knot_zone", "bind_catalog", "bind_zone"} {
		b.awaitUp(t, source, true)
	}

	// A primary that is down, also while the exporter restarts.
	b.bind.stop(t)
	b.awaitUp(t, "bind_catalog", false)
	b.expect(t, "a primary that is down changes nothing", want)
	b.serving.stop(t)
	if err := os.Remove(list); err != nil {
		t.Fatal(err)
	}
	writeFile(t, b.dir, "domains/customers.txt", "file.example\nbücher.example\n")
	b.startExporter(t)
	waitFor(t, "/sd reports what is missing", func() bool {
		status, body := b.get(t, "")
		return status == http.StatusServiceUnavailable && strings.Contains(body, "the source bind_catalog has no list: tls://"+bindAddress.String())
	})
	before := b.refreshFailures(t)
	waitFor(t, "Prometheus asks the new exporter, which lacks a list", func() bool { return b.refreshFailures(t) >= before+2 })
	b.expectPrometheus(t, "Prometheus keeps its targets", all)
	b.startBIND(t, key, chain, keyOf(certificate))
	b.expect(t, "the primary is back", want)
	b.expectPrometheus(t, "Prometheus has all targets", all)
}

// refreshFailures returns how often Prometheus failed to get targets from the exporter.
func (b *discoveryBed) refreshFailures(t *testing.T) int {
	t.Helper()
	_, body := getPage(t, "http://"+prometheusAddress+"/metrics")
	_, after, found := strings.Cut(body, "\nprometheus_sd_http_failures_total ")
	value, _, _ := strings.Cut(after, "\n")
	count, err := strconv.Atoi(value)
	if !found || err != nil {
		t.Fatalf("Prometheus has no count of failures: %q", value)
	}
	return count
}

// startKnot starts Knot with a catalog zone that it generates, and a zone with delegations.
func (b *discoveryBed) startKnot(t *testing.T, key string) {
	t.Helper()
	secret := strings.Split(key, `"`)[3]
	storage := filepath.Join(b.dir, "knot")
	for _, member := range []string{"one.example", "two.example", "three.example"} {
		writeFile(t, storage, member+".zone", fmt.Sprintf("%s. 60 SOA ns. mail. 1 60 60 600 60\n%[1]s. 60 NS ns.\n", member))
	}
	writeFile(t, storage, "zone.knot.test.zone", delegationsOf("zone.knot.test"))
	config := writeFile(t, b.dir, "knot.conf", fmt.Sprintf(`server:
    rundir: %[1]q
    listen: %[2]s@53
log:
  - target: stderr
    any: info
database:
    storage: %[1]q
key:
  - id: transfer.example
    algorithm: hmac-sha512
    secret: %[3]q
acl:
  - id: transfer
    key: transfer.example
    action: [transfer, query]
template:
  - id: default
    storage: %[1]q
    file: "%%s.zone"
    zonefile-sync: -1
    journal-content: none
    acl: transfer
zone:
  - domain: catalog.knot.test
    catalog-role: generate
    journal-content: all
    zonefile-load: none
  - domain: one.example
    catalog-role: member
    catalog-zone: catalog.knot.test
  - domain: two.example
    catalog-role: member
    catalog-zone: catalog.knot.test
  - domain: three.example
    catalog-role: member
    catalog-zone: catalog.knot.test
  - domain: zone.knot.test
`, storage, knotAddress, secret))
	b.knot = start(t, b.dir, exec.Command(program(t, "knotd"), "-c", config), knotAddress.String()+":53")
}

// delegationsOf returns the text of a zone that delegates domains.
func delegationsOf(zone string) string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s. 60 SOA ns. mail. 1 60 60 600 60\n%[1]s. 60 NS ns.\n", zone)
	for i := range transferred {
		fmt.Fprintf(&text, "domain%05d.%s. 60 NS ns%d.hoster.example.\ndomain%05[1]d.%[2]s. 60 NS ns%d.hoster.example.\n", i, zone, 2*i%10, (2*i+1)%10)
	}
	return text.String()
}

// writeBINDCatalog writes a catalog zone with these members.
func (b *discoveryBed) writeBINDCatalog(t *testing.T, serial int, members ...string) {
	t.Helper()
	var text strings.Builder
	fmt.Fprintf(&text, "$TTL 60\n@ SOA invalid. invalid. %d 3600 60 86400 60\n@ NS invalid.\nversion TXT \"2\"\n", serial)
	for i, member := range members {
		fmt.Fprintf(&text, "m%d.zones PTR %s.\ngroup.m%[1]d.zones TXT gold\n", i, member)
	}
	writeFile(t, b.dir, "bind/catalog.zone", text.String())
}

// startBIND starts BIND with a catalog zone and a zone with delegations.
func (b *discoveryBed) startBIND(t *testing.T, key, chain, privateKey string) {
	t.Helper()
	dir := filepath.Join(b.dir, "bind")
	if _, err := os.Stat(filepath.Join(dir, "catalog.zone")); err != nil {
		b.writeBINDCatalog(t, 1, "a.example", "b.example")
	}
	writeFile(t, dir, "delegations.zone", delegationsOf("zone.bind.test"))
	writeFile(t, dir, "named.conf", key+fmt.Sprintf(`
tls local { cert-file %q; key-file %q; protocols { TLSv1.3; }; };
options {
	directory %q;
	listen-on { %[4]s; };
	listen-on port 853 tls local { %[4]s; };
	listen-on-v6 { none; };
	pid-file none;
	session-keyfile none;
	recursion no;
	dnssec-validation no;
	notify no;
	allow-transfer { key transfer.example; };
};
controls { };
zone "catalog.bind.test" { type primary; file "catalog.zone"; check-names ignore; };
zone "zone.bind.test" { type primary; file "delegations.zone"; };
`, chain, privateKey, dir, bindAddress))
	b.bind = start(t, b.dir, exec.Command(program(t, "named"), "-g", "-n", "1", "-c", filepath.Join(dir, "named.conf")), bindAddress.String()+":53", bindAddress.String()+":853")
}

func (b *discoveryBed) startExporter(t *testing.T) {
	t.Helper()
	command := exec.Command(os.Getenv(binaryEnv), "serve", "--config.file", filepath.Join(b.dir, "exporter.yml"), "--web.listen-address", exporterAddress)
	command.Env = append(os.Environ(), "SSL_CERT_FILE="+b.roots, "SSL_CERT_DIR=/nonexistent")
	b.serving = start(t, b.dir, command, exporterAddress)
}

// get requests /sd.
func (b *discoveryBed) get(t *testing.T, query string) (status int, body string) {
	t.Helper()
	return getPage(t, b.exporter.url+"/sd"+query)
}

// targets returns the targets of each source, and none while /sd has none.
func (b *discoveryBed) targets(t *testing.T, query string) map[string][]string {
	t.Helper()
	status, body := b.get(t, query)
	if status != http.StatusOK {
		return nil
	}
	var groups []struct {
		Targets []string          `json:"targets"`
		Labels  map[string]string `json:"labels"`
	}
	if err := json.Unmarshal([]byte(body), &groups); err != nil {
		t.Fatalf("/sd: %v\n%.1000s", err, body)
	}
	found := make(map[string][]string)
	for _, g := range groups {
		found[g.Labels["__meta_dane_source"]] = g.Targets
	}
	return found
}

// reload makes the exporter check all lists now.
func (b *discoveryBed) reload(t *testing.T) {
	t.Helper()
	response, err := http.Post(b.exporter.url+"/-/reload", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("reload: %s", response.Status)
	}
}

// expect waits until the lists have as many domains as wanted.
func (b *discoveryBed) expect(t *testing.T, what string, want map[string]int) {
	t.Helper()
	waitFor(t, what, func() bool {
		b.reload(t)
		got := make(map[string]int)
		for source, targets := range b.targets(t, "") {
			got[source] = len(targets)
		}
		return maps.Equal(got, want)
	})
}

// awaitUp waits until the last attempt to read a list succeeded, or failed.
func (b *discoveryBed) awaitUp(t *testing.T, source string, up bool) {
	t.Helper()
	want := fmt.Sprintf("dane_exporter_discovery_up{source=%q} %d\n", source, map[bool]int{true: 1}[up])
	waitFor(t, want, func() bool {
		b.reload(t)
		return strings.Contains(b.exporter.metrics(t), want)
	})
}

func (b *discoveryBed) expectMetric(t *testing.T, line string) {
	t.Helper()
	if metrics := b.exporter.metrics(t); !strings.Contains(metrics, line+"\n") {
		t.Errorf("the metrics lack %s", line)
	}
}

// expectPrometheus waits until Prometheus has these active targets.
func (b *discoveryBed) expectPrometheus(t *testing.T, what, want string) {
	t.Helper()
	waitFor(t, what, func() bool {
		var answer struct {
			Data struct {
				ActiveTargets []struct{ Labels map[string]string }
			}
		}
		getJSON(t, "http://"+prometheusAddress+"/api/v1/targets?state=active", &answer)
		var found []string
		for _, target := range answer.Data.ActiveTargets {
			found = append(found, target.Labels["instance"])
		}
		slices.Sort(found)
		return strings.Join(found, " ") == want
	})
}
