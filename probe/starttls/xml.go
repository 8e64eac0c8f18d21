package starttls

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// stream reads a server's XML stream, element by element and byte by byte, so
// that nothing is read behind the element that is waited for.
type stream struct {
	*xml.Decoder
	source *tape
}

func newStream(s *session) *stream {
	source := &tape{session: s}
	return &stream{xml.NewDecoder(source), source}
}

// tape hands on single bytes, and remembers them and the error that ended
// them. That it is an io.ByteReader keeps the decoder from reading ahead.
type tape struct {
	session *session
	heard   []byte
	err     error
}

func (t *tape) ReadByte() (byte, error) {
	b, err := t.session.ReadByte()
	if err != nil {
		t.err = err
		return 0, err
	}
	t.heard = append(t.heard, b)
	return b, nil
}

// Read is what xml.NewDecoder asks for and, beside ReadByte, does not use.
func (t *tape) Read([]byte) (int, error) {
	return 0, errors.New("this is read byte by byte")
}

// cut puts what was heard since the last time on the transcript.
func (t *tape) cut() string {
	heard := strings.TrimSpace(string(t.heard))
	t.heard = nil
	if heard != "" {
		t.session.heard(heard)
	}
	return heard
}

// open reads the root's start tag, and says whether it is that of XMPP 1.0 or
// newer (RFC 6120 §4.7.5).
func (x *stream) open(what string) (modern bool, err error) {
	defer x.source.cut()
	declared := false
	for {
		token, err := x.token(what)
		if err != nil {
			return false, err
		}
		switch token := token.(type) {
		case xml.ProcInst: // the XML declaration
			if declared || token.Target != "xml" {
				return false, x.forbidden(what)
			}
			declared = true
		case xml.CharData:
		case xml.StartElement:
			if token.Name != (xml.Name{Space: nsStreams, Local: "stream"}) {
				return false, unexpected(what, string(x.source.heard))
			}
			return slices.ContainsFunc(token.Attr, func(a xml.Attr) bool {
				major, _, _ := strings.Cut(a.Value, ".")
				return a.Name == xml.Name{Local: "version"} && major != "" && major != "0"
			}), nil
		default:
			return false, x.forbidden(what)
		}
	}
}

// An element is one below the root.
type element struct {
	name     xml.Name
	children []xml.Name // its own, not theirs
	text     string     // of it and all below it
	raw      string     // as it came
}

func (e element) is(space, local string) bool { return e.name == xml.Name{Space: space, Local: local} }

func (e element) has(space, local string) bool {
	return slices.Contains(e.children, xml.Name{Space: space, Local: local})
}

// condition is what an error or a failure says: the names of the conditions,
// which are elements, and the text.
func (e element) condition() string {
	words := []string{e.name.Local}
	for _, child := range e.children {
		if child.Local != "text" {
			words = append(words, child.Local)
		}
	}
	return sentence(printable(strings.TrimSpace(strings.Join(words, " ") + " " + strings.TrimSpace(e.text))))
}

// element reads the next element below the root, to its end.
func (x *stream) element(what string) (element, error) {
	e, err := x.next(what)
	e.raw = x.source.cut()
	return e, err
}

func (x *stream) next(what string) (e element, err error) {
	var text strings.Builder
	for depth := 0; ; {
		token, err := x.token(what)
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
				return e, &ProtocolError{what, "the server ends the stream"}
			case depth == 0:
				e.text = text.String()
				return e, nil
			}
		case xml.CharData:
			text.Write(token)
		default:
			return e, x.forbidden(what)
		}
	}
}

// token reads a token. What the connection has to say of its end comes before
// what the decoder makes of it.
func (x *stream) token(what string) (xml.Token, error) {
	token, err := x.Token()
	switch {
	case x.source.err != nil:
		return nil, fmt.Errorf("wait for %s: %w", what, x.source.err)
	case errors.Is(err, io.EOF): // only behind the end of the root
		return nil, &ProtocolError{what, "the server ends the stream"}
	case err != nil:
		return nil, &ProtocolError{what, fmt.Sprintf("%s: \"%s\"", printable(err.Error()), printable(string(x.source.heard)))}
	}
	return token, nil
}

// forbidden: streams have no comments, processing instructions or document
// types (RFC 6120 §11.1).
func (x *stream) forbidden(what string) error {
	return &ProtocolError{what, fmt.Sprintf("what no stream may contain: \"%s\"", printable(string(x.source.heard)))}
}
