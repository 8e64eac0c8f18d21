// Package systemd holds the unit to systemd's own judgement.
package systemd

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// analyze runs systemd-analyze, and skips the test where there is none, or none
// that knows --offline.
func analyze(t *testing.T, args ...string) string {
	t.Helper()
	path, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip(err)
	}
	if help, err := exec.Command(path, "--help").CombinedOutput(); err != nil || !strings.Contains(string(help), "--offline") {
		t.Skipf("this systemd-analyze does not know --offline: %v", err)
	}
	output, err := exec.Command(path, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("systemd-analyze %q: %v\n%s", args, err, output)
	}
	return string(output)
}

// unit writes the unit down with a binary that exists, and returns its path.
func unit(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile("dane_exporter.service")
	if err != nil {
		t.Fatal(err)
	}
	const binary = "ExecStart=/usr/bin/dane_exporter "
	if !strings.Contains(string(content), binary) {
		t.Fatalf("the unit has no %q", binary)
	}
	path := filepath.Join(t.TempDir(), "dane_exporter.service")
	here := strings.Replace(string(content), binary, "ExecStart=/bin/true ", 1)
	if err := os.WriteFile(path, []byte(here), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestVerify: systemd knows every setting and has nothing to say of any.
func TestVerify(t *testing.T) {
	if said := analyze(t, "verify", "--man=no", unit(t)); strings.Contains(said, "dane_exporter.service") {
		t.Error(said)
	}
}

// TestSecurity: the exposure is as low as the unit says, out of ten.
func TestSecurity(t *testing.T) {
	said := analyze(t, "security", "--offline=yes", "--threshold=15", unit(t)) // it fails above 1.5
	for _, wanted := range []string{
		"✓ User=/DynamicUser=",
		"✓ CapabilityBoundingSet=~CAP_NET_(BIND_SERVICE|BROADCAST|RAW)",
		"Overall exposure level for dane_exporter.service: 1.2 OK",
	} {
		if !strings.Contains(said, wanted) {
			t.Errorf("no %q in\n%s", wanted, said)
		}
	}
}

// TestFlagsFile: what the unit reads is what is shipped, in a form that systemd
// reads: NAME=value, and comments.
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
		t.Errorf("settings %q; want ARGS, empty, and nothing else", settings)
	}
}
