package starttls

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"golang.org/x/net/idna"
)

// xmpp is the dialogue of RFC 6120 §5.4. Each side sends one XML document that
// grows as they speak, a stream; what one says are the elements below its root:
//
//	C: <stream:stream to='example.org' version='1.0' …>
//	S: <stream:stream from='example.org' version='1.0' …>
//	S: <stream:features><starttls/></stream:features>
//	C: <starttls/>
//	S: <proceed/>
//
// Clients and servers speak it alike; what they say later is in different
// namespaces (RFC 6120 §4.8.2).
type xmpp struct {
	content string // the namespace: "jabber:client" or "jabber:server"
	domain  string // the service that is asked for
}

const (
	nsStreams = "http://etherx.jabber.org/streams" // RFC 6120 §4.8.1
	nsTLS     = "urn:ietf:params:xml:ns:xmpp-tls"  // RFC 6120 §5.4.2
)

func (p xmpp) startTLS(s *session) error {
	const answer = "the answer to the stream header"
	header := p.header()
	if err := s.write(header, printable(header)); err != nil {
		return err
	}
	peer := newStream(s)
	modern, err := peer.open(answer)
	if err != nil {
		return err
	}
	if !modern {
		// No version means one that has no features (RFC 6120 §4.7.5).
		return fmt.Errorf("%w: its stream is older than XMPP 1.0", ErrNotOffered)
	}
	features, err := peer.element(answer)
	switch {
	case err != nil:
		return err
	case features.is(nsStreams, "error"):
		return &Rejected{Step: "the stream header", Reply: features.condition()}
	case !features.is(nsStreams, "features"):
		return unexpected(answer, features.raw)
	}
	if s.offered = features.has(nsTLS, "starttls"); !s.offered {
		return ErrNotOffered
	}

	const request, reply = "<starttls xmlns='" + nsTLS + "'/>", "the reply to starttls"
	if err := s.write(request, request); err != nil {
		return err
	}
	verdict, err := peer.element(reply)
	switch {
	case err != nil:
		return err
	case verdict.is(nsTLS, "proceed"):
		return nil
	case verdict.is(nsTLS, "failure"), verdict.is(nsStreams, "error"):
		return &Rejected{Step: "STARTTLS", Reply: verdict.condition()}
	}
	return unexpected(reply, verdict.raw)
}

// goodbye closes the stream and waits until the server has closed its own
// (RFC 6120 §4.4). Inside TLS, one has to be opened first (RFC 6120 §5.4.3.3).
func (p xmpp) goodbye(s *session) {
	const end = "</stream:stream>"
	farewell := end
	if s.secured {
		farewell = p.header() + end
	}
	if s.write(farewell, printable(farewell)) == nil {
		io.Copy(io.Discard, s)
	}
}

// header opens our stream. Addresses of XMPP have no A-labels: each becomes a
// U-label (RFC 7622 §3.2.1), where it can.
func (p xmpp) header() string {
	domain, err := idna.ToUnicode(p.domain)
	if err != nil {
		domain = p.domain
	}
	var to strings.Builder
	xml.EscapeText(&to, []byte(domain))
	return fmt.Sprintf("<?xml version='1.0'?><stream:stream to='%s' version='1.0' xml:lang='en' xmlns='%s' xmlns:stream='%s'>", &to, p.content, nsStreams)
}
