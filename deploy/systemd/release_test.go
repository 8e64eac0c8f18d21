//go:build integration

package systemd

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// inOverlay runs a script as root in a copy-on-write view of this machine with a network of
// its own, and returns the output. The files are in its /root. A systemctl that records its
// arguments in /commands replaces the real one.
func inOverlay(t *testing.T, script string, files ...string) string {
	t.Helper()
	setup := `
mount -t tmpfs tmpfs "$0"
mkdir "$0/upper" "$0/work" "$0/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$0/upper,workdir=$0/work" "$0/root"
mount --rbind /dev "$0/root/dev"
cp "$@" "$0/root/root"
ip link set lo up
exec chroot "$0/root" sh -e
`
	run := exec.Command("unshare", append([]string{"--mount", "--net", "sh", "-e", "-c", setup, t.TempDir()}, files...)...)
	run.Stdin = strings.NewReader(`
mount -t proc proc /proc
mkdir -p /run/systemd/system
systemctl=$(command -v systemctl)
rm "$systemctl"
cat >"$systemctl" <<'END'
#!/bin/sh
echo "$*" >>/commands
END
chmod 755 "$systemctl"
cd /root
` + script)
	output, err := run.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return string(output)
}

// TestEmptyRoot unpacks the Debian and the RPM package in an empty directory, and checks
// there that systemd accepts the units, the exposure of the service, and the man page.
// systemd needs its targets, and the command of ExecReload.
func TestEmptyRoot(t *testing.T) {
	for _, test := range []struct {
		name, pattern string
		install       func(root, file string) []string
	}{
		{"deb", "*_linux_HERE.deb", func(root, file string) []string {
			return []string{"dpkg", "--root=" + root, "--force-depends", "--unpack", file}
		}},
		{"rpm", "*_linux_HERE.rpm", func(root, file string) []string {
			return []string{"rpm", "--root=" + root, "--nodeps", "--noscripts", "--install", file}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := artifact(t, test.pattern)
			root := t.TempDir()
			if err := os.MkdirAll(root+"/var/lib/dpkg/updates", 0o755); err != nil {
				t.Fatal(err)
			}
			for _, empty := range []string{"status", "available"} {
				if err := os.WriteFile(root+"/var/lib/dpkg/"+empty, nil, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.MkdirAll(root+"/var/lib/dpkg/info", 0o755); err != nil {
				t.Fatal(err)
			}
			install := test.install(root, file)
			command(t, install[0], install[1:]...)
			for _, file := range []string{
				"usr/bin/dane_exporter",
				"usr/share/man/man1/dane_exporter.1.gz",
				"usr/share/bash-completion/completions/dane_exporter",
				"usr/share/doc/dane-exporter/config.example.yml",
				"usr/share/dane-exporter/renewal/dane-renew",
			} {
				if info, err := os.Stat(filepath.Join(root, file)); err != nil || info.Size() == 0 {
					t.Errorf("%s: %v", file, err)
				}
			}
			units := root + "/usr/lib/systemd/system/dane_exporter"
			if err := os.MkdirAll(root+"/bin", 0o755); err != nil {
				t.Fatal(err)
			}
			command(t, "cp", "/bin/kill", root+"/bin/kill")
			targets, err := filepath.Glob("/usr/lib/systemd/system/*.target")
			if err != nil || len(targets) == 0 {
				t.Fatalf("no targets of systemd: %v", err)
			}
			command(t, "cp", append([]string{"-a", "-t", root + "/usr/lib/systemd/system"}, targets...)...)
			if verified := analyze(t, "verify", "--root="+root, "--man=no", "dane_exporter.service", "dane_exporter.socket"); strings.Contains(verified, "dane_exporter") {
				t.Error(verified)
			}
			security := analyze(t, "security", "--offline=yes", "--threshold=15", units+".service") // fails above 1.5
			if !strings.Contains(security, "Overall exposure level for dane_exporter.service: 1.3 OK") {
				t.Error(security)
			}
			if manual := command(t, "man", "--warnings", root+"/usr/share/man/man1/dane_exporter.1.gz"); !strings.Contains(manual, "dane_exporter - Prometheus exporter for DANE") || !strings.Contains(manual, "--web.systemd-socket") || strings.Contains(manual, "warning:") {
				t.Errorf("man page:\n%s", manual)
			}
		})
	}
}

// TestRPM installs, upgrades and removes the RPM package with rpm, and checks the units of
// the installed package with systemd-analyze, and the completions in bash and zsh.
func TestRPM(t *testing.T) {
	output := inOverlay(t, `
rpm --initdb
rm -f /etc/default/dane_exporter
step() { echo "$1|$(paste -sd ";" /commands)"; rm -f /commands; }
rpm --nodeps -i *.rpm
step installation
systemd-analyze verify /usr/lib/systemd/system/dane_exporter.service /usr/lib/systemd/system/dane_exporter.socket 2>&1 | sed "/dane_exporter/!d; s/^/verify: /"
dane_exporter --config.check >/dev/null
bash -c ". /usr/share/bash-completion/completions/dane_exporter; COMP_WORDS=(dane_exporter heal); COMP_CWORD=1; _dane_exporter_bash_autocomplete; echo \"completion|\${COMPREPLY[*]}\""
for line in "dane_exporter heal" "dane_exporter check --output n"; do
	zsh -fc 'compadd() { echo "zsh|$matches"; }; typeset -A compstate; compstate[nmatches]=1; words=(${=1}); CURRENT=$#words; . /usr/share/zsh/site-functions/_dane_exporter' zsh "$line"
done
echo "ARGS=\"--log.level=debug\"" >/etc/default/dane_exporter
rpm --nodeps -U --force *.rpm
step upgrade
grep -q debug /etc/default/dane_exporter
rpm -e dane-exporter
step removal
[ ! -e /usr/bin/dane_exporter ] && [ ! -e /usr/lib/systemd/system/dane_exporter.socket ] && [ -e /etc/default/dane_exporter.rpmsave ]
for directory in /usr/share/dane-exporter /usr/share/doc/dane-exporter /usr/share/licenses/dane-exporter; do
	[ ! -e $directory ] || echo "left: $directory"
done
`, artifact(t, "*_linux_HERE.rpm"))
	want := `installation|--no-reload preset dane_exporter.service;daemon-reload
completion|healthy
zsh|help serve check tlsa lab healthy
zsh|text json nagios prom
upgrade|daemon-reload;daemon-reload;try-restart dane_exporter.service
removal|--no-reload disable --now dane_exporter.socket dane_exporter.service;daemon-reload
`
	var got strings.Builder
	for line := range strings.Lines(output) {
		// Debian's rpm recommends dpkg; and a file of the configuration is kept.
		if !strings.HasPrefix(line, "rpm: ") && !strings.HasPrefix(line, "warning: ") {
			got.WriteString(line)
		}
	}
	if got.String() != want {
		t.Errorf("got\n%swant\n%s", got.String(), want)
	}
}

// TestSocket checks that the exporter of the package serves a socket that systemd has opened
// as the socket unit says.
func TestSocket(t *testing.T) {
	unit, err := os.ReadFile("dane_exporter.socket")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\nListenStream=10125\n", "ARGS=\"--web.systemd-socket\"\n", "\nWantedBy=sockets.target\n"} {
		if !strings.Contains(string(unit), want) {
			t.Errorf("the socket unit has no %q", want)
		}
	}
	output := inOverlay(t, `
mkdir package
dpkg-deb -x *.deb package
systemd-socket-activate --listen=10125 package/usr/bin/dane_exporter serve --web.systemd-socket 2>log &
for try in $(seq 100); do
	! package/usr/bin/dane_exporter healthy 2>error || { echo healthy; break; }
	sleep 0.1
done
kill $!
cat error
`, artifact(t, "*_linux_HERE.deb"))
	if !strings.Contains(output, "healthy\n") {
		t.Errorf("the exporter is not healthy: %s", output)
	}
}

// TestAPK checks the files of the Alpine package and the metadata with its scripts. Debian
// has no apk: no test installs it.
func TestAPK(t *testing.T) {
	file := artifact(t, "*_linux_HERE.apk")
	list := command(t, "tar", "-tzf", file)
	for _, want := range []string{".PKGINFO", ".pre-install", "usr/bin/dane_exporter", "etc/init.d/dane_exporter", "etc/conf.d/dane_exporter", "usr/share/man/man1/dane_exporter.1.gz"} {
		if !strings.Contains("\n"+list, "\n"+want+"\n") {
			t.Errorf("the package has no %s:\n%s", want, list)
		}
	}
	if strings.Contains(list, "systemd") {
		t.Errorf("the package has files of systemd:\n%s", list)
	}
	if info := command(t, "tar", "-xzOf", file, ".PKGINFO"); !strings.Contains("\n"+info, "\npkgname = dane-exporter\n") || !strings.Contains(info, "\ndepend = ca-certificates\n") {
		t.Errorf("metadata:\n%s", info)
	}
}
