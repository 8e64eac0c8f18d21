package web

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"gopkg.in/yaml.v3"

	"dane_exporter/internal/config"
	"dane_exporter/internal/report"
	"dane_exporter/probe"
)

// Flag is a flag of the command line.
type Flag struct {
	Name, Value string
	Given       bool
}

// configPage is the data of the page of the configuration, or of one of its modules.
type configPage struct {
	layout
	Sections []configSection
	Modules  []moduleRow // empty on the page of a module
	Flags    []Flag
	Module   string // empty: all
	Origin   config.Origin
}

// configSection is a section of the configuration, or a module.
type configSection struct {
	Name     string
	Settings []config.Setting
}

// moduleRow is one module in the table of all.
type moduleRow struct {
	probe.Module
	Origin config.Origin
}

// config serves the configuration in effect, and where each value comes from. With module=NAME, it
// serves the settings of one module, and with format=yaml the whole configuration as
// YAML. Passwords are masked.
func (s *Server) config(w http.ResponseWriter, r *http.Request) {
	current := s.current.Load()
	if current == nil {
		notReady(w)
		return
	}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		s.notice(w, http.StatusBadRequest, nil, "invalid query string; use /config, /config?module=smtp_mx or /config?format=yaml")
		return
	}
	for key := range values {
		if key != "module" && key != "format" {
			s.notice(w, http.StatusBadRequest, nil, fmt.Sprintf("unknown parameter %.40q; allowed: module, format", key))
			return
		}
	}
	name := values.Get("module")
	switch format := cmp.Or(values.Get("format"), "html"); {
	case format == "yaml":
		s.configAsYAML(w, current.config)
	case format != "html":
		s.notice(w, http.StatusBadRequest, nil, fmt.Sprintf("parameter format: %.40q is not one of: html, yaml", format))
	case name == "":
		s.renderer.render(w, http.StatusOK, "config.html", s.configPage(current.config))
	case current.config.Module(name) == nil:
		s.notice(w, http.StatusNotFound, nil, fmt.Sprintf("There is no module %.80q.", name))
	default:
		page := configPage{layout: s.layout("dane_exporter: module "+name, "", name), Module: name, Origin: current.config.ModuleOrigin(name)}
		page.Sections = []configSection{{name, printableSettings(current.config.Module(name))}}
		s.renderer.render(w, http.StatusOK, "config.html", page)
	}
}

func (s *Server) configPage(c *config.Config) configPage {
	page := configPage{layout: s.layout("dane_exporter: configuration", "", "")}
	for _, name := range config.Sections() {
		page.Sections = append(page.Sections, configSection{name, printableSettings(c.Section(name))})
	}
	for _, name := range slices.Sorted(maps.Keys(c.Modules)) {
		page.Modules = append(page.Modules, moduleRow{c.Modules[name], c.ModuleOrigin(name)})
	}
	for _, flag := range s.Flags {
		flag.Value = report.Printable(flag.Value)
		page.Flags = append(page.Flags, flag)
	}
	slices.SortStableFunc(page.Flags, func(a, b Flag) int { return trueFirst(a.Given, b.Given) })
	return page
}

// printableSettings returns settings without characters that a page must not contain.
func printableSettings(settings []config.Setting) []config.Setting {
	for i := range settings {
		settings[i].Value = report.Printable(settings[i].Value)
	}
	return settings
}

func (s *Server) configAsYAML(w http.ResponseWriter, c *config.Config) {
	text, err := yaml.Marshal(c)
	if err != nil {
		panic(fmt.Errorf("marshal the configuration: %w", err))
	}
	writePlain(w, string(text))
}
