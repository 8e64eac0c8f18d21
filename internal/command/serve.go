package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path"
	"runtime/debug"
	"strings"
	"sync"
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

func (s *session) addServe(app *kingpin.Application, commands map[string]runFunc) {
	cmd := app.Command("serve", "Serve metrics (default command).").Default()
	flags := newServeFlags(cmd)
	commands[cmd.FullCommand()] = func(ctx context.Context) exitCode { return s.serve(ctx, flags, internet{}) }
}

// helpConfigFile is the help of --config.file of all commands.
const helpConfigFile = "Path of the configuration file. Without it, the built-in configuration is used."

func newServeFlags(cmd *kingpin.CmdClause) *serveFlags {
	f := &serveFlags{proberLevel: promslog.NewLevel()}
	cmd.Flag("config.file", helpConfigFile).StringVar(&f.configFile)
	cmd.Flag("config.check", "Check the configuration file and exit.").BoolVar(&f.configCheck)
	cmd.Flag("config.enable-auto-reload", "Reload the configuration file when it changes.").BoolVar(&f.autoReload)
	cmd.Flag("config.auto-reload-interval", "Interval at which the configuration file is checked for changes.").Default("30s").DurationVar(&f.reloadInterval)
	f.web = kingpinflag.AddFlags(cmd, ":10125")
	cmd.Flag("web.external-url", "URL under which the exporter is reachable, for links. Its path is the default of --web.route-prefix.").StringVar(&f.externalURL)
	cmd.Flag("web.route-prefix", "Prefix of all HTTP paths. Default: the path of --web.external-url.").StringVar(&f.routePrefix)
	cmd.Flag("log.prober", "Level at which each probe is logged. One of: ["+strings.Join(promslog.LevelFlagOptions, ", ")+"]").Default("debug").SetValue(f.proberLevel)
	cmd.Flag("history.limit", "Number of recent reports to keep for the web pages.").Default("100").UintVar(&f.historyLimit)
	cmd.Flag("timeout-offset", "Duration to subtract from the scrape timeout, so that the response arrives in time.").Default("500ms").DurationVar(&f.timeoutOffset)
	cmd.Flag("web.enable-pprof", "Serve profiles of the process under /debug/pprof/.").BoolVar(&f.profiling)
	return f
}

// maxHistory limits --history.limit. A report holds everything that a probe found.
const maxHistory = 10_000

// serve runs the HTTP server until ctx ends.
func (s *session) serve(ctx context.Context, f *serveFlags, env environment) exitCode {
	if err := s.runServer(ctx, f, env); err != nil {
		s.printError(err)
		return exitError
	}
	return exitOK
}

func (s *session) runServer(ctx context.Context, f *serveFlags, env environment) error {
	if f.configCheck {
		return s.checkConfig(f.configFile, env)
	}
	if f.reloadInterval <= 0 {
		return errors.New("--config.auto-reload-interval must be positive")
	}
	if f.timeoutOffset < 0 {
		return errors.New("--timeout-offset must not be negative")
	}
	external, prefix, err := parsePaths(f.externalURL, f.routePrefix)
	if err != nil {
		return err
	}
	defaults, err := s.defaults()
	if err != nil {
		return err
	}
	logger := s.logger()
	i := &instance{env: env, pool: sync.OnceValue(newPool), logger: logger, configApplied: make(chan struct{}, 1)}
	registry := prometheus.NewRegistry()
	i.exporter = collector.NewExporter(registry, f.externalURL, i.resolverStats, i.selfCheck.Load)
	reloader := config.NewReloader(f.configFile, defaults, i.applyConfig, i.recordReload)
	i.web = web.New(web.Options{
		Exporter:      i.exporter,
		Gatherer:      registry,
		Logger:        logger,
		ProbeLevel:    f.proberLevel.Level(),
		SelfCheck:     i.selfCheck.Load,
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
	if s.getenv("GOGC") == "" {
		defer debug.SetGCPercent(debug.SetGCPercent(gcPercent))
	}
	maintenance, stop := context.WithCancel(ctx)
	stopped := make(chan struct{})
	go func() { i.maintainResolver(maintenance); close(stopped) }()
	defer func() { stop(); <-stopped }()
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	go reloadOnSignal(ctx, hangups, reloader)
	if f.autoReload {
		ticker := time.NewTicker(f.reloadInterval)
		defer ticker.Stop()
		go reloader.Watch(ctx, ticker.C)
	}
	return listen(ctx, i.web, f.web, logger)
}

// gcPercent is GOGC while serving, unless the operator sets it. The live heap is a
// few megabytes. With Go's default of 100 it is collected every twenty probes, which
// takes a quarter of the CPU.
const gcPercent = 400

// checkConfig loads the configuration file and the files that it refers to.
func (s *session) checkConfig(path string, env environment) error {
	c, err := s.loadConfig(path)
	if err != nil {
		return err
	}
	if _, err := newProber(env.adjust(c), env, func(transport.Event) {}); err != nil {
		return err
	}
	fmt.Fprintln(s.stdout, "The configuration is valid.")
	return nil
}

// parsePaths parses --web.external-url and --web.route-prefix. The prefix starts
// with a slash, and ends with one only if it is "/".
func parsePaths(externalURL, routePrefix string) (external *url.URL, prefix string, err error) {
	external, err = url.Parse(externalURL)
	if err != nil || external.RawQuery != "" || external.Fragment != "" || external.Opaque != "" {
		return nil, "", fmt.Errorf("--web.external-url: %q is not a URL such as https://example.org/dane", externalURL)
	}
	external.Path = "/" + strings.Trim(external.Path, "/")
	if routePrefix == "" {
		routePrefix = external.Path
	}
	prefix = "/" + strings.Trim(routePrefix, "/")
	if strings.ContainsAny(prefix, "{}? ") || path.Clean(prefix) != prefix {
		return nil, "", fmt.Errorf("--web.route-prefix: %q is not a path such as /dane", routePrefix)
	}
	return external, prefix, nil
}

// instance is a serving exporter, and holds what a configuration is applied to.
type instance struct {
	env           environment
	pool          func() *probe.Pool // of all probers
	logger        *slog.Logger
	exporter      *collector.Exporter
	web           *web.Server
	active        atomic.Pointer[activeConfig]
	configApplied chan struct{} // receives after each applied configuration; has a buffer of one
	selfCheck     atomic.Pointer[dnssec.SelfCheckResult]
}

// activeConfig is an applied configuration and its prober.
type activeConfig struct {
	config    *config.Config
	prober    *probe.Prober
	proberKey string // all settings that prober depends on, for comparison
}

func newPool() *probe.Pool { return probe.NewPool(poolSize(debug.SetMemoryLimit(-1))) }

// poolSize returns the memory that all probes may hold together, in bytes: half of the
// memory limit of the process, or 256 MiB if it has none. The rest is for caches, pages
// and garbage.
func poolSize(limit int64) int {
	if limit == math.MaxInt64 {
		return 256 << 20
	}
	return int(limit / 2)
}

// applyConfig puts a configuration into effect. If no setting that the prober
// depends on has changed, the prober is kept, and with it its cache of validated zones.
func (i *instance) applyConfig(c *config.Config) error {
	c = i.env.adjust(c)
	env, err := i.env.build(c.Resolver, i.countQuery)
	if err != nil {
		return err
	}
	env.Pool = i.pool()
	next := &activeConfig{config: c, proberKey: fmt.Sprint(c.Resolver, c.Access, c.Limits.HandshakeReuse, env.DNS.Servers(), env.Anchors)}
	if active := i.active.Load(); active != nil && active.proberKey == next.proberKey {
		next.prober = active.prober
	} else {
		next.prober = newProberIn(env, c)
	}
	i.active.Store(next)
	i.web.Use(c, next.prober)
	select {
	case i.configApplied <- struct{}{}:
	default:
	}
	return nil
}

// recordReload counts and logs the result of loading the configuration.
func (i *instance) recordReload(err error) {
	i.exporter.Reloaded(time.Now(), err)
	if err != nil {
		i.logger.Error("Loading the configuration failed", "err", err)
		return
	}
	i.logger.Info("Configuration loaded", "modules", len(i.active.Load().config.Modules))
}

func (i *instance) resolverStats() dnssec.Stats {
	if active := i.active.Load(); active != nil {
		return active.prober.Resolver().Stats()
	}
	return dnssec.Stats{}
}

// countQuery counts a DNS query. A cancelled query is not counted as an error:
// another server was faster, or the probe has ended.
func (i *instance) countQuery(e transport.Event) {
	if e.Fault == transport.Cancelled {
		e.Fault = ""
	}
	i.exporter.Queried(e.Server, e.Transport, string(e.Fault))
}

// maintainResolver prefetches zones and runs self-checks for the resolver of the
// active configuration, until ctx ends. It restarts after each applied configuration.
func (i *instance) maintainResolver(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-i.configApplied: // the configuration that is loaded below includes this change
		default:
		}
		resolver := i.active.Load().prober.Resolver()
		current, cancel := context.WithCancel(ctx)
		var group sync.WaitGroup
		group.Go(func() { resolver.KeepWarm(current) })
		group.Go(func() { i.runSelfChecks(current, resolver.SelfCheck) })
		select {
		case <-i.configApplied:
		case <-ctx.Done():
		}
		cancel()
		group.Wait()
	}
}

// Intervals between self-checks. While there are problems, the interval doubles
// from selfCheckMinRetry to selfCheckMaxRetry.
const (
	selfCheckInterval = time.Hour
	selfCheckMinRetry = 10 * time.Second
	selfCheckMaxRetry = 10 * time.Minute
)

// runSelfChecks repeats the self-check until ctx ends, and logs each changed result.
func (i *instance) runSelfChecks(ctx context.Context, check func(context.Context) dnssec.SelfCheckResult) {
	logged := ""
	for retry := selfCheckMinRetry; ; {
		result := check(ctx)
		if ctx.Err() != nil {
			return
		}
		i.selfCheck.Store(&result)
		if result.String() != logged {
			logged = result.String()
			i.logSelfCheck(result)
		}
		wait := selfCheckInterval
		if result.Healthy() {
			retry = selfCheckMinRetry
		} else {
			wait = retry
			retry = min(2*retry, selfCheckMaxRetry)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

func (i *instance) logSelfCheck(result dnssec.SelfCheckResult) {
	if result.Healthy() {
		i.logger.Info("Resolver self-check passed", "result", result.String())
		return
	}
	i.logger.Warn("Resolver self-check found problems", "result", result.String())
}

// reloadOnSignal reloads the configuration after each signal, until ctx ends.
func reloadOnSignal(ctx context.Context, signals <-chan os.Signal, reloader *config.Reloader) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-signals:
			_ = reloader.Reload() // recordReload logs the error
		}
	}
}

// How long probes in flight may continue after a signal to shut down, and how long
// they may then take to return once they are cancelled.
const (
	shutdownGrace = 5 * time.Second
	cancelGrace   = 2 * time.Second
)

// listen serves HTTP until ctx ends. It then waits for probes in flight, and
// cancels those that take longer than shutdownGrace.
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
	if err := shutDown(server, shutdownGrace); err == nil {
		return nil
	}
	cancel()
	if err := shutDown(server, cancelGrace); err != nil {
		return errors.Join(err, server.Close())
	}
	return nil
}

func shutDown(server *http.Server, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return server.Shutdown(ctx)
}
