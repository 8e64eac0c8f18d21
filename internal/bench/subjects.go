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

// exporter is one that probes over HTTP.
type exporter struct {
	command *exec.Cmd
	address string
	probe   func(worker int) url.Values
}

// dane is this exporter, with a configuration that asks everything anew but for
// the chain of DNSSEC, and for handshakes made within reuse.
func dane(binary, dir string, w *world, reuse time.Duration) (*exporter, error) {
	anchors := filepath.Join(dir, "anchors")
	config := fmt.Sprintf("resolver: {servers: [%q], trust_anchors: %q}\nlimits: {handshake_reuse: %s}\naccess: {allow_networks: [127.0.0.0/8]}\n"+
		"modules:\n  bench: {port: %d, smtp: {ehlo: probe.example.net}}\n", w.resolver, anchors, reuse, w.port)
	file := filepath.Join(dir, fmt.Sprintf("dane-%s.yml", reuse))
	if err := errors.Join(os.WriteFile(anchors, []byte(w.anchors()), 0o600), os.WriteFile(file, []byte(config), 0o600)); err != nil {
		return nil, err
	}
	address, err := freeAddress()
	return &exporter{
		command: exec.Command(binary, "--config.file", file, "--web.listen-address", address, "--log.level", "error"), address: address,
		probe: func(worker int) url.Values { return url.Values{"module": {"bench"}, "target": {w.names[worker]}} },
	}, err
}

// blackboxExporter speaks the dialogue of its own documentation.
func blackboxExporter(binary, dir string, w *world) (*exporter, error) {
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
	address, err := freeAddress()
	return &exporter{
		command: exec.Command(path, "--config.file", file, "--web.listen-address", address, "--log.level", "error"), address: address,
		probe: func(worker int) url.Values { return url.Values{"module": {"bench"}, "target": {w.addresses[worker]}} },
	}, err
}

func freeAddress() (string, error) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}

func (e *exporter) start() error {
	e.command.Stderr = os.Stderr
	return e.command.Start()
}

func (e *exporter) stop() {
	_ = e.command.Process.Kill()
	_ = e.command.Wait()
}

// measure warms an exporter up, which may be starting, and lets it tell what it used.
func (e *exporter) measure(load load) (result, error) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: load.atOnce}, Timeout: time.Minute}
	defer client.CloseIdleConnections()
	probe := func(worker int) error {
		text, err := fetch(client, "http://"+e.address+"/probe?"+e.probe(worker).Encode())
		if err == nil && value(text, "probe_success") != 1 {
			err = errors.New("probe_success 0")
		}
		return err
	}
	for begun := time.Now(); probe(0) != nil; time.Sleep(50 * time.Millisecond) {
		if time.Since(begun) > 20*time.Second {
			return result{}, errors.New("no probe of it succeeds")
		}
	}
	metrics := "http://" + e.address + "/metrics"
	load.warmUp(probe)
	before, err := fetch(client, metrics)
	if err != nil {
		return result{}, err
	}
	r := load.drive(probe)
	after, err := fetch(client, metrics)
	used := func(name string) float64 { return value(after, name) - value(before, name) }
	r.CPU = time.Duration(used("process_cpu_seconds_total") * float64(time.Second))
	r.Allocs = uint64(used("go_memstats_mallocs_total"))
	r.Memory = int64(value(after, "process_resident_memory_bytes"))
	return r, err
}

// accepted is what Prometheus 3 says that it accepts.
const accepted = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5," +
	"text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"

// fetch asks as Prometheus does; net/http asks for gzip, and unpacks it.
func fetch(client *http.Client, from string) (string, error) {
	request, err := http.NewRequest(http.MethodGet, from, nil)
	if err != nil {
		return "", err
	}
	request.Header.Set("Accept", accepted)
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

// value is that of a series without labels; 0: there is none.
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

// commands are asked for one handshake each time.
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
func measureCommand(times int, w *world, made func(address string) *exec.Cmd) (result, error) {
	if _, err := exec.LookPath(made(w.addresses[0]).Path); err != nil {
		return result{}, err
	}
	var cpu time.Duration
	r := load{times, 1}.drive(func(int) error {
		command := made(w.addresses[0])
		err := command.Run()
		if state := command.ProcessState; state != nil {
			cpu += state.UserTime() + state.SystemTime()
		}
		return err
	})
	r.CPU = cpu
	return r, nil
}
