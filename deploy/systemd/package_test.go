//go:build integration

package systemd

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// buildPackages builds the Debian package as a release does, for this machine alone. It
// writes four versions of it, 1.deb to 4.deb, to dir.
func buildPackages(t *testing.T, dir string) {
	t.Helper()
	content, err := os.ReadFile("../../.goreleaser.yml")
	if err != nil {
		t.Fatal(err)
	}
	target := regexp.MustCompile(`(?m)^    (goos|goarch): .*$`)
	if found := target.FindAll(content, -1); len(found) != 2 {
		t.Fatalf("targets of .goreleaser.yml: %q, want goos and goarch", found)
	}
	architecture := strings.TrimSpace(command(t, "dpkg", "--print-architecture"))
	config := target.ReplaceAllStringFunc(string(content), func(line string) string {
		if strings.Contains(line, "goos") {
			return "    goos: [linux]"
		}
		return "    goarch: [" + strings.TrimSuffix(architecture, "hf") + "]"
	})
	config += "dist: " + dir + "/dist\n"
	path := filepath.Join(dir, "goreleaser.yml")
	if err := os.WriteFile(path, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	release := exec.Command("go", "tool", "-modfile=tools/goreleaser/go.mod", "goreleaser", "release", "--snapshot", "--config", path)
	release.Dir = "../.."
	if output, err := release.CombinedOutput(); err != nil {
		t.Fatalf("goreleaser: %v\n%s", err, output)
	}
	built, err := filepath.Glob(dir + "/dist/*.deb")
	if err != nil || len(built) != 1 {
		t.Fatalf("packages %q, %v, want one", built, err)
	}
	unpacked := dir + "/unpacked"
	command(t, "dpkg-deb", "-R", built[0], unpacked)
	control, err := os.ReadFile(unpacked + "/DEBIAN/control")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^Version: .*$`)
	for i := 1; i <= 4; i++ {
		numbered := version.ReplaceAllString(string(control), fmt.Sprintf("Version: %d.0", i))
		if err := os.WriteFile(unpacked+"/DEBIAN/control", []byte(numbered), 0o644); err != nil {
			t.Fatal(err)
		}
		command(t, "dpkg-deb", "--root-owner-group", "-Znone", "-b", unpacked, fmt.Sprintf("%s/%d.deb", dir, i))
	}
}

// checkRenewal checks that the package and the archive have the files of deploy/renewal,
// and that the same ones are executable.
func checkRenewal(t *testing.T, dir string) {
	t.Helper()
	archives, err := filepath.Glob(dir + "/dist/*.tar.gz")
	if err != nil || len(archives) != 1 {
		t.Fatalf("archives %q, %v, want one", archives, err)
	}
	command(t, "tar", "-xzf", archives[0], "-C", dir, "--one-top-level=archive", "--strip-components=1")
	files, err := os.ReadDir("../renewal")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		want, err := file.Info()
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(file.Name(), "_test.go") {
			continue
		}
		for _, shipped := range []string{"unpacked/usr/share/dane-exporter/renewal", "archive/deploy/renewal"} {
			got, err := os.Stat(filepath.Join(dir, shipped, file.Name()))
			if err != nil {
				t.Error(err)
			} else if got.Mode()&0o111 != want.Mode()&0o111 {
				t.Errorf("%s/%s: mode %s, want %s", shipped, file.Name(), got.Mode(), want.Mode())
			}
		}
	}
}

func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	output, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, output)
	}
	return string(output)
}

// A packageStep is a command in the root directory, and what it leaves there.
type packageStep struct {
	name     string
	command  string
	state    string // what systemctl is-enabled prints
	commands string // for the service manager
	files    string // of the package
}

// TestPackage builds the package and installs, upgrades, removes and purges it with dpkg. It
// runs in a copy-on-write view of the root directory of this machine. There, systemctl
// changes and reads links of units, and records the commands for the service manager.
func TestPackage(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	dir := t.TempDir()
	buildPackages(t, dir)
	checkRenewal(t, dir)
	const (
		all    = "/usr/bin/dane_exporter /lib/systemd/system/dane_exporter.service /etc/default/dane_exporter /usr/share/dane-exporter/renewal/dane-renew"
		config = "/etc/default/dane_exporter"
	)
	steps := []packageStep{
		{"first installation", "dpkg -i 1.deb && dane_exporter --config.check", "enabled", "daemon-reload; restart dane_exporter.service", all},
		{"upgrade, after the flags were changed", "echo 'ARGS=\"--log.level=debug\"' >/etc/default/dane_exporter; dpkg -i 2.deb && grep -q debug /etc/default/dane_exporter", "enabled", "daemon-reload; restart dane_exporter.service", all},
		{"upgrade of a service that does not start", "touch /failing; dpkg -i 3.deb; status=$?; rm /failing; [ $status = 0 ]", "enabled", "daemon-reload; restart dane_exporter.service", all},
		{"upgrade of a disabled service", "systemctl disable dane_exporter && dpkg -i 4.deb", "disabled", "daemon-reload; try-restart dane_exporter.service", all},
		{"the same version of a disabled service", "dpkg -i 4.deb", "disabled", "daemon-reload; try-restart dane_exporter.service", all},
		{"removal of a disabled service", "dpkg -r dane-exporter", "", "stop dane_exporter.service; daemon-reload", config},
		{"installation after it", "dpkg -i 1.deb", "disabled", "daemon-reload; try-restart dane_exporter.service", all},
		{"upgrade of a masked service", "systemctl mask dane_exporter && dpkg -i 2.deb", "masked", "daemon-reload", all},
		{"removal of a masked service", "touch /failing; dpkg -r dane-exporter; status=$?; rm /failing; [ $status = 0 ]", "masked", "stop dane_exporter.service; daemon-reload", config},
		{"installation after it", "dpkg -i 3.deb", "masked", "daemon-reload", all},
		{"purge of a masked service", "dpkg -P dane-exporter && [ ! -L /etc/systemd/system/dane_exporter.service ]", "", "stop dane_exporter.service; daemon-reload; daemon-reload", ""},
		{"first installation, systemd does not run", "rmdir /run/systemd/system; dpkg -i 1.deb", "enabled", "", all},
		{"upgrade, systemd does not run", "dpkg -i 2.deb", "enabled", "", all},
		{"purge of an enabled service", "dpkg -P dane-exporter && [ ! -L /etc/systemd/system/multi-user.target.wants/dane_exporter.service ]", "", "", ""},
	}
	var script strings.Builder
	fmt.Fprintf(&script, `set -e
mount -t tmpfs tmpfs %[1]s/dist
mkdir %[1]s/dist/upper %[1]s/dist/work %[1]s/dist/root
mount -t overlay overlay -o lowerdir=/,upperdir=%[1]s/dist/upper,workdir=%[1]s/dist/work %[1]s/dist/root
cp %[1]s/*.deb %[1]s/dist/root/root
exec chroot %[1]s/dist/root sh <<'EOF'
mount -t proc proc /proc
exec 3>&1 >/log 2>&1
export DEBIAN_FRONTEND=noninteractive
mkdir -p /run/systemd/system
mv "$(readlink -f "$(command -v systemctl)")" /usr/bin/systemctl.real
cat >/usr/bin/systemctl <<'END'
#!/bin/sh
case "$1" in
is-enabled|enable|disable|mask) SYSTEMD_OFFLINE=1 exec /usr/bin/systemctl.real "$@" ;;
esac
echo "$*" >>/commands
[ ! -e /failing ] || [ "$1" = daemon-reload ]
END
chmod 755 /usr/bin/systemctl
dpkg -P dane-exporter # of this machine
cd /root
`, dir)
	for _, step := range steps {
		fmt.Fprintf(&script, `rm -f /commands /log; exec >/log 2>&1
if (%s); then result=succeeds; else result=fails; cat /log >&3; fi
state=$(systemctl is-enabled dane_exporter.service 2>/dev/null)
files=
for file in %s; do [ ! -e $file ] || files="$files $file"; done
echo "$result|$state|$(paste -sd ';' /commands 2>/dev/null | sed 's/;/; /g')|${files# }" >&3
`, step.command, all)
	}
	script.WriteString("EOF\n")
	run := exec.Command("unshare", "--mount", "sh")
	run.Stdin = strings.NewReader(script.String())
	if err := os.MkdirAll(dir+"/dist", 0o755); err != nil {
		t.Fatal(err)
	}
	output, err := run.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	var results []string
	for line := range strings.Lines(string(output)) {
		if strings.HasPrefix(line, "succeeds|") || strings.HasPrefix(line, "fails|") {
			results = append(results, strings.TrimSpace(line))
		}
	}
	if len(results) != len(steps) {
		t.Fatalf("%d results, want %d:\n%s", len(results), len(steps), output)
	}
	failed := false
	for i, step := range steps {
		want := strings.Join([]string{"succeeds", step.state, step.commands, step.files}, "|")
		if results[i] != want {
			t.Errorf("%s:\n got %s\nwant %s", step.name, results[i], want)
			failed = true
		}
	}
	if failed {
		t.Logf("output:\n%s", output)
	}
}
