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

// renderer renders the templates of pages and serves the static files that they
// load.
type renderer struct {
	templates map[string]*template.Template // by file name, each within the layout
	version   string                        // digest of the static files
}

func newRenderer() *renderer {
	r := &renderer{templates: make(map[string]*template.Template), version: digestOf("static")}
	functions := viewFunctions()
	functions["asset"] = r.asset
	layout := template.Must(template.New("layout.html").Funcs(functions).ParseFS(files, "templates/layout.html", "templates/parts.html"))
	for _, name := range []string{"front.html", "probes.html", "config.html", "report.html", "notice.html", "document.html"} {
		r.templates[name] = template.Must(template.Must(layout.Clone()).ParseFS(files, "templates/"+name))
	}
	return r
}

// asset returns the URL of a static file. It changes whenever a static file does.
func (r *renderer) asset(base, name string) string {
	return base + "/static/" + name + "?v=" + r.version
}

// digestOf returns a short digest of all files of an embedded directory.
func digestOf(dir string) string {
	hash := sha256.New()
	entries, err := fs.ReadDir(files, dir)
	if err != nil {
		panic(err) // the directory is embedded
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

// render answers with a page. It panics if the template fails.
func (r *renderer) render(w http.ResponseWriter, status int, name string, data any) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	w.WriteHeader(status)
	if err := r.templates[name].Execute(w, data); err != nil {
		panic(fmt.Errorf("render %s: %w", name, err)) // the response is discarded
	}
}

// Limits of rendering pages and reports, which clients may request at any rate.
const (
	maxPages        = 4               // pages rendered concurrently
	maxWaitingPages = 64              // requests that wait for a page
	pageWait        = 5 * time.Second // maximum wait
)

// limitPages wraps a handler that renders a page.
func (s *Server) limitPages(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if release, ok := s.acquirePage(w, r); ok {
			defer release()
			next(w, r)
		}
	}
}

// acquirePage waits until a page may be rendered. If ok is false, it has answered
// the request. Otherwise the caller must call release.
func (s *Server) acquirePage(w http.ResponseWriter, r *http.Request) (release func(), ok bool) {
	if err := s.pages.acquire(r.Context(), pageWait); err != nil {
		w.Header().Set("Retry-After", "1")
		http.Error(w, fmt.Sprintf("too many concurrent requests for pages: at most %d are rendered at the same time", maxPages), http.StatusServiceUnavailable)
		return nil, false
	}
	return s.pages.release, true
}

// static serves a static file. Browsers may cache it without limit if the URL
// contains the current version.
func (r *renderer) static(w http.ResponseWriter, request *http.Request) {
	name := path.Base(request.PathValue("file"))
	text, err := files.ReadFile("static/" + name)
	if err != nil {
		http.NotFound(w, request)
		return
	}
	types := map[string]string{".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
	w.Header().Set("Content-Type", types[path.Ext(name)]+"; charset=utf-8")
	if request.URL.Query().Get("v") == r.version {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	http.ServeContent(w, request, name, time.Time{}, bytes.NewReader(text))
}
