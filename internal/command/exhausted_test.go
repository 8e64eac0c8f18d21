package command

import (
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// exhaustedChild makes the test binary the process that runs out.
const exhaustedChild = "DANE_EXPORTER_TEST_EXHAUSTED"

// TestDescriptorsExhausted: a process without descriptors answers that it could
// not judge, and judges again when it has some. It runs apart, for it would
// starve the other tests.
func TestDescriptorsExhausted(t *testing.T) {
	if os.Getenv(exhaustedChild) != "" {
		testExhausted(t)
		return
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestDescriptorsExhausted$", "-test.v")
	child.Env = append(os.Environ(), exhaustedChild+"=1")
	said, err := child.CombinedOutput()
	if err != nil || !strings.Contains(string(said), "--- PASS") {
		t.Errorf("%v\n%s", err, said)
	}
}

func testExhausted(t *testing.T) {
	p := start(t)
	defer p.end()
	want := func(when, target string, lines ...string) {
		t.Helper()
		status, body := p.ask("GET", "/probe?target="+target)
		for _, line := range lines {
			if status != http.StatusOK || !strings.Contains(body, line) {
				t.Errorf("%s: %d, no %s in\n%s", when, status, line, body)
			}
		}
	}
	authenticated := `dane_outcome{outcome="authenticated"} 1`
	want("before", "good.lab.test", authenticated)

	give := takeAll(t) // but for the connection of the test to the exporter, which is kept
	want("without descriptors", "good.lab.test",
		`dane_outcome{outcome="unknown"} 1`, `dane_finding{reason="internal_error",host="mx.good.lab.test",port="25"`, "probe_success 0")
	want("without descriptors, where nothing need be connected to", "null-mx.lab.test", `dane_outcome{outcome="none"} 1`)

	give()
	want("afterwards", "good.lab.test", authenticated)
	if got := p.metric("dane_exporter_panics_total"); got != "0" {
		t.Errorf("%s panics", got)
	}
}

// takeAll opens files until there is no descriptor left, below a limit that is
// soon reached. give closes them.
func takeAll(t *testing.T) (give func()) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	limit.Cur = min(limit.Cur, 1024)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	var taken []*os.File
	for {
		file, err := os.Open(os.DevNull)
		if err != nil {
			break
		}
		taken = append(taken, file)
	}
	if len(taken) == 0 {
		t.Fatal("no descriptor could be taken: the limit is below what is open")
	}
	return func() {
		for _, file := range taken {
			file.Close()
		}
	}
}
