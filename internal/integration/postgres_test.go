//go:build integration

package integration

import (
	"net/netip"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

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
