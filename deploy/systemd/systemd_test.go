// Package systemd checks the unit with systemd-analyze.
package systemd

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
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
		"Overall exposure level for dane_exporter.service: 1.3 OK",
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

// machine is a root directory in which package scripts run. Its systemctl reads and
// writes the links of units there, and records the commands for the service manager.
type machine struct {
	t    *testing.T
	root string
	env  []string
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	systemctl, err := exec.LookPath("systemctl")
	if err != nil {
		t.Skip(err)
	}
	m := &machine{t: t, root: t.TempDir()}
	for _, directory := range []string{"lib/systemd/system", "etc/systemd/system", "run/systemd/system", "bin"} {
		if err := os.MkdirAll(filepath.Join(m.root, directory), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	content, err := os.ReadFile("dane_exporter.service")
	if err != nil {
		t.Fatal(err)
	}
	m.write("lib/systemd/system/dane_exporter.service", string(content))
	socket, err := os.ReadFile("dane_exporter.socket")
	if err != nil {
		t.Fatal(err)
	}
	m.write("lib/systemd/system/dane_exporter.socket", string(socket))
	m.write("lib/systemd/system/multi-user.target", "[Unit]\n")
	m.write("bin/systemctl", `#!/bin/sh
case "$1" in
is-enabled|enable|disable|mask) exec `+systemctl+` --root="$ROOT" "$@" ;;
esac
echo "$1" >>"$ROOT/commands"
[ ! -e "$ROOT/failing" ] || [ "$1" = daemon-reload ]
`)
	m.env = append(os.Environ(), "ROOT="+m.root, "PATH="+filepath.Join(m.root, "bin")+":"+os.Getenv("PATH"))
	return m
}

func (m *machine) write(path, content string) {
	m.t.Helper()
	if err := os.WriteFile(filepath.Join(m.root, path), []byte(content), 0o755); err != nil {
		m.t.Fatal(err)
	}
}

// run runs a package script with arguments, in the root directory.
func (m *machine) run(script string, args ...string) {
	m.t.Helper()
	content, err := os.ReadFile(script)
	if err != nil {
		m.t.Fatal(err)
	}
	here := strings.NewReplacer("/run/systemd/system", m.root+"/run/systemd/system", "/etc/systemd/system", m.root+"/etc/systemd/system", "/usr/sbin/policy-rc.d", m.root+"/policy-rc.d").Replace(string(content))
	m.write("script", here)
	command := exec.Command("sh", append([]string{filepath.Join(m.root, "script")}, args...)...)
	command.Env = m.env
	if output, err := command.CombinedOutput(); err != nil {
		m.t.Errorf("%s %q: %v\n%s", script, args, err, output)
	}
}

// systemctl runs a command that changes the links of the unit.
func (m *machine) systemctl(command string) {
	m.t.Helper()
	c := exec.Command("systemctl", "--root="+m.root, command, "dane_exporter.service")
	if output, err := c.CombinedOutput(); err != nil {
		m.t.Fatalf("%s: %v\n%s", command, err, output)
	}
}

// state returns what systemctl is-enabled prints.
func (m *machine) state() string {
	output, _ := exec.Command("systemctl", "--root="+m.root, "is-enabled", "dane_exporter.service").Output()
	return strings.TrimSpace(string(output))
}

// commands returns the recorded commands, and deletes the record.
func (m *machine) commands() string {
	path := filepath.Join(m.root, "commands")
	content, _ := os.ReadFile(path)
	_ = os.Remove(path)
	return strings.Join(strings.Fields(string(content)), " ")
}

// TestPackageScripts checks that the scripts of the package keep the administrator's
// choice, and do not fail.
func TestPackageScripts(t *testing.T) {
	install := func(m *machine) { m.run("postinstall.sh", "configure", "") }
	upgrade := func(m *machine) {
		m.run("preremove.sh", "upgrade", "2.0")
		m.run("postremove.sh", "upgrade", "2.0")
		m.run("postinstall.sh", "configure", "1.0")
	}
	remove := func(m *machine) { m.run("preremove.sh", "remove"); m.run("postremove.sh", "remove") }
	command := func(name string) func(*machine) { return func(m *machine) { m.systemctl(name) } }
	enableSocket := func(m *machine) {
		if output, err := exec.Command("systemctl", "--root="+m.root, "enable", "dane_exporter.socket").CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, output)
		}
	}
	noSystemd := func(m *machine) {
		if err := os.Remove(filepath.Join(m.root, "run/systemd/system")); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		name     string
		before   []func(*machine)
		step     func(*machine)
		state    string
		commands string
	}{
		{"first installation", nil, install, "enabled", "daemon-reload restart"},
		{"first installation, systemd does not run", []func(*machine){noSystemd}, install, "enabled", ""},
		{"first installation, packages must not start services", []func(*machine){func(m *machine) { m.write("policy-rc.d", "#!/bin/sh\nexit 101\n") }}, install, "enabled", "daemon-reload"},
		{"first installation of a masked service", []func(*machine){command("mask")}, install, "masked", "daemon-reload"},
		{"first installation of a service that does not start", []func(*machine){func(m *machine) { m.write("failing", "") }}, install, "enabled", "daemon-reload restart"},
		{"upgrade", []func(*machine){install}, upgrade, "enabled", "daemon-reload restart"},
		{"upgrade of a disabled service", []func(*machine){install, command("disable")}, upgrade, "disabled", "daemon-reload try-restart"},
		{"upgrade of a masked service", []func(*machine){install, command("mask")}, upgrade, "masked", "daemon-reload"},
		{"removal", []func(*machine){install}, remove, "enabled", "stop daemon-reload"},
		{"removal of a masked service", []func(*machine){install, command("mask"), func(m *machine) { m.write("failing", "") }}, remove, "masked", "stop daemon-reload"},
		{"removal that is aborted", []func(*machine){install}, func(m *machine) { m.run("preremove.sh", "remove"); m.run("postinstall.sh", "abort-remove") }, "enabled", "stop daemon-reload restart"},
		{"aborted removal of a disabled service", []func(*machine){install, command("disable")}, func(m *machine) { m.run("postinstall.sh", "abort-remove") }, "disabled", "daemon-reload try-restart"},
		{"installation after a removal", []func(*machine){install, remove}, upgrade, "enabled", "daemon-reload restart"},
		{"installation after the removal of a disabled service", []func(*machine){install, command("disable"), remove}, upgrade, "disabled", "daemon-reload try-restart"},
		{"installation after a removal with an enabled socket", []func(*machine){install, enableSocket, remove}, upgrade, "enabled", "daemon-reload start restart"},
		{"purge", []func(*machine){install, remove}, func(m *machine) { m.run("postremove.sh", "purge") }, "disabled", "daemon-reload"},
		{"purge of a masked service", []func(*machine){install, command("mask"), remove}, func(m *machine) { m.run("postremove.sh", "purge") }, "disabled", "daemon-reload"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := newMachine(t)
			for _, step := range test.before {
				step(m)
			}
			m.commands()
			test.step(m)
			if state, commands := m.state(), m.commands(); state != test.state || commands != test.commands {
				t.Errorf("%s, commands %q; want %s, %q", state, commands, test.state, test.commands)
			}
		})
	}
}

// TestUnitAllows checks what the exporter needs beyond sockets for IP: netlink, by
// which package net finds the interface of a link-local resolver; and the memory limit.
func TestUnitAllows(t *testing.T) {
	content, err := os.ReadFile("dane_exporter.service")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\nRestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX\n", "\nMemoryMax=512M\n"} {
		if !strings.Contains(string(content), want) {
			t.Errorf("the unit does not contain %q", want)
		}
	}
}

// TestMemoryLimits checks that all examples have the same memory limit, and that
// half of it is 1 MiB for each of the concurrent probes that the default allows.
func TestMemoryLimits(t *testing.T) {
	find := func(file, pattern string) int {
		t.Helper()
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		match := regexp.MustCompile(pattern).FindSubmatch(content)
		if match == nil {
			t.Fatalf("%s has no match of %s", file, pattern)
		}
		number, err := strconv.Atoi(string(match[1]))
		if err != nil {
			t.Fatal(err)
		}
		return number
	}
	probes := find("../../config.example.yml", `(?m)^  probes: (\d+)$`)
	for file, pattern := range map[string]string{
		"dane_exporter.service":             `(?m)^MemoryMax=(\d+)M$`,
		"../docker/compose.yml":             `(?m)^    mem_limit: (\d+)m\b`,
		"../kubernetes/deployment.yml":      `limits:\n +memory: (\d+)Mi\n`,
		"../helm/dane-exporter/values.yaml": `limits: {memory: (\d+)Mi}`,
	} {
		if limit := find(file, pattern); limit != 2*probes {
			t.Errorf("%s: %d MiB for limits.probes %d, want %d MiB", file, limit, probes, 2*probes)
		}
	}
}
