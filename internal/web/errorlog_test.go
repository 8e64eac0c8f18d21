package web

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"dane_exporter/internal/config"
)

// TestErrorLog checks that each cause of an error is logged once a minute, with the number of
// requests that were not logged, and that clients cannot make the log grow without bound.
func TestErrorLog(t *testing.T) {
	var log bytes.Buffer
	f := newFixture(t, proberFunc(instant), func(_ *config.Config, o *Options) {
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	now := time.Unix(1_700_000_000, 0)
	f.errors.now = func() time.Time { return now }
	lines := func() []string {
		defer log.Reset()
		return strings.Split(strings.TrimSuffix(log.String(), "\n"), "\n")
	}
	want := func(what string, parts ...string) {
		t.Helper()
		got := lines()
		if len(got) != len(parts) {
			t.Errorf("%s: %d lines, want %d: %q", what, len(got), len(parts), got)
			return
		}
		for i, part := range parts {
			if !strings.Contains(got[i], part) {
				t.Errorf("%s: line %q, want %q", what, got[i], part)
			}
		}
	}
	for i := range 50 {
		f.get(fmt.Sprintf("/probe?target=https://host%d.example/", i))
	}
	f.get("/probe")
	f.get("/probe?target=example.org&module=nothing")
	f.get("/probe?target=example.org&module=another")
	f.get("/nowhere1")
	f.get("/nowhere2")
	f.request("DELETE", "/metrics")
	f.get("/report?number=12")
	f.get("/probe?target=example.org") // no error
	want("first minute",
		`level=INFO msg="Request answered with an error" status=400 method=GET path=/probe client=192.0.2.1:1234 err="the target \"https://host0.example/\" has a scheme: `,
		`status=400 method=GET path=/probe client=192.0.2.1:1234 err="missing parameter target; use /probe?target=example.org&module=smtp_mx" suppressed=0`,
		`err="unknown module \"nothing\"; /config lists the modules"`,
		`status=404 method=GET path=/nowhere1 client=192.0.2.1:1234 err="404 page not found"`,
		`status=405 method=DELETE path=/metrics`,
		`status=404 method=GET path=/report client=192.0.2.1:1234 err="Not Found" suppressed=0`)
	now = now.Add(59 * time.Second)
	f.get("/probe")
	now = now.Add(time.Second)
	f.get("/probe?target=https://last.example/")
	f.get("/probe")
	want("next minute", `last.example/\" has a scheme: give a domain, host, host:port, or an address with its hostname, without https:// or the like" suppressed=49`,
		`missing parameter target; use /probe?target=example.org&module=smtp_mx" suppressed=1`)

	// Passwords of URLs are masked. Long texts do not make more causes.
	for _, target := range []string{"https://me:hunter2@host.example/", "me:hunter2@host.example"} {
		now = now.Add(time.Hour)
		f.get("/probe?target=" + url.QueryEscape(target))
		f.get("/probe?target=example.org&hostname=" + url.QueryEscape(target+strings.Repeat("x", 400)))
		f.get("/probe?target=example.org&hostname=" + url.QueryEscape(target+strings.Repeat("x", 401)))
		if text := log.String(); strings.Contains(text, "hunter2") || !strings.Contains(text, `\"***@host.example`) {
			t.Errorf("the log has a password: %s", text)
		}
		if got := len(lines()); got > 2 {
			t.Errorf("%d lines", got)
		}
	}

	// More causes than are kept: parameters that are given many times each.
	now = now.Add(time.Hour)
	for i := range 3 * maxErrorCauses {
		f.get("/probe?" + strings.Repeat("target=a&", 2+i))
	}
	if got := len(lines()); got != maxErrorCauses+1 {
		t.Errorf("%d lines for many causes, want %d", got, maxErrorCauses+1)
	}
	f.get("/probe?target=" + url.QueryEscape(strings.Repeat("é/", 500)))
	if got := len(f.errors.causes); got != maxErrorCauses+1 {
		t.Errorf("%d causes are kept", got)
	}
}
