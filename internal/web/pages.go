package web

import (
	"bytes"
	"cmp"
	_ "embed"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"gopkg.in/yaml.v3"

	"dane_exporter/internal/config"
	"dane_exporter/probe"
	"dane_exporter/probe/dnssec"
)

//go:embed front.html
var frontHTML string

// frontPage is what the first page shows.
type frontPage struct {
	Version   string
	Base      string // of every link, without a slash at its end
	Default   string
	Modules   []probe.Module
	Past      []past
	Resolvers *dnssec.Examination // nil: not examined yet
}

// front is the first page: what this is, a form to probe, and the last probes.
func (s *Server) front(w http.ResponseWriter, _ *http.Request) {
	page := frontPage{Version: s.Version, Base: s.base(), Default: config.DefaultModule, Past: s.history.newestFirst(), Resolvers: s.Examined()}
	if current := s.current.Load(); current != nil {
		for _, module := range current.config.Modules {
			page.Modules = append(page.Modules, module)
		}
		slices.SortFunc(page.Modules, func(a, b probe.Module) int { return cmp.Compare(a.Name, b.Name) })
	}
	var html bytes.Buffer
	if err := s.frontTemplate.Execute(&html, page); err != nil {
		panic(fmt.Errorf("render the first page: %w", err))
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(html.Bytes())
}

// report shows a probe that was made, by its number, as debug=true does.
func (s *Server) report(w http.ResponseWriter, r *http.Request) {
	number, err := strconv.ParseUint(r.URL.Query().Get("number"), 10, 64)
	if err != nil {
		http.Error(w, "want /report?number=…; the first page links to those that are kept", http.StatusBadRequest)
		return
	}
	found := s.history.report(number)
	if found == nil {
		http.Error(w, fmt.Sprintf("report %d is no longer kept", number), http.StatusNotFound)
		return
	}
	s.story(w, found)
}

// config shows the configuration that is in force. What is secret in it, the
// passwords of proxies, masks itself.
func (s *Server) config(w http.ResponseWriter, _ *http.Request) {
	current := s.current.Load()
	if current == nil {
		notReady(w)
		return
	}
	text, err := yaml.Marshal(current.config)
	if err != nil {
		panic(fmt.Errorf("write the configuration: %w", err))
	}
	plain(w, string(text))
}
