package repocheck

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"dane_exporter/internal/command"
	"dane_exporter/internal/lab"
)

// A shellLine is one command of a document.
type shellLine struct {
	line int // of the document
	text string
}

// TestDocsCommands runs the commands of each page in docs/, in order, in an
// empty directory. A command that must fail ends with "# exits with 2". Blocks
// marked "sh internet" need the Internet, blocks marked "sh system" change the
// machine or need other programs: these are not run.
func TestDocsCommands(t *testing.T) {
	l, err := lab.New(time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	config := []byte(readFile(t, "config.example.yml"))

	count := 0
	for _, d := range documents(t) {
		if !strings.HasPrefix(d.path, "docs/") { // the others speak of a checkout
			continue
		}
		commands := d.commands(t)
		count += len(commands)
		t.Run(d.path, func(t *testing.T) {
			t.Parallel()
			p, dir := newProgram(t), t.TempDir()
			for _, c := range commands {
				code, output, err := c.runInLab(t, l, config)
				if errors.Is(err, errNeedsShell) {
					code, output, err = c.runInShell(p, dir)
				}
				if err != nil {
					t.Errorf("%s:%d: %s%v", d.path, c.line, c.text, err)
				} else if want := c.exitCode(); code != want {
					t.Errorf("%s:%d: %sexit code %d, want %d\n%s", d.path, c.line, c.text, code, want, output)
				}
			}
		})
	}
	if count < 20 {
		t.Errorf("found only %d commands", count)
	}
}

// commands returns the commands that are to be run. It reports unknown marks,
// and blocks that are marked although all of their commands run in the lab.
func (d document) commands(t *testing.T) []shellLine {
	t.Helper()
	inLab := regexp.MustCompile(`\A(dane_exporter lab .*\n)+\z`)
	var all []shellLine
	for _, b := range d.blocks() {
		if b.language != "sh" {
			continue
		}
		switch b.mark {
		case "internet", "system":
			if inLab.MatchString(b.text) {
				t.Errorf("%s:%d: the block is marked %q, but all of it runs in the lab", d.path, b.line, b.mark)
			}
		case "":
			for text := range strings.Lines(strings.ReplaceAll(b.text, "\\\n", " ")) {
				all = append(all, shellLine{b.line, text})
			}
		default:
			t.Errorf("%s:%d: unknown mark %q", d.path, b.line, b.mark)
		}
	}
	return all
}

var exitComment = regexp.MustCompile(`\s*# exits with (\d+)$`)

// exitCode returns the exit code that the document states for c.
func (c shellLine) exitCode() int {
	found := exitComment.FindStringSubmatch(strings.TrimSpace(c.text))
	if found == nil {
		return 0
	}
	code, _ := strconv.Atoi(found[1]) // digits only
	return code
}

var errNeedsShell = errors.New("the command needs a shell")

// Commands of the lab without shell syntax and without files run in this
// process. They share one lab, because signing its zones takes most of the time
// of a command.
var (
	plainLabCommand = regexp.MustCompile(`^dane_exporter (lab (?:check|tlsa|list)[A-Za-z0-9 .:=+_-]*)$`)
	fileFlag        = regexp.MustCompile(`--(config\.file|targets-file|cert|key|next)\b`)
)

// runInLab runs c in this process. It returns errNeedsShell if c is not a plain
// command of the lab.
func (c shellLine) runInLab(t *testing.T, l *lab.Lab, config []byte) (code int, output string, err error) {
	found := plainLabCommand.FindStringSubmatch(exitComment.ReplaceAllString(strings.TrimSpace(c.text), ""))
	if found == nil || fileFlag.MatchString(found[1]) {
		return 0, "", errNeedsShell
	}
	var b bytes.Buffer
	code = command.RunInLab(t.Context(), l, strings.Fields(found[1]), config, &b, &b)
	return code, b.String(), nil
}

// runInShell runs c in a shell, in the directory dir.
func (c shellLine) runInShell(p program, dir string) (code int, output string, err error) {
	shell := exec.Command("sh", "-c", c.text)
	shell.Dir = dir
	shell.Env = p.env
	out, err := shell.CombinedOutput()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		return 0, "", fmt.Errorf("run a shell: %w", err)
	}
	return shell.ProcessState.ExitCode(), string(out), nil
}
