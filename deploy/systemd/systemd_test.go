// Package systemd checks the unit with systemd-analyze.
package systemd

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// analyze returns the output of systemd-analyze. It skips the test if the command does
// not exist or has no --offline.
func analyze(t *testing.T, args ...string) string {
	t.Helper()
	path, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip(err)
	}
	if help, err := exec.Command(path, "--help").CombinedOutput(); err != nil || !strings.Contains(string(help), "--offline") {
		t.Skipf("systemd-analyze has no --offline: %v", err)
	}
	output, err := exec.Command(path, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("systemd-analyze %q: %v\n%s", args, err, output)
	}
	return string(output)
}

// unit writes a copy of the unit that runs an existing binary, and returns its path.
func unit(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile("dane_exporter.service")
	if err != nil {
		t.Fatal(err)
	}
	const binary = "ExecStart=/usr/bin/dane_exporter "
	if !strings.Contains(string(content), binary) {
		t.Fatalf("the unit does not contain %q", binary)
	}
	path := filepath.Join(t.TempDir(), "dane_exporter.service")
	here := strings.Replace(string(content), binary, "ExecStart=/bin/true ", 1)
	if err := os.WriteFile(path, []byte(here), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestVerify checks that systemd accepts every setting without a warning.
func TestVerify(t *testing.T) {
	if output := analyze(t, "verify", "--man=no", unit(t)); strings.Contains(output, "dane_exporter.service") {
		t.Error(output)
	}
}

// TestSecurity checks the exposure level that the comment in the unit states.
func TestSecurity(t *testing.T) {
	output := analyze(t, "security", "--offline=yes", "--threshold=15", unit(t)) // fails above 1.5
	for _, want := range []string{
		"✓ User=/DynamicUser=",
		"✓ CapabilityBoundingSet=~CAP_NET_(BIND_SERVICE|BROADCAST|RAW)",
		"Overall exposure level for dane_exporter.service: 1.2 OK",
	} {
		if !strings.Contains(output, want) {
			t.Errorf("no %q in\n%s", want, output)
		}
	}
}

// TestFlagsFile checks that the environment file has only comments and the variable
// ARGS, which the unit uses.
func TestFlagsFile(t *testing.T) {
	content, err := os.ReadFile("dane_exporter.default")
	if err != nil {
		t.Fatal(err)
	}
	var settings []string
	for line := range strings.Lines(string(content)) {
		if !strings.HasPrefix(line, "#") {
			settings = append(settings, strings.TrimSpace(line))
		}
	}
	if len(settings) != 1 || settings[0] != `ARGS=""` {
		t.Errorf("settings %q, want only an empty ARGS", settings)
	}
}
