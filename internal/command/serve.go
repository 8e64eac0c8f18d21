package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/common/version"
	toolkit "github.com/prometheus/exporter-toolkit/web"
	"github.com/prometheus/exporter-toolkit/web/kingpinflag"

	"dane_exporter/collector"
	"dane_exporter/internal/config"
	"dane_exporter/internal/web"
	"dane_exporter/probe"
	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/dnssec/transport"
)

// serveFlags are the flags of serve.
type serveFlags struct {
	configFile     string
	configCheck    bool
	autoReload     bool
	reloadInterval time.Duration
	web            *toolkit.FlagConfig
	externalURL    string
	routePrefix    string
	proberLevel    *promslog.Level
	historyLimit   uint
	timeoutOffset  time.Duration
	profiling      bool
}

func (s *session) addServe(app *kingpin.Application, commands map[string]command) {
	cmd := app.Command("serve", "Serve metrics; what happens without a command.").Default()
	flags := newServeFlags(cmd)
	commands[cmd.FullCommand()] = func(ctx context.Context) int { return s.serve(ctx, flags, internet{}) }
}

func newServeFlags(cmd *kingpin.CmdClause) *serveFlags {
	f := &serveFlags{proberLevel: promslog.NewLevel()}
	cmd.Flag("config.file", "Path of the configuration file. Without it, the built-in configuration is in force.").StringVar(&f.configFile)
	cmd.Flag("config.check", "Check the configuration file and exit.").BoolVar(&f.configCheck)
	cmd.Flag("config.enable-auto-reload", "Reload the configuration file whenever it changes.").BoolVar(&f.autoReload)
	cmd.Flag("config.auto-reload-interval", "How often to look whether the configuration file has changed.").Default("30s").DurationVar(&f.reloadInterval)
	f.web = kingpinflag.AddFlags(cmd, ":10125")
	cmd.Flag("web.external-url", "The URL under which people reach this exporter, for links; its path is the default of --web.route-prefix.").StringVar(&f.externalURL)
	cmd.Flag("web.route-prefix", "Prefix of the paths that are served. Default: the path of --web.external-url.").StringVar(&f.routePrefix)
	cmd.Flag("log.prober", "Severity with which each probe is logged. One of: ["+strings.Join(promslog.LevelFlagOptions, ", ")+"]").Default("debug").SetValue(f.proberLevel)
	cmd.Flag("history.limit", "How many of the last reports are kept for the first page.").Default("100").UintVar(&f.historyLimit)
	cmd.Flag("timeout-offset", "What is left of the scrape's time-out for the answer's way back.").Default("500ms").DurationVar(&f.timeoutOffset)
	cmd.Flag("web.enable-pprof", "Serve profiles of the process under /debug/pprof/.").BoolVar(&f.profiling)
	return f
}

// maxHistory is the most reports that are kept, whatever --history.limit says:
// each holds all that a probe found.
const maxHistory = 10_000

// serve answers HTTP until ctx ends.
func (s *session) serve(ctx context.Context, f *serveFlags, where surroundings) int {
	logger := s.logger()
	if err := s.serving(ctx, f, where, logger); err != nil {
		s.complain(err)
		return exitError
	}
	return exitOK
}

func (s *session) serving(ctx context.Context, f *serveFlags, where surroundings, logger *slog.Logger) error {
	if f.configCheck {
		return s.checkConfig(f.configFile, where)
	}
	if f.reloadInterval <= 0 {
		return fmt.Errorf("--config.auto-reload-interval: %s is no interval", f.reloadInterval)
	}
	if f.timeoutOffset < 0 {
		return fmt.Errorf("--timeout-offset: %s is less than nothing", f.timeoutOffset)
	}
	external, prefix, err := paths(f.externalURL, f.routePrefix)
	if err != nil {
		return err
	}
	defaults, err := s.defaults()
	if err != nil {
		return err
	}
	service := &service{where: where, logger: logger, applied: make(chan struct{}, 1)}
	registry := prometheus.NewRegistry()
	service.exporter = collector.NewExporter(registry, service.resolverStats, service.examined.Load)
	reloader := config.NewReloader(f.configFile, defaults, service.apply, service.reloaded)
	service.server = web.New(web.Options{
		Exporter:      service.exporter,
		Gatherer:      registry,
		Logger:        logger,
		ProbeLevel:    f.proberLevel.Level(),
		SelfCheck:     service.examined.Load,
		Reload:        reloader.Reload,
		ExternalURL:   external,
		RoutePrefix:   prefix,
		TimeoutOffset: f.timeoutOffset,
		HistoryLimit:  int(min(f.historyLimit, maxHistory)),
		Version:       cmp.Or(version.Version, "unreleased"),
		Profiling:     f.profiling,
	})
	if err := reloader.Reload(); err != nil {
		return err
	}
	logger.Info("Starting dane_exporter", "version", version.Info(), "build_context", version.BuildContext())
	defer keepSlack()()
	tending, leave := context.WithCancel(ctx)
	tended := make(chan struct{})
	go func() { service.tend(tending); close(tended) }()
	defer func() { leave(); <-tended }()
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	go reloadAtEach(ctx, hangups, reloader)
	if f.autoReload {
		ticker := time.NewTicker(f.reloadInterval)
		defer ticker.Stop()
		go reloader.Watch(ctx, ticker.C)
	}
	return listen(ctx, service.server, f.web, logger)
}

// checkConfig loads the file and all that it names, and says so.
func (s *session) checkConfig(path string, where surroundings) error {
	c, err := s.load(path)
	if err != nil {
		return err
	}
	if _, err := newProber(where.adapt(c), where, func(transport.Event) {}); err != nil {
		return err
	}
	fmt.Fprintln(s.stdout, "The configuration is good.")
	return nil
}

// paths reads the URL under which people reach us, and the prefix of the paths
// that are served, "" for none.
func paths(externalURL, routePrefix string) (*url.URL, string, error) {
	external, err := url.Parse(externalURL)
	if err != nil || external.RawQuery != "" || external.Fragment != "" || external.Opaque != "" {
		return nil, "", fmt.Errorf("--web.external-url: %q is no URL such as https://example.org/dane", externalURL)
	}
	external.Path = "/" + strings.Trim(external.Path, "/")
	if routePrefix == "" {
		routePrefix = external.Path
	}
	prefix := "/" + strings.Trim(routePrefix, "/")
	if strings.ContainsAny(prefix, "{}? ") || path.Clean(prefix) != prefix {
		return nil, "", fmt.Errorf("--web.route-prefix: %q is no path such as /dane", routePrefix)
	}
	return external, prefix, nil
}

// service is what serves: the parts that a configuration is applied to.
type service struct {
	where    surroundings
	logger   *slog.Logger
	exporter *collector.Exporter
	server   *web.Server
	current  atomic.Pointer[running]
	applied  chan struct{} // has room for one: a configuration was
	examined atomic.Pointer[dnssec.SelfCheckResult]
}

// running is a configuration in force.
type running struct {
	config *config.Config
	prober *probe.Prober
	basis  string // all that the prober depends on, in words that can be compared
}

// apply puts a configuration into force. The prober, and with it the cache of
// validated zones, stays where nothing that it depends on has changed.
func (s *service) apply(c *config.Config) error {
	c = s.where.adapt(c)
	world, err := s.where.world(c.Resolver, s.observeDNS)
	if err != nil {
		return err
	}
	next := &running{config: c, basis: fmt.Sprint(c.Resolver, c.Access, c.Limits.HandshakeReuse, world.DNS.Servers(), world.Anchors)}
	if now := s.current.Load(); now != nil && now.basis == next.basis {
		next.prober = now.prober
	} else {
		next.prober = proberOf(c, world)
	}
	s.current.Store(next)
	s.server.Use(c, next.prober)
	select {
	case s.applied <- struct{}{}:
	default:
	}
	return nil
}

func (s *service) reloaded(err error) {
	s.exporter.Reloaded(time.Now(), err)
	if err != nil {
		s.logger.Error("The configuration was not loaded", "err", err)
		return
	}
	s.logger.Info("The configuration is in force", "modules", len(s.current.Load().config.Modules))
}

func (s *service) resolverStats() dnssec.Stats {
	if now := s.current.Load(); now != nil {
		return now.prober.Resolver().Stats()
	}
	return dnssec.Stats{}
}

// observeDNS counts a query. One that nobody waits for any longer, since another
// server was faster or its probe has ended, is no error of the server's.
func (s *service) observeDNS(e transport.Event) {
	if e.Fault == transport.Cancelled {
		e.Fault = ""
	}
	s.exporter.Queried(e.Server, e.Transport, string(e.Fault))
}

// reloadAtEach reloads at each signal until ctx ends.
func reloadAtEach(ctx context.Context, signals <-chan os.Signal, reloader *config.Reloader) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-signals:
			_ = reloader.Reload() // it is told to service.reloaded
		}
	}
}

// How long probes in flight may go on after the signal to end: to their end,
// and then to notice that they are cancelled.
const (
	graceToFinish = 5 * time.Second
	graceToCancel = 2 * time.Second
)

// listen serves until ctx ends, and then lets probes in flight finish, or
// cancels those that take longer than a few seconds.
func listen(ctx context.Context, handler *web.Server, flags *toolkit.FlagConfig, logger *slog.Logger) error {
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	server := handler.HTTPServer(base)
	failed := make(chan error, 1)
	go func() { failed <- toolkit.ListenAndServe(server, flags, logger) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	logger.Info("Shutting down")
	if err := shutdown(server, graceToFinish); err == nil {
		return nil
	}
	cancel()
	if err := shutdown(server, graceToCancel); err != nil {
		return errors.Join(err, server.Close())
	}
	return nil
}

func shutdown(server *http.Server, within time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	return server.Shutdown(ctx)
}
