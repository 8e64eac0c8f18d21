package report

import (
	"io"

	"dane_exporter/probe"
)

// Text is a placeholder that the next commit fills.
func Text(w io.Writer, r *probe.Report) error {
	_, err := io.WriteString(w, string(r.Verdict.Outcome)+"\n")
	return err
}
