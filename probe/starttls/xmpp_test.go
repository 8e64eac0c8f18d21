package starttls

import (
	"io"
	"slices"
	"strings"
	"testing"
)

const (
	xmppHeader   = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' id='1' from='example.org' version='1.0'>"
	xmppFeatures = xmppHeader + "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls><x xmlns='y'>z</x></stream:features>"
	xmppProceed  = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
)

func TestXMPP(t *testing.T) {
	const (
		conditions = "urn:ietf:params:xml:ns:xmpp-streams"
		noHost     = "<stream:error><host-unknown xmlns='" + conditions + "'/><text xmlns='" + conditions + "'>not here</text></stream:error></stream:stream>"
	)
	features := func(inside string) script {
		return script{"", xmppHeader + "<stream:features>" + inside + "</stream:features>"}
	}
	runCases(t, "xmpp-client", []testCase{
		{"white space between elements", script{"", strings.ReplaceAll(xmppFeatures, "><", ">\n <"), "  " + xmppProceed}, nil, ""},
		{"other prefixes", script{"", "<s:stream xmlns:s='http://etherx.jabber.org/streams' version='1.1'><s:features><t:starttls xmlns:t='urn:ietf:params:xml:ns:xmpp-tls'/></s:features>",
			"<t:proceed xmlns:t='urn:ietf:params:xml:ns:xmpp-tls'></t:proceed>"}, nil, ""},

		{"no features", features(""), ErrNotOffered, ""},
		{"other features only", features("<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"), ErrNotOffered, ""},
		{"a starttls of another namespace", features("<starttls/>"), ErrNotOffered, ""},
		{"a starttls within something else", features("<x><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></x>"), ErrNotOffered, ""},
		{"a stream without a version", script{"", strings.Replace(xmppHeader, " version='1.0'>", ">", 1)}, ErrNotOffered, "older than XMPP 1.0"},
		{"a stream of version 0.9", script{"", strings.Replace(xmppHeader, " version='1.0'>", " version='0.9'>", 1)}, ErrNotOffered, "older than XMPP 1.0"},

		{"an unknown domain", script{"", xmppHeader + noHost}, &Rejected{}, "answers the stream header with error host-unknown not here"},
		{"starttls fails", script{"", xmppFeatures, "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>"}, &Rejected{}, "answers STARTTLS with failure"},
		{"an error instead of a reply to starttls", script{"", xmppFeatures, noHost}, &Rejected{}, "answers STARTTLS with error host-unknown"},

		{"another protocol", script{"", "220 mx.example.org\r\n<x>"}, &ProtocolError{}, "220 mx.example.org"},
		{"another document", script{"", "<html>"}, &ProtocolError{}, "<html>"},
		{"a stream of no namespace", script{"", "<stream version='1.0'>"}, &ProtocolError{}, "<stream"},
		{"a proceed of no namespace", script{"", xmppFeatures, "<proceed/>"}, &ProtocolError{}, "<proceed/>"},
		{"another element instead of features", script{"", xmppHeader + "<message/>"}, &ProtocolError{}, "<message/>"},
		{"the stream ends immediately", script{"", xmppHeader + "</stream:stream>"}, &ProtocolError{}, "the end of the stream"},
		{"XML that is not well-formed", script{"", xmppHeader + "<a></b>"}, &ProtocolError{}, "the answer to the stream header"},
		{"another encoding", script{"", "<?xml version='1.0' encoding='utf-16'?><x>"}, &ProtocolError{}, "utf-16"},
		{"two declarations", script{"", "<?xml version='1.0'?><?xml version='1.0'?>"}, &ProtocolError{}, "a stream must not contain"},
		{"a document type", script{"", "<!DOCTYPE x [<!ENTITY a 'b'>]>"}, &ProtocolError{}, "a stream must not contain"},
		{"a comment", script{"", xmppHeader + "<!-- x -->"}, &ProtocolError{}, "a stream must not contain"},
		{"an entity", script{"", xmppHeader + "<a>&lol;</a>"}, &ProtocolError{}, "&lol;"},
		{"endless text", script{"", xmppHeader + strings.Repeat("x", 1<<20)}, &ProtocolError{}, "more than 262144 bytes"},
		{"endless depth", script{"", xmppHeader + strings.Repeat("<a>", 1<<18)}, &ProtocolError{}, "more than 262144 bytes"},
		{"an endless tag", script{"", "<a " + strings.Repeat("b='c' ", 1<<16)}, &ProtocolError{}, "more than 262144 bytes"},
		{"connection closed within the features", script{"", xmppFeatures[:len(xmppFeatures)-3]}, io.EOF, "the answer to the stream header"},
	})
}

func TestXMPPStreamHeader(t *testing.T) {
	for protocol, namespace := range map[string]string{"xmpp-client": "jabber:client", "xmpp-server": "jabber:server"} {
		conn, commands := serve(t, script{"", xmppFeatures, xmppProceed}, false)
		if _, err := newClient(t, protocol).Start(t.Context(), conn); err != nil {
			t.Fatal(err)
		}
		got := <-commands
		if len(got) != 2 || !strings.Contains(got[0], " to='example.org' ") || !strings.Contains(got[0], " xmlns='"+namespace+"' ") {
			t.Errorf("%s: the server received %q", protocol, got)
		}
	}
	for domain, to := range map[string]string{
		"a'><b":                         "a&#39;&gt;&lt;b",
		"xn--plauderstbchen-osb.test":   "plauderstübchen.test",
		"chat.xn--0.test":               "chat.xn--0.test", // cannot be decoded
		"xn--plauderstbchen-osb.a'test": "plauderstübchen.a&#39;test",
	} {
		client, err := New("xmpp-client", Settings{Domain: domain})
		if err != nil {
			t.Fatal(err)
		}
		conn, commands := serve(t, script{"", ""}, false)
		dialogue, _ := client.Start(t.Context(), conn)
		if got := <-commands; !strings.Contains(got[0], "to='"+to+"'") {
			t.Errorf("the server received %q", got)
		}
		if sent := dialogue.Transcript[0].Text; !strings.Contains(sent, "to='"+to+"'") {
			t.Errorf("the transcript has %q", sent)
		}
	}
}

// The end tag closes the document that the header began. Inside TLS that is a new one.
func TestXMPPGoodbye(t *testing.T) {
	header := xmpp{namespace: "jabber:client", domain: "example.org"}.header()
	client := newClient(t, "xmpp-client")
	conn, commands := serve(t, script{"", "</stream:stream>"}, false)
	client.Goodbye(t.Context(), conn)
	if got := <-commands; !slices.Equal(got, []string{"</stream:stream>"}) {
		t.Errorf("in plaintext the server received %q", got)
	}
	conn, commands = serve(t, script{"", xmppFeatures, xmppProceed}, false)
	if _, err := client.Start(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	<-commands
	conn, commands = serve(t, script{"", xmppFeatures, "</stream:stream>"}, false)
	if made, err := client.FirstExchange(t.Context(), conn); !made || err != nil {
		t.Fatal(made, err)
	}
	client.Goodbye(t.Context(), conn)
	if got := <-commands; !slices.Equal(got, []string{header, "</stream:stream>"}) {
		t.Errorf("inside TLS the server received %q", got)
	}
}
