package web

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"dane_exporter/internal/config"
	"dane_exporter/internal/report"
	"dane_exporter/probe"
	"dane_exporter/probe/dnssec"
)

// frame is what every page needs.
type frame struct {
	Base    string // of every link, without a slash at its end
	Version string
	Title   string
	Form    form
}

// form asks for a probe; of an address, by the name of the server there.
type form struct {
	Base, Target, Module, Hostname string
	Address                        bool // Target is one
	Modules                        []probe.Module
}

// frontPage is what the first page shows.
type frontPage struct {
	frame
	Recent, Failed []*past
	More           int                     // of the recent, kept and not shown
	Servers        []string                // as the configuration names them
	Resolvers      *dnssec.SelfCheckResult // nil: not examined yet
}

// reportPage is what the page of one report shows.
type reportPage struct {
	frame
	*report.Document
	Number uint64 // 0: the report is not kept
	Failed *past  // an earlier one of the same that failed
}

// noticePage says one thing, and offers the form.
type noticePage struct {
	frame
	Notice string
}

// frame makes the frame of a page, and a form that asks for target by module.
func (s *Server) frame(title, target, module string) frame {
	f := frame{Base: s.base(), Version: s.Version, Title: title, Form: form{Base: s.base(), Target: target, Module: module, Address: isAddress(target)}}
	if current := s.current.Load(); current != nil {
		for _, module := range current.config.Modules {
			f.Form.Modules = append(f.Form.Modules, module)
		}
		slices.SortFunc(f.Form.Modules, func(a, b probe.Module) int { return cmp.Compare(a.Name, b.Name) })
	}
	return f
}

func isAddress(target string) bool {
	if host, _, err := net.SplitHostPort(target); err == nil {
		target = host
	}
	_, err := netip.ParseAddr(strings.Trim(target, "[]"))
	return err == nil
}

// front is the first page: what this is, a form to probe, the last probes, and
// the state of the resolvers.
func (s *Server) front(w http.ResponseWriter, _ *http.Request) {
	const most = 100 // rows
	page := frontPage{frame: s.frame("dane_exporter", "", config.DefaultModule), Resolvers: s.Examined()}
	page.Recent, page.Failed = s.history.newestFirst()
	if surplus := len(page.Recent) - most; surplus > 0 {
		page.Recent, page.More = page.Recent[:most], surplus
	}
	page.Failed = page.Failed[:min(len(page.Failed), most)]
	if current := s.current.Load(); current != nil {
		page.Servers = current.config.Resolver.Servers
	}
	s.pages.render(w, http.StatusOK, "front.html", page)
}

// report shows a probe that was made, as kept finds it. Alerts link here. Where none is kept it offers to make one.
func (s *Server) report(w http.ResponseWriter, r *http.Request) {
	current := s.current.Load()
	if current == nil {
		notReady(w)
		return
	}
	values := r.URL.Query()
	format := cmp.Or(values.Get("format"), "html")
	if format != "html" && format != "json" {
		s.notice(w, http.StatusBadRequest, values, fmt.Sprintf("The format is %.40q; there are html and json.", format))
		return
	}
	found, failed, err := s.kept(values, current.config.Modules)
	if err != nil {
		s.notice(w, http.StatusBadRequest, values, err.Error())
		return
	}
	if found == nil {
		s.notice(w, http.StatusNotFound, values, "No report of this is kept. Probe it now?")
		return
	}
	document, err := found.read()
	if err != nil {
		panic(err) // we wrote it
	}
	if failed != nil && failed.Number == found.Number {
		failed = nil
	}
	s.show(w, format, reportPage{Document: document, Number: found.Number, Failed: failed})
}

// kept finds the report that is asked for: by its number, by target and module,
// or by target alone, whatever the module. It returns nil where none is kept,
// and an error where the question is none.
func (s *Server) kept(values url.Values, modules map[string]probe.Module) (found, failed *past, err error) {
	if values.Has("number") {
		number, err := strconv.ParseUint(values.Get("number"), 10, 64)
		if err != nil {
			return nil, nil, fmt.Errorf("number is %.40q: want that of a report; the first page links to those that are kept", values.Get("number"))
		}
		return s.history.numbered(number), nil, nil
	}
	target, module := values.Get("target"), values.Get("module")
	if last := s.history.asked(target); last != nil && !values.Has("module") {
		found, failed = s.history.of(last.Target, last.Module)
		return found, failed, nil
	}
	ask, err := answerable(values, modules)
	if err != nil {
		return nil, nil, err
	}
	found, failed = s.history.of(ask.target.String(), cmp.Or(module, config.DefaultModule))
	return found, failed, nil
}

// show writes a report as a page, or as JSON.
func (s *Server) show(w http.ResponseWriter, format string, page reportPage) {
	if format == "json" {
		w.Header().Set("Content-Type", "application/json")
		if err := page.Document.Write(w); err != nil {
			s.Logger.Debug("A report was not read to its end", "err", err)
		}
		return
	}
	page.frame = s.frame(page.Target+": "+page.Outcome, page.Asked, page.Document.Module.Name)
	page.Form.Hostname = page.Hostname
	s.pages.render(w, http.StatusOK, "report.html", page)
}

// notice says what is the matter with a request, as a page or for JSON in one line.
func (s *Server) notice(w http.ResponseWriter, status int, values url.Values, text string) {
	if values.Get("format") == "json" {
		http.Error(w, text, status)
		return
	}
	module := cmp.Or(values.Get("module"), config.DefaultModule)
	page := noticePage{frame: s.frame("dane_exporter", values.Get("target"), module), Notice: text}
	page.Form.Hostname = values.Get("hostname")
	s.pages.render(w, status, "notice.html", page)
}

// probeForPeople makes the probe that a form asks for, and leads to its report.
func (s *Server) probeForPeople(w http.ResponseWriter, r *http.Request) {
	current := s.current.Load()
	if current == nil {
		notReady(w)
		return
	}
	const most = 8 << 10 // bytes of a form
	r.Body = http.MaxBytesReader(w, r.Body, most)
	if err := r.ParseForm(); err != nil {
		s.notice(w, http.StatusBadRequest, nil, "The form cannot be read: want target and module.")
		return
	}
	values := r.PostForm
	values.Set("target", strings.TrimSpace(values.Get("target"))) // as it comes from elsewhere by copying
	ask, err := answerable(values, current.config.Modules)
	if err != nil {
		s.notice(w, http.StatusBadRequest, values, err.Error())
		return
	}
	ask.debug = true // whoever asks wants to see what is so now, by a handshake of their own
	ctx, cancel := context.WithTimeout(r.Context(), ask.module.Timeout)
	defer cancel()
	found, number, rejected := s.run(ctx, current, ask)
	switch {
	case rejected != "":
		w.Header().Set("Retry-After", "1")
		s.notice(w, http.StatusServiceUnavailable, values, tooMany(current.config))
	case number == 0:
		s.show(w, "html", reportPage{Document: report.NewDocument(found)})
	default:
		http.Redirect(w, r, fmt.Sprintf("%s/report?number=%d", s.base(), number), http.StatusSeeOther)
	}
}

// config shows the configuration that is in force. It holds no secrets.
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
