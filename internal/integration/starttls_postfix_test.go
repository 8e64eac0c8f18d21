//go:build integration

package integration

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dane_exporter/probe/starttls"
)

// Texts of a server that follows RFC 5321.
const (
	smtpGreeting   = "220 mx.test ESMTP\r\n"
	smtpExtensions = "250-mx.test\r\n250-PIPELINING\r\n250 STARTTLS\r\n"
	smtpReady      = "220 go ahead\r\n"
	smtpOK         = "250 ok\r\n"
)

// smtpDialogues returns what servers send: before the first command, then after
// each. Replies of a correct server are appended where the text ends.
func smtpDialogues() map[string][]string {
	long := func(n int) string { return strings.Repeat("x", n) }
	return map[string][]string{
		"correct":                            {},
		"blank and foreign lines":            {"\r\n\r\nhello\r\n2200 x\r\n12 x\r\n" + smtpGreeting, "250-mx\r\n\r\nhello\r\n250-STARTTLS\r\n250 X\r\n", "junk\r\n\r\n" + smtpReady},
		"codes differ, the last accepts":     {"554-wait\r\n220 ok\r\n", "550-mx\r\n250-STARTTLS\r\n250 X\r\n", "554-x\r\n220 go\r\n"},
		"the greeting ends with 554":         {"220-wait\r\n554 blocked\r\n"},
		"the greeting ends with 450":         {"220-wait\r\n450 blocked\r\n"},
		"the greeting is 920":                {"920 hi\r\n"},
		"EHLO is refused with 550":           {smtpGreeting, "550 no\r\n", smtpOK},
		"EHLO is refused with 450":           {smtpGreeting, "450 later\r\n", smtpOK},
		"EHLO is answered with 354":          {smtpGreeting, "354 go on\r\n", smtpOK},
		"EHLO is refused with 421":           {smtpGreeting, "421 closing\r\n", smtpOK},
		"EHLO and HELO are refused":          {smtpGreeting, "502 no\r\n", "550 no\r\n"},
		"the reply to EHLO ends with 550":    {smtpGreeting, "250-mx\r\n550 STARTTLS\r\n", "550 no\r\n"},
		"named STARTTLS":                     {smtpGreeting, "250 STARTTLS\r\n"},
		"named STARTTLS after a blank name":  {smtpGreeting, "250-\r\n250 STARTTLS\r\n"},
		"STARTTLS with an equals sign":       {smtpGreeting, "250-mx\r\n250 STARTTLS=x\r\n"},
		"STARTTLS before a tab":              {smtpGreeting, "250-mx\r\n250 STARTTLS\tx\r\n"},
		"STARTTLS after a hyphen":            {smtpGreeting, "250-mx\r\n250 - STARTTLS\r\n"},
		"STARTTLS on a line without a code":  {smtpGreeting, "250-mx\r\nSTARTTLS\r\n250 X\r\n"},
		"STARTTLS on a line with two digits": {smtpGreeting, "250-mx\r\n25 STARTTLS\r\n250 X\r\n"},
		"STARTTLS after a space":             {smtpGreeting, "250-mx\r\n 250 STARTTLS\r\n250 X\r\n"},
		"many short lines before STARTTLS":   {smtpGreeting, strings.Repeat("250-12345678901\r\n", 128) + "250 STARTTLS\r\n"},
		"one line less before STARTTLS":      {smtpGreeting, strings.Repeat("250-12345678901\r\n", 127) + "250 STARTTLS\r\n"},
		"STARTTLS at byte 2048":              {smtpGreeting, "250-" + long(2043) + "\r\n250 STARTTLS\r\n"},
		"STARTTLS after byte 2048":           {smtpGreeting, "250-" + long(2044) + "\r\n250 STARTTLS\r\n"},
		"STARTTLS after a line of 5000":      {smtpGreeting, "250-" + long(5000) + "\r\n250 STARTTLS\r\n"},
		"a greeting of 5000 bytes":           {"220 " + long(5000) + "\r\n"},
		"4000 lines":                         {smtpGreeting, "250-mx\r\n250-STARTTLS\r\n" + strings.Repeat("250-more\r\n", 4000) + "250 X\r\n"},
		"STARTTLS is refused with 454":       {smtpGreeting, smtpExtensions, "454 no\r\n"},
		"STARTTLS is answered with 354":      {smtpGreeting, smtpExtensions, "354 go on\r\n"},
		"plaintext after STARTTLS":           {smtpGreeting, smtpExtensions, smtpReady + "250 injected\r\n"},
	}
}

// dialogueStep returns what ended a dialogue with a server: "TLS", if it led to
// TLS, or the step that the server did not allow.
func dialogueStep(err error) string {
	rejected, refused := errors.AsType[*starttls.Rejected](err)
	switch {
	case err == nil:
		return "TLS"
	case errors.Is(err, starttls.ErrNotOffered):
		return "not offered"
	case refused && rejected.Step == "STARTTLS":
		return "STARTTLS rejected"
	case refused:
		return "client rejected"
	}
	return err.Error()
}

// postfixStep is dialogueStep for the reason that smtp(8) logs for a deferred or
// bounced mail. The servers here complete no handshake.
func postfixStep(reason string) string {
	for text, step := range map[string]string{
		"Cannot start TLS": "TLS", "but was not offered": "not offered",
		"refused to start TLS": "STARTTLS rejected", "refused to talk to me": "client rejected",
	} {
		if strings.Contains(reason, text) {
			return step
		}
	}
	return reason
}

// TestDialoguesAsPostfix compares package starttls with smtp(8) of Postfix, at
// level encrypt, for servers whose dialogues are unusual.
func TestDialoguesAsPostfix(t *testing.T) {
	dir := tempDir(t)
	configureLoopback(t)
	var transport strings.Builder
	servers := map[string]netip.AddrPort{}
	for name, texts := range smtpDialogues() {
		at := serveDialogue(t, texts)
		servers[name] = at
		fmt.Fprintf(&transport, "d%d.test smtp:[%s]:%d\n", at.Port(), at.Addr(), at.Port())
	}
	log := startRelay(t, dir, transport.String())
	for name, at := range servers {
		sendMail(t, fmt.Sprintf("postmaster@d%d.test", at.Port()))
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", at.String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			client, err := starttls.New("smtp", starttls.Settings{EHLO: "probe.test"})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			defer cancel()
			_, err = client.Start(ctx, conn)
			reason := awaitDelivery(t, log, at)
			if got, want := dialogueStep(err), postfixStep(reason); got != want {
				t.Errorf("got %s (%v), Postfix %s (%s)", got, err, want, reason)
			}
		})
	}
}

// serveDialogue starts a server that sends texts, and closes the connection when
// TLS begins.
func serveDialogue(t testing.TB, texts []string) netip.AddrPort {
	correct := []string{smtpGreeting, smtpExtensions, smtpReady}
	if len(texts) < len(correct) {
		texts = append(texts, correct[len(texts):]...)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				commands := bufio.NewReader(conn)
				for i, text := range texts {
					if i > 0 {
						if command, err := commands.ReadString('\n'); err != nil || strings.HasPrefix(command, "QUIT") {
							return
						}
					}
					io.WriteString(conn, text)
				}
				commands.ReadByte() // of the ClientHello or of QUIT
			}()
		}
	}()
	return listener.Addr().(*net.TCPAddr).AddrPort()
}

const relayMain = `
compatibility_level = 3.6
queue_directory = %[1]s/queue
data_directory = %[1]s/data
maillog_file_prefixes = %[1]s
maillog_file = %[1]s/log
myhostname = relay.test
inet_interfaces = all
inet_protocols = ipv4
mydestination =
alias_maps =
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_peername_lookup = no
transport_maps = texthash:%[1]s/transport
smtp_dns_support_level = disabled
smtp_tls_security_level = encrypt
smtp_helo_timeout = 10s
smtp_starttls_timeout = 10s
notify_classes =
`

const relayServices = postfixServices + `
127.0.0.1:2525 inet n - n - - smtpd
cleanup  unix n - n - 0 cleanup
qmgr     unix n - n 300 1 qmgr
bounce   unix - - n - 0 bounce
defer    unix - - n - 0 bounce
trace    unix - - n - 0 bounce
smtp     unix - - n - - smtp
error    unix - - n - - error
retry    unix - - n - - error
proxymap unix - - n - - proxymap
scache   unix - - n - 1 scache
`

// startRelay starts a Postfix that relays mail by a transport table. It returns
// its log file.
func startRelay(t testing.TB, dir, transport string) string {
	t.Helper()
	dir = filepath.Join(dir, "relay")
	writeFile(t, dir, "main.cf", fmt.Sprintf(relayMain, dir))
	writeFile(t, dir, "master.cf", relayServices)
	writeFile(t, dir, "transport", transport)
	if err := os.Mkdir(filepath.Join(dir, "queue"), 0o755); err != nil {
		t.Fatal(err)
	}
	postfix := start(t, dir, exec.Command(program(t, "postfix"), "-c", dir, "start-fg"), "127.0.0.1:2525")
	t.Cleanup(func() { // see startPostfix
		postfix.stopped = true
		run(t, "postfix", "-c", dir, "stop")
		<-postfix.exited
	})
	return filepath.Join(dir, "log")
}

func sendMail(t testing.TB, to string) {
	t.Helper()
	if err := smtp.SendMail("127.0.0.1:2525", nil, "", []string{to}, []byte("Subject: test\r\n\r\ntest\r\n")); err != nil {
		t.Fatalf("send mail to %s: %v", to, err)
	}
}

// awaitDelivery returns the reason that Postfix logs once it has tried a server.
func awaitDelivery(t testing.TB, log string, server netip.AddrPort) string {
	t.Helper()
	relay := fmt.Sprintf("relay=%[1]s[%[1]s]:%d,", server.Addr(), server.Port())
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for deadline := time.After(timeout); ; {
		for line := range strings.Lines(readFile(t, log)) {
			if _, reason, found := strings.Cut(line, "status="); found && strings.Contains(line, relay) {
				return strings.TrimSpace(reason)
			}
		}
		select {
		case <-retry.C:
		case <-deadline:
			t.Fatalf("Postfix has not tried %s after %v:\n%s", server, timeout, readFile(t, log))
		}
	}
}
