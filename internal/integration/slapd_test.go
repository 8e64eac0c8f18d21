//go:build integration

package integration

import (
	"fmt"
	"net/netip"
	"os/exec"
	"testing"
)

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
