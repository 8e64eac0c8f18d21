package web

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"embed"
	"errors"
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
	for _, name := range []string{"front.html", "report.html", "notice.html", "document.html"} {
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

// render answers with a page, which it does not keep in memory. It panics if the
// template fails, with a partialPage if a part of the page was written.
func (r *renderer) render(w http.ResponseWriter, status int, name string, data any) {
	page := &pageWriter{ResponseWriter: w, status: status}
	buffer := bufio.NewWriterSize(page, 32<<10)
	err := r.templates[name].Execute(buffer, data)
	if err == nil {
		err = buffer.Flush()
	}
	switch {
	case err == nil, page.err != nil: // the client has disconnected or is too slow
	case page.begun:
		panic(partialPage{fmt.Errorf("render %s: %w", name, err)})
	default:
		panic(fmt.Errorf("render %s: %w", name, err))
	}
}

// partialPage is the panic of a page that failed after a part of it was written.
type partialPage struct{ error }

// pageWriter writes the header of a page before its first bytes.
type pageWriter struct {
	http.ResponseWriter
	status int
	begun  bool
	err    error // of Write
}

func (w *pageWriter) Write(p []byte) (int, error) {
	if !w.begun {
		w.begun = true
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Cache-Control", "no-cache")
		w.WriteHeader(w.status)
	}
	n, err := w.ResponseWriter.Write(p)
	w.err = err
	return n, err
}

// Limits of rendering pages and reports, which clients may request at any rate.
// Documents are bounded too, so that all pages in progress take some ten megabytes.
const (
	maxPages        = 4                // pages rendered and written concurrently
	maxWaitingPages = 64               // requests that wait for a page
	pageWait        = 5 * time.Second  // maximum wait
	pageWriteLimit  = 15 * time.Second // time to write a page, so that slow clients do not delay others
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
	controller := http.NewResponseController(w)
	if err := controller.SetWriteDeadline(time.Now().Add(pageWriteLimit)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		s.Logger.Debug("Cannot limit the time to write a page", "err", err)
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
