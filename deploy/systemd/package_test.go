//go:build integration

package systemd

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

var release = flag.String("release", "", "directory with the packages that GoReleaser has built, such as dist/release")

// artifact returns the only file of the release that matches a pattern. Here is replaced by
// the architecture of this machine.
func artifact(t *testing.T, pattern string) string {
	t.Helper()
	if *release == "" {
		t.Skip("needs -release: .ci/ship builds the packages")
	}
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	dir, err := filepath.Abs(*release)
	if err != nil {
		t.Fatal(err)
	}
	found, err := filepath.Glob(filepath.Join(dir, strings.ReplaceAll(pattern, "HERE", runtime.GOARCH)))
	if err != nil || len(found) != 1 {
		t.Fatalf("%s has %q, %v; want one %s", dir, found, err, pattern)
	}
	return found[0]
}

// buildVersions writes four versions of the Debian package, 1.deb to 4.deb, to dir.
func buildVersions(t *testing.T, dir string) {
	t.Helper()
	built := artifact(t, "*_linux_HERE.deb")
	unpacked := dir + "/unpacked"
	command(t, "dpkg-deb", "-R", built, unpacked)
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
	command(t, "tar", "-xzf", artifact(t, "*.linux-HERE.tar.gz"), "-C", dir, "--one-top-level=archive", "--strip-components=1")
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

// TestPackage installs, upgrades, removes and purges the Debian package with dpkg. It
// runs in a copy-on-write view of the root directory of this machine. There, systemctl
// changes and reads links of units, and records the commands for the service manager.
func TestPackage(t *testing.T) {
	dir := t.TempDir()
	buildVersions(t, dir)
	checkRenewal(t, dir)
	const (
		all    = "/usr/bin/dane_exporter /usr/lib/systemd/system/dane_exporter.service /usr/lib/systemd/system/dane_exporter.socket /etc/default/dane_exporter /usr/share/dane-exporter/renewal/dane-renew"
		config = "/etc/default/dane_exporter"
	)
	steps := []packageStep{
		{"first installation", "dpkg -i 1.deb && dane_exporter --config.check", "enabled", "daemon-reload; restart dane_exporter.service", all},
		{"upgrade, after the flags were changed", "echo 'ARGS=\"--log.level=debug\"' >/etc/default/dane_exporter; dpkg -i 2.deb && grep -q debug /etc/default/dane_exporter", "enabled", "daemon-reload; restart dane_exporter.service", all},
		{"upgrade of a service that does not start", "touch /failing; dpkg -i 3.deb; status=$?; rm /failing; [ $status = 0 ]", "enabled", "daemon-reload; restart dane_exporter.service", all},
		{"upgrade of a disabled service", "systemctl disable dane_exporter && dpkg -i 4.deb", "disabled", "daemon-reload; try-restart dane_exporter.service", all},
		{"the same version of a disabled service", "dpkg -i 4.deb", "disabled", "daemon-reload; try-restart dane_exporter.service", all},
		{"removal of a disabled service", "dpkg -r dane-exporter", "", "stop dane_exporter.socket dane_exporter.service; daemon-reload", config},
		{"installation after it", "dpkg -i 1.deb", "disabled", "daemon-reload; try-restart dane_exporter.service", all},
		{"removal with an enabled socket", "systemctl enable dane_exporter.socket && dpkg -r dane-exporter", "", "stop dane_exporter.socket dane_exporter.service; daemon-reload", config},
		{"installation after it", "dpkg -i 1.deb", "disabled", "daemon-reload; start dane_exporter.socket; try-restart dane_exporter.service", all},
		{"upgrade after the socket was disabled", "systemctl disable dane_exporter.socket && dpkg -i 2.deb", "disabled", "daemon-reload; try-restart dane_exporter.service", all},
		{"upgrade of a masked service", "systemctl mask dane_exporter && dpkg -i 2.deb", "masked", "daemon-reload", all},
		{"removal of a masked service", "touch /failing; dpkg -r dane-exporter; status=$?; rm /failing; [ $status = 0 ]", "masked", "stop dane_exporter.socket dane_exporter.service; daemon-reload", config},
		{"installation after it", "dpkg -i 3.deb", "masked", "daemon-reload", all},
		{"purge of a masked service", "dpkg -P dane-exporter && [ ! -L /etc/systemd/system/dane_exporter.service ]", "", "stop dane_exporter.socket dane_exporter.service; daemon-reload; daemon-reload", ""},
		{"first installation, systemd does not run", "rmdir /run/systemd/system; dpkg -i 1.deb", "enabled", "", all},
		{"upgrade, systemd does not run", "dpkg -i 2.deb", "enabled", "", all},
		{"upgrade, systemd runs and packages must not start services", "mkdir /run/systemd/system; printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d; dpkg -i 3.deb", "enabled", "daemon-reload", all},
		{"upgrade, packages may start services", "printf '#!/bin/sh\\nexit 104\\n' >/usr/sbin/policy-rc.d; dpkg -i 4.deb; rmdir /run/systemd/system", "enabled", "daemon-reload; restart dane_exporter.service", all},
		{"purge of an enabled service and socket", "systemctl enable dane_exporter.socket && [ -L /etc/systemd/system/sockets.target.wants/dane_exporter.socket ] && dpkg -P dane-exporter && [ ! -L /etc/systemd/system/multi-user.target.wants/dane_exporter.service ] && [ ! -L /etc/systemd/system/sockets.target.wants/dane_exporter.socket ]", "", "", ""},
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
rm -f /usr/sbin/policy-rc.d # images of containers have one
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
