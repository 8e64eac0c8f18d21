package web

import (
	"io/fs"
	"path"
	"regexp"
	"strings"
	"testing"

	"dane_exporter/docs"
	"dane_exporter/probe/dane"
)

// TestDocuments: each page of docs/ is served, each link in it leads to a page
// and a section that are there, and the runbook has the sections that findings
// link to.
func TestDocuments(t *testing.T) {
	f := newFixture(t, proberFunc(verdicts), nil)
	files, err := fs.Glob(docs.Pages, "*.md")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d documents: %v", len(files), err)
	}
	pages := make(map[string]string)
	for _, file := range files {
		status, page := f.get("/docs/" + file)
		if status != 200 || !strings.Contains(page, "<h1 ") || strings.Contains(page, "](") {
			t.Errorf("%s: %d, as\n%s", file, status, page)
		}
		pages[file] = page
		f.wantIn("/docs/", 200, `<li><a href="`+file+`">`)
	}
	followed := 0
	for file, page := range pages {
		_, body, _ := strings.Cut(page, `<article class="document">`)
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
				t.Errorf("%s: a link leads to %s, which is not served", file, link[1])
			}
		}
	}
	if followed < 20 {
		t.Errorf("only %d links were found", followed)
	}
	for _, reason := range dane.Reasons() {
		if !strings.Contains(pages["runbook.md"], ` id="`+string(reason.Reason)+`"`) {
			t.Errorf("the runbook has no section #%s", reason.Reason)
		}
	}
	f.wantIn("/docs/install.md", 200, "Your domains go into\ndeploy/docker/domains.yml:") // which is not served
	f.wantIn("/docs/docs.go", 404)
	f.wantIn("/docs/..%2fdocs%2frunbook.md", 404)

	f.get("/probe?target=bad.example")
	f.wantIn("/report?target=bad.example", 200, `<a href="docs/runbook.md#tlsa_mismatch">`)
}
