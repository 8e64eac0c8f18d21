package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"dane_exporter/probe/dane"
)

// document is one page of docs/, or the README.
type document struct {
	path, text string
}

func documents(t *testing.T) []document {
	t.Helper()
	paths, err := filepath.Glob("docs/*.md")
	if err != nil || len(paths) < 5 {
		t.Fatalf("found %d pages in docs: %v", len(paths), err)
	}
	var all []document
	for _, path := range append(paths, "README.md") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, document{path, string(text)})
	}
	return all
}

// block is a piece of code in a document.
type block struct {
	line     int
	language string // "sh", "yaml"
	mark     string // what follows the language
	text     string
}

func (d document) blocks() []block {
	var all []block
	form := regexp.MustCompile("(?ms)^[ \t]*```([a-z]+) ?([a-z]*)\n(.*?)^[ \t]*```$")
	for _, at := range form.FindAllStringSubmatchIndex(d.text, -1) {
		part := func(i int) string { return d.text[at[2*i]:at[2*i+1]] }
		all = append(all, block{strings.Count(d.text[:at[0]], "\n") + 1, part(1), part(2), part(3)})
	}
	return all
}

// TestMain is the program itself where it is called so: that is how the tests
// run it, without a compiler.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "dane_exporter" {
		main()
	}
	os.Exit(m.Run())
}

// program returns a directory in which the program lies.
func program(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(self, filepath.Join(dir, "dane_exporter")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestDocsCommands runs each command of docs/, in the order of its page, in an
// empty directory. A command whose exit code is not 0 says so at its end, as
// "# exits with 2". What needs the Internet is marked "sh internet", and what
// changes the machine or needs other programs, "sh system".
func TestDocsCommands(t *testing.T) {
	run := 0
	for _, d := range documents(t) {
		if d.path == "README.md" { // it speaks of a checkout
			continue
		}
		commands := d.commands(t)
		run += len(commands)
		t.Run(d.path, func(t *testing.T) {
			t.Parallel()
			bin, dir := program(t), t.TempDir()
			for _, command := range commands {
				if err := command.run(bin, dir); err != nil {
					t.Errorf("%s:%d: %s%v", d.path, command.line, command.text, err)
				}
			}
		})
	}
	if run < 20 {
		t.Errorf("only %d commands were found", run)
	}
}

// shellLine is a command in a page.
type shellLine struct {
	line int
	text string
}

// commands lists those that are to be run, and complains about marks that are
// unknown or needless.
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
				t.Errorf("%s:%d: marked %q, and all of it runs in the lab", d.path, b.line, b.mark)
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

// run returns an error where the command exits otherwise than it says.
func (c shellLine) run(bin, dir string) error {
	want := "0"
	if said := regexp.MustCompile(`# exits with (\d+)$`).FindStringSubmatch(strings.TrimSpace(c.text)); said != nil {
		want = said[1]
	}
	shell := exec.Command("sh", "-c", c.text)
	shell.Dir = dir
	shell.Env = append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	out, err := shell.CombinedOutput()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		return err
	}
	if code := strconv.Itoa(shell.ProcessState.ExitCode()); code != want {
		return fmt.Errorf("exit code %s, want %s\n%s", code, want, out)
	}
	return nil
}

// TestDocsConfigurations loads each configuration that a page shows.
func TestDocsConfigurations(t *testing.T) {
	bin := program(t)
	ours := regexp.MustCompile(`(?m)^(resolver|limits|access|modules):`)
	loaded := 0
	for _, d := range documents(t) {
		for _, b := range d.blocks() {
			if b.language != "yaml" || !ours.MatchString(b.text) {
				continue
			}
			loaded++
			file := filepath.Join(t.TempDir(), "dane.yml")
			text := b.text
			if !strings.Contains(text, "resolver:") { // that of this machine may have none
				text += "\nresolver: {servers: [192.0.2.53]}\n"
			}
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command(filepath.Join(bin, "dane_exporter"), "--config.check", "--config.file="+file).CombinedOutput(); err != nil {
				t.Errorf("%s:%d: %v\n%s", d.path, b.line, err, out)
			}
		}
	}
	if loaded == 0 {
		t.Error("no page shows a configuration")
	}
}

// TestDocsLinks follows each link from page to page.
func TestDocsLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	followed := 0
	for _, d := range documents(t) {
		for _, found := range link.FindAllStringSubmatch(d.text, -1) {
			if strings.Contains(found[1], "://") {
				continue
			}
			followed++
			path, anchor, _ := strings.Cut(found[1], "#")
			target := d.path
			if path != "" {
				target = filepath.Join(filepath.Dir(d.path), path)
			}
			text, err := os.ReadFile(target)
			info, statErr := os.Stat(target)
			if statErr != nil || err != nil && !info.IsDir() {
				t.Errorf("%s: %s leads to nothing", d.path, found[1])
				continue
			}
			if anchor != "" && !slices.Contains(anchors(string(text)), anchor) {
				t.Errorf("%s: %s has no such section", d.path, found[1])
			}
		}
	}
	if followed == 0 {
		t.Error("no links were found")
	}
}

// anchors are the sections of a page, as links name them.
func anchors(text string) []string {
	var all []string
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		name := strings.ToLower(strings.ReplaceAll(heading[1], " ", "-"))
		all = append(all, regexp.MustCompile(`[^a-z0-9_-]`).ReplaceAllString(name, ""))
	}
	return all
}

// TestRunbook holds the runbook to the tables of the code and to the alerts: a
// section for each and for nothing else, with what the table says of it and
// what an operator needs.
func TestRunbook(t *testing.T) {
	text, err := os.ReadFile("docs/runbook.md")
	if err != nil {
		t.Fatal(err)
	}
	rules, err := os.ReadFile("deploy/prometheus/rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, alert := range regexp.MustCompile(`(?m)^ *- alert: (\w+)$`).FindAllStringSubmatch(string(rules), -1) {
		want = append(want, alert[1])
	}
	if len(want) < 10 {
		t.Fatalf("only %d alerts were found", len(want))
	}
	tables := make(map[string]dane.ReasonInfo)
	for _, info := range dane.Reasons() {
		name := "`" + string(info.Reason) + "`"
		want, tables[name] = append(want, name), info
	}

	var got []string
	for _, section := range strings.Split(string(text), "\n### ")[1:] {
		heading, body, _ := strings.Cut(section, "\n")
		got = append(got, heading)
		for _, part := range []string{"\n- **Senders now:** ", "\n- **Fix:** ", "\n- **Verify:** "} {
			if strings.Count(body, part) != 1 {
				t.Errorf("%s: %q stands there %d times", heading, part, strings.Count(body, part))
			}
		}
		info, isReason := tables[heading]
		if !isReason {
			continue
		}
		effect := strings.ToUpper(string(info.Effect[:1])) + string(info.Effect[1:])
		for _, said := range []string{"\n*" + effect + ".* " + info.Meaning + "\n", "\n- **Fix:** " + info.Remedy} {
			if !strings.Contains(body, said) {
				t.Errorf("%s lacks what the code's table says:%s", heading, said)
			}
		}
	}
	for _, heading := range want {
		if !slices.Contains(got, heading) {
			t.Errorf("there is no section %s", heading)
		}
	}
	for _, heading := range got {
		if !slices.Contains(want, heading) {
			t.Errorf("the section %s is of no alert and of no reason", heading)
		}
	}
	sections := anchors(string(text))
	for _, url := range regexp.MustCompile(`runbook_url: .*runbook\.md#(.+)'`).FindAllStringSubmatch(string(rules), -1) {
		if !strings.Contains(url[1], "{{") && !slices.Contains(sections, url[1]) {
			t.Errorf("an alert leads to #%s, which is not there", url[1])
		}
	}
}
