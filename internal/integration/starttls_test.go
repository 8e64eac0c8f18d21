//go:build integration

package integration

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"dane_exporter/probe/starttls"
)

// The domain that servers are asked for where the protocol has it. It is the
// name that Prosody has in the world.
const dialogueDomain = "host.prosody.good.test"

// An identity is what a server shows in TLS: PEM files. Without one, it has no TLS.
type identity struct{ certificate, key string }

// A software is a server of one or several protocols that begin in the clear.
type software struct {
	name   string
	speaks []spoken
	// start starts it at an address and returns the file that it logs to.
	start func(t testing.TB, dir string, at netip.Addr, who identity) (log string)
}

// spoken is a protocol of a software.
type spoken struct {
	protocol string
	port     uint16
	farewell string // what its log says of a client that took leave
}

func softwares() []software {
	return []software{
		{"dovecot", []spoken{
			{"imap", 143, "imap-login: Info: Disconnected: Aborted login by logging out"},
			{"pop3", 110, "pop3-login: Info: Disconnected: Aborted login by logging out"},
			{"lmtp", 24, "Logged out (state=READY)"},
			{"sieve", 4190, "managesieve-login: Info: Disconnected: Aborted login by logging out"},
		}, startDovecot},
		{"prosody", []spoken{
			{"xmpp-client", 5222, "Received </stream:stream>"},
			{"xmpp-server", 5269, "closed: stream closed"},
		}, startProsody},
		{"slapd", []spoken{{"ldap", 389, "UNBIND"}}, startSlapd},
		// Where there was no session, PostgreSQL has nothing to say of its end.
		{"postgres", []spoken{{"postgres", 5432, ""}}, startPostgres},
	}
}

// scenario is the software in the world: a host with the records of one key at
// each of its ports.
func (s software) scenario() scenario {
	records := "host A {{.IPv4}}\n"
	for _, spoken := range s.speaks {
		records += fmt.Sprintf("_%d._tcp.host {{tlsa 3 1 1 .Leaf}}\n", spoken.port)
	}
	return scenario{name: s.name, story: "a server that begins in the clear", records: records}
}

// module is the exporter's configuration for a protocol.
func (s spoken) module() string {
	return fmt.Sprintf("  %s: {discover: none, policy: client, protocol: %[1]s, port: %d}\n", s.protocol, s.port)
}

// testProtocols asks the exporter about every protocol.
func testProtocols(t *testing.T, w *world, e *exporter) {
	for _, s := range softwares() {
		host := "host." + w.others[s.name].domain()
		for _, spoken := range s.speaks {
			t.Run(spoken.protocol, func(t *testing.T) {
				ours := e.probe(t, host, spoken.protocol)
				offered := ours.holding("dane_starttls_offered", nil, "host")
				if ours.outcome(t) != "authenticated" || len(offered) != 1 {
					t.Errorf("we say %s, STARTTLS offered by %q\n%s", ours.outcome(t), offered, e.story(t, host, spoken.protocol))
				}
			})
		}
	}
}

// TestDialogues leads each protocol's dialogue with a server of that protocol
// that we did not write, and has openssl s_client do the same.
func TestDialogues(t *testing.T) {
	dir := directory(t)
	bringUpLoopback(t)
	authority := newAuthority(t, dir)
	leaf := authority.issue(t, "dialogues", "", "leaf", false, dialogueDomain)
	at := netip.MustParseAddr("127.0.1.1")
	for _, s := range softwares() {
		secured, plain := at, at.Next()
		at = plain.Next()
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			log := s.start(t, filepath.Join(dir, s.name), secured, identity{leaf, keyOf(leaf)})
			s.start(t, filepath.Join(dir, s.name+"-without-tls"), plain, identity{})
			for _, spoken := range s.speaks {
				t.Run(spoken.protocol, func(t *testing.T) {
					testSecured(t, spoken, netip.AddrPortFrom(secured, spoken.port), leaf, log)
				})
				t.Run(spoken.protocol+" without TLS", func(t *testing.T) {
					testPlain(t, spoken.protocol, netip.AddrPortFrom(plain, spoken.port))
				})
			}
			if said := read(t, log); strings.Contains(said, "startup packet") {
				t.Errorf("PostgreSQL takes our leave for a session:\n%s", said)
			}
		})
	}
}

// testSecured expects a dialogue that leads to a handshake with a certificate,
// and a leave that the server understands.
func testSecured(t *testing.T, spoken spoken, server netip.AddrPort, leaf, log string) {
	conn, speaker := meet(t, spoken.protocol, server, dialogueDomain)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	dialogue, err := speaker.Start(ctx, conn)
	t.Logf("%+v", dialogue.Transcript)
	if err != nil || !dialogue.Offered {
		t.Fatalf("offered %v, %v", dialogue.Offered, err)
	}
	client := tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) // what it shows is compared below
	if err := client.HandshakeContext(ctx); err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode([]byte(read(t, leaf)))
	if shown := client.ConnectionState().PeerCertificates[0].Raw; !bytes.Equal(shown, block.Bytes) {
		t.Error("it shows another certificate")
	}
	speaker.Goodbye(t.Context(), client)
	client.Close()

	awaitWords(t, log, spoken.farewell)

	// What s_client calls the protocols, where that is not what we do.
	names := map[string]string{"xmpp-client": "xmpp"}
	name := cmp.Or(names[spoken.protocol], spoken.protocol)
	said := say(t, "openssl", "s_client", "-starttls", name, "-connect", server.String(), "-xmpphost", dialogueDomain, "-name", dialogueDomain)
	if !strings.Contains(said, strings.TrimSpace(string(pem.EncodeToMemory(block)))) {
		t.Errorf("openssl s_client sees no certificate, or another:\n%s", said)
	}
}

// testPlain expects that a server without TLS offers none.
func testPlain(t *testing.T, protocol string, server netip.AddrPort) {
	conn, speaker := meet(t, protocol, server, dialogueDomain)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	dialogue, err := speaker.Start(ctx, conn)
	t.Logf("%+v: %v", dialogue.Transcript, err)
	if !errors.Is(err, starttls.ErrNotOffered) || dialogue.Offered {
		t.Errorf("offered %v, %v", dialogue.Offered, err)
	}
	speaker.Goodbye(t.Context(), conn)
}

// TestXMPPOfAnotherDomain: a service that is not there is a refusal of the
// client, which never gets to know whether TLS is offered.
func TestXMPPOfAnotherDomain(t *testing.T) {
	bringUpLoopback(t)
	at := netip.MustParseAddr("127.0.2.1")
	startProsody(t, filepath.Join(directory(t), "prosody"), at, identity{})
	for protocol, port := range map[string]uint16{"xmpp-client": 5222, "xmpp-server": 5269} {
		conn, speaker := meet(t, protocol, netip.AddrPortFrom(at, port), "another.example.org")
		_, err := speaker.Start(t.Context(), conn)
		var rejected *starttls.Rejected
		if !errors.As(err, &rejected) || rejected.Step == "STARTTLS" || !strings.Contains(rejected.Reply, "host-unknown") {
			t.Errorf("%s: %v", protocol, err)
		}
		speaker.Goodbye(t.Context(), conn)
	}
}

// TestXMPPBeyondASCII: a domain that DNS has in A-labels is asked for in U-labels.
func TestXMPPBeyondASCII(t *testing.T) {
	bringUpLoopback(t)
	at := netip.MustParseAddr("127.0.3.1")
	startProsody(t, filepath.Join(directory(t), "prosody"), at, identity{})
	for protocol, port := range map[string]uint16{"xmpp-client": 5222, "xmpp-server": 5269} {
		conn, speaker := meet(t, protocol, netip.AddrPortFrom(at, port), "xn--plauderstbchen-osb.test")
		if _, err := speaker.Start(t.Context(), conn); !errors.Is(err, starttls.ErrNotOffered) {
			t.Errorf("%s: %v", protocol, err)
		}
		speaker.Goodbye(t.Context(), conn)
	}
}

// awaitWords returns when a log contains what it should.
func awaitWords(t *testing.T, log, words string) {
	t.Helper()
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for deadline := time.After(patience); !strings.Contains(read(t, log), words); {
		select {
		case <-retry.C:
		case <-deadline:
			t.Fatalf("the log never says %q:\n%s", words, read(t, log))
		}
	}
}

// meet connects to a server and returns our side of the dialogue.
func meet(t *testing.T, protocol string, server netip.AddrPort, domain string) (net.Conn, *starttls.Client) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", server.String(), patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	speaker, err := starttls.New(protocol, starttls.Settings{EHLO: "[127.0.0.1]", Domain: domain})
	if err != nil {
		t.Fatal(err)
	}
	return conn, speaker
}

// read returns what is in a file.
func read(t testing.TB, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// as has a command run as a user of its own, as daemons do that refuse to be root.
func as(t testing.TB, name string, command *exec.Cmd) *exec.Cmd {
	t.Helper()
	uid, gid := ids(t, name)
	command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	return command
}

// home makes a directory that belongs to a user, with copies of the identity's
// files that only that user may read.
func home(t testing.TB, dir, name string, who identity) identity {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	uid, gid := ids(t, name)
	own := func(path string, mode os.FileMode) {
		if err := errors.Join(os.Chmod(path, mode), os.Chown(path, uid, gid)); err != nil {
			t.Fatal(err)
		}
	}
	own(dir, 0o700)
	if who == (identity{}) {
		return who
	}
	copied := identity{write(t, dir, "server.pem", read(t, who.certificate)), write(t, dir, "server.key", read(t, who.key))}
	own(copied.certificate, 0o600)
	own(copied.key, 0o600)
	return copied
}

// ids returns the numbers of a user, which its Debian package has made.
func ids(t testing.TB, name string) (uid, gid int) {
	t.Helper()
	who, err := user.Lookup(name)
	if err != nil {
		t.Fatalf("%v: install the Debian package that has it", err)
	}
	uid, err1 := strconv.Atoi(who.Uid)
	gid, err2 := strconv.Atoi(who.Gid)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return uid, gid
}
