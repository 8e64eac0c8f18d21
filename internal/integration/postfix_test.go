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

// startPostfix starts one Postfix that listens at port 25 of every site, with the
// site's certificate and options.
func startPostfix(t testing.TB, dir string, sites map[string]*site) {
	t.Helper()
	dir = filepath.Join(dir, "postfix")
	var services strings.Builder
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
	runPostfix(t, dir, services.String(), listening)
}

// runPostfix starts a Postfix with the given lines of master.cf for smtpd.
func runPostfix(t testing.TB, dir, services string, listening []string) {
	t.Helper()
	writeFile(t, dir, "main.cf", fmt.Sprintf(postfixMain, dir))
	writeFile(t, dir, "master.cf", postfixServices+services)
	if err := os.Mkdir(filepath.Join(dir, "queue"), 0o755); err != nil {
		t.Fatal(err)
	}
	postfix := start(t, dir, exec.Command(program(t, "postfix"), "-c", dir, "start-fg"), listening...)
	t.Cleanup(func() {
		// Postfix's master starts a new session, which signals to the process group do not reach.
		postfix.stopped = true
		run(t, "postfix", "-c", dir, "stop")
		<-postfix.exited
	})
}

// A delivery is the result of posttls-finger, the probe of Postfix, at one security level.
type delivery string

const (
	verified    delivery = "verified"     // authenticated by DANE
	trusted     delivery = "trusted"      // authenticated by DANE, after an insecure MX lookup
	encrypted   delivery = "encrypted"    // TLSA records, none usable: TLS without authentication
	withoutDANE delivery = "without DANE" // DANE does not apply; the session is established
	refused     delivery = "refused"      // DANE forbids delivery
	unreachable delivery = "unreachable"  // no session, for reasons other than DANE
	noServer    delivery = "noServer"     // the domain has no server
)

// postTLSFinger runs posttls-finger on a domain and returns the result and the
// output. The tool continues where smtp(8) defers the mail, so the result of
// smtp(8) is derived from the output.
func postTLSFinger(t testing.TB, dir, level, domain string) (delivery, string) {
	t.Helper()
	text := output(t, "posttls-finger", postTLSFingerArguments(dir, level, domain)...)
	return deliveryOf(level, text), text
}

func postTLSFingerArguments(dir, level, domain string) []string {
	return []string{"-v", "-o", "config_directory=" + filepath.Join(dir, "postfix"),
		"-t", "5", "-T", "5", "-l", level, strings.TrimSuffix(domain, ".")}
}

// deliveryOf returns the result of posttls-finger by its output.
func deliveryOf(level, text string) delivery {
	has := func(phrase string) bool { return strings.Contains(text, phrase) }
	switch {
	case has("Verified TLS connection established"):
		return verified
	case has("log verified as trusted") && has("Trusted TLS connection established"):
		return trusted
	case has("TLSA lookup error"), has("Destination address lookup failed") && has("try again"):
		return refused // a failed lookup, which smtp(8) retries later
	case has("Destination address lookup failed"):
		return noServer
	case !has("Connected to"), has("SMTP service not available"):
		return unreachable
	case level == "dane-only":
		return refused // connected, but neither verified nor trusted
	case has("no TLSA records found"):
		return withoutDANE
	case has("no usable TLSA records found"), has("all TLSA records unusable"):
		if has("Untrusted TLS connection established") {
			return encrypted
		}
		return refused // TLS is mandatory with unusable records
	default:
		return refused // usable TLSA records do not verify the server
	}
}
