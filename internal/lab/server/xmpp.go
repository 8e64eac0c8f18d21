package server

import (
	"context"
	"crypto/tls"
	"encoding/xml"
	"fmt"
	"io"
	"net"
)

// XMPP is an XMPP server that offers STARTTLS for its Domain (RFC 6120 §5). Inside TLS
// its stream has no features.
type XMPP struct {
	Domain string
	TLS    *tls.Config

	ServerToServer bool // for other servers instead of clients
	NoStartTLS     bool // starttls is not a stream feature
	Reject         bool // the answer to starttls is failure
}

// Serve implements Handler.
func (x XMPP) Serve(ctx context.Context, conn net.Conn) {
	if !x.negotiate(conn) {
		fmt.Fprint(conn, "</stream:stream>")
		return
	}
	inside := x
	inside.NoStartTLS = true
	TLS{x.TLS, inside}.Serve(ctx, conn)
}

// negotiate serves the stream up to proceed. It reports whether TLS follows.
func (x XMPP) negotiate(conn net.Conn) bool {
	// Bytes that the decoder reads ahead are lost. There are none: a client sends
	// nothing between starttls and proceed.
	elements := xml.NewDecoder(io.LimitReader(conn, 4096))
	stream, ok := next(elements, "stream")
	content := "jabber:client"
	if x.ServerToServer {
		content = "jabber:server"
	}
	fmt.Fprintf(conn, "<?xml version='1.0'?><stream:stream xmlns='%s' xmlns:stream='http://etherx.jabber.org/streams' id='1' from='%s' version='1.0'>", content, x.Domain)
	switch {
	case !ok || attribute(stream, "xmlns") != content:
		fmt.Fprint(conn, "<stream:error><invalid-namespace xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>")
		return false
	case attribute(stream, "to") != x.Domain:
		fmt.Fprint(conn, "<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>")
		return false
	case x.NoStartTLS:
		fmt.Fprint(conn, "<stream:features/>")
		return false
	}
	fmt.Fprint(conn, "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>")
	if _, ok := next(elements, "starttls"); !ok {
		return false
	}
	if x.Reject {
		fmt.Fprint(conn, "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
		return false
	}
	fmt.Fprint(conn, "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
	return true
}

// next skips to the next start of an element of that name.
func next(elements *xml.Decoder, name string) (xml.StartElement, bool) {
	for {
		token, err := elements.Token()
		if err != nil {
			return xml.StartElement{}, false
		}
		if start, ok := token.(xml.StartElement); ok && start.Name.Local == name {
			return start, true
		}
	}
}

// attribute returns the value of an attribute, or "".
func attribute(element xml.StartElement, name string) string {
	for _, a := range element.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}
