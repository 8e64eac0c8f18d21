package web

import (
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
)

// formGuard rejects forms that a browser sends from a page of another site (CSRF).
//
// Each of our forms contains a token. Pages of other sites cannot read it, and it
// is valid behind any proxy. Requests without it must pass the check of net/http,
// which compares the headers Sec-Fetch-Site, or Origin and Host. A browser sends
// Sec-Fetch-Site only over TLS and to localhost, and a proxy may change Host.
type formGuard struct {
	token       string // of this process
	crossOrigin *http.CrossOriginProtection
}

// newFormGuard returns a formGuard that also trusts the origin of the external URL.
func newFormGuard(external *url.URL, logger *slog.Logger) *formGuard {
	g := &formGuard{token: rand.Text(), crossOrigin: http.NewCrossOriginProtection()}
	if origin := originOf(external); origin != "" {
		if err := g.crossOrigin.AddTrustedOrigin(origin); err != nil {
			logger.Warn("Cannot trust the origin of the external URL for forms", "err", err)
		}
	}
	return g
}

// originOf returns the origin of a URL as browsers send it: in lower case, and
// without the default port of the scheme (RFC 6454 §6.2). It returns "" if the URL has
// no host.
func originOf(u *url.URL) string {
	if u.Scheme == "" || u.Host == "" {
		return ""
	}
	scheme, host := strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	if port := u.Port(); port == "" || port == map[string]string{"http": "80", "https": "443"}[scheme] {
		host = strings.TrimSuffix(host, ":"+port)
	}
	return scheme + "://" + host
}

// allows reports whether a form, whose fields are parsed, is from one of our pages.
func (g *formGuard) allows(r *http.Request) bool {
	return subtle.ConstantTimeCompare([]byte(r.PostForm.Get("token")), []byte(g.token)) == 1 || g.crossOrigin.Check(r) == nil
}

// reject wraps a handler of requests that change something and have no token. Clients that are
// not browsers send neither Sec-Fetch-Site nor Origin, and pass.
func (g *formGuard) reject(next http.HandlerFunc) http.HandlerFunc {
	return g.crossOrigin.Handler(next).ServeHTTP
}

// rejectEmbedded wraps a handler of expensive GET requests. It answers 403 to requests
// from pages of other sites, such as for an image, a script, a frame or a prefetch.
// Links from other sites work. A browser sends these headers only over TLS and to
// localhost.
func rejectEmbedded(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		site, mode, dest := r.Header.Get("Sec-Fetch-Site"), r.Header.Get("Sec-Fetch-Mode"), r.Header.Get("Sec-Fetch-Dest")
		own := site == "" || site == "none" || site == "same-origin"
		link := mode == "navigate" && (dest == "" || dest == "document") && r.Header.Get("Sec-Purpose") == ""
		if !own && !link {
			http.Error(w, fmt.Sprintf("request from a page of another site (Sec-Fetch-Site: %.20q); only links are allowed", site), http.StatusForbidden)
			return
		}
		next(w, r)
	}
}

// withRelativeRedirects makes the Location of redirects relative to the path of the
// request, so that they work behind a proxy that serves the exporter under another path.
func withRelativeRedirects(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(&redirectWriter{w, r.URL.EscapedPath()}, r)
	})
}

// redirectWriter is a ResponseWriter for withRelativeRedirects.
type redirectWriter struct {
	http.ResponseWriter
	path string // of the request
}

func (w *redirectWriter) WriteHeader(status int) {
	if location := w.Header().Get("Location"); strings.HasPrefix(location, "/") {
		w.Header().Set("Location", relativePath(w.path, location))
	}
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (w *redirectWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// relativePath returns target, an absolute path that may have a query, relative to
// the path from (RFC 3986 §5.2).
func relativePath(from, target string) string {
	base := strings.Split(strings.TrimPrefix(from, "/"), "/")
	base = base[:len(base)-1] // the directory
	path, _, _ := strings.Cut(target, "?")
	steps := strings.Split(strings.TrimPrefix(path, "/"), "/")
	common := 0
	for common < len(base) && common < len(steps)-1 && base[common] == steps[common] {
		common++
	}
	rest := strings.Join(steps[common:], "/") + strings.TrimPrefix(target, path)
	if up := len(base) - common; up > 0 {
		return strings.Repeat("../", up) + rest
	}
	return "./" + rest
}
