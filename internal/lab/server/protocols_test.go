package server

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// turn is what a client says, and what it hears then.
type turn struct{ say, hear string }

const (
	ldapStartTLS = "\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037"
	ldapAnswer   = "\x8a\x161.3.6.1.4.1.1466.20037"
	xmppOpen     = "<?xml version='1.0'?><stream:stream to='chat.example' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
	xmppOpened   = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' id='1' from='chat.example' version='1.0'>"
	xmppOffer    = xmppOpened + "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>"
	xmppAsk      = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
)

// Each protocol as its RFC has it: to TLS and good-bye, without TLS, or with
// TLS refused.
func TestProtocols(t *testing.T) {
	_, _, leaf := pki(t)
	config := TLSConfig(leaf.Chain())
	for _, test := range []struct {
		story  string
		server Handler
		plain  []turn
		tls    []turn // inside TLS; nil: it does not come to that
	}{
		{"LMTP", LMTP{Name: "mx.example", TLS: config},
			[]turn{{"", "220 mx.example ESMTP\r\n"}, {"EHLO x\r\n", "502 no such command\r\n"}, {"HELO x\r\n", "502 no such command\r\n"},
				{"LHLO x\r\n", "250-mx.example\r\n250-PIPELINING\r\n250-SIZE 10240000\r\n250-STARTTLS\r\n250 8BITMIME\r\n"}, {"STARTTLS\r\n", "220 go ahead\r\n"}},
			[]turn{{"QUIT\r\n", "221 mx.example closing\r\n"}}},
		{"IMAP", IMAP{TLS: config},
			[]turn{{"", "* OK ready\r\n"}, {"a CAPABILITY\r\n", "* CAPABILITY IMAP4rev2 STARTTLS LOGINDISABLED\r\na OK done\r\n"}, {"b starttls\r\n", "b OK go ahead\r\n"}},
			[]turn{{"c CAPABILITY\r\n", "* CAPABILITY IMAP4rev2\r\nc OK done\r\n"}, {"d STARTTLS\r\n", "d BAD no such command\r\n"}, {"e LOGOUT\r\n", "* BYE until next time\r\ne OK done\r\n"}}},
		{"IMAP without TLS", IMAP{NoStartTLS: true},
			[]turn{{"", "* OK ready\r\n"}, {"a CAPABILITY\r\n", "* CAPABILITY IMAP4rev2\r\na OK done\r\n"}, {"b STARTTLS\r\n", "b BAD no such command\r\n"}, {"x\r\n", "* BAD wanted a tag and a command\r\n"}}, nil},
		{"IMAP that refuses", IMAP{Reject: true}, []turn{{"", "* OK ready\r\n"}, {"b STARTTLS\r\n", "b NO not now\r\n"}}, nil},
		{"POP3", POP3{TLS: config},
			[]turn{{"", "+OK ready\r\n"}, {"CAPA\r\n", "+OK\r\nUIDL\r\nSTLS\r\n.\r\n"}, {"STLS\r\n", "+OK go ahead\r\n"}},
			[]turn{{"CAPA\r\n", "+OK\r\nUIDL\r\n.\r\n"}, {"STLS\r\n", "-ERR no such command\r\n"}, {"QUIT\r\n", "+OK until next time\r\n"}}},
		{"POP3 without TLS", POP3{NoStartTLS: true}, []turn{{"", "+OK ready\r\n"}, {"CAPA\r\n", "+OK\r\nUIDL\r\n.\r\n"}, {"STLS\r\n", "-ERR no such command\r\n"}}, nil},
		{"POP3 that refuses", POP3{Reject: true}, []turn{{"", "+OK ready\r\n"}, {"STLS\r\n", "-ERR not now\r\n"}}, nil},
		{"ManageSieve", Sieve{TLS: config},
			[]turn{{"", "\"IMPLEMENTATION\" \"lab\"\r\n\"SIEVE\" \"fileinto\"\r\n\"STARTTLS\"\r\nOK\r\n"}, {"STARTTLS\r\n", "OK \"go ahead\"\r\n"}},
			[]turn{{"", "\"IMPLEMENTATION\" \"lab\"\r\n\"SIEVE\" \"fileinto\"\r\nOK\r\n"}, {"LOGOUT\r\n", "OK \"until next time\"\r\n"}}},
		{"ManageSieve without TLS", Sieve{NoStartTLS: true},
			[]turn{{"", "\"IMPLEMENTATION\" \"lab\"\r\n\"SIEVE\" \"fileinto\"\r\nOK\r\n"}, {"STARTTLS\r\n", "NO \"no such command\"\r\n"}}, nil},
		{"ManageSieve that refuses", Sieve{Reject: true},
			[]turn{{"", "\"IMPLEMENTATION\" \"lab\"\r\n\"SIEVE\" \"fileinto\"\r\n\"STARTTLS\"\r\nOK\r\n"}, {"STARTTLS\r\n", "NO \"not now\"\r\n"}}, nil},
		{"LDAP", LDAP{TLS: config}, []turn{{ldapStartTLS, "\x30\x24\x02\x01\x01\x78\x1f\x0a\x01\x00\x04\x00\x04\x00" + ldapAnswer}}, []turn{{"\x30\x05\x02\x01\x02\x42\x00", ""}}},
		{"LDAP without TLS", LDAP{NoStartTLS: true}, []turn{{ldapStartTLS, "\x30\x1d\x02\x01\x01\x78\x18\x0a\x01\x02\x04\x00\x04\x11no such operation"}}, nil},
		{"LDAP that refuses", LDAP{Reject: true}, []turn{{ldapStartTLS, "\x30\x2b\x02\x01\x01\x78\x26\x0a\x01\x34\x04\x00\x04\x07not now" + ldapAnswer}}, nil},
		{"PostgreSQL", Postgres{TLS: config}, []turn{{sslRequest, "S"}}, []turn{}},
		{"PostgreSQL without TLS", Postgres{NoStartTLS: true}, []turn{{sslRequest, "N"}}, nil},
		{"what is no PostgreSQL", Postgres{Garbage: true}, []turn{{sslRequest, "?"}}, nil},
		{"XMPP", XMPP{Domain: "chat.example", TLS: config},
			[]turn{{xmppOpen, xmppOffer}, {xmppAsk, "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"}}, []turn{{xmppOpen, "</stream:stream>"}}},
		{"XMPP between servers", XMPP{Domain: "chat.example", ServerToServer: true},
			[]turn{{strings.Replace(xmppOpen, "client", "server", 1), strings.Replace(xmppOffer, "client", "server", 1)}}, nil},
		{"XMPP without TLS", XMPP{Domain: "chat.example", NoStartTLS: true}, []turn{{xmppOpen, xmppOpened + "<stream:features/></stream:stream>"}}, nil},
		{"XMPP that refuses", XMPP{Domain: "chat.example", Reject: true},
			[]turn{{xmppOpen, xmppOffer}, {xmppAsk, "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>"}}, nil},
		{"XMPP of another domain", XMPP{Domain: "other.example"},
			[]turn{{xmppOpen, strings.Replace(xmppOpened, "chat", "other", 1) + "<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>"}}, nil},
	} {
		t.Run(test.story, func(t *testing.T) {
			conn, err := net.Dial("tcp", start(t, test.server))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(10 * time.Second))
			talk(t, conn, test.plain)
			if test.tls == nil {
				return
			}
			secured := tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
			if err := secured.Handshake(); err != nil {
				t.Fatal(err)
			}
			talk(t, secured, test.tls)
		})
	}
}

func talk(t *testing.T, conn net.Conn, turns []turn) {
	t.Helper()
	for _, turn := range turns {
		if _, err := io.WriteString(conn, turn.say); err != nil {
			t.Fatal(err)
		}
		heard := make([]byte, len(turn.hear))
		if n, err := io.ReadFull(conn, heard); err != nil || string(heard) != turn.hear {
			t.Fatalf("to %q it says %q, %v, want %q", turn.say, heard[:n], err, turn.hear)
		}
	}
}

func TestSOCKS(t *testing.T) {
	const greeting, welcome = "\x05\x01\x00", "\x05\x00"
	proxy := SOCKS{Dial: func(_ context.Context, to netip.AddrPort) (net.Conn, error) {
		if to != netip.MustParseAddrPort("192.0.2.25:25") {
			return nil, errors.New("nobody there")
		}
		client, server := net.Pipe()
		go func() { io.WriteString(server, "220 hello\r\n"); io.Copy(server, server) }()
		return client, nil
	}}
	reply := func(code string) string { return "\x05" + code + "\x00\x01\x00\x00\x00\x00\x00\x00" }
	for story, turns := range map[string][]turn{
		"a server":                {{greeting, welcome}, {"\x05\x01\x00\x01\xc0\x00\x02\x19\x00\x19", reply("\x00") + "220 hello\r\n"}, {"echo", "echo"}},
		"nobody":                  {{greeting, welcome}, {"\x05\x01\x00\x01\xc0\x00\x02\x1a\x00\x19", reply("\x05")}},
		"IPv6":                    {{greeting, welcome}, {"\x05\x01\x00\x04\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x19", reply("\x03")}},
		"a client with passwords": {{"\x05\x01\x02", "\x05\xff"}},
	} {
		t.Run(story, func(t *testing.T) {
			conn, err := net.Dial("tcp", start(t, proxy))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(10 * time.Second))
			talk(t, conn, turns)
		})
	}
}
