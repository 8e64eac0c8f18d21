// Package renewal tests dane-renew and the hooks that call it.
//
// Here, small programs stand in for dane_exporter, nsupdate and the clock, so that
// dane-renew can be killed at each of its commands. The integration tests run it with
// real programs.
package renewal

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

const host = "mx.example.org"

// standIns are the programs that replace others. Each reads and writes files in $BED:
// zone has the published records, live the pair that the server has loaded, and clock the
// time. A pair consists of a key, which is one letter, and a certificate, which is that
// letter and a number.
var standIns = map[string]string{
	"dane_exporter": `
cert= services= connect= usage= check= state=
while [ $# -gt 0 ]; do
	case $1 in
	--cert) cert=$2 ;;
	--connect) connect=$2 cert=$BED/live services=${2##*:} ;;
	--service) services="$services ${2%%/*}" ;;
	--usage) usage=$2 ;;
	--check) check=1 ;;
	--state) state=$2 ;;
	esac
	shift
done
if [ -n "$connect" ] && [ -e "$BED/silent" ]; then exit 3; fi
key=$(sed -n '/BEGIN PRIVATE KEY/{n;p;}' "$cert")
certificate=$(sed -n '/BEGIN CERTIFICATE/{n;p;}' "$cert")
[ "${certificate%[0-9]}" = "$key" ] || exit 3
for port in $services; do echo "_$port._tcp.mx.example.org. IN TLSA $usage 1 1 $key"; done
if [ -z "$check" ]; then exit 0; fi
echo '{"ttl_seconds": 20}' >"$state"
for port in $services; do grep -qx "_$port._tcp.mx.example.org. TLSA $usage 1 1 $key" "$BED/zone" || exit 2; done
if [ -e "$BED/unsafe" ]; then exit 1; fi
`,
	"nsupdate": `
if [ -e "$BED/no-updates" ]; then exit 2; fi
while read -r command; do
	set -- $command
	case $command in
	"update add"*) name=$3 ttl=$4; shift 5; grep -qxF "$name $*" "$BED/zone" || echo "$name $*" >>"$BED/zone" ;;
	"update delete"*) name=$3; shift 4; grep -vxF "$name $*" "$BED/zone" >"$BED/zone.new"; mv "$BED/zone.new" "$BED/zone" ;;
	esac
done
echo update >>"$BED/log"
`,
	"date": `cat "$BED/clock"`,
	"mv":   `exec /bin/mv "$@"`,
	"cp":   `exec /bin/cp "$@"`,
	"rm":   `exec /bin/rm "$@"`,
	"ln":   `exec /bin/ln "$@"`,
}

// kill precedes each stand-in. It kills dane-renew, with all processes that it started,
// before the program that $KILL_AT counts.
const kill = `#!/bin/sh
PATH=/usr/bin:/bin
if [ -n "${KILL_AT-}" ]; then
	n=$(($(cat "$BED/count") + 1))
	echo "$n" >"$BED/count"
	if [ "$n" = "$KILL_AT" ]; then kill -9 0; fi
fi
`

// A bed is a directory in which dane-renew works.
type bed struct {
	*testing.T
	dir string
}

func newBed(t *testing.T, settings ...string) bed {
	t.Helper()
	b := bed{t, t.TempDir()}
	for name, text := range standIns {
		b.write("bin/"+name, kill+text, 0o755)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(here, "dane-renew"), b.path("bin/dane-renew")); err != nil {
		t.Fatal(err)
	}
	b.write("zone", "", 0o644)
	b.write("count", "0\n", 0o644)
	b.write("clock", "1000\n", 0o644)
	b.configure(settings...)
	return b
}

func (b bed) path(name string) string { return filepath.Join(b.dir, name) }

func (b bed) configure(settings ...string) {
	b.Helper()
	b.write("config/"+host+".conf", fmt.Sprintf(`
SERVED=%[1]s/served.pem
STATE=%[1]s/state
SERVICES='25/smtp 465'
TTL=10
reload() { cat "$SERVED" >"$BED/live"; }
%[2]s
`, b.dir, strings.Join(settings, "\n")), 0o644)
}

func (b bed) write(name, text string, mode os.FileMode) {
	b.Helper()
	if err := os.MkdirAll(filepath.Dir(b.path(name)), 0o755); err != nil {
		b.Fatal(err)
	}
	// A process that another test forks now would inherit the open file, and the kernel runs no
	// program that is open for writing.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(b.path(name), []byte(text), mode); err != nil {
		b.Fatal(err)
	}
}

// read returns the content of a file, which is empty if there is none.
func (b bed) read(name string) string {
	b.Helper()
	content, err := os.ReadFile(b.path(name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		b.Fatal(err)
	}
	return string(content)
}

// command runs a program in the bed. It returns the exit code, -1 if it was killed, and
// the output.
func (b bed) command(variables []string, name string, args ...string) (int, string) {
	b.Helper()
	command := exec.Command("/usr/bin/env", append(append(slices.Clone(variables), name), args...)...)
	command.Env = []string{"PATH=" + b.path("bin") + ":/usr/bin:/bin", "BED=" + b.dir, "DANE_RENEW_DIR=" + b.path("config")}
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	output, err := command.CombinedOutput()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		b.Fatal(err)
	}
	return command.ProcessState.ExitCode(), string(output)
}

// renew runs dane-renew, which must return an exit code.
func (b bed) renew(want int, args ...string) string {
	b.Helper()
	code, output := b.command(nil, "dane-renew", args...)
	if code != want {
		b.Fatalf("dane-renew %q: exit code %d, want %d\n%s", args, code, want, output)
	}
	return output
}

// pair writes a certificate and its key, and returns the arguments for dane-renew.
func (b bed) pair(step, certificate, key string) []string {
	b.Helper()
	b.write(certificate+".pem", "-----BEGIN CERTIFICATE-----\n"+certificate+"\n-----END CERTIFICATE-----\n", 0o644)
	b.write(certificate+".key", "-----BEGIN PRIVATE KEY-----\n"+key+"\n-----END PRIVATE KEY-----\n", 0o644)
	return []string{step, host, b.path(certificate + ".pem"), b.path(certificate + ".key")}
}

// serve makes A1 the certificate that the server serves.
func (b bed) serve() {
	b.Helper()
	b.renew(0, b.pair("adopt", "A1", "A")...)
	b.write("live", b.read("served.pem"), 0o644)
	b.renew(0, "publish", host)
}

// certificateIn returns the certificate of a pair.
func (b bed) certificateIn(name string) string {
	b.Helper()
	_, rest, _ := strings.Cut(b.read(name), "BEGIN CERTIFICATE-----\n")
	certificate, _, _ := strings.Cut(rest, "\n")
	return certificate
}

// keys returns the keys whose records are published for both services.
func (b bed) keys() string {
	b.Helper()
	var keys string
	for _, key := range []string{"A", "B", "C"} {
		if strings.Contains(b.read("zone"), "_25._tcp.mx.example.org. TLSA 3 1 1 "+key+"\n") && strings.Contains(b.read("zone"), "_465._tcp.mx.example.org. TLSA 3 1 1 "+key+"\n") {
			keys += key
		}
	}
	return keys
}

// check checks which certificate is served and whose records are published.
func (b bed) check(live, keys string) {
	b.Helper()
	if got := b.certificateIn("live"); got != live {
		b.Errorf("%s is served, want %s", got, live)
	}
	if got := b.keys(); got != keys {
		b.Errorf("records of %q are published, want %q\n%s", got, keys, b.read("zone"))
	}
}

// TestRenewal renews with a new key.
func TestRenewal(t *testing.T) {
	b := newBed(t)
	b.serve()
	b.check("A1", "A")
	b.write("unsafe", "", 0o644)
	b.renew(1, b.pair("renew", "B1", "B")...)
	b.check("A1", "AB")
	if err := os.Remove(b.path("unsafe")); err != nil {
		t.Fatal(err)
	}
	b.renew(1, "run", host)
	b.check("B1", "AB")
	b.write("clock", "1040\n", 0o644)
	b.renew(1, "run", host) // the gate saw a TTL of 20 s
	b.check("B1", "AB")
	b.write("clock", "1041\n", 0o644)
	b.renew(0, "run")
	b.check("B1", "B")
	if got := b.read("state/published"); strings.Contains(got, "A") || strings.Count(got, "B") != 2 {
		t.Errorf("noted records:\n%s", got)
	}
}

// TestKilled kills dane-renew before each command that changes something, and repeats the
// renewal. At no time does a record of the served certificate lack.
func TestKilled(t *testing.T) {
	// renewal renews A1 by B1, until it is killed.
	renewal := func(b bed, killAt int) (killed bool) {
		b.Helper()
		for _, step := range []struct {
			clock string
			args  []string
		}{{"1000", b.pair("stage", "B1", "B")}, {"1001", []string{"run", host}}, {"2000", []string{"run", host}}} {
			b.write("clock", step.clock+"\n", 0o644)
			code, output := b.command([]string{"KILL_AT=" + strconv.Itoa(killAt)}, "dane-renew", step.args...)
			if code == -1 {
				return true
			}
			if code > 1 {
				b.Fatalf("dane-renew %q: exit code %d\n%s", step.args, code, output)
			}
		}
		return false
	}
	check := func(b bed) {
		b.Helper()
		for _, file := range []string{"live", "served.pem"} {
			certificate := b.certificateIn(file)
			if certificate != "A1" && certificate != "B1" || !strings.Contains(b.keys(), certificate[:1]) {
				b.Errorf("%s has %q, and the records of %q are published", file, certificate, b.keys())
			}
		}
	}
	const never = 1000
	whole := newBed(t)
	whole.serve()
	if renewal(whole, never) {
		t.Fatal("killed too early")
	}
	count, err := strconv.Atoi(strings.TrimSpace(whole.read("count")))
	if err != nil || count < 20 {
		t.Fatalf("%d commands, error %v", count, err)
	}
	for n := range count {
		t.Run(fmt.Sprintf("command %d of %d", n+1, count), func(t *testing.T) {
			t.Parallel()
			b := newBed(t)
			b.serve()
			if !renewal(b, n+1) {
				t.Fatal("not killed")
			}
			check(b)
			renewal(b, never)
			b.check("B1", "B")
			left, err := filepath.Glob(b.path("state/*"))
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range left {
				if name := filepath.Base(file); name != "installed" && name != "published" && name != "taken" {
					t.Errorf("%s is left", name)
				}
			}
		})
	}
}

// TestSteps has renewals that are unusual.
func TestSteps(t *testing.T) {
	tests := []struct {
		name, sentence string
		steps          func(bed)
	}{
		{"kept key", "Nothing is published for a renewal with the same key, and it waits for nothing.", func(b bed) {
			b.serve()
			b.write("no-updates", "", 0o644)
			b.write("unsafe", "", 0o644)
			b.renew(0, b.pair("renew", "A2", "A")...)
			b.check("A2", "A")
		}},
		{"handed over again", "The served pair is not a new one, so the old records still go in time.", func(b bed) {
			b.serve()
			b.renew(1, b.pair("renew", "B1", "B")...)
			b.write("clock", "1030\n", 0o644)
			b.renew(1, b.pair("renew", "B1", "B")...)
			b.write("clock", "1041\n", 0o644)
			b.renew(0, b.pair("renew", "B1", "B")...)
			b.check("B1", "B")
		}},
		{"nothing adopted", "Without the served pair no record is published: one of the new pair alone would be an outage.", func(b bed) {
			b.renew(3, b.pair("renew", "B1", "B")...)
			b.check("", "")
			b.serve()
			b.renew(1, "run", host)
			b.check("B1", "AB")
		}},
		{"adopted twice", "Only an installation replaces the served pair.", func(b bed) {
			b.serve()
			b.renew(3, b.pair("adopt", "B1", "B")...)
			b.check("A1", "A")
		}},
		{"first records", "The records of the served pair are published before those of the next.", func(b bed) {
			b.renew(0, b.pair("adopt", "A1", "A")...)
			b.write("live", b.read("served.pem"), 0o644)
			b.write("unsafe", "", 0o644)
			b.renew(1, b.pair("renew", "B1", "B")...)
			if zone := b.read("zone"); strings.LastIndex(zone, " A\n") > strings.Index(zone, " B\n") {
				b.Errorf("order of publication:\n%s", zone)
			}
		}},
		{"wrong key", "A certificate with another key is not staged.", func(b bed) {
			b.serve()
			b.renew(3, b.pair("renew", "B1", "C")...)
			b.renew(0, "run", host)
			b.check("A1", "A")
		}},
		{"no key", "A file without a key is not staged.", func(b bed) {
			b.serve()
			arguments := b.pair("renew", "B1", "B")
			b.renew(3, append(arguments[:3], arguments[2])...)
			b.check("A1", "A")
		}},
		{"old TTL", "The gate sees the records before they change.", func(b bed) {
			b.serve()
			b.configure(`dns_add() { [ -f "$gate_state" ] && dns_update "update add $1 $2 IN $3 $4"; }`)
			b.renew(1, b.pair("renew", "B1", "B")...)
			b.check("B1", "AB")
		}},
		{"update refused", "If the records cannot be published, nothing is installed.", func(b bed) {
			b.serve()
			b.write("no-updates", "", 0o644)
			b.renew(3, b.pair("renew", "B1", "B")...)
			b.check("A1", "A")
		}},
		{"installation without a gate", "The step install checks by itself.", func(b bed) {
			b.serve()
			b.renew(0, b.pair("stage", "B1", "B")...)
			b.renew(2, "install", host)
			b.check("A1", "A")
		}},
		{"nameserver behind", "A record that a nameserver lacks is a failure only after the time that transfers may take.", func(b bed) {
			b.configure("dns_add() { :; }", "PATIENCE=60")
			b.renew(0, b.pair("adopt", "A1", "A")...)
			b.renew(1, b.pair("renew", "B1", "B")...)
			b.renew(2, "gate", host)
			b.write("clock", "1059\n", 0o644)
			b.renew(1, "run", host)
			b.write("clock", "1060\n", 0o644)
			b.renew(2, "run", host)
		}},
		{"reload fails", "The next run installs and reloads again.", func(b bed) {
			b.serve()
			b.configure("reload() { return 1; }")
			b.renew(3, b.pair("renew", "B1", "B")...)
			b.check("A1", "AB")
			b.configure()
			b.renew(1, "run", host)
			b.check("B1", "AB")
		}},
		{"reload without effect", "The old record stays as long as the server serves the old certificate.", func(b bed) {
			b.serve()
			b.configure("reload() { :; }")
			b.renew(1, b.pair("renew", "B1", "B")...)
			b.write("clock", "2000\n", 0o644)
			b.renew(3, "run", host)
			b.check("A1", "AB")
		}},
		{"server does not answer", "The old record stays if it is not known what the server serves.", func(b bed) {
			b.serve()
			b.renew(1, b.pair("renew", "B1", "B")...)
			b.write("clock", "2000\n", 0o644)
			b.write("silent", "", 0o644)
			b.renew(3, "run", host)
			b.check("B1", "AB")
		}},
		{"replaced before it is safe", "A newer pair replaces the one that waits, and the records of both old ones go.", func(b bed) {
			b.serve()
			b.write("unsafe", "", 0o644)
			b.renew(1, b.pair("renew", "B1", "B")...)
			b.renew(1, b.pair("renew", "C1", "C")...)
			b.check("A1", "ABC")
			if err := os.Remove(b.path("unsafe")); err != nil {
				b.Fatal(err)
			}
			b.renew(1, "run", host)
			b.write("clock", "2000\n", 0o644)
			b.renew(0, "run", host)
			b.check("C1", "C")
		}},
		{"return to the old pair", "The old pair is staged again, and the new one is given up.", func(b bed) {
			b.serve()
			b.write("unsafe", "", 0o644)
			b.renew(1, b.pair("renew", "B1", "B")...)
			b.renew(1, b.pair("renew", "A1", "A")...)
			b.write("clock", "2000\n", 0o644)
			b.renew(0, "run", host)
			b.check("A1", "A")
		}},
		{"another usage", "After a change of the settings, the new records are published before the old ones go.", func(b bed) {
			b.serve()
			b.configure("USAGE=2")
			b.write("clock", "2000\n", 0o644)
			b.renew(0, "run", host)
			if zone := b.read("zone"); strings.Count(zone, "TLSA 2 1 1 A") != 2 || strings.Contains(zone, "TLSA 3") {
				b.Errorf("records:\n%s", zone)
			}
		}},
		{"alias", "The records are at the target of an alias.", func(b bed) {
			b.configure("TLSA_OWNER=_dane.example.org.", "check() { return 0; }")
			b.serve()
			b.renew(1, b.pair("renew", "B1", "B")...)
			b.write("clock", "2000\n", 0o644)
			b.renew(0, "run", host)
			if zone := b.read("zone"); zone != "_dane.example.org. TLSA 3 1 1 B\n" {
				b.Errorf("records:\n%s", zone)
			}
		}},
		{"at work", "Two runs for one host do not mix.", func(b bed) {
			b.serve()
			if err := os.Symlink(fmt.Sprint(os.Getpid()), b.path("state/lock")); err != nil {
				b.Fatal(err)
			}
			b.renew(1, b.pair("renew", "B1", "B")...)
			b.check("A1", "A")
		}},
		{"other names", "A host is a name without a directory, and has a settings file.", func(b bed) {
			for _, name := range []string{"../" + host, "", "other.example.org", "-x"} {
				b.renew(3, "run", name)
			}
			b.renew(3)
			b.renew(3, "renew", host)
		}},
		{"challenge", "dane-renew publishes and removes the records of DNS-01.", func(b bed) {
			b.configure("CHALLENGE_WAIT=0")
			b.renew(0, "challenge-add", host, "_acme-challenge."+host+".", "abc")
			if zone := b.read("zone"); zone != "_acme-challenge."+host+`. TXT "abc"`+"\n" {
				b.Errorf("records:\n%s", zone)
			}
			b.renew(0, "challenge-remove", host, "_acme-challenge."+host+".", "abc")
			if zone := b.read("zone"); zone != "" {
				b.Errorf("records:\n%s", zone)
			}
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			t.Log(test.sentence)
			test.steps(newBed(t))
		})
	}
}

// TestHooks calls the hooks as the ACME clients do. A dane-renew that records its
// arguments stands in for the real one.
func TestHooks(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name      string
		variables []string
		args      []string
		want      string
	}{
		{"certbot-hook", []string{"RENEWED_DOMAINS=other.example.org " + host, "RENEWED_LINEAGE=/live/a"}, nil, "renew " + host + " /live/a/fullchain.pem /live/a/privkey.pem"},
		{"certbot-hook", []string{"RENEWED_DOMAINS=other.example.org", "RENEWED_LINEAGE=/live/a"}, nil, ""},
		{"lego-hook", []string{"LEGO_CERT_DOMAIN=" + host, "LEGO_CERT_PATH=/a.crt", "LEGO_CERT_KEY_PATH=/a.key"}, nil, "renew " + host + " /a.crt /a.key"},
		{"lego-hook", []string{"LEGO_HOOK_CERT_NAME=" + host, "LEGO_HOOK_CERT_PATH=/a.crt", "LEGO_HOOK_CERT_KEY_PATH=/a.key"}, nil, "renew " + host + " /a.crt /a.key"},
		{"dehydrated-hook", nil, []string{"deploy_cert", host, "/key", "/cert", "/full", "/chain", "1"}, "renew " + host + " /full /key"},
		{"dehydrated-hook", nil, []string{"deploy_challenge", host, "file", "token"}, "challenge-add " + host + " _acme-challenge." + host + ". token"},
		{"dehydrated-hook", []string{"DANE_RENEW_HOST=" + host}, []string{"clean_challenge", "a.example.org", "file", "token"}, "challenge-remove " + host + " _acme-challenge.a.example.org. token"},
		{"dehydrated-hook", nil, []string{"unchanged_cert", host, "/key", "/cert", "/full", "/chain"}, ""},
		{"dehydrated-hook", nil, []string{"startup_hook"}, ""},
		{"acmesh-hook.sh", nil, []string{host, "/key", "/cert", "/ca", "/full"}, "renew " + host + " /full /key"},
		{"cert-manager-job", nil, []string{host, "/issued"}, "renew " + host + " /issued/tls.crt /issued/tls.key"},
	}
	for _, test := range tests {
		t.Run(test.name+" "+strings.Join(test.args, " "), func(t *testing.T) {
			for code, want := range []int{0, 0, 2, 3} { // exit codes of dane-renew and of the hook
				b := newBed(t)
				b.write("dane-renew.stub", fmt.Sprintf("#!/bin/sh\necho \"$*\" >>\"$BED/log\"\nexit %d\n", code), 0o755)
				if err := os.Rename(b.path("dane-renew.stub"), b.path("bin/dane-renew")); err != nil {
					t.Fatal(err)
				}
				command := append([]string{filepath.Join(here, test.name)}, test.args...)
				if test.name == "acmesh-hook.sh" { // acme.sh sources the file and calls the function
					command = append([]string{"sh", "-c", `. "$0"; dane_renew_deploy "$@"`}, command...)
					want = min(want, 1)
				}
				if strings.HasPrefix(test.want, "challenge") {
					want = code
				}
				if test.want == "" {
					want = 0
				}
				got, output := b.command(test.variables, command[0], command[1:]...)
				if got != want {
					t.Errorf("exit code %d for %d, want %d\n%s", got, code, want, output)
				}
				if log := strings.TrimSpace(b.read("log")); log != test.want {
					t.Errorf("dane-renew %s, want %s", log, test.want)
				}
			}
		})
	}
}

// clients stand in for the programs that README.md runs. An ACME client issues the pair
// $BED/issued.pem and $BED/issued.key, and runs its hooks.
var clients = map[string]string{
	"postconf":  `echo "postconf $*" >>"$BED/log"`,
	"postfix":   `[ "$1" = reload ] && cat "$HOME/etc/ssl/dane-renew/mx.example.org.pem" >"$BED/live"`,
	"systemctl": `[ "$1 $2" = "enable --now" ] && [ -f "$HOME/etc/systemd/system/$3" ]`,
	"sleep":     ``,
	"certbot": `
while [ $# -gt 0 ]; do
	case $1 in
	--manual-auth-hook) add=$2 ;;
	--manual-cleanup-hook) remove=$2 ;;
	-d) domain=$2 ;;
	esac
	shift
done
challenge() {
	CERTBOT_DOMAIN=$domain CERTBOT_VALIDATION=token sh -c "$1" || exit
	echo "$(grep -c '^_acme-challenge.mx.example.org. TXT "token"$' "$BED/zone") challenges" >>"$BED/log"
}
challenge "$add"
challenge "$remove"
cp "$BED/issued.pem" "$HOME/etc/letsencrypt/live/$domain/fullchain.pem"
cp "$BED/issued.key" "$HOME/etc/letsencrypt/live/$domain/privkey.pem"
export RENEWED_DOMAINS="$domain" RENEWED_LINEAGE="$HOME/etc/letsencrypt/live/$domain"
"$HOME/etc/letsencrypt/renewal-hooks/deploy/dane-renew"
`,
	"lego": `
if [ "$3" != --renew-hook ]; then exit; fi
LEGO_CERT_DOMAIN=mx.example.org LEGO_CERT_PATH=$BED/issued.pem LEGO_CERT_KEY_PATH=$BED/issued.key "$4"
`,
	"acme.sh": `
[ "$1 $2 $4 $5" = "--deploy -d --deploy-hook dane_renew" ] || exit
. "$HOME/.acme.sh/deploy/$5.sh"
"$5_deploy" "$3" "$BED/issued.key" "" "" "$BED/issued.pem"
`,
	"dns-tool": `echo "$*" >>"$BED/log"`,
}

// TestReadme runs the commands of README.md in order. Paths of the machine lead to a
// directory of the test, which is also the home directory.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	b := newBed(t)
	home := b.path("home")
	paths := strings.NewReplacer("/etc/", home+"/etc/", "/usr/local/", home+"/usr/local/", "/var/lib/", home+"/var/lib/", "~/", home+"/")
	if err := os.Remove(b.path("bin/dane-renew")); err != nil { // README.md installs it
		t.Fatal(err)
	}
	for name, text := range clients {
		b.write("bin/"+name, "#!/bin/sh\n"+text, 0o755)
	}
	for _, dir := range []string{"usr/local/sbin", "etc/systemd/system", "etc/dehydrated", "etc/letsencrypt/renewal-hooks/deploy", ".acme.sh/deploy"} {
		if err := os.MkdirAll(filepath.Join(home, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	shell := func(text string) {
		t.Helper()
		variables := []string{"HOME=" + home, "DANE_RENEW_DIR=" + home + "/etc/dane-renew", "PATH=" + home + "/usr/local/sbin:" + b.path("bin") + ":/usr/bin:/bin"}
		if code, output := b.command(variables, "/bin/sh", "-ec", "cd "+here+"\n"+paths.Replace(text)); code != 0 {
			t.Fatalf("exit code %d\n%s\n%s", code, text, output)
		}
	}
	log := func(want string) {
		t.Helper()
		if got := b.read("log"); !strings.Contains(got, want) {
			t.Errorf("log:\n%s\nwant %s", got, want)
		}
	}
	steps := []struct {
		section string
		issued  string // before the commands; they make the server send it
		more    string // commands after those of the page
		after   func()
	}{
		{"Installation", "", "", func() {
			settings := "home/etc/dane-renew/" + host + ".conf"
			b.write(settings, paths.Replace(b.read(settings)), 0o600)
		}},
		{"Installation", "A1", "", func() { log("postconf -e smtpd_tls_chain_files = " + home + "/etc/ssl/dane-renew/" + host + ".pem") }},
		{"Installation", "", "", nil},
		{"DNS updates", "", `dns_add a.test. 60 TLSA "3 1 1 A"; dns_remove a.test. TLSA "3 1 1 A"`, func() {
			log("add --name a.test. --ttl 60 --type TLSA --data 3 1 1 A\nremove --name a.test. --type TLSA --data 3 1 1 A\n")
		}},
		{"certbot", "", "", nil},
		{"certbot", "B1", "", func() { log("1 challenges\nupdate\n0 challenges\n") }},
		{"lego", "C1", "", nil},
		{"dehydrated", "D1", `. /etc/dehydrated/config; "$HOOK" deploy_cert ` + host + ` "$BED/issued.key" "" "$BED/issued.pem"`, nil},
		{"acme.sh", "E1", "", nil},
	}
	blocks := regexp.MustCompile("(?ms)^(?:## ([^\n]*)|```sh\n(.*?)^```)$").FindAllStringSubmatch(string(readme), -1)
	section := ""
	for _, block := range blocks {
		if block[1] != "" {
			section = block[1]
			continue
		}
		if len(steps) == 0 || steps[0].section != section {
			t.Fatalf("%s: these commands are not expected:\n%s", section, block[2])
		}
		step := steps[0]
		steps = steps[1:]
		if step.issued != "" {
			b.pair("", step.issued, step.issued[:1])
			for _, suffix := range []string{".pem", ".key"} {
				b.write("issued"+suffix, b.read(step.issued+suffix), 0o644)
			}
		}
		if step.issued == "A1" {
			b.write("home/etc/letsencrypt/live/"+host+"/fullchain.pem", b.read("issued.pem"), 0o644)
			b.write("home/etc/letsencrypt/live/"+host+"/privkey.pem", b.read("issued.key"), 0o644)
		}
		shell(block[2] + step.more)
		if step.after != nil {
			step.after()
		}
		if step.issued == "" {
			continue
		}
		if got := b.certificateIn("live"); got != step.issued {
			t.Errorf("%s: %s is served, want %s", section, got, step.issued)
		}
		if record := "_25._tcp." + host + ". TLSA 3 1 1 " + step.issued[:1] + "\n"; !strings.Contains(b.read("zone"), record) {
			t.Errorf("%s: records\n%s\nwant %s", section, b.read("zone"), record)
		}
	}
	if len(steps) > 0 {
		t.Errorf("the commands of %s are missing", steps[0].section)
	}
}

// TestCertManager installs with the functions of cert-manager.conf. A kubectl that records
// its arguments stands in for the real one.
func TestCertManager(t *testing.T) {
	settings, err := os.ReadFile("cert-manager.conf")
	if err != nil {
		t.Fatal(err)
	}
	b := newBed(t)
	b.write("bin/kubectl", `#!/bin/sh
echo "kubectl $*" >>"$BED/log"
case $* in
"create secret tls mx-served"*) cat "$6" "$8" ;;
"apply --filename"*) cat "$3" >"$BED/secret" ;;
"rollout restart"*) cat "$BED/served.pem" >"$BED/live" ;;
esac
`, 0o755)
	b.configure(string(settings), "STATE="+b.path("state"), "SERVED="+b.path("served.pem"), "TTL=10", "SERVICES='25/smtp 465'")
	b.renew(0, b.pair("adopt", "A1", "A")...)
	b.write("live", b.read("served.pem"), 0o644)
	b.renew(1, b.pair("renew", "B1", "B")...)
	b.check("B1", "AB")
	want := "-----BEGIN PRIVATE KEY-----\nB\n-----END PRIVATE KEY-----\n-----BEGIN CERTIFICATE-----\nB1\n-----END CERTIFICATE-----\n"
	if got := b.read("secret"); got != want {
		t.Errorf("Secret:\n%s\nwant:\n%s", got, want)
	}
	if b.read("state/tls.key") != "" || b.read("state/secret.yml") != "" {
		t.Error("the key is left")
	}
}

// TestExample reads the example: its values are the defaults.
func TestExample(t *testing.T) {
	example, err := os.ReadFile("example.conf")
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile("dane-renew")
	if err != nil {
		t.Fatal(err)
	}
	set := 0
	for line := range strings.Lines(string(example)) {
		name, value, found := strings.Cut(strings.TrimSpace(line), "=")
		if !found || strings.HasPrefix(line, "#") {
			continue
		}
		set++
		fallback := strings.ReplaceAll(strings.Trim(value, "'"), host, "$HOST")
		if name == "DNS_SERVER" || name == "DNS_ZONE" || name == "TSIG_KEY" {
			fallback = ""
		}
		if !strings.Contains(string(script), "\t"+name+"="+fallback+"\n") {
			t.Errorf("%s: %q is not the default", name, value)
		}
	}
	if set < 15 {
		t.Errorf("found only %d settings", set)
	}
}

// TestUnits checks the systemd units, with a program that exists.
func TestUnits(t *testing.T) {
	path, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip(err)
	}
	b := newBed(t)
	for _, name := range []string{"dane-renew.service", "dane-renew.timer"} {
		unit, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		b.write(name, strings.Replace(string(unit), "/usr/local/sbin/dane-renew", "/bin/true", 1), 0o644)
	}
	output, err := exec.Command(path, "verify", "--man=no", b.path("dane-renew.service"), b.path("dane-renew.timer")).CombinedOutput()
	if err != nil || strings.Contains(string(output), "dane-renew") {
		t.Errorf("%v\n%s", err, output)
	}
}
