package web

import (
	"fmt"
	"strings"
	"testing"

	"dane_exporter/internal/config"
)

// TestConfigPage: the page shows each value, and whether it comes from the defaults, a line of the
// file, or a flag. It has no passwords, and shows hostile values as text.
func TestConfigPage(t *testing.T) {
	f := newFixture(t, nil, func(_ *config.Config, o *Options) {
		o.Flags = []Flag{{"history.limit", "100", false}, {"config.file", "/etc/<b>dane.yml", true}}
	})
	c, err := config.Parse("/etc/<b>dane.yml", []byte(`limits: {probes: 7}
modules:
  mine:
    proxy: "socks5://me:key-of-mine@192.0.2.1:1080"
    smtp: {ehlo: "<script>alert(1)</script>"}
`), f.config)
	if err != nil {
		t.Fatal(err)
	}
	f.Use(c, proberFunc(instant))
	f.wantPage("/config", 200,
		`<tr><th scope="row"><code>probes</code></th><td><code>7</code></td><td>/etc/&lt;b&gt;dane.yml:1</td></tr>`,
		`<tr class="default"><th scope="row"><code>queue_wait</code></th><td><code>2s</code></td><td>built-in, config.example.yml:`,
		`<tr><td><a href="./config?module=mine">mine</a></td><td>mx</td><td><div>smtp 25</div></td><td>smtp-relay</td><td>dane</td><td>/etc/&lt;b&gt;dane.yml:3</td></tr>`,
		`<tr><th scope="row"><code>--config.file</code></th><td><code>/etc/&lt;b&gt;dane.yml</code></td><td>command line</td></tr>`,
		`<tr class="default"><th scope="row"><code>--history.limit</code></th><td><code>100</code></td><td>default</td></tr>`,
	)
	f.wantPage("/config?module=mine", 200, "<h1>Module mine</h1>", "From: /etc/&lt;b&gt;dane.yml:3.",
		`<td><code>socks5://me:&lt;secret&gt;@192.0.2.1:1080</code></td><td>/etc/&lt;b&gt;dane.yml:4</td></tr>`,
		`<th scope="row"><code>smtp.ehlo</code></th><td><code>&lt;script&gt;alert(1)&lt;/script&gt;</code></td><td>/etc/&lt;b&gt;dane.yml:5</td></tr>`,
		`<tr class="default"><th scope="row"><code>timeout</code></th><td><code>30s</code></td><td>inherited: built-in, config.example.yml:`)
	for _, path := range []string{"/config", "/config?module=mine", "/config?format=yaml"} {
		if _, page := f.get(path); strings.Contains(page, "key-of-mine") {
			t.Errorf("%s has a password", path)
		}
	}
	if _, page := f.get("/config?module=mine"); strings.Index(page, "smtp.ehlo") > strings.Index(page, "<code>timeout") {
		t.Error("the settings that the file gives are not first")
	}
	f.wantPage("/config?module=none", 404, "There is no module &#34;none&#34;.")
	f.wantPage("/config?format=xml", 400, "is not one of: html, yaml")
	f.wantPage("/config?target=x", 400, "allowed: module, format")
	f.wantPage("/config?%zz", 400, "invalid query string")
}

// TestConfigPageSize: the page of the configuration has at most 200 kB for a hundred modules.
func TestConfigPageSize(t *testing.T) {
	f := newFixture(t, nil, nil)
	file := "modules:\n"
	for i := range 100 {
		file += fmt.Sprintf("  module_%d: {resolver: {servers: [192.0.2.53]}}\n", i)
	}
	c, err := config.Parse("dane.yml", []byte(file), f.config)
	if err != nil {
		t.Fatal(err)
	}
	f.Use(c, proberFunc(instant))
	if status, page := f.get("/config"); status != 200 || len(page) > 200_000 || strings.Count(page, "./config?module=") < 120 {
		t.Errorf("status %d, %d bytes, %d modules", status, len(page), strings.Count(page, "./config?module="))
	}
}
