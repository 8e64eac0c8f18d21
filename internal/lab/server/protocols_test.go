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

// exchange is what a client sends, and the response that it expects.
type exchange struct{ send, want string }

const (
	ldapStartTLS = "\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037"
	ldapAnswer   = "\x8a\x161.3.6.1.4.1.1466.20037"
	xmppOpen     = "<?xml version='1.0'?><stream:stream to='chat.example' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
	xmppOpened   = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' id='1' from='chat.example' version='1.0'>"
	xmppOffer    = xmppOpened + "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>"
	xmppAsk      = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
)

// TestProtocols runs the dialogue of each protocol up to TLS and the end, without TLS,
// and with TLS rejected.
func TestProtocols(t *testing.T) {
	_, _, leaf := pki(t)
	config := TLSConfig(leaf.Chain())
	for _, test := range []struct {
		name   string
		server Handler
		plain  []exchange
		tls    []exchange // inside TLS; nil: there is no handshake
	}{
		{"LMTP", LMTP{Name: "mx.example", TLS: config},
			[]exchange{{"", "220 mx.example ESMTP\r\n"}, {"EHLO x\r\n", "502 no such command\r\n"}, {"HELO x\r\n", "502 no such command\r\n"},
				{"LHLO x\r\n", "250-mx.example\r\n250-PIPELINING\r\n250-SIZE 10240000\r\n250-STARTTLS\r\n250 8BITMIME\r\n"}, {"STARTTLS\r\n", "220 go ahead\r\n"}},
			[]exchange{{"QUIT\r\n", "221 mx.example closing\r\n"}}},
		{"IMAP", IMAP{TLS: config},
			[]exchange{{"", "* OK ready\r\n"}, {"a CAPABILITY\r\n", "* CAPABILITY IMAP4rev2 STARTTLS LOGINDISABLED\r\na OK done\r\n"}, {"b starttls\r\n", "b OK go ahead\r\n"}},
			[]exchange{{"c CAPABILITY\r\n", "* CAPABILITY IMAP4rev2\r\nc OK done\r\n"}, {"d STARTTLS\r\n", "d BAD no such command\r\n"}, {"e LOGOUT\r\n", "* BYE until next time\r\ne OK done\r\n"}}},
		{"IMAP without TLS", IMAP{NoStartTLS: true},
			[]exchange{{"", "* OK ready\r\n"}, {"a CAPABILITY\r\n", "* CAPABILITY IMAP4rev2\r\na OK done\r\n"}, {"b STARTTLS\r\n", "b BAD no such command\r\n"}, {"x\r\n", "* BAD expected a tag and a command\r\n"}}, nil},
		{"IMAP, TLS rejected", IMAP{Reject: true}, []exchange{{"", "* OK ready\r\n"}, {"b STARTTLS\r\n", "b NO not now\r\n"}}, nil},
		{"POP3", POP3{TLS: config},
			[]exchange{{"", "+OK ready\r\n"}, {"CAPA\r\n", "+OK\r\nUIDL\r\nSTLS\r\n.\r\n"}, {"STLS\r\n", "+OK go ahead\r\n"}},
			[]exchange{{"CAPA\r\n", "+OK\r\nUIDL\r\n.\r\n"}, {"STLS\r\n", "-ERR no such command\r\n"}, {"QUIT\r\n", "+OK until next time\r\n"}}},
		{"POP3 without TLS", POP3{NoStartTLS: true}, []exchange{{"", "+OK ready\r\n"}, {"CAPA\r\n", "+OK\r\nUIDL\r\n.\r\n"}, {"STLS\r\n", "-ERR no such command\r\n"}}, nil},
		{"POP3, TLS rejected", POP3{Reject: true}, []exchange{{"", "+OK ready\r\n"}, {"STLS\r\n", "-ERR not now\r\n"}}, nil},
		{"ManageSieve", Sieve{TLS: config},
			[]exchange{{"", "\"IMPLEMENTATION\" \"lab\"\r\n\"SIEVE\" \"fileinto\"\r\n\"STARTTLS\"\r\nOK\r\n"}, {"STARTTLS\r\n", "OK \"go ahead\"\r\n"}},
			[]exchange{{"", "\"IMPLEMENTATION\" \"lab\"\r\n\"SIEVE\" \"fileinto\"\r\nOK\r\n"}, {"LOGOUT\r\n", "OK \"until next time\"\r\n"}}},
		{"ManageSieve without TLS", Sieve{NoStartTLS: true},
			[]exchange{{"", "\"IMPLEMENTATION\" \"lab\"\r\n\"SIEVE\" \"fileinto\"\r\nOK\r\n"}, {"STARTTLS\r\n", "NO \"no such command\"\r\n"}}, nil},
		{"ManageSieve, TLS rejected", Sieve{Reject: true},
			[]exchange{{"", "\"IMPLEMENTATION\" \"lab\"\r\n\"SIEVE\" \"fileinto\"\r\n\"STARTTLS\"\r\nOK\r\n"}, {"STARTTLS\r\n", "NO \"not now\"\r\n"}}, nil},
		{"LDAP", LDAP{TLS: config}, []exchange{{ldapStartTLS, "\x30\x24\x02\x01\x01\x78\x1f\x0a\x01\x00\x04\x00\x04\x00" + ldapAnswer}}, []exchange{
			{"0%\x02\x01\x02c \x04\x00\n\x01\x00\n\x01\x00\x02\x01\x01\x02\x01\x00\x01\x01\x00\x87\x0bobjectClass0\x00", "0\x0c\x02\x01\x02e\x07\n\x01\x00\x04\x00\x04\x00"},
			{"\x30\x05\x02\x01\x03\x42\x00", ""}}},
		{"LDAP without TLS", LDAP{NoStartTLS: true}, []exchange{{ldapStartTLS, "\x30\x1d\x02\x01\x01\x78\x18\x0a\x01\x02\x04\x00\x04\x11no such operation"}}, nil},
		{"LDAP, TLS rejected", LDAP{Reject: true}, []exchange{{ldapStartTLS, "\x30\x2b\x02\x01\x01\x78\x26\x0a\x01\x34\x04\x00\x04\x07not now" + ldapAnswer}}, nil},
		{"PostgreSQL", Postgres{TLS: config}, []exchange{{sslRequest, "S"}}, []exchange{}},
		{"PostgreSQL without TLS", Postgres{NoStartTLS: true}, []exchange{{sslRequest, "N"}}, nil},
		{"PostgreSQL, garbage", Postgres{Garbage: true}, []exchange{{sslRequest, "?"}}, nil},
		{"XMPP", XMPP{Domain: "chat.example", TLS: config},
			[]exchange{{xmppOpen, xmppOffer}, {xmppAsk, "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"}}, []exchange{{xmppOpen, xmppOpened + "<stream:features/></stream:stream>"}}},
		{"XMPP between servers", XMPP{Domain: "chat.example", ServerToServer: true},
			[]exchange{{strings.Replace(xmppOpen, "client", "server", 1), strings.Replace(xmppOffer, "client", "server", 1)}}, nil},
		{"XMPP without TLS", XMPP{Domain: "chat.example", NoStartTLS: true}, []exchange{{xmppOpen, xmppOpened + "<stream:features/></stream:stream>"}}, nil},
		{"XMPP, TLS rejected", XMPP{Domain: "chat.example", Reject: true},
			[]exchange{{xmppOpen, xmppOffer}, {xmppAsk, "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>"}}, nil},
		{"XMPP of another domain", XMPP{Domain: "other.example"},
			[]exchange{{xmppOpen, strings.Replace(xmppOpened, "chat", "other", 1) + "<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>"}}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", start(t, test.server))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(10 * time.Second))
			run(t, conn, test.plain)
			if test.tls == nil {
				return
			}
			secured := tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
			if err := secured.Handshake(); err != nil {
				t.Fatal(err)
			}
			run(t, secured, test.tls)
		})
	}
}

// run makes the exchanges on a connection.
func run(t *testing.T, conn net.Conn, exchanges []exchange) {
	t.Helper()
	for _, e := range exchanges {
		if _, err := io.WriteString(conn, e.send); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(e.want))
		if n, err := io.ReadFull(conn, got); err != nil || string(got) != e.want {
			t.Fatalf("response to %q: %q, %v, want %q", e.send, got[:n], err, e.want)
		}
	}
}

func TestSOCKS(t *testing.T) {
	const greeting, welcome = "\x05\x01\x00", "\x05\x00"
	proxy := SOCKS{Dial: func(_ context.Context, to netip.AddrPort) (net.Conn, error) {
		if to != netip.MustParseAddrPort("192.0.2.25:25") {
			return nil, errors.New("connection refused")
		}
		client, server := net.Pipe()
		go func() { io.WriteString(server, "220 hello\r\n"); io.Copy(server, server) }()
		return client, nil
	}}
	reply := func(code string) string { return "\x05" + code + "\x00\x01\x00\x00\x00\x00\x00\x00" }
	for name, exchanges := range map[string][]exchange{
		"success":                             {{greeting, welcome}, {"\x05\x01\x00\x01\xc0\x00\x02\x19\x00\x19", reply("\x00") + "220 hello\r\n"}, {"echo", "echo"}},
		"connection refused":                  {{greeting, welcome}, {"\x05\x01\x00\x01\xc0\x00\x02\x1a\x00\x19", reply("\x05")}},
		"IPv6":                                {{greeting, welcome}, {"\x05\x01\x00\x04\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x19", reply("\x03")}},
		"no acceptable authentication method": {{"\x05\x01\x02", "\x05\xff"}},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", start(t, proxy))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(10 * time.Second))
			run(t, conn, exchanges)
		})
	}
}
