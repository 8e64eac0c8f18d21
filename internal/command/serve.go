package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/common/version"
	toolkit "github.com/prometheus/exporter-toolkit/web"
	"github.com/prometheus/exporter-toolkit/web/kingpinflag"

	"dane_exporter/collector"
	"dane_exporter/internal/config"
	"dane_exporter/internal/discovery"
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
	all            []flagValue
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
	cmd.Flag("config.check", "Check the configuration file and --web.config.file, and exit.").BoolVar(&f.configCheck)
	cmd.Flag("config.enable-auto-reload", "Reload the configuration when its file changes, or another file that it uses: trust anchors, CA certificates, files with secrets, --web.config.file and its certificates. Changes of /etc/resolv.conf take effect without this flag.").BoolVar(&f.autoReload)
	cmd.Flag("config.auto-reload-interval", "Interval at which files are checked for changes: such as 1m, or a number of seconds.").Default("30s").SetValue((*secondsValue)(&f.reloadInterval))
	f.web = kingpinflag.AddFlags(cmd, ":10125")
	cmd.Flag("web.external-url", "URL under which the exporter is reachable, for links. Its path is the default of --web.route-prefix.").StringVar(&f.externalURL)
	cmd.Flag("web.route-prefix", "Prefix of all HTTP paths. Default: the path of --web.external-url.").StringVar(&f.routePrefix)
	cmd.Flag("log.prober", "Only log messages about single probes with the given severity or above, whatever --log.level is: a failed probe is info; the start and the success of a probe are debug. One of: ["+strings.Join(promslog.LevelFlagOptions, ", ")+"]").Default("info").SetValue(f.proberLevel)
	cmd.Flag("history.limit", "Number of recent probes to list. In addition, the last report of each target, the last with a verdict and the last failed one are kept, within 20 MiB, and one row for the front page. 0 keeps nothing.").Default("100").UintVar(&f.historyLimit)
	cmd.Flag("timeout-offset", "Duration to subtract from the scrape timeout, so that the response arrives in time: such as 500ms, or a number of seconds.").Default("500ms").SetValue((*secondsValue)(&f.timeoutOffset))
	cmd.Flag("web.enable-pprof", "Serve profiles of the process under /debug/pprof/.").BoolVar(&f.profiling)
	f.all = flagsOf(cmd, cmd.Model().FlagGroupModel)
	return f
}

// secondsValue is a flag value: a duration, or a number of seconds as blackbox_exporter takes it.
type secondsValue time.Duration

func (v *secondsValue) String() string { return time.Duration(*v).String() }

func (v *secondsValue) Set(text string) error {
	withUnit := text
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		withUnit += "s"
	}
	duration, err := time.ParseDuration(withUnit)
	if err != nil {
		return fmt.Errorf("%q is not a duration such as 500ms, or a number of seconds such as 0.5", text)
	}
	*v = secondsValue(duration)
	return nil
}

// maxHistory limits --history.limit.
const maxHistory = 10_000

// serve runs the HTTP server until ctx ends.
func (s *session) serve(ctx context.Context, f *serveFlags, env environment) exitCode {
	if err := s.runServer(ctx, f, env); err != nil {
		return s.fail(err)
	}
	return exitOK
}

// fail reports an error of a command that is no monitoring plugin.
func (s *session) fail(err error) exitCode {
	s.printError(err)
	return exitError
}

func (s *session) runServer(ctx context.Context, f *serveFlags, env environment) error {
	if f.configCheck {
		return s.checkConfig(f, env)
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
	f.routePrefix, f.historyLimit = prefix, min(f.historyLimit, maxHistory) // /config shows the values in effect
	defaults, err := s.defaults()
	if err != nil {
		return err
	}
	logger := s.logger()
	// The pool is a share of the memory limit, so the limit comes first.
	defer s.tuneMemory(memlimit.FromCgroup, logger)()
	probes := poolSize(debug.SetMemoryLimit(-1))
	logger.Info("Memory of all probes limited", "bytes", probes)
	i := &instance{env: env, pool: probe.NewPool(probes), logger: logger, configApplied: make(chan struct{}, 1)}
	registry := prometheus.NewRegistry()
	i.exporter = collector.NewExporter(registry, f.externalURL, i.resolverStats, i.selfChecks)
	i.discovery = i.newDiscovery()
	registry.MustRegister(collector.NewDiscoveryCollector(i.discovery.Status))
	webConfig := webConfigFile{*f.web.WebConfigFile, logger}
	files := func(c *config.Config) []string {
		return slices.Concat(env.files(c), c.SecretFiles(), config.WebConfigFiles(webConfig.path))
	}
	apply := func(c *config.Config) error {
		if err := webConfig.check(); err != nil {
			return err
		}
		c, err := c.WithSecrets(s.warnOfSecret)
		if err != nil {
			return err
		}
		return i.applyConfig(c)
	}
	reloader := config.NewReloader(f.configFile, defaults, files, apply, i.recordReload)
	probeLogging := s.logging
	probeLogging.Level = f.proberLevel
	i.web = web.New(web.Options{
		Exporter:      i.exporter,
		Registry:      registry,
		Logger:        logger,
		ProbeLogger:   promslog.New(&probeLogging),
		SelfChecks:    i.selfChecks,
		Reload:        reloader.Reload,
		Discovery:     i.discovery,
		ExternalURL:   external,
		RoutePrefix:   prefix,
		TimeoutOffset: f.timeoutOffset,
		HistoryLimit:  int(f.historyLimit),
		Version:       cmp.Or(version.Version, "unreleased"),
		Profiling:     f.profiling,
		Flags:         shownFlags(f.all, s.flags),
	})
	if err := reloader.Reload(); err != nil {
		return err
	}
	logger.Info("Starting dane_exporter", "version", version.Info(), "build_context", version.BuildContext())
	background, stop := context.WithCancel(ctx)
	var group sync.WaitGroup
	defer func() { stop(); waitFor(&group, cancelGrace) }()
	group.Go(func() { i.maintainResolvers(background) })
	group.Go(func() { i.discovery.Run(background) })
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	group.Go(func() { reloadOnSignal(background, hangups, reloader) })
	resolvConf := time.NewTicker(resolvConfInterval)
	defer resolvConf.Stop()
	group.Go(func() { i.watchResolvConf(background, resolvConf.C) })
	if f.autoReload {
		ticker := time.NewTicker(f.reloadInterval)
		defer ticker.Stop()
		group.Go(func() { reloader.Watch(background, ticker.C) })
	}
	return listen(ctx, i.web, f.web, logger)
}

// waitFor waits until the goroutines of group have ended, for at most limit: one that reads
// a file, such as a pipe, cannot be cancelled.
func waitFor(group *sync.WaitGroup, limit time.Duration) {
	ended := make(chan struct{})
	go func() { group.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(limit):
	}
}

// checkConfig loads the configuration file, the files that it refers to, and the web
// configuration.
func (s *session) checkConfig(f *serveFlags, env environment) error {
	c, err := s.loadConfig(f.configFile)
	if err != nil {
		return err
	}
	if err := toolkit.Validate(*f.web.WebConfigFile); err != nil {
		return fmt.Errorf("--web.config.file: %w", err)
	}
	if _, err := newProber(env.adjust(c), env); err != nil {
		return err
	}
	if err := c.Discovery.CheckKeys(); err != nil {
		return err
	}
	fmt.Fprintln(s.stdout, "The configuration is valid.")
	return nil
}

// webConfigFile is the file of --web.config.file. Package exporter-toolkit reads it
// anew for each request, and its certificates for each TLS connection. So a mistake
// in it takes effect without a reload; a reload reports it.
type webConfigFile struct {
	path   string // empty: there is none
	logger *slog.Logger
}

// check returns an error if the file or its certificates are invalid. The error does
// not say why: errors of a reload are shown to any client, and those of the file
// may quote a secret. The log has it.
func (f webConfigFile) check() error {
	if err := toolkit.Validate(f.path); err != nil {
		f.logger.Error("The web configuration is invalid", "file", f.path, "err", err)
		return errors.New("--web.config.file is invalid; the log has the cause")
	}
	return nil
}

// parsePaths parses --web.external-url, which must be absolute if it is given: alerts and
// dashboards build links from it. It also parses --web.route-prefix. The prefix starts
// with a slash, and ends with one only if it is "/".
func parsePaths(externalURL, routePrefix string) (external *url.URL, prefix string, err error) {
	external, err = url.Parse(externalURL)
	if externalURL != "" && (err != nil || !isWebURL(external)) {
		if err == nil {
			externalURL = external.Redacted()
		}
		return nil, "", fmt.Errorf("--web.external-url: %q is not a URL such as https://example.org/dane; for a path alone, use --web.route-prefix", externalURL)
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

// isWebURL reports whether u has a scheme, a host and a path, and nothing else.
func isWebURL(u *url.URL) bool {
	port, err := strconv.ParseUint(cmp.Or(u.Port(), "80"), 10, 16)
	return (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.User == nil && err == nil && port > 0 &&
		u.Opaque == "" && u.RawQuery == "" && !u.ForceQuery && u.Fragment == ""
}

// instance is a serving exporter, and holds what a configuration is applied to.
type instance struct {
	env           environment
	pool          *probe.Pool // of all probers
	logger        *slog.Logger
	exporter      *collector.Exporter
	discovery     *discovery.Discovery
	web           *web.Server
	applying      sync.Mutex // held while active changes
	active        atomic.Pointer[activeConfig]
	configApplied chan struct{} // receives after each applied configuration; has a buffer of one
}

// activeConfig is an applied configuration and its prober.
type activeConfig struct {
	config     *config.Config
	env        probe.Environment
	views      views
	prober     *probe.Prober
	retired    dnssec.Stats  // counters of the views that reloads have removed
	resolvConf config.Digest // of /etc/resolv.conf, before it was read
}

// poolSize returns the memory that all probes may hold together, in bytes: half of the
// memory limit of the process, or 256 MiB if it has none. The rest is for caches, pages
// and garbage.
func poolSize(limit int64) int {
	if limit == math.MaxInt64 {
		return 256 << 20
	}
	return int(limit / 2)
}

// applyConfig puts a configuration into effect. It keeps each view that has not changed, with
// its cache of validated zones. It keeps the handshakes unless the trusted roots, access or
// limits.handshake_reuse have changed.
func (i *instance) applyConfig(c *config.Config) error {
	i.applying.Lock()
	defer i.applying.Unlock()
	c = i.env.adjust(c)
	resolvConf := config.DigestFiles(i.env.resolvConf(c))
	env := i.env.build()
	var kept views
	if active := i.active.Load(); active != nil && active.env.Roots.Equal(env.Roots) {
		kept = active.views
	}
	views, err := newViews(c, i.env, env, kept, false, i.observer())
	if err != nil {
		return err
	}
	i.activate(c, env, views, resolvConf)
	i.discovery.Use(c.Discovery)
	i.notifyApplied()
	return nil
}

// listInterval is the interval at which the files of /sd are checked for changes.
const listInterval = 10 * time.Second

// newDiscovery returns a Discovery for /sd. It looks up MX records with the active prober.
func (i *instance) newDiscovery() *discovery.Discovery {
	return discovery.New(discovery.Environment{
		Now: time.Now, Logger: i.logger, Poll: listInterval,
		Dial: i.dialPrimary,
		LookupMX: func(ctx context.Context, domain string) ([]string, error) {
			return i.active.Load().prober.LookupMX(ctx, domain)
		},
	})
}

// dialPrimary connects to the nameserver from which the zone of a source is transferred.
func (i *instance) dialPrimary(ctx context.Context, primary string) (net.Conn, error) {
	server, err := transport.ParseNameserver(primary)
	if err != nil {
		return nil, err
	}
	return server.Dial(ctx, i.active.Load().env.Roots)
}

// notifyApplied makes maintainResolvers start again.
func (i *instance) notifyApplied() {
	select {
	case i.configApplied <- struct{}{}:
	default:
	}
}

// activate makes c the active configuration, with a prober in env. The caller holds
// i.applying.
func (i *instance) activate(c *config.Config, env probe.Environment, v views, resolvConf config.Digest) {
	env.Pool = i.pool
	next := &activeConfig{config: c, env: env, views: v, resolvConf: resolvConf}
	active := i.active.Load()
	if active != nil {
		next.retired = active.retired
		for view := range active.views.added(v) {
			next.retired = next.retired.Add(view.resolver.Stats().Counters())
		}
	}
	key := func(c *config.Config) string { return fmt.Sprint(c.Access, c.Limits.HandshakeReuse) }
	switch {
	case active == nil || key(active.config) != key(c) || !active.env.Roots.Equal(env.Roots):
		next.prober = newProberIn(env, c, v)
	case !maps.Equal(active.views, v):
		next.prober = active.prober.WithResolvers(v.resolvers())
	default:
		next.prober = active.prober
	}
	i.active.Store(next)
	i.web.Use(c, next.prober)
}

// resolvConfInterval is the interval at which /etc/resolv.conf is read. The system
// rewrites it whenever the network changes, so it is watched without a flag.
const resolvConfInterval = 5 * time.Second

// watchResolvConf reads the resolvers of the system anew at each tick at which their
// file has changed, until ctx ends.
func (i *instance) watchResolvConf(ctx context.Context, ticks <-chan time.Time) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks:
			i.refreshResolvers()
		}
	}
}

// refreshResolvers applies a changed /etc/resolv.conf. It leaves all other settings
// and files alone: the operator may be editing them. If the file cannot be used,
// the previous resolvers remain.
func (i *instance) refreshResolvers() {
	i.applying.Lock()
	defer i.applying.Unlock()
	active := i.active.Load()
	path := i.env.resolvConf(active.config)
	if path == "" {
		return
	}
	digest := config.DigestFiles(path)
	if digest == active.resolvConf {
		return
	}
	views, err := newViews(active.config, i.env, active.env, active.views, true, i.observer())
	if err != nil {
		i.logger.Warn("The resolvers of the system cannot be read; the previous ones remain", "err", err)
		views = active.views
	}
	for view := range views.added(active.views) {
		i.logger.Info("The resolvers of the system have changed", "servers", strings.Join(view.servers, " "))
	}
	i.activate(active.config, active.env, views, digest)
	if i.active.Load().prober != active.prober {
		i.notifyApplied()
	}
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

// resolverStats returns the sums of the statistics of all resolvers. The counters include
// those of resolvers that a reload has removed, so that they never decrease.
func (i *instance) resolverStats() dnssec.Stats {
	active := i.active.Load()
	if active == nil {
		return dnssec.Stats{}
	}
	return active.retired.Add(active.views.stats())
}

// selfChecks returns the last self-check of each resolver.
func (i *instance) selfChecks() []collector.SelfCheck {
	active := i.active.Load()
	if active == nil {
		return nil
	}
	return active.views.selfChecks()
}

func (i *instance) observer() observer { return observer{i.countQuery, i.exporter.LookedUp} }

// countQuery counts a DNS query. A cancelled query is not counted as an error:
// another server was faster, or the probe has ended.
func (i *instance) countQuery(v *view, e transport.Event) {
	cancelled := e.Fault == transport.Cancelled
	if cancelled {
		e.Fault = ""
	}
	i.exporter.Queried(e.Server, e.Transport, string(e.Fault))
	if !cancelled && v.faults.add(e) {
		v.resolver.Suspect()
	}
}

// maintainResolvers prefetches zones and runs self-checks for the resolvers of the
// active configuration, until ctx ends. It restarts after each applied configuration.
func (i *instance) maintainResolvers(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-i.configApplied: // the configuration that is loaded below includes this change
		default:
		}
		current, cancel := context.WithCancel(ctx)
		var group sync.WaitGroup
		for view := range i.active.Load().views.distinct() {
			group.Go(func() { view.resolver.KeepWarm(current) })
			group.Go(func() { i.runSelfChecks(current, view.resolver, &view.selfCheck) })
		}
		select {
		case <-i.configApplied:
		case <-ctx.Done():
		}
		cancel()
		group.Wait()
	}
}

// Intervals between self-checks. Metrics must show a failure within 30 s, and its
// end too, so the resolvers are watched between the regular self-checks.
const (
	selfCheckInterval = time.Hour
	selfCheckRetry    = 10 * time.Second // while there are problems, and after a suspicion
	watchInterval     = 10 * time.Second
)

// selfChecker is the part of a resolver that runSelfChecks needs.
type selfChecker interface {
	SelfCheck(context.Context) dnssec.SelfCheckResult
	Alive(context.Context) bool
	Suspicions() <-chan struct{}
}

// runSelfChecks repeats the self-check until ctx ends. It stores the last result in into, and
// logs each changed result. The next self-check starts early after one that found problems, after
// lookups that failed, and when the resolvers do not return keys of the root that validate.
func (i *instance) runSelfChecks(ctx context.Context, resolver selfChecker, into *atomic.Pointer[dnssec.SelfCheckResult]) {
	logged := ""
	for {
		select {
		case <-resolver.Suspicions(): // discard suspicions from before this self-check
		default:
		}
		result := resolver.SelfCheck(ctx)
		if ctx.Err() != nil {
			return
		}
		into.Store(&result)
		if result.String() != logged {
			logged = result.String()
			i.logSelfCheck(result)
		}
		if wait(ctx, selfCheckRetry); result.Healthy() {
			awaitSuspicion(ctx, resolver)
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// awaitSuspicion returns when a self-check is due although the last one passed, or
// when ctx ends.
func awaitSuspicion(ctx context.Context, resolver selfChecker) {
	due := time.NewTimer(selfCheckInterval - selfCheckRetry)
	defer due.Stop()
	watch := time.NewTicker(watchInterval)
	defer watch.Stop()
	for resolver.Alive(ctx) {
		select {
		case <-watch.C:
		case <-resolver.Suspicions():
			return
		case <-due.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// wait waits for a duration, or until ctx ends.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
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
	err := shutDown(server, shutdownGrace)
	if err != nil {
		cancel()
		if err = shutDown(server, cancelGrace); err != nil {
			err = errors.Join(err, server.Close())
		}
	}
	if failure := <-failed; !errors.Is(failure, http.ErrServerClosed) {
		err = errors.Join(err, failure)
	}
	return err
}

func shutDown(server *http.Server, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return server.Shutdown(ctx)
}
