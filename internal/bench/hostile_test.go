package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509/pkix"
	"encoding/asn1"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"dane_exporter/internal/lab/server"
	"dane_exporter/internal/lab/zone"
)

var hostileProbes = flag.Int("hostile", 0, "number of probes of each kind, ordinary and hostile, of TestHostileFleet; 0: skip it")

// A hostileKind is a kind of targets that are made to take memory. Each target is a name
// of one zone.
type hostileKind struct {
	name    string
	share   int // of each eight hostile targets
	records func(target, port int) string
	serve   func(net.Conn) // at the addresses of the kind; nil: none
}

// TestHostileFleet makes ordinary probes in a cgroup of 512 MiB while as many probes of
// hostile targets are in progress, as many of both as limits.probes admits. All ordinary
// probes must have the right verdict.
func TestHostileFleet(t *testing.T) {
	n := *hostileProbes
	if n == 0 {
		t.Skip("it measures memory and deadlines, so no other test may run: see -hostile")
	}
	env, ordinary, hostile := newHostileFleet(t, n)
	// The resolver shares the CPU with all clients and servers, and may respond late.
	env.resolverSettings = "timeout: 5s, attempts: 3"
	group := newCgroup(t, 512<<20)
	e := startExporter(t, env, fmt.Sprintf("limits: {probes: %d}", 2*n), group)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 2 * n}}
	get := func(name string, timeout int) string {
		request, _ := http.NewRequest("GET", "http://"+e.address+"/probe?module=fleet&target="+name, nil)
		request.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", strconv.Itoa(timeout))
		response, err := client.Do(request)
		if err != nil {
			return err.Error()
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			return err.Error()
		}
		return string(body)
	}
	const timeout, patience = 15, 30 // seconds: of a scrape of a hostile target, and of another one
	var late atomic.Int32
	var attack, scrapes sync.WaitGroup
	outcomes := make(chan string, len(hostile))
	for _, name := range hostile {
		attack.Go(func() {
			begin := time.Now()
			outcome := outcomeOf(get(name, timeout))
			if time.Since(begin) > timeout*time.Second+time.Second {
				late.Add(1)
			}
			_, kind, _ := strings.Cut(name, ".")
			outcomes <- kind + " " + outcome
		})
	}
	for inFlight, tries := 0.0, 0; inFlight < float64(len(hostile)/2) && tries < 1000; tries++ { // some end early
		metrics, err := fetch(client, "http://"+e.address+"/metrics")
		if err != nil {
			t.Fatal(err)
		}
		inFlight = value(metrics, "dane_exporter_probes_in_flight")
	}
	var failed atomic.Int32
	for _, name := range ordinary {
		scrapes.Go(func() {
			if text := get(name, patience); outcomeOf(text) != "authenticated" && failed.Add(1) <= 3 {
				t.Errorf("%s: %s", name, findingsOf(text))
			}
		})
	}
	scrapes.Wait()
	attack.Wait()
	close(outcomes)
	counts := make(map[string]int)
	for outcome := range outcomes {
		counts[outcome]++
		mismatch := outcome == "records.org refused" // none of the records matches
		if !mismatch && (strings.HasSuffix(outcome, "refused") || strings.HasSuffix(outcome, "authenticated")) {
			t.Errorf("hostile: %s", outcome)
		}
	}
	metrics, err := fetch(client, "http://"+e.address+"/metrics")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d of %d ordinary probes failed; hostile: %v, %d late; %.0f MiB resident, peak of the cgroup: %s",
		failed.Load(), n, counts, late.Load(), value(metrics, "process_resident_memory_bytes")/(1<<20), peakOf(group))
}

// outcomeOf returns the outcome in the metrics of a probe.
func outcomeOf(text string) string {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, `dane_outcome{outcome="`); ok && strings.HasSuffix(line, " 1\n") {
			outcome, _, _ := strings.Cut(rest, `"`)
			return outcome
		}
	}
	return "none of them: " + text[:min(len(text), 100)]
}

// findingsOf returns the lines of metrics that explain a verdict.
func findingsOf(text string) (findings string) {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "dane_finding{") || strings.HasPrefix(line, "probe_duration") {
			findings += line
		}
	}
	return cmp.Or(findings, text)
}

// peakOf returns the most memory that a cgroup has used.
func peakOf(group string) string {
	if group == "" {
		return "unknown"
	}
	text, _ := os.ReadFile(filepath.Join(group, "memory.max_usage_in_bytes"))
	n, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	fails, _ := os.ReadFile(filepath.Join(group, "memory.failcnt"))
	return fmt.Sprintf("%d MiB, limit hit %s times", n>>20, strings.TrimSpace(string(fails)))
}

// newCgroup creates a cgroup with a memory limit in bytes. It returns the empty string
// without the privilege.
func newCgroup(t *testing.T, limit int) string {
	group := filepath.Join("/sys/fs/cgroup/memory", fmt.Sprintf("dane-bench-%d", os.Getpid()))
	if err := os.Mkdir(group, 0o755); err != nil {
		t.Log("without a cgroup:", err)
		return ""
	}
	if err := os.WriteFile(filepath.Join(group, "memory.limit_in_bytes"), []byte(strconv.Itoa(limit)), 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(group) })
	return group
}

// Chains of zones, each with as many DS and DNSKEY records as fit into a message.
const chains, chainDepth = 16, 35

// newHostileFleet returns the environment and the names of n targets of each kind,
// ordinary and hostile.
func newHostileFleet(t *testing.T, n int) (env *environment, ordinary, hostile []string) {
	env = new(environment)
	t.Cleanup(env.close)
	leaf, err := newLeaf("Fleet")
	if err != nil {
		t.Fatal(err)
	}
	good := goodMailServer(leaf)
	large, err := bigChain(100 << 10)
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	hosts := func(count, addresses int, kind int, tlsa string) func(target, port int) string {
		return func(target, port int) string {
			var text strings.Builder
			address := target * count * addresses
			for h := range count {
				fmt.Fprintf(&text, "t%d MX %d h%d.t%[1]d\n", target, h, h)
				for range addresses {
					fmt.Fprintf(&text, "h%d.t%d A 127.%d.%d.%d\n", h, target, kind+address>>16, address>>8&255, address&255)
					address++
				}
				if tlsa != "" {
					for i := range 1000 {
						fmt.Fprintf(&text, "_%d._tcp.h%d.t%d TLSA 3 1 1 %064x\n", port, h, target, i)
					}
				}
			}
			return text.String()
		}
	}
	silent := func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }
	kinds := []hostileKind{
		{"chain", 1, func(target, _ int) string {
			return fmt.Sprintf("t%d MX 10 mx%d%s.c%d.net.\n", target, target, strings.Repeat(".a", chainDepth), target%chains)
		}, nil},
		{"certs", 2, hosts(4, 16, 2, ""), func(conn net.Conn) { stallAfterCertificate(conn, large) }},
		{"lines", 2, hosts(4, 16, 16, ""), func(conn net.Conn) {
			io.WriteString(conn, strings.Repeat("220-"+strings.Repeat("x", 123)+"\r\n", 1950))
			silent(conn)
		}},
		{"tarpit", 2, hosts(13, 16, 32, ""), silent},
		{"records", 1, hosts(3, 16, 48, "many"), good},
	}
	serve := func(conn net.Conn) {
		second := int(conn.LocalAddr().(*net.TCPAddr).IP.To4()[1])
		for i, base := range []int{2, 16, 32, 48} {
			if second >= base && second < base+14 {
				kinds[i+1].serve(conn)
				return
			}
		}
		good(conn)
	}
	if err := env.listen(net.IPv4zero, serve); err != nil {
		t.Fatal(err)
	}
	zones := []zone.Zone{{Apex: "com"}, {Apex: "net"}, {Apex: "org"}}
	for i := range n {
		zones = append(zones, zone.Zone{Apex: fmt.Sprintf("light%d.com", i),
			Records: fmt.Sprintf("@ MX 10 mx\nmx A 127.1.%d.%d\n_%d._tcp.mx %s\n", i>>8, i&255, env.port, tlsaRecord(leaf))})
		ordinary = append(ordinary, fmt.Sprintf("light%d.com", i))
	}
	for _, kind := range kinds {
		var text strings.Builder
		for i := range n * kind.share / 8 {
			text.WriteString(kind.records(i, env.port))
			hostile = append(hostile, fmt.Sprintf("t%d.%s.org", i, kind.name))
		}
		zones = append(zones, zone.Zone{Apex: kind.name + ".org", Records: text.String()})
	}
	for c := range chains {
		apex := fmt.Sprintf("c%d.net", c)
		zones = append(zones, zone.Zone{Apex: apex})
		for i := range chainDepth {
			apex = "a." + apex
			z := zone.Zone{Apex: apex, Algorithms: []uint8{dns.ED25519}}
			if i == chainDepth-1 {
				for target := range n {
					z.Records += fmt.Sprintf("mx%d A 127.255.0.1\n", target)
				}
			}
			zones = append(zones, z)
		}
	}
	if env.internet, err = zone.New(time.Now, zones...); err != nil {
		t.Fatal(err)
	}
	env.internet.Break(zone.BloatDelegations(func(p zone.Place) bool { return strings.HasPrefix(p.Name, "a.") })...)
	env.internet.Break(zone.Fault{Where: func(p zone.Place) bool {
		return p.Type == dns.TypeDNSKEY && strings.Count(p.Name, ".") == chainDepth+2
	}, Answer: func(_, _ *dns.Msg) error { <-stop; return io.EOF }})
	if err := env.startResolver(); err != nil {
		t.Fatal(err)
	}
	return env, ordinary, hostile
}

// bigChain returns a chain of a number of bytes, of certificates with many small
// elements.
func bigChain(size int) (tls.Certificate, error) {
	root, err := server.NewRoot("Large", time.Now())
	if err != nil {
		return tls.Certificate{}, err
	}
	var name pkix.RDNSequence
	for range 900 {
		name = append(name, pkix.RelativeDistinguishedNameSET{{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "x"}})
	}
	raw, err := asn1.Marshal(name)
	if err != nil {
		return tls.Certificate{}, err
	}
	var all []*server.Certificate
	for total := 0; ; {
		leaf, err := root.Issue(server.Leaf{Names: []string{"mx.example.org"}, RawSubject: raw})
		if err != nil {
			return tls.Certificate{}, err
		}
		if total += len(leaf.DER); total > size {
			return all[0].ChainWith(all[1:]...), nil
		}
		all = append(all, leaf)
	}
}

// stallAfterCertificate is a mail server that sends its certificates and then nothing.
func stallAfterCertificate(conn net.Conn, chain tls.Certificate) {
	server.SMTP{Name: "mx.example.org", TLS: server.TLSConfigStalled(chain)}.Serve(context.Background(), conn)
}
