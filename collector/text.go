package collector

import (
	"bytes"
	"math"
	"strconv"
	"strings"

	"dane_exporter/probe"
)

// AppendText appends the metrics of [Families] to b, in text format 0.0.4 of Prometheus or in
// OpenMetrics 1.0.0. The result is the same as that of package expfmt, without escaping of
// names, for a tenth less CPU time of a whole probe without a handshake.
func AppendText(b []byte, report *probe.Report, openMetrics bool) []byte {
	s := collect(report)
	var m *Metric
	var names []string
	for _, sample := range s.merged() {
		if sample.metric != m {
			m = sample.metric
			names = s.labelNames(m)
			b = append(append(append(b, "# HELP "...), m.Name...), ' ')
			b = appendEscaped(b, m.Help, openMetrics)
			b = append(append(append(b, "\n# TYPE "...), m.Name...), " gauge\n"...)
		}
		b = append(b, m.Name...)
		for i, value := range sample.labels {
			if i == 0 {
				b = append(b, '{')
			} else {
				b = append(b, ',')
			}
			b = append(append(b, names[i]...), `="`...)
			b = append(appendEscaped(b, value, true), '"')
		}
		if len(sample.labels) > 0 {
			b = append(b, '}')
		}
		b = append(appendValue(append(b, ' '), sample.value, openMetrics), '\n')
	}
	if openMetrics {
		b = append(b, "# EOF\n"...)
	}
	return b
}

// appendEscaped appends a HELP text or the value of a label.
func appendEscaped(b []byte, text string, quotes bool) []byte {
	if !strings.ContainsAny(text, "\\\n\"") {
		return append(b, text...)
	}
	for i := range len(text) {
		switch c := text[i]; {
		case c == '\n':
			b = append(b, `\n`...)
		case c == '\\', c == '"' && quotes:
			b = append(b, '\\', c)
		default:
			b = append(b, c)
		}
	}
	return b
}

// appendValue appends a number. OpenMetrics has a point or an exponent in each.
func appendValue(b []byte, value float64, openMetrics bool) []byte {
	start := len(b)
	b = strconv.AppendFloat(b, value, 'g', -1, 64)
	if openMetrics && !math.IsInf(value, 0) && !math.IsNaN(value) && !bytes.ContainsAny(b[start:], ".e") {
		b = append(b, ".0"...)
	}
	return b
}
