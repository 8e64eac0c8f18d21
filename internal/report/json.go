package report

import (
	"encoding/json"
	"fmt"
	"io"

	"dane_exporter/probe"
)

// JSON writes the whole of a Report as one Document, indented for people. It
// returns the error of writing.
func JSON(w io.Writer, r *probe.Report) error { return NewDocument(r).Write(w) }

// Write writes the Document as JSON, indented for people. It returns the error
// of writing.
func (d *Document) Write(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(d)
}

// Marshal returns the Document as JSON on one line.
func (d *Document) Marshal() []byte {
	text, err := json.Marshal(d)
	if err != nil {
		panic(fmt.Errorf("write a report as JSON: %w", err)) // no Document holds what JSON cannot say
	}
	return text
}

// ReadJSON reads what Marshal or JSON wrote. It returns an error where text is
// something else, or of another schema.
func ReadJSON(text []byte) (*Document, error) {
	d := new(Document)
	if err := json.Unmarshal(text, d); err != nil {
		return nil, fmt.Errorf("read a report: %w", err)
	}
	if d.Schema != Schema {
		return nil, fmt.Errorf("read a report: its schema is %d, want %d", d.Schema, Schema)
	}
	return d, nil
}
