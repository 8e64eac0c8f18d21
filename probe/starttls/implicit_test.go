package starttls

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

// The SRV service names the protocol inside TLS, and without one the port does.
func TestResolve(t *testing.T) {
	for _, c := range []struct {
		name, service string
		port          uint16
		alpn          string
		exchange      bool
		known         bool
	}{
		{ImplicitTLS, "", 443, "http/1.1", false, true},
		{ImplicitTLS, "", 465, "", true, true},
		{ImplicitTLS, "", 993, "imap", true, true},
		{ImplicitTLS, "", 995, "pop3", true, true},
		{ImplicitTLS, "", 853, "dot", false, true},
		{ImplicitTLS, "", 636, "", true, true},
		{ImplicitTLS, "", 5432, "postgresql", false, true},
		{ImplicitTLS, "", 8443, "", false, true},
		{ImplicitTLS, "xmpps-client", 443, "xmpp-client", true, true},
		{ImplicitTLS, "xmpps-server", 443, "xmpp-server", true, true},
		{ImplicitTLS, "imaps", 443, "imap", true, true},
		{ImplicitTLS, "sips", 5061, "", false, true},
		{ImplicitTLS, "sips", 443, "", false, true},
		{"smtp", "", 25, "", true, true},
		{"smtp", "submission", 465, "", true, true},
		{"imap", "imap", 143, "imap", true, true},
		{"sieve", "", 4190, "managesieve", true, true},
		{"postgres", "", 5432, "postgresql", false, true},
		{"xmpp-client", "xmpp-client", 5222, "", true, true},
		{"xmpp-server", "xmpp-server", 5269, "", true, true},
		{"gopher", "", 443, "", false, false},
	} {
		p, known := Resolve(c.name, c.service, c.port)
		if mutual := strings.HasPrefix(c.name, "xmpp-server") || strings.HasPrefix(c.service, "xmpps-server"); p.Mutual != mutual {
			t.Errorf("%s, service %q: mutual %t", c.name, c.service, p.Mutual)
		}
		if known != c.known || p.ALPN != c.alpn || (p.negotiator != nil && !p.silent) != c.exchange || known && p.Name != c.name {
			t.Errorf("%s, service %q, port %d: %+v, %t", c.name, c.service, c.port, p, known)
		}
	}
}

// streamError returns a stream that ends with an error of this condition.
func streamError(condition string) string {
	return xmppHeader + "<stream:error><" + condition + " xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>"
}

// TestFirstExchange runs what a client does first inside TLS, on a connection
// without TLS.
func TestFirstExchange(t *testing.T) {
	const (
		ehloAgain = "EHLO probe.example.net\r\n"
		heloAgain = "HELO probe.example.net\r\n"
		done      = "0\x0c\x02\x01\x02e\x07\n\x01\x00\x04\x00\x04\x00" // searchResDone, message 2
	)
	noticeOfDisconnection := "0$\x02\x01\x00x\x1f\n\x01\x34\x04\x00\x04\x00\x8a\x161.3.6.1.4.1.1466.20036"
	smtps, imaps, pop3s := Settings{Port: 465}, Settings{Port: 993}, Settings{Port: 995}
	for _, c := range []struct {
		name     string
		protocol string
		settings Settings
		server   script
		want     error
		text     string
		sent     []string // checked if there is no error
	}{
		{"SMTP", "smtp", Settings{}, script{"", ehlo}, nil, "", []string{ehloAgain}},
		{"SMTP, 421", "smtp", Settings{}, script{"", "421 no certificate\r\n"}, &Rejected{}, "421 no certificate", nil},
		{"SMTP, 550 to EHLO and HELO", "smtp", Settings{}, script{"", "550 no\r\n", "550 go away\r\n"}, &Rejected{}, "550 go away", nil},
		{"SMTP, 450 to EHLO and HELO", "smtp", Settings{}, script{"", "450 no\r\n", "450 later\r\n"}, &Rejected{}, "450 later", nil},
		{"SMTP, HELO alone", "smtp", Settings{}, script{"", "502 no\r\n", "250 mx\r\n"}, nil, "", []string{ehloAgain, heloAgain}},
		{"SMTP, not SMTP", "smtp", Settings{}, script{"", "hello\r\n"}, &ProtocolError{}, "hello", nil},
		{"LMTP", "lmtp", Settings{}, script{"", ehlo}, nil, "", []string{"LHLO probe.example.net\r\n"}},
		{"LMTP, 500: no HELO", "lmtp", Settings{}, script{"", "500 no\r\n"}, &Rejected{}, "500 no", nil},
		{"submissions", "tls", smtps, script{greeting, ehlo}, nil, "", []string{ehloAgain}},
		{"submissions, greeting 554", "tls", smtps, script{"554 no\r\n"}, &Rejected{}, "greets with 554 no", nil},
		{"IMAP", "imap", Settings{}, script{"", "* CAPABILITY IMAP4rev2\r\nc OK done\r\n"}, nil, "", []string{"c CAPABILITY\r\n"}},
		{"IMAP, NO", "imap", Settings{}, script{"", "c NO certificate required\r\n"}, &Rejected{}, "certificate required", nil},
		{"IMAP, BYE", "imap", Settings{}, script{"", "* BYE no\r\n"}, &Rejected{}, "BYE no", nil},
		{"imaps", "tls", imaps, script{imapGreeting, "* CAPABILITY IMAP4rev2\r\nc OK done\r\n"}, nil, "", []string{"c CAPABILITY\r\n"}},
		{"imaps, PREAUTH", "tls", imaps, script{"* PREAUTH hello\r\n", "* CAPABILITY IMAP4rev2\r\nc OK done\r\n"}, nil, "", []string{"c CAPABILITY\r\n"}},
		{"imaps, BYE", "tls", imaps, script{"* BYE no\r\n"}, &Rejected{}, "BYE no", nil},
		{"POP3", "pop3", Settings{}, script{"", "+OK\r\nUIDL\r\n.\r\n"}, nil, "", []string{"CAPA\r\n"}},
		{"POP3, a blank line in the list", "pop3", Settings{}, script{"", "+OK\r\n\r\nUIDL\r\n.\r\n"}, nil, "", []string{"CAPA\r\n"}},
		{"POP3, closed instead of a reply", "pop3", Settings{}, script{"", ""}, io.EOF, "the reply to CAPA", nil},
		{"POP3, closed within the list", "pop3", Settings{}, script{"", "+OK\r\nUIDL\r\n"}, io.EOF, "the capabilities", nil},
		{"POP3, not POP3", "pop3", Settings{}, script{"", "hello\r\n"}, &ProtocolError{}, "hello", nil},
		{"POP3 without CAPA", "pop3", Settings{}, script{"", "-ERR what\r\n"}, nil, "", []string{"CAPA\r\n"}},
		{"pop3s", "tls", pop3s, script{pop3Greeting, "+OK\r\n.\r\n"}, nil, "", []string{"CAPA\r\n"}},
		{"pop3s, -ERR", "tls", pop3s, script{"-ERR no\r\n"}, &Rejected{}, "-ERR no", nil},
		{"ManageSieve", "sieve", Settings{}, script{sieveGreeting}, nil, "", nil},
		{"ManageSieve, BYE", "sieve", Settings{}, script{"BYE \"no\"\r\n"}, &Rejected{}, "BYE", nil},
		{"LDAP", "ldap", Settings{}, script{"", done}, nil, "", []string{"0*\x02\x01\x02c%\x04\x00\n\x01\x00\n\x01\x00\x02\x01\x01\x02\x01\x00\x01\x01\x00\x87\x0bobjectClass0\x05\x04\x031.1"}},
		{"LDAP, disconnected", "ldap", Settings{}, script{"", noticeOfDisconnection}, &Rejected{}, "Notice of Disconnection", nil},
		{"LDAP, not LDAP", "ldap", Settings{}, script{"", "HTTP/1.1 400\r\n\r\n"}, &ProtocolError{}, "", nil},
		{"XMPP", "xmpp-client", Settings{}, script{"", xmppFeatures}, nil, "", nil},
		{"XMPP, stream error", "xmpp-client", Settings{},
			script{"", streamError("policy-violation")}, &Rejected{}, "policy-violation", nil},
		{"XMPP, a server without a certificate", "xmpp-server", Settings{},
			script{"", streamError("not-authorized")}, nil, "", nil},
		{"xmpps", "tls", Settings{Service: "xmpps-client"}, script{"", xmppFeatures}, nil, "", nil},
		{"xmpps by SRV, unknown domain", "tls", Settings{Service: "xmpps-client", Port: 5223}, script{"", streamError("host-unknown")}, &Rejected{}, "host-unknown", nil},
		{"xmpps by port: the domain is a guess", "tls", Settings{Port: 5223}, script{"", streamError("host-unknown")}, nil, "", nil},
		{"xmpps by port, no longer served", "tls", Settings{Port: 5223}, script{"", streamError("host-gone")}, nil, "", nil},
		{"xmpps by port, no domain of this kind", "tls", Settings{Port: 5223}, script{"", streamError("improper-addressing")}, nil, "", nil},
		{"xmpps by port, rejected for another reason", "tls", Settings{Port: 5223}, script{"", streamError("policy-violation")}, &Rejected{}, "policy-violation", nil},
		{"xmpps by port, a condition of another namespace", "tls", Settings{Port: 5223}, script{"", strings.ReplaceAll(streamError("host-unknown"), "xmpp-streams", "x")}, &Rejected{}, "host-unknown", nil},
		{"xmpps by port, not XMPP", "tls", Settings{Port: 5223}, script{"", "HTTP/1.1 400\r\n\r\n<x>"}, &ProtocolError{}, "HTTP", nil},
		{"xmpps-server by port", "tls", Settings{Port: 5270}, script{"", streamError("host-unknown")}, nil, "", nil},
		{"xmpps-server by SRV, unknown domain", "tls", Settings{Service: "xmpps-server", Port: 5270}, script{"", streamError("host-unknown")}, &Rejected{}, "host-unknown", nil},
		{"xmpps-server by SRV, a server without a certificate", "tls", Settings{Service: "xmpps-server", Port: 5270}, script{"", streamError("policy-violation")}, nil, "", nil},
		{"XMPP of servers after STARTTLS, unknown domain", "xmpp-server", Settings{}, script{"", streamError("host-gone")}, &Rejected{}, "host-gone", nil},
		{"XMPP after STARTTLS, unknown domain", "xmpp-client", Settings{}, script{"", streamError("host-unknown")}, &Rejected{}, "host-unknown", nil},
		{"XMPP, redirected", "xmpp-client", Settings{}, script{"", streamError("see-other-host")}, nil, "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.settings.EHLO, c.settings.Domain = "probe.example.net", "example.org"
			client, err := New(c.protocol, c.settings)
			if err != nil {
				t.Fatal(err)
			}
			conn, commands := serve(t, c.server, false)
			made, err := client.FirstExchange(t.Context(), conn)
			if !made || !matchesError(err, c.want) || err != nil && !strings.Contains(err.Error(), c.text) {
				t.Fatalf("made %t, got %T %v, want %T with %q", made, err, err, c.want, c.text)
			}
			if got := <-commands; c.sent != nil && !slices.Equal(got, c.sent) {
				t.Errorf("the server received %q, want %q", got, c.sent)
			}
		})
	}
}

// Protocols without a first exchange touch nothing.
func TestNoFirstExchange(t *testing.T) {
	for _, c := range []struct {
		protocol string
		port     uint16
	}{{"postgres", 5432}, {"tls", 443}, {"tls", 853}, {"tls", 5432}, {"tls", 8443}} {
		t.Run(fmt.Sprintf("%s %d", c.protocol, c.port), func(t *testing.T) {
			client, err := New(c.protocol, Settings{Port: c.port})
			if err != nil {
				t.Fatal(err)
			}
			if made, err := client.FirstExchange(t.Context(), nil); made || err != nil {
				t.Error(made, err)
			}
		})
	}
}
