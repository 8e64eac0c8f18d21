package command

import (
	"io"
	"os"
	"strings"
)

// paint writes text in colour, or as it is where it is not for a terminal.
type paint bool

// painting says whether what is written to w should have colours: w is a
// terminal that has them, and NO_COLOR is not set (no-color.org).
func painting(w io.Writer, environment func(string) string) paint {
	file, ok := w.(*os.File)
	if !ok || environment("NO_COLOR") != "" || environment("TERM") == "" || environment("TERM") == "dumb" {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func (p paint) wrap(code, text string) string {
	if !p || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (p paint) bold(text string) string { return p.wrap("1", text) }

// as writes text in the colour of a state.
func (p paint) as(s state, text string) string {
	return p.wrap([...]string{"32", "33", "31", "35"}[s], text)
}

// story colours a report: its first line as the state, and its headings, which
// stand at the margin after an empty line, in bold. What servers sent cannot
// look like either, since the report is indented and holds no control characters.
func (p paint) story(text string, s state) string {
	if !p {
		return text
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		switch {
		case i == 0:
			lines[i] = p.as(s, line)
		case lines[i-1] == "" && !strings.HasPrefix(line, " "):
			lines[i] = p.bold(line)
		}
	}
	return strings.Join(lines, "\n")
}
