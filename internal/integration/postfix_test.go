//go:build integration

package integration

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const postfixMain = `
compatibility_level = 3.6
queue_directory = %[1]s/queue
data_directory = %[1]s/data
maillog_file_prefixes = %[1]s
maillog_file = %[1]s/log
myhostname = postfix.invalid
inet_interfaces = all
inet_protocols = all
mydestination =
local_recipient_maps =
alias_maps =
smtpd_relay_restrictions = reject
smtpd_peername_lookup = no
smtpd_tls_security_level = may
smtpd_tls_loglevel = 1
`

const postfixServices = `
postlog  unix-dgram n - n - 1 postlogd
tlsmgr   unix - - n - 1 tlsmgr
anvil    unix - - n - 1 anvil
rewrite  unix - - n - - trivial-rewrite
`

// startPostfix starts one Postfix that stands at port 25 of every site, with
// each site's certificate and options.
func startPostfix(t testing.TB, dir string, sites map[string]*site) {
	t.Helper()
	dir = filepath.Join(dir, "postfix")
	write(t, dir, "main.cf", fmt.Sprintf(postfixMain, dir))
	var services strings.Builder
	services.WriteString(postfixServices)
	var listening []string
	for _, name := range slices.Sorted(maps.Keys(sites)) {
		s := sites[name]
		if s.server.absent {
			continue
		}
		chain := append([]string{keyOf(s.Leaf), s.Leaf}, strings.Fields(s.rest)...)
		options := append([]string{"smtpd_tls_chain_files=" + concatenate(t, s.Leaf+".chain", chain...)}, s.server.options...)
		for _, address := range []netip.Addr{s.IPv4, s.IPv6} {
			at := netip.AddrPortFrom(address, 25).String()
			fmt.Fprintf(&services, "%s inet n - n - - smtpd\n", at)
			for _, option := range options {
				fmt.Fprintf(&services, "  -o %s\n", option)
			}
			listening = append(listening, at)
		}
	}
	write(t, dir, "master.cf", services.String())
	if err := os.Mkdir(filepath.Join(dir, "queue"), 0o755); err != nil {
		t.Fatal(err)
	}
	postfix := start(t, dir, exec.Command(program(t, "postfix"), "-c", dir, "start-fg"), listening...)
	t.Cleanup(func() {
		// Its master has a session of its own, out of reach of a signal to the group that we started.
		postfix.stopped = true
		run(t, "postfix", "-c", dir, "stop")
		<-postfix.exited
	})
}

// A relay is what posttls-finger, Postfix's own probe, came to at one security level.
type relay string

const (
	verified    relay = "verified"     // authenticated by DANE
	trusted     relay = "trusted"      // the same, below an insecure MX look-up
	encrypted   relay = "encrypted"    // TLSA records, none usable: TLS must do
	withoutDANE relay = "without DANE" // DANE does not apply, and the session was made
	refused     relay = "refused"      // DANE does not let it go on
	unreachable relay = "unreachable"  // no session, and DANE has no part in it
	nowhere     relay = "nowhere"      // there is no server for the domain
)

// finger asks posttls-finger about a domain. The tool goes on where smtp(8)
// would defer, so what smtp(8) would do is read off what it reports.
func finger(t testing.TB, dir, level, domain string) (relay, string) {
	t.Helper()
	said := say(t, "posttls-finger", "-v", "-o", "config_directory="+filepath.Join(dir, "postfix"),
		"-t", "5", "-T", "5", "-l", level, strings.TrimSuffix(domain, "."))
	has := func(words string) bool { return strings.Contains(said, words) }
	switch {
	case has("Verified TLS connection established"):
		return verified, said
	case has("log verified as trusted") && has("Trusted TLS connection established"):
		return trusted, said
	case has("TLSA lookup error"), has("Destination address lookup failed") && has("try again"):
		return refused, said // a look-up that failed, and smtp(8) will try it again
	case has("Destination address lookup failed"):
		return nowhere, said
	case !has("Connected to"), has("SMTP service not available"):
		return unreachable, said
	case level == "dane-only":
		return refused, said // connected, and neither verified nor trusted
	case has("no TLSA records found"):
		return withoutDANE, said
	case has("no usable TLSA records found"), has("all TLSA records unusable"):
		if has("Untrusted TLS connection established") {
			return encrypted, said
		}
		return refused, said // TLS is mandatory then
	default:
		return refused, said // TLSA records that count, and they did not verify the server
	}
}
