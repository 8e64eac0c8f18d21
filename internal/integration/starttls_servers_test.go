//go:build integration

package integration

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
)

// xmppDomain is the domain that XMPP clients ask for. It is the name of
// Prosody's host in the testbed.
const xmppDomain = "host.prosody.good.test"

// A keyPair holds the PEM files of a server. A server with the zero value has no TLS.
type keyPair struct{ certificate, key string }

// A daemon serves one or more STARTTLS protocols.
type daemon struct {
	name     string
	services []service
	// start starts the daemon at an address and returns the name of its log file.
	start func(t testing.TB, dir string, at netip.Addr, keys keyPair) (log string)
}

// A service is one protocol and port of a daemon.
type service struct {
	protocol string
	port     uint16
	logout   string // text that the daemon logs when a client logs out
}

func daemons() []daemon {
	return []daemon{
		{"dovecot", []service{
			{"imap", 143, "imap-login: Info: Disconnected: Aborted login by logging out"},
			{"pop3", 110, "pop3-login: Info: Disconnected: Aborted login by logging out"},
			{"lmtp", 24, "Logged out (state=READY)"},
			{"sieve", 4190, "managesieve-login: Info: Disconnected: Aborted login by logging out"},
		}, startDovecot},
		{"prosody", []service{
			{"xmpp-client", 5222, "Received </stream:stream>"},
			{"xmpp-server", 5269, "closed: stream closed"},
		}, startProsody},
		{"slapd", []service{{"ldap", 389, "UNBIND"}}, startSlapd},
		// PostgreSQL logs no end of a connection without a session.
		{"postgres", []service{{"postgres", 5432, ""}}, startPostgres},
	}
}

// scenario returns the daemon's scenario: a host with TLSA records of one key at
// each port.
func (d daemon) scenario() scenario {
	records := "host A {{.IPv4}}\n"
	for _, s := range d.services {
		records += fmt.Sprintf("_%d._tcp.host {{tlsa 3 1 1 .Leaf}}\n", s.port)
	}
	return scenario{name: d.name, desc: "a STARTTLS server", records: records}
}

// module returns the exporter's module for the protocol.
func (s service) module() string {
	return fmt.Sprintf("  %s: {discover: none, policy: client, protocol: %[1]s, port: %d}\n", s.protocol, s.port)
}

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
func startDovecot(t testing.TB, dir string, at netip.Addr, keys keyPair) (log string) {
	t.Helper()
	tls := "ssl = no"
	if keys != (keyPair{}) {
		tls = fmt.Sprintf("ssl = yes\nssl_cert = <%s\nssl_key = <%s", keys.certificate, keys.key)
	}
	for _, protocol := range []string{"imap", "pop3", "lmtp", "managesieve"} {
		program(t, "/usr/lib/dovecot/"+protocol)
	}
	config := writeFile(t, dir, "dovecot.conf", fmt.Sprintf(dovecotConfig, dir, at, tls))
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

// startProsody starts Prosody for XMPP clients and servers.
func startProsody(t testing.TB, dir string, at netip.Addr, keys keyPair) (log string) {
	t.Helper()
	return startProsodyWith(t, dir, at, keys, "")
}

// startProsodyWith starts Prosody with further global settings.
func startProsodyWith(t testing.TB, dir string, at netip.Addr, keys keyPair, settings string) (log string) {
	t.Helper()
	keys = userDir(t, dir, "prosody", keys)
	disabled, files := `"tls"`, ""
	if keys != (keyPair{}) {
		disabled, files = "", fmt.Sprintf("ssl = { certificate = %q; key = %q }", keys.certificate, keys.key)
	}
	files += "\n" + settings
	config := writeFile(t, dir, "prosody.cfg.lua", fmt.Sprintf(prosodyConfig, dir, at, disabled, files, xmppDomain))
	command := runAs(t, "prosody", exec.Command(program(t, "prosody"), "-F", "--config", config))
	return start(t, dir, command, netip.AddrPortFrom(at, 5222).String(), netip.AddrPortFrom(at, 5269).String()).log
}

// startSlapd starts OpenLDAP's server with an empty directory.
func startSlapd(t testing.TB, dir string, at netip.Addr, keys keyPair) (log string) {
	t.Helper()
	config := ""
	if keys != (keyPair{}) {
		config = fmt.Sprintf("TLSCertificateFile %s\nTLSCertificateKeyFile %s\n", keys.certificate, keys.key)
	}
	address := netip.AddrPortFrom(at, 389).String()
	file := writeFile(t, dir, "slapd.conf", config)
	// A debug level keeps slapd in the foreground; level 256 logs connections.
	return start(t, dir, exec.Command(program(t, "slapd"), "-d", "256", "-h", "ldap://"+address, "-f", file), address).log
}

// startPostgres creates a cluster and starts PostgreSQL for it.
func startPostgres(t testing.TB, dir string, at netip.Addr, keys keyPair) (log string) {
	t.Helper()
	keys = userDir(t, dir, "postgres", keys)
	data := filepath.Join(dir, "data")
	if output, err := runAs(t, "postgres", exec.Command(postgresProgram(t, "initdb"),
		"--pgdata", data, "--no-sync", "--no-locale", "--auth", "reject")).CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, output)
	}
	settings := []string{"-D", data, "-c", "listen_addresses=" + at.String(), "-c", "unix_socket_directories=", "-c", "fsync=off"}
	if keys != (keyPair{}) {
		settings = append(settings, "-c", "ssl=on", "-c", "ssl_cert_file="+keys.certificate, "-c", "ssl_key_file="+keys.key)
	}
	command := runAs(t, "postgres", exec.Command(postgresProgram(t, "postgres"), settings...))
	return start(t, dir, command, netip.AddrPortFrom(at, 5432).String()).log
}

// postgresProgram returns the path of a program of the newest installed
// PostgreSQL. Debian has one directory per version.
func postgresProgram(t testing.TB, name string) string {
	t.Helper()
	paths, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if len(paths) == 0 {
		t.Fatalf("%s not found: install the Debian package postgresql", name)
	}
	return slices.Max(paths)
}

// runAs makes a command run as a user. Prosody and PostgreSQL refuse to run as root.
func runAs(t testing.TB, name string, command *exec.Cmd) *exec.Cmd {
	t.Helper()
	uid, gid := userIDs(t, name)
	command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	return command
}

// userDir makes a directory that belongs to a user, with copies of the key pair
// that only that user can read. It returns the copies.
func userDir(t testing.TB, dir, name string, keys keyPair) keyPair {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	uid, gid := userIDs(t, name)
	own := func(path string, mode os.FileMode) {
		if err := errors.Join(os.Chmod(path, mode), os.Chown(path, uid, gid)); err != nil {
			t.Fatal(err)
		}
	}
	own(dir, 0o700)
	if keys == (keyPair{}) {
		return keys
	}
	copied := keyPair{writeFile(t, dir, "server.pem", readFile(t, keys.certificate)), writeFile(t, dir, "server.key", readFile(t, keys.key))}
	own(copied.certificate, 0o600)
	own(copied.key, 0o600)
	return copied
}

// userIDs returns the IDs of a user that a Debian package creates.
func userIDs(t testing.TB, name string) (uid, gid int) {
	t.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		t.Fatalf("%v: install the Debian package that creates this user", err)
	}
	uid, uidErr := strconv.Atoi(u.Uid)
	gid, gidErr := strconv.Atoi(u.Gid)
	if err := errors.Join(uidErr, gidErr); err != nil {
		t.Fatal(err)
	}
	return uid, gid
}
