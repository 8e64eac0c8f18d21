package web

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"dane_exporter/internal/config"
	"dane_exporter/internal/report"
	"dane_exporter/probe"
)

// layout is the data that every page needs.
type layout struct {
	Base    string // relative path of the front page, without a final slash: links must work behind proxies
	Version string
	Title   string
	Form    form
}

// form is the form that starts a probe. If the target is an address, it also has
// a field for the hostname.
type form struct {
	Base, Target, Module, Hostname string
	Token                          string // of the formGuard
	Address                        bool   // Target is an address
	Modules                        []probe.Module
}

// reportPage is the data of the page of one report.
type reportPage struct {
	layout
	*report.Document
	Host     string // the only host of the page; empty: all hosts
	Evidence evidence
	Number   uint64 // 0 if the report is not stored
	Judged   *entry // the last report of the target with a verdict, if it is another one
	Failed   *entry // the last failed one, if it is another one
}

// noticePage shows one sentence and the form.
type noticePage struct {
	layout
	Heading, Notice string
}

// layout returns the layout of a page, with a form for target and module.
func (s *Server) layout(title, target, module string) layout {
	_, isAddress := addressOf(target)
	target = report.Printable(target)
	l := layout{Base: ".", Version: s.Version, Title: title, Form: form{Base: ".", Target: target, Module: module, Token: s.forms.token, Address: isAddress}}
	if current := s.current.Load(); current != nil {
		for _, module := range current.config.Modules {
			l.Form.Modules = append(l.Form.Modules, module)
		}
		slices.SortFunc(l.Form.Modules, func(a, b probe.Module) int { return cmp.Compare(a.Name, b.Name) })
	}
	return l
}

// addressOf parses a target that is an address with or without a port. The port is 0 if there is none.
func addressOf(target string) (address netip.AddrPort, ok bool) {
	if with, err := netip.ParseAddrPort(target); err == nil {
		return netip.AddrPortFrom(with.Addr().Unmap(), with.Port()), true
	}
	if inside, bracketed := strings.CutPrefix(target, "["); bracketed {
		target = strings.TrimSuffix(inside, "]")
	}
	alone, err := netip.ParseAddr(target)
	return netip.AddrPortFrom(alone.Unmap(), 0), err == nil
}

// report serves a stored report as a page or as JSON. Alerts link here. If there
// is no such report, the page offers to probe the target.
func (s *Server) report(w http.ResponseWriter, r *http.Request) {
	current := s.current.Load()
	if current == nil {
		notReady(w)
		return
	}
	values := r.URL.Query()
	format := cmp.Or(values.Get("format"), "html")
	if format != "html" && format != "json" {
		s.notice(w, http.StatusBadRequest, values, fmt.Sprintf("parameter format: %.40q is not one of: html, json", format))
		return
	}
	found, err := s.findReport(values, current.config.Modules)
	if err != nil {
		s.notice(w, http.StatusBadRequest, values, err.Error())
		return
	}
	if found == nil {
		s.notice(w, http.StatusNotFound, values, "No report is stored for this request. Probe the target now?")
		return
	}
	page := reportPage{Document: s.history.read(found), Number: found.Number}
	kept := s.history.byTarget(found.Target, found.Module)
	if kept.failed != found {
		page.Failed = kept.failed
	}
	if kept.judged != found && kept.judged != kept.failed {
		page.Judged = kept.judged
	}
	page.Host = values.Get("host")
	if page.Host != "" && format == "json" {
		s.notice(w, http.StatusBadRequest, values, "the parameter host is for pages: a report as JSON has all hosts")
		return
	}
	if page.Host != "" {
		if page.Document = ofHost(page.Document, page.Host); len(page.Services) == 0 {
			s.notice(w, http.StatusNotFound, values, fmt.Sprintf("The report has no host %.80q.", page.Host))
			return
		}
	}
	s.showReport(w, format, page)
}

// findReport finds a stored report by its number, or by target. The target may be
// written as in the probe, also without the hostname of an address, or in another
// form. Without a module, the report may be of any module. found is nil if no such
// report is stored. It returns an error if the parameters are invalid.
func (s *Server) findReport(values url.Values, modules map[string]probe.Module) (found *entry, err error) {
	if values.Has("number") {
		number, err := strconv.ParseUint(values.Get("number"), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("parameter number: %.40q is not the number of a report; the front page links to the stored reports", values.Get("number"))
		}
		return s.history.byNumber(number), nil
	}
	target, hostname, module := values.Get("target"), values.Get("hostname"), values.Get("module")
	ofModule := func(e *entry) bool { return !values.Has("module") || e.Module == module }
	if hostname == "" {
		address, isAddress := addressOf(target)
		last := s.history.newest(func(e *entry) bool {
			return ofModule(e) && (e.Asked == target || isAddress && e.address == address)
		})
		if last != nil {
			return last, nil
		}
		if isAddress { // alerts link here: it is a valid target, whose hostname the form asks for
			values = maps.Clone(values)
			values.Set("hostname", "host.invalid")
		}
	}
	request, err := newProbeRequest(values, modules)
	if err != nil {
		return nil, err
	}
	return s.history.byTarget(request.target.String(), request.module.Name).last, nil
}

// showReport answers with a report as a page or as JSON.
func (s *Server) showReport(w http.ResponseWriter, format string, page reportPage) {
	if format == "json" {
		w.Header().Set("Content-Type", "application/json")
		mustWrite(page.Document.Write(w))
		return
	}
	page.Evidence = newEvidence(page.Document)
	page.layout = s.layout(page.Target+": "+page.Outcome, page.Asked, page.Document.Module.Name)
	page.Form.Hostname = page.Hostname
	s.renderer.render(w, http.StatusOK, "report.html", page)
}

// notice answers with one sentence: as a page with the form, or as plain text if
// the request was for JSON.
func (s *Server) notice(w http.ResponseWriter, status int, values url.Values, text string) {
	if values.Get("format") == "json" {
		http.Error(w, text, status)
		return
	}
	module := cmp.Or(values.Get("module"), config.DefaultModule)
	heading := map[int]string{http.StatusNotFound: "Not found", http.StatusServiceUnavailable: "Try again"}[status]
	page := noticePage{layout: s.layout("dane_exporter", values.Get("target"), module), Heading: cmp.Or(heading, "Invalid request"), Notice: text}
	page.Form.Hostname = report.Printable(values.Get("hostname"))
	s.renderer.render(w, status, "notice.html", page)
}

// submit makes the probe that a form describes and redirects to its report.
func (s *Server) submit(w http.ResponseWriter, r *http.Request) {
	current := s.current.Load()
	if current == nil {
		notReady(w)
		return
	}
	const limit = 8 << 10 // bytes of a form
	r.Body = http.MaxBytesReader(w, r.Body, limit)
	if err := r.ParseForm(); err != nil {
		s.notice(w, http.StatusBadRequest, nil, "invalid form; it must have the fields target and module")
		return
	}
	values := r.PostForm
	if !s.forms.allows(r) {
		s.notice(w, http.StatusForbidden, values, "The form was sent from a page of another site, or before the exporter was restarted. Send it again from here.")
		return
	}
	values.Set("target", strings.TrimSpace(values.Get("target"))) // pasted text often has spaces
	request, err := newProbeRequest(values, current.config.Modules)
	if err != nil {
		s.notice(w, http.StatusBadRequest, values, err.Error())
		return
	}
	request.debug = true // the report must show the present state, so it needs a new handshake
	ctx, cancel := context.WithTimeout(r.Context(), request.module.Timeout)
	defer cancel()
	result, number, err := s.runProbe(ctx, current, request)
	switch {
	case err != nil:
		w.Header().Set("Retry-After", "1")
		s.notice(w, http.StatusServiceUnavailable, values, tooManyProbes(current.config))
	case number == 0:
		if release, ok := s.acquirePage(w, r); ok {
			defer release()
			s.showReport(w, "html", reportPage{Document: report.NewDocument(result)})
		}
	default:
		http.Redirect(w, r, fmt.Sprintf("report?number=%d", number), http.StatusSeeOther)
	}
}
