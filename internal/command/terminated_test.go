package command

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// terminatedChild makes the test binary the exporter that is told to end.
const terminatedChild = "DANE_EXPORTER_TEST_TERMINATED"

// TestTerminated: SIGTERM comes while a server keeps a probe waiting. Nobody new
// is let in; the probe has a few seconds, and then says what it has found by
// then: that it could not judge. The exporter ends well.
func TestTerminated(t *testing.T) {
	if os.Getenv(terminatedChild) != "" {
		os.Exit(Run([]string{"lab", "--web.listen-address=127.0.0.1:0"}, example(t), io.Discard, os.Stderr))
	}
	if testing.Short() {
		t.Skip("the probe has five seconds")
	}
	exporter := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestTerminated$")
	exporter.Env = append(os.Environ(), terminatedChild+"=1")
	log, err := exporter.StderrPipe()
	if err == nil {
		err = exporter.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	address := ""
	for lines := bufio.NewScanner(log); address == "" && lines.Scan(); {
		if found := regexp.MustCompile(`msg="Listening on" address=(\S+)`).FindStringSubmatch(lines.Text()); found != nil {
			address = found[1]
		}
	}
	go io.Copy(io.Discard, log)
	p := &program{t: t, base: "http://" + address}
	type answer struct {
		status int
		body   string
	}
	answered := make(chan answer, 1)
	go func() {
		status, body := p.ask("GET", "/probe?target=tarpit.lab.test")
		answered <- answer{status, body}
	}()
	p.await("dane_exporter_probes_in_flight", "1")
	http.DefaultClient.CloseIdleConnections()

	if err := exporter.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; {
		conn, err := net.Dial("tcp", address)
		if errors.Is(err, syscall.ECONNREFUSED) {
			break
		}
		if err == nil {
			conn.Close()
		}
		if time.Now().After(deadline) {
			t.Fatal("it lets others in all the same")
		}
	}
	got := <-answered
	for _, line := range []string{"\nprobe_success 0\n", "\ndane_probe_complete 0\n", "\ndane_outcome{outcome=\"unknown\"} 1\n", "\ndane_finding{reason=\"probe_deadline\","} {
		if got.status != http.StatusOK || !strings.Contains(got.body, line) {
			t.Errorf("%d, no %q in\n%s", got.status, line, got.body)
		}
	}
	if err := exporter.Wait(); err != nil {
		t.Errorf("the exporter ended so: %v", err)
	}
}
