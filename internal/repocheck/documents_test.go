package repocheck

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A document is a Markdown page for readers of the repository.
type document struct {
	path, text string
}

// documents returns the pages in docs/ and at the root.
func documents(t *testing.T) []document {
	t.Helper()
	paths, err := filepath.Glob("docs/*.md")
	if err != nil || len(paths) < 5 {
		t.Fatalf("found %d pages in docs/: %v", len(paths), err)
	}
	atRoot, err := filepath.Glob("*.md")
	if err != nil || !slices.Contains(atRoot, "README.md") {
		t.Fatalf("found no README.md: %v", err)
	}
	var all []document
	for _, path := range append(paths, atRoot...) {
		all = append(all, document{path, readFile(t, path)})
	}
	return all
}

// A codeBlock is a fenced block of code in a document.
type codeBlock struct {
	line     int
	language string // "sh", "yaml"
	mark     string // the word after the language
	text     string
}

var fencedBlock = regexp.MustCompile("(?ms)^[ \t]*```([a-z]+) ?([a-z]*)\n(.*?)^[ \t]*```$")

func (d document) blocks() []codeBlock {
	var all []codeBlock
	for _, at := range fencedBlock.FindAllStringSubmatchIndex(d.text, -1) {
		part := func(i int) string { return d.text[at[2*i]:at[2*i+1]] }
		all = append(all, codeBlock{strings.Count(d.text[:at[0]], "\n") + 1, part(1), part(2), part(3)})
	}
	return all
}

// TestDocsConfigurations loads each configuration that a document shows.
func TestDocsConfigurations(t *testing.T) {
	p := newProgram(t)
	section := regexp.MustCompile(`(?m)^(resolver|limits|access|modules):`)
	loaded := 0
	for _, d := range documents(t) {
		for _, b := range d.blocks() {
			if b.language != "yaml" || !section.MatchString(b.text) {
				continue
			}
			loaded++
			file := filepath.Join(t.TempDir(), "dane.yml")
			text := b.text
			if !strings.Contains(text, "resolver:") { // this machine may have no resolver
				text += "\nresolver: {servers: [192.0.2.53]}\n"
			}
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			check := exec.Command(filepath.Join(p.dir, "dane_exporter"), "--config.check", "--config.file="+file)
			check.Env = p.env
			if out, err := check.CombinedOutput(); err != nil {
				t.Errorf("%s:%d: %v\n%s", d.path, b.line, err, out)
			}
		}
	}
	if loaded == 0 {
		t.Error("no document shows a configuration")
	}
}

// TestDocsLinks checks that each link between documents leads to a file, and to
// a section of it.
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
				t.Errorf("%s: the target of %s does not exist", d.path, found[1])
				continue
			}
			if anchor != "" && !slices.Contains(anchors(string(text)), anchor) {
				t.Errorf("%s: %s names a section that does not exist", d.path, found[1])
			}
		}
	}
	if followed == 0 {
		t.Error("found no links")
	}
}

var (
	heading     = regexp.MustCompile(`(?m)^#+ (.*)$`)
	notInAnchor = regexp.MustCompile(`[^a-z0-9_-]`)
)

// anchors returns the fragments under which links reach the sections of a page.
func anchors(text string) []string {
	var all []string
	for _, found := range heading.FindAllStringSubmatch(text, -1) {
		name := strings.ToLower(strings.ReplaceAll(found[1], " ", "-"))
		all = append(all, notInAnchor.ReplaceAllString(name, ""))
	}
	return all
}

// TestDocsBegin checks that each page in docs/ begins with a heading and then a
// sentence that says for whom the page is.
func TestDocsBegin(t *testing.T) {
	form := regexp.MustCompile(`\A# [^\n]+\n\nFor [^\n]`)
	for _, d := range documents(t) {
		if strings.HasPrefix(d.path, "docs/") && !form.MatchString(d.text) {
			t.Errorf("%s does not begin with a heading and a sentence \"For …\"", d.path)
		}
	}
}

// TestNamedFilesExist checks that the files of the repository that documents for
// developers name in backquotes exist.
func TestNamedFilesExist(t *testing.T) {
	file := regexp.MustCompile("`((?:\\.ci|\\.github|collector|deploy|docs|internal|probe|tools)/[\\w./*-]+)`")
	found := 0
	for _, path := range []string{"CONTRIBUTING.md", "README.md", "docs/architecture.md"} {
		for _, name := range file.FindAllStringSubmatch(readFile(t, path), -1) {
			found++
			matches, err := filepath.Glob(strings.TrimSuffix(name[1], "/"))
			if err != nil || len(matches) == 0 {
				t.Errorf("%s names %s, which does not exist", path, name[1])
			}
		}
	}
	if found < 10 {
		t.Errorf("found only %d names of files", found)
	}
}
