package config

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestOrigins: each value has the file and line that it comes from, or the default.
func TestOrigins(t *testing.T) {
	c, err := Parse("/etc/dane.yml", []byte(`resolver:
  servers: [192.0.2.53]
limits: {probes: 7}
modules:
  smtp_mx: {timeout: 5s}
  smtp: {port: 26}
  mine: &m
    discover: none
    smtp: {ehlo: a.example}
    resolver: {attempts: 3}
    proxy: socks5://me:key-of-mine@192.0.2.1:1080
    services:
      - {port: 25, protocol: smtp}
  other: {<<: *m, require: if_published}
`), defaults(t))
	if err != nil {
		t.Fatal(err)
	}
	c = c.From("the lab", "limits.queue_wait")
	for _, test := range []struct {
		path   string // section or module, and key
		value  string
		origin string // "built-in" and "inherited" without a line
	}{
		{"resolver servers", "[192.0.2.53]", "/etc/dane.yml:2"},
		{"resolver timeout", "2s", "built-in"},
		{"limits probes", "7", "/etc/dane.yml:3"},
		{"limits handshake_reuse", "30s", "built-in"},
		{"limits queue_wait", "2s", "the lab"},
		{"access targets", "['*']", "built-in"},
		{"discovery sources", "[]", "built-in"},
		{"modules.smtp_mx timeout", "5s", "/etc/dane.yml:5"},
		{"modules.smtp_mx port", "25", "inherited built-in"},
		{"modules.smtp port", "26", "/etc/dane.yml:6"},
		{"modules.smtp discover", "mx", "inherited built-in"}, // the module of the file replaces the built-in one
		{"modules.smtp timeout", "30s", "inherited built-in"}, // not that of smtp_mx in the file
		{"modules.imaps port", "993", "built-in"},
		{"modules.imaps require", "dane", "inherited built-in"},
		{"modules.mine discover", "none", "/etc/dane.yml:8"},
		{"modules.mine smtp.ehlo", "a.example", "/etc/dane.yml:9"},
		{"modules.mine resolver.attempts", "3", "/etc/dane.yml:10"},
		{"modules.mine resolver.servers", "[192.0.2.53]", "inherited /etc/dane.yml:2"},
		{"modules.mine resolver.timeout", "2s", "inherited built-in"},
		{"modules.mine proxy", "socks5://me:<secret>@192.0.2.1:1080", "/etc/dane.yml:11"},
		{"modules.mine services", "[{port: 25, protocol: smtp}]", "/etc/dane.yml:12"},
		{"modules.other require", "if_published", "/etc/dane.yml:14"},
		{"modules.other discover", "none", "/etc/dane.yml:8"}, // by the merge key
		{"modules.other timeout", "30s", "inherited built-in"},
	} {
		of, key, _ := strings.Cut(test.path, " ")
		settings := c.Section(of)
		if module, ok := strings.CutPrefix(of, "modules."); ok {
			settings = c.Module(module)
		}
		at := slices.IndexFunc(settings, func(s Setting) bool { return s.Key == key })
		if at < 0 {
			t.Errorf("%s is missing", test.path)
			continue
		}
		got := regexp.MustCompile(`^built-in, config\.example\.yml:[1-9][0-9]*$`).ReplaceAllString(settings[at].Origin.String(), "built-in")
		if settings[at].Inherited {
			got = "inherited " + got
		}
		if got != test.origin || settings[at].Value != test.value {
			t.Errorf("%s: got %s from %s, want %s from %s", test.path, settings[at].Value, got, test.value, test.origin)
		}
	}
	if text := fmt.Sprintf("%+v", c.Module("mine")); strings.Contains(text, "key-of-mine") {
		t.Errorf("the settings contain a password: %s", text)
	}
	if got := c.ModuleOrigin("mine").String(); got != "/etc/dane.yml:7" {
		t.Errorf("module mine is from %s", got)
	}
	if got := c.ModuleOrigin("smtp").String(); got != "/etc/dane.yml:6" {
		t.Errorf("module smtp is from %s", got)
	}
	if c.Module("none") != nil {
		t.Error("settings of a module that does not exist")
	}
}

// TestSettingValues: the value of a setting is on one line, and has the text that was given.
func TestSettingValues(t *testing.T) {
	long := "/etc/dane exporter/" + strings.Repeat("domains ", 30) + "*.txt"
	c, err := Parse("dane.yml", []byte(`discovery:
  sources:
    - name: customers
      files:
        - "/etc/two  spaces/*.txt"
        - "`+long+`"
`), defaults(t))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.Section("discovery")[0].Value, "[{name: customers, files: [/etc/two  spaces/*.txt, "+long+"]}]"; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// TestEverySettingHasAnOrigin: no setting of the default configuration is without an origin.
func TestEverySettingHasAnOrigin(t *testing.T) {
	c := defaults(t)
	check := func(name string, settings []Setting) {
		for _, s := range settings {
			if !s.Origin.Builtin || s.Origin.Line == 0 || s.Value == "" || strings.Contains(s.Value, "\n") {
				t.Errorf("%s %s: %q, origin %q", name, s.Key, s.Value, s.Origin)
			}
		}
		if len(settings) < 3 {
			t.Errorf("%s has %d settings", name, len(settings))
		}
	}
	for _, name := range Sections() {
		check(name, c.Section(name))
	}
	for name := range c.Modules {
		check(name, c.Module(name))
	}
}

// TestSections: the sections are the keys of a file, without modules.
func TestSections(t *testing.T) {
	var keys []string
	for i := range reflect.TypeFor[Config]().NumField() {
		if field := reflect.TypeFor[Config]().Field(i); field.IsExported() && field.Name != "Modules" {
			keys = append(keys, field.Tag.Get("yaml"))
		}
	}
	if !slices.Equal(keys, Sections()) {
		t.Errorf("the sections are %q, the keys %q", Sections(), keys)
	}
}
