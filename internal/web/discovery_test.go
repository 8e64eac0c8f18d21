package web

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dane_exporter/internal/config"
	"dane_exporter/internal/discovery"
)

func TestDiscoveryQuery(t *testing.T) {
	for text, want := range map[string]discovery.Query{
		"":                       {By: discovery.ByDomain},
		"by=domain":              {By: discovery.ByDomain},
		"by=mx&source=customers": {By: discovery.ByMX, Source: "customers"},
		"shard=1/8":              {By: discovery.ByDomain, Shard: 1, Shards: 8},
		"shard=8%2F8":            {By: discovery.ByDomain, Shard: 8, Shards: 8},
	} {
		if got, err := parseDiscoveryQuery(text); got != want || err != nil {
			t.Errorf("%s: %+v, %v; want %+v", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"by=host": "by", "by=": "by", "source=": "source is empty", "shard=0/8": "shard", "shard=9/8": "shard", "shard=1/0": "shard", "shard=1": "shard", "shard=1/": "shard", "shard=a/b": "shard",
		"shard=1/1001": "shard", "shard=1/99999999999999999999": "shard", "by=mx&by=mx": "2 times", "target=example.org": "unknown parameter", "%zz": "query string",
	} {
		if _, err := parseDiscoveryQuery(text); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want an error with %q", text, err, want)
		}
	}
}

// TestDiscovery checks the answers of /sd: 404 without sources, 503 until all targets are
// known, and then a document for Prometheus.
func TestDiscovery(t *testing.T) {
	file := filepath.Join(t.TempDir(), "domains")
	var text strings.Builder
	const domains = 100_000 // more than fit into an ordinary response
	long := strings.Repeat(strings.Repeat("a", 60)+".", 3)
	for i := range domains {
		fmt.Fprintf(&text, "d%05d.%sexample\n", i, long)
	}
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		old := time.Now().Add(-time.Hour)
		if err := os.Chtimes(file, old, old); err != nil {
			t.Fatal(err)
		}
		d := discovery.New(discovery.Environment{Now: time.Now, Logger: slog.New(slog.DiscardHandler), Poll: time.Minute,
			LookupMX: func(ctx context.Context, _ string) ([]string, error) { // one that ends changes the number that are left
				<-ctx.Done()
				return nil, ctx.Err()
			}})
		f := newFixture(t, proberFunc(instant), func(_ *config.Config, o *Options) { o.Discovery = d })
		expect := func(path string, status int, part string) {
			t.Helper()
			w := httptest.NewRecorder()
			f.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
			if w.Code != status || !strings.Contains(w.Body.String(), part) {
				t.Errorf("%s: %d %.200s; want %d and %q", path, w.Code, w.Body, status, part)
			}
			if got := w.Header().Get("Content-Type"); status == http.StatusOK && got != "application/json" {
				t.Errorf("%s: Content-Type %s", path, got)
			}
		}
		expect("/sd", http.StatusNotFound, "no discovery.sources")
		d.Use(discovery.Settings{Sources: []discovery.Source{{Name: "all", Files: []string{file}}}, MXRate: 100, MXInterval: time.Hour})
		expect("/sd", http.StatusServiceUnavailable, "the targets are not complete: the source all has not been read yet")
		expect("/sd?source=other", http.StatusBadRequest, `parameter source: unknown source "other"; must be one of: all`)
		expect("/sd?by=host", http.StatusBadRequest, "parameter by")
		ctx, cancel := context.WithCancel(t.Context())
		go d.Run(ctx)
		synctest.Wait()
		expect("/sd", http.StatusOK, `[{"targets":["d00000.aaa`)
		expect("/sd", http.StatusOK, `.example"],"labels":{"__meta_dane_source":"all"}}]`)
		expect("/sd?shard=1/8", http.StatusOK, `{"__meta_dane_source":"all"}}]`)
		expect("/sd?by=mx", http.StatusServiceUnavailable, "the MX records of 100000 of 100000 domains have not been looked up yet")
		cancel()
	})
}
