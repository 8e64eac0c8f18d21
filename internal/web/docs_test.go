package web

import (
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"dane_exporter/docs"
	"dane_exporter/probe/dane"
)

// TestDocs: each file of docs/ is served, each link in it leads to a page and a
// section that exist, and the runbook has a section for each reason, because
// findings link to them.
func TestDocs(t *testing.T) {
	f := newFixture(t, proberFunc(verdicts), nil)
	files, err := fs.Glob(docs.Pages, "*.md")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d documents: %v", len(files), err)
	}
	pages := make(map[string]string)
	for _, file := range files {
		status, page := f.get("/docs/" + file)
		if status != 200 || !strings.Contains(page, "<h1 ") || strings.Contains(page, "](") {
			t.Errorf("%s: status %d\n%s", file, status, page)
		}
		pages[file] = page
		wantUniqueIDs(t, file, page)
		if file != "README.md" { // the index itself
			f.wantPage("/docs/", 200, `<li><a href="`+file+`">`)
		}
	}
	followed := 0
	for file, page := range pages {
		_, body, _ := strings.Cut(page, `<article class="document"`)
		for _, link := range regexp.MustCompile(`href="([^"]+)"`).FindAllStringSubmatch(body, -1) {
			if strings.HasPrefix(link[1], "https://") {
				continue
			}
			followed++
			name, anchor, _ := strings.Cut(link[1], "#")
			if name == "" {
				name = file
			}
			target, ok := pages[path.Clean(name)]
			if !ok || anchor != "" && !strings.Contains(target, ` id="`+anchor+`"`) {
				t.Errorf("%s: broken link to %s", file, link[1])
			}
		}
	}
	if followed < 20 {
		t.Errorf("found only %d links", followed)
	}
	for _, reason := range dane.Reasons() {
		if !strings.Contains(pages["runbook.md"], ` id="`+string(reason.Reason)+`"`) {
			t.Errorf("the runbook has no section #%s", reason.Reason)
		}
	}
	f.wantPage("/docs/install.md", 200, "Your domains go into\ndeploy/docker/domains.yml:") // a link outside docs/ becomes a path
	f.wantPage("/docs/docs.go", 404)
	f.wantPage("/docs/..%2fdocs%2frunbook.md", 404)

	f.get("/probe?target=bad.example")
	f.wantPage("/report?target=bad.example", 200, `<a href="docs/runbook.md#tlsa_mismatch">`)
}

// wantUniqueIDs checks that no two elements of a page have the same ID.
func wantUniqueIDs(t *testing.T, name, page string) {
	t.Helper()
	seen := make(map[string]bool)
	for _, id := range regexp.MustCompile(` id="[^"]*"`).FindAllString(page, -1) {
		if seen[id] {
			t.Errorf("%s: two elements have%s", name, id)
		}
		seen[id] = true
	}
}

// TestDocsContents: a long page has a list of its sections, of all levels if they are not
// too many, and a short page has none.
func TestDocsContents(t *testing.T) {
	sections := func(n int, level string) string { return strings.Repeat("\n"+level+" `a` [b](c.md) & *d*\n", n) }
	for _, test := range []struct {
		name, source  string
		second, third int // headings of each level
	}{
		{"short", "# Title\n" + sections(3, "##") + sections(9, "###"), 0, 0},
		{"long", "# Title\n" + sections(4, "##") + sections(9, "###") + sections(2, "####"), 4, 9},
		{"very long", "# Title\n" + sections(5, "##") + sections(90, "###"), 5, 0},
		{"with a list of its own", "# Title\n## Contents\n" + sections(5, "##"), 0, 0},
	} {
		got := map[int]int{}
		for _, s := range renderMarkdown("x.md", []byte(test.source), false).Contents {
			got[s.Level]++
			if s.ID != "a-bcmd--d" || s.Text != "a b & d" {
				t.Errorf("%s: section %+v", test.name, s)
			}
		}
		if got[2] != test.second || got[3] != test.third {
			t.Errorf("%s: got %v, want %d and %d", test.name, got, test.second, test.third)
		}
	}
	f := newFixture(t, proberFunc(verdicts), nil)
	f.wantPage("/docs/scaling.md", 200, `<nav class="toc" aria-label="Contents">`, `<li class="level2"><a href="#memory-of-the-exporter">Memory of the exporter</a></li>`)
}

// TestDocsAll: one page has all documents in the order of the index, and its links lead to
// its own parts.
func TestDocsAll(t *testing.T) {
	f := newFixture(t, proberFunc(verdicts), nil)
	f.wantPage("/docs/", 200, `<a href="all">one page</a>`)
	status, page := f.get("/docs/all")
	if strings.Contains(page, "<details") || strings.Contains(page, " hidden") {
		t.Error("the search of the browser does not find hidden text")
	}
	wantUniqueIDs(t, "all", page)
	var order []int
	for _, name := range []string{"README", "install", "metrics", "rollover", "runbook", "dependencies"} {
		order = append(order, strings.Index(page, `<article class="document" id="`+name+`">`))
	}
	if status != 200 || order[0] < 0 || !slices.IsSorted(order) {
		t.Errorf("status %d, documents at %v", status, order)
	}
	followed := 0
	for _, link := range regexp.MustCompile(`<a href="(#[^"]*|[^":#]*\.md[^"]*)"`).FindAllStringSubmatch(page, -1) {
		followed++
		if id, ok := strings.CutPrefix(link[1], "#"); !ok || !strings.Contains(page, ` id="`+id+`"`) {
			t.Errorf("broken link to %s", link[1])
		}
	}
	if followed < 200 {
		t.Errorf("found only %d links", followed)
	}
	t.Logf("%d bytes", len(page))
}

// TestDocsImages checks that the images of the documents are served, and no other file.
func TestDocsImages(t *testing.T) {
	f := newFixture(t, proberFunc(verdicts), nil)
	_, page := f.get("/docs/rollover.md")
	images := regexp.MustCompile(`<img src="([^"]+)"`).FindAllStringSubmatch(page, -1)
	if len(images) == 0 {
		t.Error("the page has no image")
	}
	for _, image := range images {
		if status, data := f.get("/docs/" + image[1]); status != 200 || !strings.HasPrefix(data, "\x89PNG") {
			t.Errorf("%s: status %d", image[1], status)
		}
	}
	for _, path := range []string{"/docs/screenshots/none.png", "/docs/screenshots/report.png", "/docs/screenshots/"} {
		if status, _ := f.get(path); status != 404 {
			t.Errorf("%s: status %d", path, status)
		}
	}
}
