//go:build integration

package integration

import (
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

const dovecotConfig = `
base_dir = %[1]s/run
state_dir = %[1]s/state
log_path = %[1]s/log
protocols = imap pop3 lmtp sieve
listen = %[2]s
mail_location = maildir:/nonexistent
passdb {
  driver = static
}
service imap-login {
  inet_listener imaps {
    port = 0
  }
}
service pop3-login {
  inet_listener pop3s {
    port = 0
  }
}
service lmtp {
  inet_listener lmtp {
    port = 24
  }
}
%[3]s
`

// startDovecot starts Dovecot with Pigeonhole for IMAP, POP3, LMTP and ManageSieve.
func startDovecot(t testing.TB, dir string, at netip.Addr, who identity) (log string) {
	t.Helper()
	secured := "ssl = no"
	if who != (identity{}) {
		secured = fmt.Sprintf("ssl = yes\nssl_cert = <%s\nssl_key = <%s", who.certificate, who.key)
	}
	for _, protocol := range []string{"imap", "pop3", "lmtp", "managesieve"} {
		program(t, "/usr/lib/dovecot/"+protocol)
	}
	config := write(t, dir, "dovecot.conf", fmt.Sprintf(dovecotConfig, dir, at, secured))
	var listening []string
	for _, port := range []uint16{24, 110, 143, 4190} {
		listening = append(listening, netip.AddrPortFrom(at, port).String())
	}
	start(t, dir, exec.Command(program(t, "dovecot"), "-F", "-c", config), listening...)
	return filepath.Join(dir, "log")
}

const prosodyConfig = `
pidfile = "%[1]s/pid"
data_path = "%[1]s"
certificates = "%[1]s"
interfaces = { "%[2]s" }
modules_enabled = { "saslauth", "dialback", "tls" }
modules_disabled = { %[3]s }
c2s_require_encryption = false
s2s_require_encryption = false
log = { { levels = { min = "debug" }, to = "console" } }
%[4]s
VirtualHost "%[5]s"
VirtualHost "plauderstübchen.test"
`

// startProsody starts Prosody for XMPP's clients and servers.
func startProsody(t testing.TB, dir string, at netip.Addr, who identity) (log string) {
	t.Helper()
	who = home(t, dir, "prosody", who)
	disabled, files := `"tls"`, ""
	if who != (identity{}) {
		disabled, files = "", fmt.Sprintf("ssl = { certificate = %q; key = %q }", who.certificate, who.key)
	}
	config := write(t, dir, "prosody.cfg.lua", fmt.Sprintf(prosodyConfig, dir, at, disabled, files, dialogueDomain))
	command := as(t, "prosody", exec.Command(program(t, "prosody"), "-F", "--config", config))
	return start(t, dir, command, netip.AddrPortFrom(at, 5222).String(), netip.AddrPortFrom(at, 5269).String()).log
}

// startSlapd starts OpenLDAP's server, with nothing in its directory.
func startSlapd(t testing.TB, dir string, at netip.Addr, who identity) (log string) {
	t.Helper()
	config := ""
	if who != (identity{}) {
		config = fmt.Sprintf("TLSCertificateFile %s\nTLSCertificateKeyFile %s\n", who.certificate, who.key)
	}
	address := netip.AddrPortFrom(at, 389).String()
	file := write(t, dir, "slapd.conf", config)
	// A debug level keeps it in the foreground; this one logs connections.
	return start(t, dir, exec.Command(program(t, "slapd"), "-d", "256", "-h", "ldap://"+address, "-f", file), address).log
}

// startPostgres makes a new cluster and starts PostgreSQL for it.
func startPostgres(t testing.TB, dir string, at netip.Addr, who identity) (log string) {
	t.Helper()
	who = home(t, dir, "postgres", who)
	data := filepath.Join(dir, "data")
	if output, err := as(t, "postgres", exec.Command(postgresProgram(t, "initdb"),
		"--pgdata", data, "--no-sync", "--no-locale", "--auth", "reject")).CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, output)
	}
	settings := []string{"-D", data, "-c", "listen_addresses=" + at.String(), "-c", "unix_socket_directories=", "-c", "fsync=off"}
	if who != (identity{}) {
		settings = append(settings, "-c", "ssl=on", "-c", "ssl_cert_file="+who.certificate, "-c", "ssl_key_file="+who.key)
	}
	command := as(t, "postgres", exec.Command(postgresProgram(t, "postgres"), settings...))
	return start(t, dir, command, netip.AddrPortFrom(at, 5432).String()).log
}

// postgresProgram returns the path of a program of the newest PostgreSQL here;
// Debian keeps each version's in a directory of its own.
func postgresProgram(t testing.TB, name string) string {
	t.Helper()
	paths, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if len(paths) == 0 {
		t.Fatalf("%s: install Debian's package postgresql", name)
	}
	return slices.Max(paths)
}
