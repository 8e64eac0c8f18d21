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
	tell(t, "xmpp-client", []story{
		{"white space between elements", script{"", strings.ReplaceAll(xmppFeatures, "><", ">\n <"), "  " + xmppProceed}, nil, ""},
		{"other prefixes", script{"", "<s:stream xmlns:s='http://etherx.jabber.org/streams' version='1.1'><s:features><t:starttls xmlns:t='urn:ietf:params:xml:ns:xmpp-tls'/></s:features>",
			"<t:proceed xmlns:t='urn:ietf:params:xml:ns:xmpp-tls'></t:proceed>"}, nil, ""},

		{"no features", features(""), ErrNotOffered, ""},
		{"others, but no starttls", features("<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"), ErrNotOffered, ""},
		{"a starttls of another namespace", features("<starttls/>"), ErrNotOffered, ""},
		{"a starttls within something else", features("<x><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></x>"), ErrNotOffered, ""},
		{"an old server", script{"", strings.Replace(xmppHeader, " version='1.0'>", ">", 1)}, ErrNotOffered, "older than XMPP 1.0"},
		{"a server of version 0.9", script{"", strings.Replace(xmppHeader, " version='1.0'>", " version='0.9'>", 1)}, ErrNotOffered, "older than XMPP 1.0"},

		{"no such domain", script{"", xmppHeader + noHost}, &Rejected{}, "answers the stream header with error host-unknown not here"},
		{"starttls fails", script{"", xmppFeatures, "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>"}, &Rejected{}, "answers STARTTLS with failure"},
		{"an error in place of TLS", script{"", xmppFeatures, noHost}, &Rejected{}, "answers STARTTLS with error host-unknown"},

		{"another protocol", script{"", "220 mx.example.org\r\n<x>"}, &ProtocolError{}, "220 mx.example.org"},
		{"another document", script{"", "<html>"}, &ProtocolError{}, "<html>"},
		{"a stream of no namespace", script{"", "<stream version='1.0'>"}, &ProtocolError{}, "<stream"},
		{"a proceed of no namespace", script{"", xmppFeatures, "<proceed/>"}, &ProtocolError{}, "<proceed/>"},
		{"something else than features", script{"", xmppHeader + "<message/>"}, &ProtocolError{}, "<message/>"},
		{"the stream ends at once", script{"", xmppHeader + "</stream:stream>"}, &ProtocolError{}, "ends the stream"},
		{"no well-formed XML", script{"", xmppHeader + "<a></b>"}, &ProtocolError{}, "the answer to the stream header"},
		{"no UTF-8", script{"", "<?xml version='1.0' encoding='utf-16'?><x>"}, &ProtocolError{}, "utf-16"},
		{"two declarations", script{"", "<?xml version='1.0'?><?xml version='1.0'?>"}, &ProtocolError{}, "no stream may contain"},
		{"a document type", script{"", "<!DOCTYPE x [<!ENTITY a 'b'>]>"}, &ProtocolError{}, "no stream may contain"},
		{"a comment", script{"", xmppHeader + "<!-- x -->"}, &ProtocolError{}, "no stream may contain"},
		{"an entity", script{"", xmppHeader + "<a>&lol;</a>"}, &ProtocolError{}, "&lol;"},
		{"endless text", script{"", xmppHeader + strings.Repeat("x", 1<<20)}, &ProtocolError{}, "more than 262144 bytes"},
		{"endless depth", script{"", xmppHeader + strings.Repeat("<a>", 1<<18)}, &ProtocolError{}, "more than 262144 bytes"},
		{"an endless tag", script{"", "<a " + strings.Repeat("b='c' ", 1<<16)}, &ProtocolError{}, "more than 262144 bytes"},
		{"closes within the features", script{"", xmppFeatures[:len(xmppFeatures)-3]}, io.EOF, "the answer to the stream header"},
	})
}

func TestXMPPAsksForItsService(t *testing.T) {
	for protocol, namespace := range map[string]string{"xmpp-client": "jabber:client", "xmpp-server": "jabber:server"} {
		conn, commands := play(t, script{"", xmppFeatures, xmppProceed}, false)
		if _, err := speaker(t, protocol).Start(t.Context(), conn); err != nil {
			t.Fatal(err)
		}
		heard := <-commands
		if len(heard) != 2 || !strings.Contains(heard[0], " to='example.org' ") || !strings.Contains(heard[0], " xmlns='"+namespace+"' ") {
			t.Errorf("%s: the server heard %q", protocol, heard)
		}
	}
	for domain, to := range map[string]string{
		"a'><b":                         "a&#39;&gt;&lt;b",
		"xn--plauderstbchen-osb.test":   "plauderstübchen.test",
		"chat.xn--0.test":               "chat.xn--0.test", // nothing that could be decoded
		"xn--plauderstbchen-osb.a'test": "plauderstübchen.a&#39;test",
	} {
		p, err := New("xmpp-client", Settings{Domain: domain})
		if err != nil {
			t.Fatal(err)
		}
		conn, commands := play(t, script{"", ""}, false)
		dialogue, _ := p.Start(t.Context(), conn)
		if heard := <-commands; !strings.Contains(heard[0], "to='"+to+"'") {
			t.Errorf("the server heard %q", heard)
		}
		if told := dialogue.Transcript[0].Text; !strings.Contains(told, "to='"+to+"'") {
			t.Errorf("the transcript tells %q", told)
		}
	}
}

// A stream is ended in the document that it began; inside TLS that is a new one.
func TestXMPPGoodbye(t *testing.T) {
	header := xmpp{content: "jabber:client", domain: "example.org"}.header()
	p := speaker(t, "xmpp-client")
	conn, commands := play(t, script{"", "</stream:stream>"}, false)
	p.Goodbye(t.Context(), conn)
	if heard := <-commands; !slices.Equal(heard, []string{"</stream:stream>"}) {
		t.Errorf("in the clear the server heard %q", heard)
	}
	conn, commands = play(t, script{"", xmppFeatures, xmppProceed}, false)
	if _, err := p.Start(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	<-commands
	conn, commands = play(t, script{"", xmppFeatures + "</stream:stream>"}, false)
	p.Goodbye(t.Context(), conn)
	if heard := <-commands; !slices.Equal(heard, []string{header + "</stream:stream>"}) {
		t.Errorf("inside TLS the server heard %q", heard)
	}
}
