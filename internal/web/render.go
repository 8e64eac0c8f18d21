package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"time"
)

//go:embed templates static
var files embed.FS

// pages renders the templates, and serves the files that they need beside.
type pages struct {
	templates map[string]*template.Template // each with the frame around it
	version   string                        // of the static files: their digest
}

func newPages() *pages {
	p := &pages{templates: make(map[string]*template.Template), version: digestOf("static")}
	functions := viewFunctions()
	functions["asset"] = p.asset
	frame := template.Must(template.New("frame.html").Funcs(functions).ParseFS(files, "templates/frame.html", "templates/parts.html"))
	for _, name := range []string{"front.html", "report.html", "notice.html", "document.html"} {
		p.templates[name] = template.Must(template.Must(frame.Clone()).ParseFS(files, "templates/"+name))
	}
	return p
}

// asset is the address of a static file.
func (p *pages) asset(base, name string) string {
	return base + "/static/" + name + "?v=" + p.version
}

// digestOf is a short digest of all files of a directory: another text, another address.
func digestOf(dir string) string {
	hash := sha256.New()
	entries, err := fs.ReadDir(files, dir)
	if err != nil {
		panic(err) // it is embedded
	}
	for _, entry := range entries {
		text, err := files.ReadFile(path.Join(dir, entry.Name()))
		if err != nil {
			panic(err)
		}
		hash.Write(text)
	}
	return fmt.Sprintf("%.6x", hash.Sum(nil))
}

// render writes a page, or nothing of it: a template that fails is a defect.
func (p *pages) render(w http.ResponseWriter, status int, name string, data any) {
	var html bytes.Buffer
	if err := p.templates[name].Execute(&html, data); err != nil {
		panic(fmt.Errorf("render %s: %w", name, err))
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	w.WriteHeader(status)
	_, _ = w.Write(html.Bytes())
}

// static serves a file. Its address changes with its text, so that it may be
// kept for ever.
func (p *pages) static(w http.ResponseWriter, r *http.Request) {
	text, err := files.ReadFile("static/" + path.Base(r.PathValue("file")))
	if err != nil {
		http.NotFound(w, r)
		return
	}
	kinds := map[string]string{".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
	w.Header().Set("Content-Type", kinds[path.Ext(r.PathValue("file"))]+"; charset=utf-8")
	if r.URL.Query().Get("v") == p.version {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	http.ServeContent(w, r, r.PathValue("file"), time.Time{}, bytes.NewReader(text))
}
