//go:build integration

package integration

import (
	"fmt"
	"net/netip"
	"os/exec"
	"testing"
)

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
