package discovery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dane_exporter/probe"
)

// fakeDNS has the MX hosts of domains, or their errors.
type fakeDNS struct {
	mu    sync.Mutex
	hosts map[string][]string
	errs  map[string]error // "*" is for all domains
	asked map[string]int
	count int
}

func newFakeDNS(hosts map[string][]string) *fakeDNS {
	return &fakeDNS{hosts: hosts, errs: make(map[string]error), asked: make(map[string]int)}
}

func (f *fakeDNS) lookup(_ context.Context, domain string) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked[domain]++
	f.count++
	for _, name := range []string{domain, "*"} {
		if err := f.errs[name]; err != nil {
			return nil, err
		}
	}
	return f.hosts[domain], nil
}

func (f *fakeDNS) set(domain string, hosts []string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hosts[domain], f.errs[domain] = hosts, err
}

// lookups returns the number of lookups.
func (f *fakeDNS) lookups() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count
}

// takeAsked returns the number of lookups of each domain since the last call.
func (f *fakeDNS) takeAsked() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	asked := f.asked
	f.asked = make(map[string]int)
	return asked
}

// start runs a Discovery until the test ends. It must be called in a synctest bubble.
func start(t *testing.T, dial func(context.Context, string) (net.Conn, error), dns *fakeDNS) *Discovery {
	t.Helper()
	d := New(Environment{Now: time.Now, Logger: slog.New(slog.DiscardHandler), Poll: 10 * time.Second, Dial: dial, LookupMX: dns.lookup})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); d.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return d
}

// listFile writes a file that was last modified before the clock of the bubble starts.
func listFile(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	writeList(t, path, text)
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
	return path
}

func settingsOf(sources ...Source) Settings {
	return Settings{Sources: sources, MXRate: 100, MXInterval: time.Hour}
}

// targets returns the groups of a document: their targets by their labels.
func targets(t *testing.T, d *Discovery, q Query) map[string]string {
	t.Helper()
	body, err := d.Targets(q)
	if err != nil {
		t.Fatal(err)
	}
	var groups []struct {
		Targets []string          `json:"targets"`
		Labels  map[string]string `json:"labels"`
	}
	if err := json.Unmarshal(body, &groups); err != nil {
		t.Fatalf("%v\n%s", err, body)
	}
	found := make(map[string]string)
	for _, g := range groups {
		key := g.Labels["__meta_dane_source"]
		if domains, ok := g.Labels["__meta_dane_domains"]; ok {
			key += " " + domains
		}
		if _, again := found[key]; again {
			t.Errorf("two groups have the labels %s\n%s", key, body)
		}
		found[key] = strings.Join(g.Targets, " ")
	}
	return found
}

func expectTargets(t *testing.T, d *Discovery, q Query, want map[string]string) {
	t.Helper()
	if got := targets(t, d, q); !maps.Equal(got, want) {
		t.Errorf("%+v: %v, want %v", q, got, want)
	}
}

// expectNotReady checks that there is an error that has a text, and no document.
func expectNotReady(t *testing.T, d *Discovery, q Query, want string) {
	t.Helper()
	body, err := d.Targets(q)
	if _, ok := errors.AsType[*NotReadyError](err); !ok || body != nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
		t.Errorf("%+v: %q, %v; want a NotReadyError with %q", q, body, err, want)
	}
}

func noPrimary(context.Context, string) (net.Conn, error) { return nil, errors.New("unreachable") }

func TestTargets(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		dns := newFakeDNS(map[string][]string{
			"a.example": {"mx1.example", "mx2.example"}, "b.example": {"mx1.example"}, "c.example": {"mx3.example"}, "d.example": nil,
		})
		d := start(t, noPrimary, dns)
		if _, err := d.Targets(Query{By: ByDomain}); !errors.Is(err, ErrNoSources) {
			t.Errorf("without sources: %v", err)
		}
		d.Use(settingsOf(
			Source{Name: "one", Files: []string{listFile(t, dir, "one", "a.example\nb.example\n")}},
			Source{Name: "two", Files: []string{listFile(t, dir, "two", "b.example\nc.example\nd.example\n")}},
		))
		if _, err := d.Targets(Query{By: ByDomain, Source: "three"}); !errors.Is(err, ErrUnknownSource) || !strings.Contains(err.Error(), "one, two") {
			t.Errorf("an unknown source: %v", err)
		}
		synctest.Wait()
		expectTargets(t, d, Query{By: ByDomain}, map[string]string{"one": "a.example", "one,two": "b.example", "two": "c.example d.example"})
		expectTargets(t, d, Query{By: ByDomain, Source: "two"}, map[string]string{"two": "b.example c.example d.example"})
		if dns.lookups() > 0 {
			t.Error("MX records are looked up before a request needs them")
		}
		expectNotReady(t, d, Query{By: ByMX}, "the MX records of 4 of 4 domains have not been looked up yet")
		time.Sleep(time.Second)
		synctest.Wait()
		expectTargets(t, d, Query{By: ByMX}, map[string]string{"one,two 2": "mx1.example", "one 1": "mx2.example", "two 1": "mx3.example"})
		expectTargets(t, d, Query{By: ByMX, Source: "one"}, map[string]string{"one 2": "mx1.example", "one 1": "mx2.example"})
	})
}

// TestShards checks that the shards divide the targets as the action hashmod of
// Prometheus does: by the last 8 bytes of the MD5 digest. The values were made with md5sum.
func TestShards(t *testing.T) {
	for name, want := range map[string]int{"example.org": 1 + 1, "example.com": 1 + 2, "mail.example.org": 1 + 5} {
		if got := shardOf([]byte(name), 8); got != want {
			t.Errorf("%s is in shard %d, want %d", name, got, want)
		}
	}
	dir := t.TempDir()
	var domains []string
	for i := range 1000 {
		domains = append(domains, fmt.Sprintf("domain%04d.example", i))
	}
	synctest.Test(t, func(t *testing.T) {
		d := start(t, noPrimary, newFakeDNS(nil))
		d.Use(settingsOf(Source{Name: "all", Files: []string{listFile(t, dir, "list", strings.Join(domains, "\n"))}}))
		synctest.Wait()
		var found []string
		for shard := 1; shard <= 8; shard++ {
			part := strings.Fields(targets(t, d, Query{By: ByDomain, Shard: shard, Shards: 8})["all"])
			if len(part) < 90 || len(part) > 160 {
				t.Errorf("shard %d has %d of 1000 targets", shard, len(part))
			}
			found = append(found, part...)
		}
		slices.Sort(found)
		if !slices.Equal(found, domains) {
			t.Errorf("%d targets in all shards, want %d", len(found), len(domains))
		}
	})
}

// TestNeverPartial checks that all sources must have a list, that a source that fails
// keeps its list, and that a source with the same settings keeps it over a reload.
func TestNeverPartial(t *testing.T) {
	dir := t.TempDir()
	key := filepath.Join(dir, "key")
	writeList(t, key, testKey)
	p := &primary{key: parsedKey(t)}
	synctest.Test(t, func(t *testing.T) {
		d := start(t, p.dial, newFakeDNS(nil))
		file := Source{Name: "file", Files: []string{listFile(t, dir, "list", "a.example\n")}}
		zone := Source{Name: "zone", Zone: "catalog.example", Members: MembersCatalog, Primary: "192.0.2.1", TSIGFile: key}
		d.Use(settingsOf(file, zone))
		expectNotReady(t, d, Query{By: ByDomain}, "the source file has not been read yet; the source zone has not been read yet")
		synctest.Wait()
		expectNotReady(t, d, Query{By: ByDomain}, "the source zone has no list: 192.0.2.1: connect: connection refused")
		expectTargets(t, d, Query{By: ByDomain, Source: "file"}, map[string]string{"file": "a.example"})

		p.set(catalogOf(t, 1, "b.example"))
		time.Sleep(firstRetry)
		synctest.Wait()
		both := map[string]string{"file": "a.example", "zone": "b.example"}
		expectTargets(t, d, Query{By: ByDomain}, both)
		success := d.Status().Sources[1].Success

		p.set(nil)
		if err := os.Remove(file.Files[0]); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		expectTargets(t, d, Query{By: ByDomain}, both)
		for _, s := range d.Status().Sources {
			if !s.Complete || s.Up || s.Domains != 1 || time.Since(s.Success) < time.Hour {
				t.Errorf("the state of a source that fails: %+v", s)
			}
		}
		if got := d.Status().Sources[1].Success; !got.Equal(success) {
			t.Errorf("the last success was %s, want %s", got, success)
		}

		d.Use(settingsOf(zone, file))
		expectTargets(t, d, Query{By: ByDomain}, both)
		renamed := file
		renamed.Name = "renamed"
		d.Use(settingsOf(zone, renamed))
		expectNotReady(t, d, Query{By: ByDomain}, "the source renamed has not been read yet")
		d.Use(settingsOf(zone))
		expectTargets(t, d, Query{By: ByDomain}, map[string]string{"zone": "b.example"})

		p.set(catalogOf(t, 2, "c.example"))
		d.Use(settingsOf(zone)) // a reload refreshes the zone
		synctest.Wait()
		expectTargets(t, d, Query{By: ByDomain}, map[string]string{"zone": "c.example"})
	})
}

// TestMXLookups checks the rate of lookups, and that failures keep what is known.
func TestMXLookups(t *testing.T) {
	dir := t.TempDir()
	var domains []string
	hosts := make(map[string][]string)
	for i := range 1000 {
		domains = append(domains, fmt.Sprintf("domain%04d.example", i))
		hosts[domains[i]] = []string{"mx.example"}
	}
	synctest.Test(t, func(t *testing.T) {
		dns := newFakeDNS(hosts)
		d := start(t, noPrimary, dns)
		list := listFile(t, dir, "list", strings.Join(domains, "\n"))
		d.Use(settingsOf(Source{Name: "all", Files: []string{list}}))
		all := Query{By: ByMX}
		synctest.Wait()

		// While the resolvers fail, there is one lookup a second and no result.
		dns.set("*", nil, fmt.Errorf("%w: silence", probe.ErrNotLookedUp))
		expectNotReady(t, d, all, "1000 of 1000")
		time.Sleep(time.Minute)
		synctest.Wait()
		expectNotReady(t, d, all, "1000 of 1000")
		if n := dns.lookups(); n < 50 || n > 65 {
			t.Errorf("%d lookups in the first minute of an outage", n)
		}

		// A domain that fails twice has no hosts. All others are looked up at the rate.
		dns.set("*", nil, nil)
		dns.set(domains[5], nil, errors.New("bogus"))
		before := dns.lookups()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if n := dns.lookups() - before; n > 500 || n < 380 {
			t.Errorf("%d lookups in 5 s at 100/s", n)
		}
		expectNotReady(t, d, all, "of 1000 domains")
		time.Sleep(7 * time.Second)
		synctest.Wait()
		expectTargets(t, d, all, map[string]string{"all 999": "mx.example"})
		if status := d.Status().MX; status.Failed != 1 || status.Pending != 0 {
			t.Errorf("%+v, want one failed domain", status)
		}

		// Afterwards each domain is looked up once an hour, and a failed one every 5 minutes.
		dns.takeAsked()
		time.Sleep(time.Hour)
		synctest.Wait()
		asked := dns.takeAsked()
		n := 0
		for _, times := range asked {
			n += times
		}
		if n < 990 || n > 1030 || asked[domains[5]] < 11 || len(asked) < 990 {
			t.Errorf("%d lookups of %d domains in an hour, %d of the failed one", n, len(asked), asked[domains[5]])
		}

		// A failure keeps the hosts that are known. An outage does so for all.
		dns.set(domains[5], []string{"other.example"}, nil)
		dns.set(domains[6], nil, errors.New("bogus"))
		time.Sleep(70 * time.Minute)
		synctest.Wait()
		expectTargets(t, d, all, map[string]string{"all 999": "mx.example", "all 1": "other.example"})
		dns.set("*", nil, fmt.Errorf("%w: silence", probe.ErrNotLookedUp))
		time.Sleep(70 * time.Minute)
		synctest.Wait()
		expectTargets(t, d, all, map[string]string{"all 999": "mx.example", "all 1": "other.example"})
		dns.set("*", nil, nil)

		// A new domain is looked up before there is a document with it.
		dns.set("new.example", []string{"new.example"}, nil)
		listFile(t, dir, "list", strings.Join(append(domains, "new.example"), "\n"))
		time.Sleep(20 * time.Second)
		synctest.Wait()
		expectTargets(t, d, all, map[string]string{"all 999": "mx.example", "all 1": "new.example other.example"})

		// A domain that is removed takes its hosts with it.
		listFile(t, dir, "list", "new.example\n")
		time.Sleep(20 * time.Second)
		synctest.Wait()
		expectTargets(t, d, all, map[string]string{"all 1": "new.example"})
	})
}

// If most domains fail after a start, such as because a top-level domain is broken, their
// hosts are not known, and there is no document without them.
func TestMXLookupsOfBrokenTopLevelDomain(t *testing.T) {
	dir := t.TempDir()
	hosts := map[string][]string{"a.example": {"mx.a.example"}, "b.example": {"mx.b.example"}, "c.test": {"mx.c.test"}}
	synctest.Test(t, func(t *testing.T) {
		dns := newFakeDNS(hosts)
		for _, domain := range []string{"a.example", "b.example"} {
			dns.set(domain, hosts[domain], errors.New("bogus"))
		}
		d := start(t, noPrimary, dns)
		list := listFile(t, dir, "list", "a.example\nb.example\nc.test\n")
		d.Use(settingsOf(Source{Name: "all", Files: []string{list}}))
		synctest.Wait()
		expectNotReady(t, d, Query{By: ByMX}, "3 of 3 domains have not been looked up yet")
		time.Sleep(time.Hour)
		synctest.Wait()
		expectNotReady(t, d, Query{By: ByMX}, "the MX lookups of 2 of 3 domains fail; a zone above them may be broken")
		expectTargets(t, d, Query{By: ByDomain}, map[string]string{"all": "a.example b.example c.test"})
		dns.set("a.example", hosts["a.example"], nil)
		time.Sleep(retryInterval)
		synctest.Wait()
		expectTargets(t, d, Query{By: ByMX}, map[string]string{"all 1": "mx.a.example mx.c.test"})
		dns.set("a.example", nil, errors.New("bogus")) // the known hosts remain
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		expectTargets(t, d, Query{By: ByMX}, map[string]string{"all 1": "mx.a.example mx.c.test"})
	})
}

// That a domain does not exist, or receives no mail, is an answer, even of most domains.
func TestMXLookupsOfDomainsWithoutHosts(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		d := start(t, noPrimary, newFakeDNS(map[string][]string{"a.example": {"mx.a.example"}}))
		list := listFile(t, dir, "list", "a.example\nb.example\nc.example\nd.example\n")
		d.Use(settingsOf(Source{Name: "all", Files: []string{list}}))
		synctest.Wait()
		expectNotReady(t, d, Query{By: ByMX}, "4 of 4 domains have not been looked up yet")
		time.Sleep(time.Second)
		synctest.Wait()
		expectTargets(t, d, Query{By: ByMX}, map[string]string{"all 1": "mx.a.example"})
	})
}

// Each domain is looked up again although the list changes more often than that.
func TestMXLookupsOfChangingList(t *testing.T) {
	dir := t.TempDir()
	var domains []string
	for i := range 100 {
		domains = append(domains, fmt.Sprintf("domain%03d.example", i))
	}
	synctest.Test(t, func(t *testing.T) {
		dns := newFakeDNS(make(map[string][]string))
		d := start(t, noPrimary, dns)
		list := listFile(t, dir, "list", strings.Join(domains, "\n"))
		d.Use(settingsOf(Source{Name: "all", Files: []string{list}}))
		synctest.Wait()
		expectNotReady(t, d, Query{By: ByMX}, "100 of 100")
		time.Sleep(time.Minute)
		dns.takeAsked()
		for i := range 15 {
			listFile(t, dir, "list", strings.Join(domains, "\n")+fmt.Sprintf("\naaa%d.example\n", i))
			time.Sleep(5 * time.Minute)
		}
		synctest.Wait()
		asked := dns.takeAsked()
		for _, domain := range domains {
			if asked[domain] == 0 || asked[domain] > 2 {
				t.Errorf("%s is looked up %d times in 75 minutes", domain, asked[domain])
			}
		}
	})
}

// While a document is built, metrics do not wait for it.
func TestStatusWhileADocumentIsBuilt(t *testing.T) {
	d := New(Environment{Logger: slog.New(slog.DiscardHandler)})
	d.sources = []*source{{settings: Source{Name: "all"}, list: new(List)}}
	d.building.Lock()
	defer d.building.Unlock()
	if status := d.Status(); len(status.Sources) != 1 {
		t.Errorf("%+v", status)
	}
}

// TestDocumentSize checks that a document is not much larger than its names.
func TestDocumentSize(t *testing.T) {
	var b builder
	for i := range 100_000 {
		if err := b.add(fmt.Sprintf("customer%06d.example", i)); err != nil {
			t.Fatal(err)
		}
	}
	list, _ := b.list()
	d := New(Environment{Logger: slog.New(slog.DiscardHandler)})
	d.sources = []*source{{settings: Source{Name: "all"}, list: list}}
	body, err := d.Targets(Query{By: ByDomain})
	if err != nil || len(body) > len(list.text)+3*list.Len()+200 {
		t.Errorf("%d bytes for names of %d bytes, %v", len(body), len(list.text), err)
	}
	t.Logf("100,000 domains: %d bytes", len(body))
	again, err := d.Targets(Query{By: ByDomain})
	if err != nil || &again[0] != &body[0] {
		t.Error("the document is built again although nothing has changed")
	}
}

// The cache of documents is bounded, whatever is requested.
func TestDocumentCacheIsBounded(t *testing.T) {
	var c documentCache
	body := make([]byte, 10<<20)
	for shard := range 100 {
		c.put(Query{Shard: shard}, 1, body)
		size := 0
		for _, b := range c.bodies {
			size += len(b) + sizeOfEntry
		}
		if size != c.size || size > maxCached {
			t.Fatalf("the cache has %d bytes, and counts %d", size, c.size)
		}
	}
	for shard := range 500_000 {
		c.put(Query{Shard: shard}, 1, []byte("[]\n"))
	}
	if n := len(c.bodies); n > maxCached/sizeOfEntry {
		t.Errorf("the cache has %d empty documents", n)
	}
	c.put(Query{Shard: 99}, 1, body)
	if _, ok := c.get(Query{Shard: 99}, 1); !ok {
		t.Error("the last document is not cached")
	}
	if _, ok := c.get(Query{Shard: 99}, 2); ok {
		t.Error("a document of another version is returned")
	}
}
