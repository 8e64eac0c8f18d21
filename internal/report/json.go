package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"dane_exporter/probe"
)

// JSON writes the Document of a probe as indented JSON. It returns the error of w.
func JSON(w io.Writer, r *probe.Report) error { return NewDocument(r).Write(w) }

// Write writes the Document as indented JSON. It returns the error of w.
func (d *Document) Write(w io.Writer) error {
	encoder := newEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(d)
}

// WriteLine writes the Document as one line of JSON. It returns the error of w.
func (d *Document) WriteLine(w io.Writer) error { return newEncoder(w).Encode(d) }

// Marshal returns the Document as JSON on one line.
func (d *Document) Marshal() []byte {
	var text bytes.Buffer
	if err := d.WriteLine(&text); err != nil {
		panic(fmt.Errorf("encode a report as JSON: %w", err)) // every field of a Document can be encoded
	}
	return bytes.TrimSuffix(text.Bytes(), []byte("\n"))
}

// newEncoder returns an encoder without HTML escapes. These would make the text of a
// hostile server six times as long, and JSON is never part of a page.
func newEncoder(w io.Writer) *json.Encoder {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder
}

// ReadJSON decodes a Document from the output of Marshal or Write. It returns an error
// if text is not valid JSON or has another schema.
func ReadJSON(text []byte) (*Document, error) {
	d := new(Document)
	if err := json.Unmarshal(text, d); err != nil {
		return nil, fmt.Errorf("decode a report: %w", err)
	}
	if d.Schema != Schema {
		return nil, fmt.Errorf("decode a report: schema %d, want %d", d.Schema, Schema)
	}
	return d, nil
}
