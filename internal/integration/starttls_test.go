//go:build integration

package integration

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dane_exporter/probe/dane"
	"dane_exporter/probe/handshake"
	"dane_exporter/probe/starttls"
)

// testProtocols probes every STARTTLS protocol of the testbed.
func testProtocols(t *testing.T, tb *testbed, e *exporter) {
	for _, d := range daemons() {
		host := "host." + tb.starttls[d.name].domain()
		for _, s := range d.services {
			t.Run(s.protocol, func(t *testing.T) {
				ours := e.probe(t, host, s.protocol)
				offered := ours.activeLabels("dane_starttls_offered", nil, "host")
				if ours.outcome(t) != "authenticated" || len(offered) != 1 {
					t.Errorf("outcome %s, STARTTLS offered by %q; want authenticated and one host\n%s",
						ours.outcome(t), offered, e.report(t, host, s.protocol))
				}
			})
		}
	}
}

// TestSTARTTLS runs each protocol's dialogue against an independent server of
// that protocol, once with TLS and once without. openssl s_client must see the
// same certificate.
func TestSTARTTLS(t *testing.T) {
	dir := tempDir(t)
	configureLoopback(t)
	authority := newAuthority(t, dir)
	leaf := authority.issue(t, "dialogues", "", "leaf", certificate{names: []string{xmppDomain}})
	at := netip.MustParseAddr("127.0.1.1")
	for _, d := range daemons() {
		withTLS, withoutTLS := at, at.Next()
		at = withoutTLS.Next()
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			log := d.start(t, filepath.Join(dir, d.name), withTLS, keyPair{leaf, keyOf(leaf)})
			d.start(t, filepath.Join(dir, d.name+"-without-tls"), withoutTLS, keyPair{})
			for _, s := range d.services {
				t.Run(s.protocol, func(t *testing.T) {
					checkWithTLS(t, s, netip.AddrPortFrom(withTLS, s.port), leaf, log)
				})
				t.Run(s.protocol+" without TLS", func(t *testing.T) {
					checkWithoutTLS(t, s.protocol, netip.AddrPortFrom(withoutTLS, s.port))
				})
			}
			if text := readFile(t, log); strings.Contains(text, "startup packet") {
				t.Errorf("PostgreSQL takes the end of the connection for a session:\n%s", text)
			}
		})
	}
}

// checkWithTLS checks that the dialogue leads to a handshake with the server's
// certificate. It checks that the server understands the first exchange inside TLS
// and the logout.
func checkWithTLS(t *testing.T, s service, server netip.AddrPort, leaf, log string) {
	conn, client := connect(t, s.protocol, server, xmppDomain)
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	dialogue, err := client.Start(ctx, conn)
	t.Logf("%+v", dialogue.Transcript)
	if err != nil || !dialogue.Offered {
		t.Fatalf("offered %v, error %v", dialogue.Offered, err)
	}
	secured := tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) // the certificate is compared below
	if err := secured.HandshakeContext(ctx); err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode([]byte(readFile(t, leaf)))
	if shown := secured.ConnectionState().PeerCertificates[0].Raw; !bytes.Equal(shown, block.Bytes) {
		t.Error("the server sends another certificate")
	}
	if made, err := client.FirstExchange(ctx, secured); err != nil || made != (s.protocol != "postgres") {
		t.Errorf("first exchange inside TLS: made %v, error %v", made, err)
	}
	client.Goodbye(t.Context(), secured)
	secured.Close()

	waitForLog(t, log, s.logout)

	// The protocols that s_client has another name for.
	names := map[string]string{"xmpp-client": "xmpp"}
	name := cmp.Or(names[s.protocol], s.protocol)
	text := output(t, "openssl", "s_client", "-starttls", name, "-connect", server.String(), "-xmpphost", xmppDomain, "-name", xmppDomain)
	if !strings.Contains(text, strings.TrimSpace(string(pem.EncodeToMemory(block)))) {
		t.Errorf("openssl s_client does not see the server's certificate:\n%s", text)
	}
}

// checkWithoutTLS checks that the dialogue reports a server without TLS.
func checkWithoutTLS(t *testing.T, protocol string, server netip.AddrPort) {
	conn, client := connect(t, protocol, server, xmppDomain)
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	dialogue, err := client.Start(ctx, conn)
	t.Logf("%+v: %v", dialogue.Transcript, err)
	if !errors.Is(err, starttls.ErrNotOffered) || dialogue.Offered {
		t.Errorf("offered %v, error %v", dialogue.Offered, err)
	}
	client.Goodbye(t.Context(), conn)
}

// TestXMPPUnknownDomain checks that a server without the domain rejects the
// client before it offers STARTTLS.
func TestXMPPUnknownDomain(t *testing.T) {
	configureLoopback(t)
	at := netip.MustParseAddr("127.0.2.1")
	startProsody(t, filepath.Join(tempDir(t), "prosody"), at, keyPair{})
	for protocol, port := range map[string]uint16{"xmpp-client": 5222, "xmpp-server": 5269} {
		conn, client := connect(t, protocol, netip.AddrPortFrom(at, port), "another.example.org")
		_, err := client.Start(t.Context(), conn)
		rejected, ok := errors.AsType[*starttls.Rejected](err)
		if !ok || rejected.Step == "STARTTLS" || !strings.Contains(rejected.Reply, "host-unknown") {
			t.Errorf("%s: error %v, want host-unknown before STARTTLS", protocol, err)
		}
		client.Goodbye(t.Context(), conn)
	}
}

// TestXMPPInternationalDomain checks that a domain in A-labels is asked for in
// U-labels.
func TestXMPPInternationalDomain(t *testing.T) {
	configureLoopback(t)
	at := netip.MustParseAddr("127.0.3.1")
	startProsody(t, filepath.Join(tempDir(t), "prosody"), at, keyPair{})
	for protocol, port := range map[string]uint16{"xmpp-client": 5222, "xmpp-server": 5269} {
		conn, client := connect(t, protocol, netip.AddrPortFrom(at, port), "xn--plauderstbchen-osb.test")
		if _, err := client.Start(t.Context(), conn); !errors.Is(err, starttls.ErrNotOffered) {
			t.Errorf("%s: error %v, want %v", protocol, err, starttls.ErrNotOffered)
		}
		client.Goodbye(t.Context(), conn)
	}
}

// TestXMPPServerCertificate checks handshakes with a server that requests or requires
// a certificate of other servers. The exporter has none, and servers have one. What
// follows the handshake therefore counts as an answer.
func TestXMPPServerCertificate(t *testing.T) {
	dir := tempDir(t)
	configureLoopback(t)
	leaf := newAuthority(t, dir).issue(t, "servers", "", "leaf", certificate{names: []string{xmppDomain}})
	at := netip.MustParseAddr("127.0.4.1")
	for _, c := range []struct {
		name, settings string
		cause          dane.Cause
		stage          dane.Stage
		log            string // of Prosody
	}{
		{"requested", `s2s_secure_auth = true`, dane.CauseNone, dane.StageTLS, "not-authorized"},
		{"requested, TLS 1.2", `s2s_secure_auth = true; s2s_ssl = { protocol = "tlsv1_2" }`, dane.CauseNone, dane.StageTLS, "not-authorized"},
		{"required", `s2s_secure_auth = true; s2s_ssl = { verify = { "peer", "fail_if_no_peer_cert" } }`, dane.CauseNone, dane.StageTLS, "peer did not return a certificate"},
		{"required, TLS 1.2", `s2s_secure_auth = true; s2s_ssl = { protocol = "tlsv1_2"; verify = { "peer", "fail_if_no_peer_cert" } }`,
			dane.CauseTLSUnsupported, dane.StageStartTLS, "peer did not return a certificate"},
	} {
		t.Run(c.name, func(t *testing.T) {
			log := startProsodyWith(t, filepath.Join(dir, strings.ReplaceAll(c.name, " ", "-")), at, keyPair{leaf, keyOf(leaf)}, c.settings)
			client := handshake.New(func(ctx context.Context, _ netip.Addr, to netip.AddrPort) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "tcp", to.String())
			}, "", 0)
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			defer cancel()
			for _, keyType := range []dane.KeyType{"", dane.ECDSA} {
				e := client.Do(ctx, handshake.Request{Timeout: timeout, MinWait: time.Second, Key: handshake.Key{
					Address: netip.AddrPortFrom(at, 5269), Protocol: "xmpp-server", Domain: xmppDomain, SNI: xmppDomain, KeyType: keyType}})
				block, _ := pem.Decode([]byte(readFile(t, leaf)))
				if dane.CauseOf(e.Err) != c.cause || e.Reached != c.stage || len(e.Raw) == 0 || !bytes.Equal(e.Raw[0], block.Bytes) {
					t.Errorf("key type %q: cause %d, want %d; stage %d, want %d; %d certificates: %v", keyType, dane.CauseOf(e.Err), c.cause, e.Reached, c.stage, len(e.Raw), e.Err)
				}
			}
			waitForLog(t, log, c.log)
		})
		at = at.Next()
	}
}

// waitForLog returns when a log file contains a text.
func waitForLog(t *testing.T, log, text string) {
	t.Helper()
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for deadline := time.After(timeout); !strings.Contains(readFile(t, log), text); {
		select {
		case <-retry.C:
		case <-deadline:
			t.Fatalf("the log does not contain %q after %v:\n%s", text, timeout, readFile(t, log))
		}
	}
}

// connect connects to a server and returns the client side of its protocol.
func connect(t *testing.T, protocol string, server netip.AddrPort, domain string) (net.Conn, *starttls.Client) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", server.String(), timeout)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	client, err := starttls.New(protocol, starttls.Settings{EHLO: "[127.0.0.1]", Domain: domain})
	if err != nil {
		t.Fatal(err)
	}
	return conn, client
}
