package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// exporter is a process that makes a probe for each HTTP request to /probe.
type exporter struct {
	command *exec.Cmd
	address string                      // at which it serves
	query   func(worker int) url.Values // of the request to /probe
}

// newExporter returns an exporter that runs command. The process inherits a
// listener on a port that the kernel chose, by systemd's socket activation
// (sd_listen_fds(3)). So no other process can take the port before it starts,
// and requests wait in the listener's queue until it accepts them.
func newExporter(query func(worker int) url.Values, command string, args ...string) (*exporter, error) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	file, err := listener.(*net.TCPListener).File()
	if err != nil {
		return nil, err
	}
	// LISTEN_PID must be the process that uses the listener, and it must enter the cgroup
	// of the environment variable first, if there is one. The shell knows its own process
	// ID, and exec keeps it.
	run := exec.Command("/bin/sh", append([]string{"-c", `[ -z "$CGROUP" ] || echo $$ >"$CGROUP/cgroup.procs"; LISTEN_PID=$$ exec "$0" "$@"`, command}, args...)...)
	run.Env = append(os.Environ(), "LISTEN_FDS=1")
	run.ExtraFiles = []*os.File{file}
	run.Stderr = os.Stderr
	return &exporter{command: run, address: listener.Addr().String(), query: query}, nil
}

// daneExporter returns dane_exporter with a configuration that caches nothing
// but the DNSSEC chain, and handshakes for the duration reuse.
func daneExporter(binary, dir string, env *environment, reuse time.Duration) (*exporter, error) {
	anchors := filepath.Join(dir, "anchors")
	config := fmt.Sprintf("resolver: {servers: [%q], trust_anchors: %q}\nlimits: {handshake_reuse: %s}\naccess: {allow_networks: [127.0.0.0/8]}\n"+
		"modules:\n  bench: {port: %d, smtp: {ehlo: probe.example.net}}\n", env.resolver, anchors, reuse, env.port)
	file := filepath.Join(dir, fmt.Sprintf("dane-%s.yml", reuse))
	if err := errors.Join(os.WriteFile(anchors, []byte(env.anchors()), 0o600), os.WriteFile(file, []byte(config), 0o600)); err != nil {
		return nil, err
	}
	query := func(worker int) url.Values { return url.Values{"module": {"bench"}, "target": {env.domains[worker]}} }
	return newExporter(query, binary, "--config.file", file, "--web.systemd-socket", "--log.level", "error", "--log.prober", "error")
}

// blackboxExporter returns blackbox_exporter with the SMTP dialogue of its
// documentation.
func blackboxExporter(binary, dir string, env *environment) (*exporter, error) {
	path, err := exec.LookPath(binary)
	if err != nil {
		return nil, err
	}
	const config = `modules:
  bench:
    prober: tcp
    timeout: 10s
    tcp:
      query_response:
        - expect: "^220 "
        - send: "EHLO probe.example.net\r"
        - expect: "^250[ -]STARTTLS"
        - send: "STARTTLS\r"
        - expect: "^220 "
        - starttls: true
        - send: "QUIT\r"
        - expect: "^221 "
      tls_config: {insecure_skip_verify: true}
`
	file := filepath.Join(dir, "blackbox.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	query := func(worker int) url.Values { return url.Values{"module": {"bench"}, "target": {env.addresses[worker]}} }
	// It cannot infer its URL from an inherited listener.
	return newExporter(query, path, "--config.file", file, "--web.systemd-socket", "--web.external-url", "http://localhost/", "--log.level", "error")
}

// start starts the process and closes this process's copy of the listener, so
// that connections are refused once the exporter has ended.
func (e *exporter) start() error {
	defer e.command.ExtraFiles[0].Close()
	return e.command.Start()
}

func (e *exporter) stop() {
	_ = e.command.Process.Kill()
	_ = e.command.Wait()
}

// measure warms the exporter up, makes the probes, and reads their cost from the
// exporter's own metrics. It fails if the very first probe fails.
func (e *exporter) measure(l load) (result, error) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: l.concurrency}, Timeout: time.Minute}
	defer client.CloseIdleConnections()
	probe := func(worker int) error {
		text, err := fetch(client, "http://"+e.address+"/probe?"+e.query(worker).Encode())
		if err == nil && value(text, "probe_success") != 1 {
			err = errors.New("probe_success 0")
		}
		return err
	}
	if err := probe(0); err != nil {
		return result{}, fmt.Errorf("first probe: %w", err)
	}
	metrics := "http://" + e.address + "/metrics"
	l.warmUp(probe)
	before, err := fetch(client, metrics)
	if err != nil {
		return result{}, err
	}
	r := l.drive(probe)
	after, err := fetch(client, metrics)
	used := func(name string) float64 { return value(after, name) - value(before, name) }
	r.CPU = time.Duration(used("process_cpu_seconds_total") * float64(time.Second))
	r.Allocs = uint64(used("go_memstats_mallocs_total"))
	r.Memory = int64(value(after, "process_resident_memory_bytes"))
	return r, err
}

// acceptHeader is the Accept header of Prometheus 3.
const acceptHeader = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5," +
	"text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"

// fetch requests a URL as Prometheus does, and returns the body. net/http asks
// for gzip and decompresses it. A status other than 200 is an error.
func fetch(client *http.Client, url string) (string, error) {
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	request.Header.Set("Accept", acceptHeader)
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = errors.New(response.Status)
	}
	return string(body), err
}

// value returns the value of a series without labels, or 0 if it is missing.
func value(text, name string) float64 {
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		if number, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			v, _ := strconv.ParseFloat(number, 64)
			return v
		}
	}
	return 0
}

// commands make one handshake each time they run.
var commands = map[string]func(address string) *exec.Cmd{
	"openssl s_client": func(address string) *exec.Cmd {
		command := exec.Command("openssl", "s_client", "-connect", address, "-starttls", "smtp", "-brief")
		command.Stdin = strings.NewReader("QUIT\r\n")
		return command
	},
	"posttls-finger": func(address string) *exec.Cmd {
		host, port, _ := net.SplitHostPort(address)
		return exec.Command("posttls-finger", "-c", "-l", "encrypt", "["+host+"]:"+port)
	},
}

// measureCommand runs one process for each handshake, one after the other.
func measureCommand(times int, env *environment, newCommand func(address string) *exec.Cmd) (result, error) {
	if _, err := exec.LookPath(newCommand(env.addresses[0]).Path); err != nil {
		return result{}, err
	}
	var cpu time.Duration
	r := load{times, 1}.drive(func(int) error {
		command := newCommand(env.addresses[0])
		err := command.Run()
		if state := command.ProcessState; state != nil {
			cpu += state.UserTime() + state.SystemTime()
		}
		return err
	})
	r.CPU = cpu
	return r, nil
}
