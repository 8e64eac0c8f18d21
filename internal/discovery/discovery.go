// Package discovery reads lists of domains and serves them as targets for the HTTP service
// discovery of Prometheus.
//
// Each source of the configuration has one list: from files, or from a zone that is
// transferred from its primary. A list is replaced only by one that was read completely. If
// reading fails, the previous list remains, because a target that disappears loses its
// alerts. For the same reason, Targets returns an error unless all targets are known.
//
// With ByMX, the targets are the hosts that the MX records of the domains name. The
// records are looked up in the background, at a limited rate.
package discovery

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Settings are the sources, and the settings of the MX lookups.
type Settings struct {
	Sources    []Source      `yaml:"sources"`
	MXRate     int           `yaml:"mx_rate"`     // maximum number of MX lookups per second
	MXInterval time.Duration `yaml:"mx_interval"` // between two lookups of one domain
}

// MaxSources is the maximum number of sources.
const MaxSources = 64

// Source describes one list: Files, or the four other fields.
type Source struct {
	Name     string   `yaml:"name"`
	Files    []string `yaml:"files,omitempty"`     // patterns for filepath.Glob
	Zone     string   `yaml:"zone,omitempty"`      // without final dot
	Members  Members  `yaml:"members,omitempty"`   // how the zone lists the domains
	Primary  string   `yaml:"primary,omitempty"`   // for transport.ParseNameserver
	TSIGFile string   `yaml:"tsig_file,omitempty"` // path of a file with a key statement of BIND
}

// Members is the way in which a zone lists domains.
type Members string

const (
	MembersCatalog     Members = "catalog"     // as a catalog zone (RFC 9432)
	MembersDelegations Members = "delegations" // as its delegations
)

// MembersValues lists the allowed values.
func MembersValues() []Members { return []Members{MembersCatalog, MembersDelegations} }

// Environment has the dependencies of a Discovery.
type Environment struct {
	Now    func() time.Time
	Logger *slog.Logger
	// Dial connects to the primary of a source.
	Dial func(ctx context.Context, primary string) (net.Conn, error)
	// LookupMX is probe.Prober.LookupMX.
	LookupMX func(ctx context.Context, domain string) (hosts []string, err error)
	// Poll is the interval at which files are checked for changes.
	Poll time.Duration
}

// Discovery keeps the lists of the sources up to date. It is safe for concurrent use.
type Discovery struct {
	env       Environment
	applied   chan struct{} // has an element after a call of Use; has a buffer of one
	transfers chan struct{} // has an element during a transfer; there is at most one at a time
	version   atomic.Uint64 // changes with each list and each MX result

	mu      sync.Mutex
	mx      *mxTable
	sources []*source // in the order of the configuration
	stopped []*source // no longer configured
	wantMX  bool      // MX records are looked up, because a request needed them

	building sync.Mutex // held while a document is built; locked before mu
	cache    documentCache
}

// New returns a Discovery without sources.
func New(env Environment) *Discovery {
	d := &Discovery{env: env, applied: make(chan struct{}, 1), transfers: make(chan struct{}, 1)}
	d.mx = newMXTable(env, func() { d.version.Add(1) })
	return d
}

// Use sets the sources. A source with equal settings keeps its list, and is refreshed.
func (d *Discovery) Use(settings Settings) {
	d.mu.Lock()
	defer d.mu.Unlock()
	kept := make(map[string]*source)
	for _, s := range d.sources {
		kept[s.key] = s
	}
	d.sources = nil
	for _, configured := range settings.Sources {
		key := fmt.Sprintf("%q", configured)
		s := kept[key]
		delete(kept, key)
		if s == nil {
			s = &source{settings: configured, key: key, poked: make(chan struct{}, 1), loader: d.newLoader(configured),
				now: d.env.Now, logger: d.env.Logger.With("list", configured.Name), changed: d.listChanged}
		} else {
			s.poke()
		}
		d.sources = append(d.sources, s)
	}
	for _, s := range kept {
		d.stopped = append(d.stopped, s)
	}
	d.mx.use(settings.MXRate, settings.MXInterval)
	d.listsChangedLocked()
	select {
	case d.applied <- struct{}{}:
	default:
	}
}

func (d *Discovery) newLoader(s Source) loader {
	if len(s.Files) > 0 {
		return &fileLoader{patterns: s.Files, poll: d.env.Poll, now: d.env.Now}
	}
	return &zoneLoader{source: s, dial: d.env.Dial, transfers: d.transfers}
}

// listChanged is called after the list of a source has changed.
func (d *Discovery) listChanged() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.listsChangedLocked()
}

func (d *Discovery) listsChangedLocked() {
	d.version.Add(1)
	if d.wantMX {
		d.mx.setDomains(union(d.sources))
	}
}

// Run reads the sources and looks up MX records until ctx ends.
func (d *Discovery) Run(ctx context.Context) {
	var group sync.WaitGroup
	defer group.Wait()
	group.Go(func() { d.mx.run(ctx) })
	for {
		d.startAndStop(ctx, &group)
		select {
		case <-d.applied:
		case <-ctx.Done():
			return
		}
	}
}

// startAndStop starts the sources that are new, and stops those that are no longer
// configured.
func (d *Discovery) startAndStop(ctx context.Context, group *sync.WaitGroup) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.stopped {
		if s.cancel != nil {
			s.cancel()
		}
	}
	d.stopped = nil
	for _, s := range d.sources {
		if s.cancel == nil {
			ctx, cancel := context.WithCancel(ctx)
			s.cancel = cancel
			group.Go(func() { defer cancel(); s.run(ctx) })
		}
	}
}

// Status is the state of a Discovery, for metrics.
type Status struct {
	Sources []SourceStatus
	MX      MXStatus
}

// SourceStatus is the state of one source.
type SourceStatus struct {
	Name     string
	Complete bool      // there is a list
	Domains  int       // number of its names
	BadLines int       // number of entries that are not domain names
	Tried    bool      // at least one attempt to read the list has ended
	Up       bool      // the last attempt succeeded
	Success  time.Time // time at which the list was last read or found unchanged; zero: never
}

// Status returns the current state.
func (d *Discovery) Status() Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	var status Status
	for _, s := range d.sources {
		status.Sources = append(status.Sources, s.status())
	}
	status.MX = d.mx.status()
	status.MX.Wanted = d.wantMX
	return status
}
