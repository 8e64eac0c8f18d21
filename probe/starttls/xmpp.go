package starttls

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"golang.org/x/net/idna"
)

// xmpp negotiates TLS in XMPP (RFC 6120 §5.4). Each side sends one XML document
// that grows during the session, a stream. The messages are the elements below
// its root:
//
//	C: <stream:stream to='example.org' version='1.0' …>
//	S: <stream:stream from='example.org' version='1.0' …>
//	S: <stream:features><starttls/></stream:features>
//	C: <starttls/>
//	S: <proceed/>
//
// Connections from clients and from servers differ in the namespace of what
// they send later (RFC 6120 §4.8.2), which the stream header declares.
type xmpp struct {
	namespace string // "jabber:client" or "jabber:server"
	domain    string // the service that is asked for
	service   string // of the SRV record of the domain that named the server; empty: none
}

func newXMPPClient(s Settings) negotiator { return xmpp{"jabber:client", s.Domain, s.Service} }
func newXMPPServer(s Settings) negotiator { return xmpp{"jabber:server", s.Domain, s.Service} }

const (
	nsStreams    = "http://etherx.jabber.org/streams"    // RFC 6120 §4.8.1
	nsConditions = "urn:ietf:params:xml:ns:xmpp-streams" // RFC 6120 §4.9.2
	nsTLS        = "urn:ietf:params:xml:ns:xmpp-tls"     // RFC 6120 §5.4.2
)

func (p xmpp) startTLS(s *session) error {
	stream, features, err := p.openStream(s, "the answer to the stream header")
	if err != nil {
		return err
	}
	if stream == nil {
		return fmt.Errorf("%w: its stream is older than XMPP 1.0", ErrNotOffered)
	}
	if s.offered = features.hasChild(nsTLS, "starttls"); !s.offered {
		return ErrNotOffered
	}
	return requestXMPPTLS(s, stream)
}

// requestXMPPTLS sends the starttls element and reads the reply (RFC 6120
// §5.4.2.1 to §5.4.2.3).
func requestXMPPTLS(s *session, stream *xmlStream) error {
	const request, step = "<starttls xmlns='" + nsTLS + "'/>", "the reply to starttls"
	s.beginRequest()
	if err := s.write(request, request); err != nil {
		return err
	}
	reply, err := stream.element(step)
	switch {
	case err != nil:
		return err
	case reply.is(nsTLS, "proceed"):
		return nil
	case reply.is(nsTLS, "failure"), reply.is(nsStreams, "error"):
		return &Rejected{Step: "STARTTLS", Reply: reply.condition()}
	}
	return unexpected(step, reply.raw)
}

// firstExchange opens a new stream (RFC 6120 §5.4.3.3) and reads its features.
func (p xmpp) firstExchange(s *session) error {
	_, features, err := p.openStream(s, "the answer to the stream header inside TLS")
	if features.is(nsStreams, "error") && p.isAnswer(features, s.implicit) {
		return nil
	}
	return err
}

// isAnswer reports whether a stream error inside TLS does not show that other
// clients fail. The cases are:
//
//   - The server redirects the client to another host (RFC 6120 §4.9.3.19).
//   - The server serves another domain, and only the port has named the protocol.
//     The domain is then a guess: the name of the host.
//   - A server rejects another server without a certificate, as Prosody does with
//     s2s_secure_auth. Other servers have one.
func (p xmpp) isAnswer(e xmlElement, implicit bool) bool {
	switch {
	case e.hasChild(nsConditions, "see-other-host"):
		return true
	case e.hasChild(nsConditions, "host-unknown"), e.hasChild(nsConditions, "host-gone"), e.hasChild(nsConditions, "improper-addressing"):
		return implicit && p.service == ""
	default:
		return p.namespace == "jabber:server"
	}
}

// openStream opens a stream and reads its features; stream is nil if the server's
// is older than XMPP 1.0 and has none (RFC 6120 §4.7.5).
func (p xmpp) openStream(s *session, step string) (stream *xmlStream, features xmlElement, err error) {
	header := p.header()
	if err := s.write(header, escape(header)); err != nil {
		return nil, features, err
	}
	stream = newXMLStream(s)
	current, err := stream.open(step)
	if err != nil || !current {
		return nil, features, err
	}
	features, err = stream.element(step)
	switch {
	case err != nil:
	case features.is(nsStreams, "error"):
		err = &Rejected{Step: "the stream header", Reply: features.condition()}
	case !features.is(nsStreams, "features"):
		err = unexpected(step, features.raw)
	}
	return stream, features, err
}

// goodbye closes the stream and waits until the server closes its own (RFC 6120
// §4.4).
func (p xmpp) goodbye(s *session) {
	const text = "</stream:stream>"
	if s.write(text, text) == nil {
		_, _ = io.Copy(io.Discard, s.reader)
	}
}

// header returns the start of the client's stream. XMPP addresses contain
// U-labels, not A-labels (RFC 7622 §3.2.1). A domain that does not convert is
// sent as it is.
func (p xmpp) header() string {
	domain, err := idna.ToUnicode(p.domain)
	if err != nil {
		domain = p.domain
	}
	var to strings.Builder
	_ = xml.EscapeText(&to, []byte(domain)) // a Builder returns no error
	return fmt.Sprintf("<?xml version='1.0'?><stream:stream to='%s' version='1.0' xml:lang='en' xmlns='%s' xmlns:stream='%s'>", &to, p.namespace, nsStreams)
}

// xmlStream reads the server's stream element by element. It reads byte by
// byte, so that it never consumes bytes after the element it returns.
type xmlStream struct {
	decoder *xml.Decoder
	source  *byteSource
}

func newXMLStream(s *session) *xmlStream {
	source := &byteSource{session: s}
	return &xmlStream{xml.NewDecoder(source), source}
}

// open reads the start tag of the root and reports whether the stream has
// version 1.0 or later (RFC 6120 §4.7.5).
func (x *xmlStream) open(step string) (current bool, err error) {
	defer x.source.flush()
	declared := false
	for {
		token, err := x.token(step)
		if err != nil {
			return false, err
		}
		switch token := token.(type) {
		case xml.ProcInst: // the XML declaration
			if declared || token.Target != "xml" {
				return false, x.forbidden(step)
			}
			declared = true
		case xml.CharData:
		case xml.StartElement:
			if token.Name != (xml.Name{Space: nsStreams, Local: "stream"}) {
				return false, unexpected(step, string(x.source.received))
			}
			return slices.ContainsFunc(token.Attr, func(a xml.Attr) bool {
				major, _, _ := strings.Cut(a.Value, ".")
				return a.Name == xml.Name{Local: "version"} && major != "" && major != "0"
			}), nil
		default:
			return false, x.forbidden(step)
		}
	}
}

// element reads the next element below the root, to its end.
func (x *xmlStream) element(step string) (xmlElement, error) {
	e, err := x.parseElement(step)
	e.raw = x.source.flush()
	return e, err
}

func (x *xmlStream) parseElement(step string) (e xmlElement, err error) {
	var text strings.Builder
	for depth := 0; ; {
		token, err := x.token(step)
		if err != nil {
			return e, err
		}
		switch token := token.(type) {
		case xml.StartElement:
			switch depth {
			case 0:
				e.name = token.Name
			case 1:
				e.children = append(e.children, token.Name)
			}
			depth++
		case xml.EndElement:
			depth--
			switch {
			case depth < 0:
				return e, protocolErrorf(step, "the end of the stream")
			case depth == 0:
				e.text = text.String()
				return e, nil
			}
		case xml.CharData:
			text.Write(token)
		default:
			return e, x.forbidden(step)
		}
	}
}

// token reads a token. An error of the connection takes precedence over the
// syntax error that the decoder makes of it.
func (x *xmlStream) token(step string) (xml.Token, error) {
	token, err := x.decoder.Token()
	switch {
	case x.source.err != nil:
		return nil, readError(step, x.source.err)
	case errors.Is(err, io.EOF): // only after the end of the root
		return nil, protocolErrorf(step, "the end of the stream")
	case err != nil:
		return nil, protocolErrorf(step, "%s: \"%s\"", escape(err.Error()), escape(string(x.source.received)))
	}
	return token, nil
}

// forbidden returns the error for comments, processing instructions and document
// types, which a stream must not contain (RFC 6120 §11.1).
func (x *xmlStream) forbidden(step string) error {
	return protocolErrorf(step, "XML that a stream must not contain: \"%s\"", escape(string(x.source.received)))
}

// xmlElement is an element directly below the root.
type xmlElement struct {
	name     xml.Name
	children []xml.Name // direct children only
	text     string     // of the element and all below it
	raw      string     // as received
}

func (e xmlElement) is(space, local string) bool {
	return e.name == xml.Name{Space: space, Local: local}
}

func (e xmlElement) hasChild(space, local string) bool {
	return slices.Contains(e.children, xml.Name{Space: space, Local: local})
}

// condition describes an error or failure: the names of the conditions, which
// are elements, and the text.
func (e xmlElement) condition() string {
	words := []string{e.name.Local}
	for _, child := range e.children {
		if child.Local != "text" {
			words = append(words, child.Local)
		}
	}
	return truncate(escape(strings.TrimSpace(strings.Join(words, " ") + " " + strings.TrimSpace(e.text))))
}

// byteSource hands single bytes to an xml.Decoder, and keeps them and the error
// that ended them. It implements io.ByteReader, so the decoder does not read ahead.
type byteSource struct {
	session  *session
	received []byte // since the last flush
	err      error
}

func (b *byteSource) ReadByte() (byte, error) {
	c, err := b.session.reader.ReadByte()
	if err != nil {
		b.err = err
		return 0, err
	}
	b.received = append(b.received, c)
	return c, nil
}

// Read is required by xml.NewDecoder, which does not call it if there is ReadByte.
func (b *byteSource) Read([]byte) (int, error) {
	return 0, errors.New("byteSource must be read byte by byte")
}

// flush records what was received since the last call, and returns it.
func (b *byteSource) flush() string {
	received := strings.TrimSpace(string(b.received))
	b.received = nil
	if received != "" {
		b.session.recordReceived(received)
	}
	return received
}
