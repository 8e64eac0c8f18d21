//go:build integration

package integration

import (
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
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
