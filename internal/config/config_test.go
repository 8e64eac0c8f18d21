package config

import (
	"encoding"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"dane_exporter/internal/discovery"
	"dane_exporter/probe"
	"dane_exporter/probe/caa"
	"dane_exporter/probe/dane"
)

// defaults returns the default configuration.
func defaults(t *testing.T) *Config {
	t.Helper()
	c, err := Defaults(example(t))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func example(t *testing.T) []byte {
	t.Helper()
	text, err := os.ReadFile("../../config.example.yml")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestExampleNamesEverySetting compares the fields of the structs with the keys
// of the example file, so that no setting is added to one of them only.
func TestExampleNamesEverySetting(t *testing.T) {
	var document map[string]any
	if err := yaml.Unmarshal(example(t), &document); err != nil {
		t.Fatal(err)
	}
	modules := document["modules"].(map[string]any)
	checkKeys(t, "", reflect.TypeFor[Config](), document)
	checkKeys(t, "modules."+DefaultModule, reflect.TypeFor[probe.Module](), modules[DefaultModule].(map[string]any))
}

// checkKeys compares the yaml names of a struct's fields with a mapping's keys.
func checkKeys(t *testing.T, path string, of reflect.Type, mapping map[string]any) {
	t.Helper()
	known := 0
	for i := range of.NumField() {
		field := of.Field(i)
		key, _, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		if key == "-" || !field.IsExported() {
			continue
		}
		known++
		value, ok := mapping[key]
		if !ok {
			t.Errorf("the example has no key %s.%s", path, key)
			continue
		}
		if field.Type.Kind() == reflect.Struct && !field.Type.Implements(reflect.TypeFor[encoding.TextMarshaler]()) {
			nested, ok := value.(map[string]any)
			if !ok {
				t.Errorf("the example has no keys under %s.%s", path, key)
				continue
			}
			checkKeys(t, path+"."+key, field.Type, nested)
		}
	}
	if known != len(mapping) {
		t.Errorf("%s has %d settings, the example %d keys", path, known, len(mapping))
	}
}

// TestExampleExplainsEverySetting checks that the first occurrence of each key
// has a comment above it.
func TestExampleExplainsEverySetting(t *testing.T) {
	explained := make(map[string]bool)
	previous := ""
	for line := range strings.Lines(string(example(t))) {
		line = strings.TrimSpace(line)
		if key, _, ok := strings.Cut(line, ":"); ok && !strings.HasPrefix(line, "#") && !strings.Contains(key, "{") && !explained[key] {
			if !strings.HasPrefix(previous, "#") {
				t.Errorf("the example has no comment on %q", key)
			}
			explained[key] = true
		}
		previous = line
	}
	if len(explained) < 20 {
		t.Errorf("found only %d keys in the example", len(explained))
	}
}

func TestDefaults(t *testing.T) {
	c := defaults(t)
	smtpMX := probe.Module{
		Name: "smtp_mx", Discover: probe.DiscoverMX, Protocol: "smtp", Policy: dane.SMTPRelay, Port: 25,
		Timeout: 30 * time.Second, Require: dane.RequireDANE, IPProtocol: probe.IPAuto, Series: probe.SeriesFull,
	}
	with := func(name string, change func(*probe.Module)) probe.Module {
		m := smtpMX
		m.Name = name
		change(&m)
		return m
	}
	client := func(port uint16, protocol string) func(*probe.Module) {
		return func(m *probe.Module) {
			m.Discover, m.Policy, m.Port, m.Protocol = probe.DiscoverNone, dane.Client, port, protocol
		}
	}
	srv := func(services ...string) func(*probe.Module) {
		return func(m *probe.Module) {
			m.Discover, m.Policy, m.Port, m.Protocol = probe.DiscoverSRV, dane.Client, 0, ""
			for pair := range slices.Chunk(services, 2) {
				m.SRV = append(m.SRV, probe.SRVSettings{Service: pair[0], Protocol: pair[1]})
			}
		}
	}
	want := Config{
		Resolver: probe.ResolverSettings{
			Servers: []string{"system"}, Timeout: 2 * time.Second, Attempts: 2,
			TrustAnchors: "builtin", SHA1: "insecure", NSEC3MaxIterations: 50, CacheMiB: 32,
		},
		Limits:    Limits{Probes: 256, QueueWait: 2 * time.Second, HandshakeReuse: 30 * time.Second},
		Access:    probe.Access{Targets: []string{"*"}},
		Discovery: discovery.Settings{MXRate: 100, MXInterval: time.Hour},
		Modules: map[string]probe.Module{
			"smtp_mx":              smtpMX,
			"smtp_mx_if_published": with("smtp_mx_if_published", func(m *probe.Module) { m.Require = dane.RequireIfPublished }),
			"smtp_mx_mta_sts":      with("smtp_mx_mta_sts", func(m *probe.Module) { m.MTASTS = true }),
			"smtp_mx_full": with("smtp_mx_full", func(m *probe.Module) {
				m.MTASTS, m.Nameservers, m.Renewal, m.KeyTypes = true, true, true, dane.KeyTypes()
			}),
			"smtp_mx_dns": with("smtp_mx_dns", func(m *probe.Module) { m.LookupsOnly = true }),
			"smtp":        with("smtp", func(m *probe.Module) { m.Discover = probe.DiscoverNone }),
			"submission":  with("submission", client(587, "smtp")),
			"submissions": with("submissions", client(465, "tls")),
			"https":       with("https", client(443, "tls")),
			"imap":        with("imap", client(143, "imap")),
			"imaps":       with("imaps", client(993, "tls")),
			"pop3":        with("pop3", client(110, "pop3")),
			"pop3s":       with("pop3s", client(995, "tls")),
			"sieve":       with("sieve", client(4190, "sieve")),
			"lmtp":        with("lmtp", client(24, "lmtp")),
			"ldap":        with("ldap", client(389, "ldap")),
			"ldaps":       with("ldaps", client(636, "tls")),
			"postgres":    with("postgres", client(5432, "postgres")),
			"dot":         with("dot", client(853, "tls")),
			"mail_server": with("mail_server", func(m *probe.Module) {
				client(0, "")(m)
				m.Services = []probe.ServiceSettings{{Port: 25, Protocol: "smtp", Policy: dane.SMTPRelay}, {Port: 465, Protocol: "tls"}, {Port: 587, Protocol: "smtp"}, {Port: 993, Protocol: "tls"}}
			}),
			"xmpp_client":    with("xmpp_client", srv("xmpp-client", "xmpp-client", "xmpps-client", "tls")),
			"xmpp_server":    with("xmpp_server", srv("xmpp-server", "xmpp-server", "xmpps-server", "tls")),
			"sip":            with("sip", srv("sips", "tls")),
			"imap_srv":       with("imap_srv", srv("imap", "imap", "imaps", "tls")),
			"pop3_srv":       with("pop3_srv", srv("pop3", "pop3", "pop3s", "tls")),
			"submission_srv": with("submission_srv", srv("submission", "smtp", "submissions", "tls")),
		},
	}
	got := *c
	if len(got.Access.AllowNetworks) != 0 || len(got.Access.DenyNetworks) != 0 {
		t.Errorf("networks: got %v and %v, want none", got.Access.AllowNetworks, got.Access.DenyNetworks)
	}
	if len(got.Access.Ports) != 0 {
		t.Errorf("ports: got %v, want none", got.Access.Ports)
	}
	got.Access.AllowNetworks, got.Access.DenyNetworks, got.Access.Ports, got.origins = nil, nil, nil, nil
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestFileOverDefaults(t *testing.T) {
	c := load(t, `
access: {allow_networks: [10.0.0.0/8, "fd00::/8"], deny_networks: [10.1.0.0/16]}
resolver:
  servers: ["192.0.2.53:5353", tcp://192.0.2.54, tls://192.0.2.55#dns.example.net]
modules:
  mine: {port: 2525, smtp: {ehlo: probe.example.org}}
  smtp: {timeout: 1m30s}
  empty:
`)
	base := defaults(t)
	if got := c.Resolver; got.Timeout != base.Resolver.Timeout || !slices.Equal(got.Servers, []string{"192.0.2.53:5353", "tcp://192.0.2.54", "tls://192.0.2.55#dns.example.net"}) {
		t.Errorf("resolver: %+v", got)
	}
	if len(c.Access.AllowNetworks) != 2 || len(c.Access.DenyNetworks) != 1 || len(c.Access.Targets) != 1 {
		t.Errorf("access: %+v", c.Access)
	}
	mine := base.Modules[DefaultModule]
	mine.Name, mine.Port, mine.SMTP.EHLO = "mine", 2525, "probe.example.org"
	if !reflect.DeepEqual(c.Modules["mine"], mine) {
		t.Errorf("a new module must start as a copy of %s: got %+v", DefaultModule, c.Modules["mine"])
	}
	smtp := base.Modules[DefaultModule]
	smtp.Name, smtp.Timeout = "smtp", 90*time.Second
	if !reflect.DeepEqual(c.Modules["smtp"], smtp) {
		t.Errorf("a module must replace the built-in one of the same name: got %+v", c.Modules["smtp"])
	}
	if len(c.Modules) != len(base.Modules)+2 {
		t.Errorf("%d modules", len(c.Modules))
	}
	if _, changed := base.Modules["mine"]; changed {
		t.Error("Parse modified the defaults")
	}
}

// TestSources loads lists of domains of each kind.
func TestSources(t *testing.T) {
	c := load(t, `
discovery:
  mx_rate: 20
  sources:
    - {name: customers, files: [/etc/dane/*.txt, /etc/dane/more]}
    - {name: hosting, zone: Catalog.example., primary: 192.0.2.1, tsig_file: /etc/dane/key}
    - {name: tld, zone: example, members: delegations, primary: "tls://[2001:db8::1]:8853#ns.example.net", tsig_file: /etc/dane/key}
`)
	want := discovery.Settings{MXRate: 20, MXInterval: time.Hour, Sources: []discovery.Source{
		{Name: "customers", Files: []string{"/etc/dane/*.txt", "/etc/dane/more"}},
		{Name: "hosting", Zone: "catalog.example", Members: discovery.MembersCatalog, Primary: "192.0.2.1", TSIGFile: "/etc/dane/key"},
		{Name: "tld", Zone: "example", Members: discovery.MembersDelegations, Primary: "tls://[2001:db8::1]:8853#ns.example.net", TSIGFile: "/etc/dane/key"},
	}}
	if !reflect.DeepEqual(c.Discovery, want) {
		t.Errorf("got  %+v\nwant %+v", c.Discovery, want)
	}
}

// TestModuleResolver: the resolver of a module has the keys that it leaves out from the
// section resolver, wherever that is in the file.
func TestModuleResolver(t *testing.T) {
	c := load(t, `
modules:
  view_public: {resolver: {servers: [tls://192.0.2.1, "https://192.0.2.2/dns-query#dns.example.net"], timeout: 3s}}
  view_site: &site {resolver: {trust_anchors: site.key}}
  view_same: *site
  view_merged: {resolver: {attempts: 3, <<: {sha1: accept}}}
  plain: {resolver: {}}
  null_resolver: {resolver: }
resolver: {servers: [192.0.2.53], attempts: 1}
`)
	main := probe.ResolverSettings{Servers: []string{"192.0.2.53"}, Timeout: 2 * time.Second, Attempts: 1, TrustAnchors: "builtin", SHA1: "insecure", NSEC3MaxIterations: 50, CacheMiB: 32}
	changed := func(change func(*probe.ResolverSettings)) probe.ResolverSettings {
		settings := main
		change(&settings)
		return settings
	}
	site := changed(func(r *probe.ResolverSettings) { r.TrustAnchors = "site.key" })
	want := map[string]probe.ResolverSettings{
		"": main,
		"view_public": changed(func(r *probe.ResolverSettings) {
			r.Servers, r.Timeout = []string{"tls://192.0.2.1", "https://192.0.2.2/dns-query#dns.example.net"}, 3*time.Second
		}),
		"view_site": site, "view_same": site,
		"view_merged": changed(func(r *probe.ResolverSettings) { r.Attempts, r.SHA1 = 3, "accept" }),
	}
	if got := c.Resolvers(); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	text, err := yaml.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	again := load(t, string(text))
	again.origins = c.origins
	if !reflect.DeepEqual(again, c) {
		t.Errorf("marshalled and loaded again:\ngot  %+v\nwant %+v", again, c)
	}
}

func TestNoFile(t *testing.T) {
	base := defaults(t)
	if c, err := Load("", base); err != nil || c != base {
		t.Errorf("got %v, %v", c, err)
	}
	if c := load(t, ""); !reflect.DeepEqual(c, base) {
		t.Errorf("an empty file must select the defaults: got %+v", c)
	}
	if _, err := Load(filepath.Join(t.TempDir(), "none.yml"), base); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// TestPasswordsAreMasked: the configuration as /config shows it has no passwords.
func TestPasswordsAreMasked(t *testing.T) {
	c := load(t, "modules: {m: {proxy: 'socks5://me:key-of-mine@192.0.2.1:1080'}}\n")
	if c.Modules["m"].Proxy.Password != "key-of-mine" {
		t.Fatalf("got %+v", c.Modules["m"].Proxy)
	}
	text, err := yaml.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "key-of-mine") || !strings.Contains(string(text), "proxy: socks5://me:<secret>@192.0.2.1:1080") {
		t.Errorf("got %s", text)
	}
}

// TestAliases checks that YAML aliases work.
func TestAliases(t *testing.T) {
	c := load(t, "modules:\n  a: &a {port: 26}\n  b: *a\n")
	if c.Modules["b"].Port != 26 || c.Modules["b"].Name != "b" {
		t.Errorf("got %+v", c.Modules["b"])
	}
}

// TestMergeKeys: a merge key adds the keys of another mapping. The mapping's own keys
// take precedence.
func TestMergeKeys(t *testing.T) {
	c := load(t, `
modules:
  a: &a {port: 26, timeout: 5s, smtp: {ehlo: a.example}}
  b: &b {<<: *a, port: 27}
  c: {timeout: 6s, <<: *a}
  d: {<<: [*b, *a]}
  e: {<<: {port: 28}, "timeout": 7s}
  f: {<<: &m {<<: *b, timeout: 8s}}
`)
	for name, want := range map[string]struct {
		port    uint16
		timeout string
		ehlo    string
	}{
		"a": {26, "5s", "a.example"}, "b": {27, "5s", "a.example"}, "c": {26, "6s", "a.example"}, "d": {27, "5s", "a.example"},
		"e": {28, "7s", ""}, "f": {27, "8s", "a.example"},
	} {
		m := c.Modules[name]
		if m.Port != want.port || m.Timeout.String() != want.timeout || m.SMTP.EHLO != want.ehlo {
			t.Errorf("%s: got port %d, timeout %s, EHLO %q; want %+v", name, m.Port, m.Timeout, m.SMTP.EHLO, want)
		}
	}
	c = load(t, "modules: {d: &d {discover: srv, policy: client, srv: [{service: imaps, protocol: tls}]}, e: {<<: *d}}\n")
	if c.Modules["e"].Discover != probe.DiscoverSRV {
		t.Errorf("got %+v", c.Modules["e"])
	}
}

// TestBooleans: the spellings of YAML 1.2 are accepted.
func TestBooleans(t *testing.T) {
	for text, want := range map[string]bool{"true": true, "True": true, "TRUE": true, "false": false, "False": false, "FALSE": false} {
		if c := load(t, "modules: {m: {nameservers: "+text+"}}\n"); c.Modules["m"].Nameservers != want {
			t.Errorf("%s: got %t", text, !want)
		}
	}
}

// TestIssuers checks that a module has the CAs of the file.
func TestIssuers(t *testing.T) {
	c := load(t, `modules: {m: {renewal: true, issuers: {"Example Trust, Inc.": [ca.example, ca.example.net], Amazon: [ca.example]}}}`)
	want := caa.Issuers{"Example Trust, Inc.": {"ca.example", "ca.example.net"}, "Amazon": {"ca.example"}}
	if got := c.Modules["m"].Issuers; !maps.EqualFunc(got, want, slices.Equal) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestErrorsHaveNoSecrets: anyone who can reload the configuration sees its errors.
// They quote no value that may be a password under a wrong key.
func TestErrorsHaveNoSecrets(t *testing.T) {
	for _, text := range []string{
		"modules: {m: {prox: 'socks5://me:hunter2@192.0.2.1:1080'}}",
		"modules: {m: {password: hunter2}}",
		"modules: {password: hunter2}",
		"modules: {proxy: 'socks5://me:hunter2@192.0.2.1:1080'}",
		"modules: {m: 'proxy:socks5://me:hunter2@192.0.2.1:1080'}",
		"modules: {m: {smtp: hunter2}}",
		"modules: {m: {services: [hunter2]}}",
		"modules: {m: {source_addresses: ['socks5://me:hunter2@192.0.2.1:1080']}}",
		"modules: {m: {source_addresses: 'me:hunter2@192.0.2.1'}}",
		"modules: {m: {timeout: 'socks5://me:a@hunter2@192.0.2.1:1080'}}",
		"modules: {m: {smtp: {ehlo: 'socks5://me:hunter2 x@192.0.2.1:1080'}}}",
		"modules: {m: {protocol: 'socks5://me:hunter2@192.0.2.1:1080'}}",
		"modules: {m: {'socks5://me:hunter2@192.0.2.1:1080': x}}",
		"modules: {'socks5://me:hunter2@192.0.2.1:1080': {}}",
		"modules: {m: {proxy: 'socks://me:hunter2@192.0.2.1:1080'}}",
		"modules: {m: {proxy: 'socks5://me:hunter2@example.org'}}",
		"resolver: {servers: ['tls://me:hunter2@192.0.2.1']}",
		"resolver: {servers: ['https://me:hunter2 x\"@192.0.2.1/dns-query']}",
		"resolver: hunter2",
		"access: {targets: ['socks5://me:hunter2@[a-']}",
		"access: {ports: ['socks5://me:hunter2@192.0.2.1:1080']}",
		"access: {allow_networks: ['socks5://me:hunter2@192.0.2.1:1080']}",
		"limits: {probes: 'me:hunter2@192.0.2.1'}",
		"modules: {m: {proxy: *hunter2}}",
		"modules: {m: {<<: hunter2}}",
		"modules: {m: {<<: [hunter2]}}",
		"hunter2",
		"hunter2: x: y",
		"'$2y$10$hunter2': x",
		"'hunter2/+a==': x",
		"modules: {m: {'PASSWORD=hunter2': x}}",
		"hunter2 correct horse: x",
		"-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n",
		"machine x login y password hunter2\n",
		"modules:\n  m:\n    port: 25\n    proxy:socks5://me:hunter2@192.0.2.1:1080\n",
		"modules: {m: {proxy: \"socks5://me:hunter2\\q@192.0.2.1:1080\"}}",
		"modules: {m: {proxy: 'socks5://me:hunter2@192.0.2.1:1080}}",
		"modules: {m: {proxy: @hunter2}}",
		"modules: {m: {proxy: !hunter2 x, port: 0}}",
	} {
		_, err := Parse("dane.yml", []byte(text), defaults(t))
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got error %v", text, err)
		}
	}
}

func TestMistakes(t *testing.T) {
	tests := []struct {
		name, text string
		want       []string // each error, without the file's name
	}{
		{"unknown key at the top level", "resolvers: {}\n",
			[]string{":1: resolvers: unknown key; allowed here: access, discovery, limits, modules, resolver"}},
		{"unknown key in a nested mapping", "modules:\n  m:\n    smtp:\n      helo: x\n",
			[]string{":4: modules.m.smtp.helo: unknown key; allowed here: ehlo"}},
		{"duplicate key", "limits:\n  probes: 1\n  probes: 2\n",
			[]string{":3: limits.probes: duplicate key, first given on line 2"}},
		{"duplicate module", "modules:\n  m: {}\n  m: {}\n",
			[]string{":3: modules.m: duplicate key, first given on line 2"}},
		{"port above 65535", "modules: {m: {port: 65536}}\n",
			[]string{`:1: modules.m.port: "65536" is not a whole number from 1 to 65535`}},
		{"word instead of a number", "limits: {probes: many}\n",
			[]string{`:1: limits.probes: "many" is not a whole number from 1 to 100000`}},
		{"unknown protocol", "modules: {m: {protocol: gopher}}\n",
			[]string{`:1: modules.m.protocol: "gopher" is not one of: imap, ldap, lmtp, pop3, postgres, sieve, smtp, tls, xmpp-client, xmpp-server`}},
		{"duration below the minimum", "modules: {m: {timeout: 0s}}\n",
			[]string{`:1: modules.m.timeout: "0s" is not a duration from 100ms to 5m, such as 500ms, 2s or 1m30s`}},
		{"duration without a unit", "resolver: {timeout: 2}\n",
			[]string{`:1: resolver.timeout: "2" is not a duration from 10ms to 1m, such as 500ms, 2s or 1m30s`}},
		{"invalid boolean", "modules: {m: {per_address: yes please}}\n",
			[]string{`:1: modules.m.per_address: "yes please" is not true or false`}},
		{"misspelt series", "modules: {m: {series: short}}\n",
			[]string{`:1: modules.m.series: "short" is not one of: full, summary`}},
		{"password file without a proxy", "modules:\n  m:\n    port: 26\n    proxy_password_file: /x\n",
			[]string{":4: modules.m.proxy_password_file: needs a proxy with a user and without a password, such as proxy: socks5://user@192.0.2.1:1080"}},
		{"password file and a password", "modules:\n  m:\n    proxy: socks5://me:hunter2@192.0.2.1:1080\n    proxy_password_file: /x\n",
			[]string{":4: modules.m.proxy_password_file: needs a proxy with a user and without a password, such as proxy: socks5://user@192.0.2.1:1080"}},
		{"per_address with a summary", "modules:\n  m:\n    series: summary\n    per_address: true\n",
			[]string{":4: modules.m.per_address: not allowed with series: summary, which has no series for each address"}},
		{"mta_sts without discover: mx", "modules:\n  m:\n    discover: none\n    mta_sts: true\n",
			[]string{":4: modules.m.mta_sts: allowed only with discover: mx and without services; MTA-STS policies belong to mail domains, not to hosts"}},
		{"discover: srv without services", "modules: {m: {discover: srv}}\n",
			[]string{":1: modules.m: discover: srv needs a list of services, such as srv: [{service: imaps, protocol: tls}]", ":1: modules.m: discover: srv needs policy: client (RFC 7673)"}},
		{"port with discover: srv", "modules: {m: {discover: srv, policy: client, port: 25, srv: [{service: imaps, protocol: tls}]}}\n",
			[]string{":1: modules.m.port: not allowed with discover: srv; the SRV records give the ports, and the key srv gives the protocols"}},
		{"srv without discover: srv", "modules: {m: {srv: [{service: imaps, protocol: tls}]}}\n",
			[]string{":1: modules.m.srv: allowed only with discover: srv"}},
		{"owner name instead of a service name", "modules: {m: {discover: srv, policy: client, srv: [{service: _imaps._tcp, protocol: tls}, {service: imap, protocol: imap}]}}\n",
			[]string{`:1: modules.m.srv[0].service: "_imaps._tcp": not 1 to 15 characters of a-z, 0-9 and -; must be the name of a service without its underscore, such as "imaps"`}},
		{"srv without a protocol and with a duplicate", "modules:\n  m:\n    discover: srv\n    policy: client\n    srv:\n    - service: imaps\n    - {service: imap, protocol: imap}\n    - {service: imap, protocol: tls}\n",
			[]string{":6: modules.m.srv[0]: must have a service and a protocol, such as {service: imaps, protocol: tls}", ":8: modules.m.srv[2]: duplicate service imap"}},
		{"services with port and protocol", "modules: {m: {port: 26, protocol: smtp, services: [{port: 25, protocol: smtp}]}}\n",
			[]string{":1: modules.m.port: not allowed with services; give port and protocol, or services", ":1: modules.m.protocol: not allowed with services; give port and protocol, or services"}},
		{"duplicate, incomplete and invalid services", "modules:\n  m:\n    services:\n    - {port: 25, protocol: smtp}\n    - {port: 25, protocol: tls}\n    - {port: 465}\n    - {port: 0, protocol: tls}\n",
			[]string{":5: modules.m.services[1]: duplicate port 25", ":6: modules.m.services[2]: must have a port and a protocol, such as {port: 25, protocol: smtp}", `:7: modules.m.services[3].port: "0" is not a whole number from 1 to 65535`}},
		{"number instead of a list of services", "modules: {m: {services: 25}}\n",
			[]string{`:1: modules.m.services: found "25"; must be a list [a, b] of services such as {port: 25, protocol: smtp}`}},
		{"issuers without an organization, without a list, and without a domain name", "modules:\n  m:\n    issuers:\n      '': [ca.example]\n      A: ca.example\n      B: []\n      C: [CA.example, ca.example; account=1]\n",
			[]string{":4: modules.m.issuers.: must be below the name of an organization", `:5: modules.m.issuers.A: found "ca.example"; must be a list [a, b] of domain names in CAA records`, ":6: modules.m.issuers.B: must list at least one domain name",
				":7: modules.m.issuers.C[0]: must be a domain name in lower case, as in CAA records, such as ca.example.org", ":7: modules.m.issuers.C[1]: must be a domain name in lower case, as in CAA records, such as ca.example.org"}},
		{"mta_sts with services", "modules: {m: {mta_sts: true, services: [{port: 25, protocol: smtp}]}}\n",
			[]string{":1: modules.m.mta_sts: allowed only with discover: mx and without services; MTA-STS policies belong to mail domains, not to hosts"}},
		{"hostname of a proxy instead of its address", "modules: {m: {proxy: 'socks5://me:key@proxy.example.org:1080'}}\n",
			[]string{":1: modules.m.proxy: not a valid proxy: use the form socks5://192.0.2.1:1080 or socks5://[2001:db8::1]:1080, with an address, not a name, and user:password@ before the address if the proxy needs them"}},
		{"unspecified source address", "modules: {m: {source_addresses: [0.0.0.0]}}\n",
			[]string{`:1: modules.m.source_addresses[0]: "0.0.0.0" is not an address of this machine; must be one such as 192.0.2.7`}},
		{"two source addresses of one family", "modules: {m: {source_addresses: [192.0.2.7, '2001:db8::7', 192.0.2.8]}}\n",
			[]string{`:1: modules.m.source_addresses[2]: "192.0.2.8" is the second address of its family; at most one IPv4 and one IPv6 address are allowed`}},
		{"list instead of a mapping", "resolver: [system]\n",
			[]string{":1: resolver: found a list; must be a mapping of keys to values"}},
		{"word instead of a list", "access: {targets: example.org}\n",
			[]string{`:1: access.targets: found "example.org"; must be a list [a, b] of patterns such as "*.example.org"`}},
		{"null instead of a word", "modules:\n  m:\n    policy:\n",
			[]string{":3: modules.m.policy: found no value; must be one of: smtp-relay, client"}},
		{"incomplete pattern", "access:\n  targets:\n    - ok.example\n    - \"[a-\"\n",
			[]string{`:4: access.targets[1]: "[a-" is not a valid pattern: a [ is not closed, or it ends in a \`}},
		{"unknown key type", "modules: {m: {key_types: [ecdsa, dsa]}}\n",
			[]string{`:1: modules.m.key_types[1]: "dsa" is not one of: ecdsa, rsa`}},
		{"duplicate key type", "modules: {m: {key_types: [rsa, rsa]}}\n",
			[]string{`:1: modules.m.key_types[1]: duplicate key type "rsa"`}},
		{"word instead of a list of key types", "modules: {m: {key_types: rsa}}\n",
			[]string{`:1: modules.m.key_types: found "rsa"; must be a list [a, b] of key types: ecdsa, rsa`}},
		{"address instead of a network", "access: {allow_networks: [10.0.0.1]}\n",
			[]string{`:1: access.allow_networks[0]: "10.0.0.1" is not a network; must be one such as 10.0.0.0/8 or fd00::/8`}},
		{"invalid ports", "access: {ports: [25, smtp, 0]}",
			[]string{`:1: access.ports[1]: "smtp" is not a port; must be a whole number from 1 to 65535`, `:1: access.ports[2]: "0" is not a port; must be a whole number from 1 to 65535`}},
		{"network with host bits", "access: {allow_networks: [10.0.0.1/8]}\n",
			[]string{`:1: access.allow_networks[0]: "10.0.0.1/8" has bits set beyond its prefix length; the network is 10.0.0.0/8`}},
		{"hostname of a resolver", "resolver: {servers: [dns.example]}\n",
			[]string{`:1: resolver.servers[0]: resolver "dns.example": must be "system" or an IP address, such as 192.0.2.53, 192.0.2.53:53 or [2001:db8::53]:53`}},
		{"hostname of a DoT resolver", "resolver: {servers: [tls://dns.example]}\n",
			[]string{`:1: resolver.servers[0]: resolver "tls://dns.example": must have an IP address, as in tls://192.0.2.53, since no name can be looked up ` +
				`without a resolver; if the certificate is not for the address, add its name, as in tls://192.0.2.53#dns.example.net`}},
		{"hostname of a DoH resolver", "resolver: {servers: [https://dns.example/dns-query]}\n",
			[]string{`:1: resolver.servers[0]: resolver "https://dns.example/dns-query": must have an IP address, as in https://192.0.2.53/dns-query, since no name can be looked up ` +
				`without a resolver; if the certificate is not for the address, add its name, as in https://192.0.2.53/dns-query#dns.example.net`}},
		{"empty list of resolvers", "resolver: {servers: []}\n",
			[]string{`:1: resolver.servers: the list is empty; must be a list [a, b] of resolvers: "system", or addresses`}},
		{"empty trust anchors", `resolver: {trust_anchors: ""}` + "\n",
			[]string{`:1: resolver.trust_anchors: "": the value is empty; must be "builtin" or the path of a file`}},
		{"line break in EHLO", `modules: {m: {smtp: {ehlo: "a\r\nMAIL"}}}` + "\n",
			[]string{`:1: modules.m.smtp.ehlo: "a\r\nMAIL": contains characters that EHLO does not allow; must be a hostname, an address literal such as "[192.0.2.1]", or ""`}},
		{"sources without a name, with an invalid and a duplicate name", "discovery:\n  sources:\n  - {files: [a]}\n  - {name: A, files: [a]}\n  - {name: b, files: [a]}\n  - {name: b, files: [a]}\n",
			[]string{":3: discovery.sources[0]: must have a name, such as {name: customers, files: [/etc/dane_exporter/domains.txt]}",
				`:4: discovery.sources[1].name: "A": contains other characters, or none; must be a name of a-z, 0-9, _ and -`,
				":6: discovery.sources[3]: duplicate name b"}},
		{"sources with neither or both kinds, or a part of one", "discovery:\n  sources:\n  - {name: a}\n  - {name: b, files: [a], zone: example}\n  - {name: c, zone: example, primary: 192.0.2.1}\n  - {name: d, files: []}\n",
			[]string{":3: discovery.sources[0]: must have files, or zone, primary and tsig_file",
				":4: discovery.sources[1]: must have files, or zone, primary and tsig_file",
				":5: discovery.sources[2]: must have zone, primary and tsig_file, such as {name: hosting, zone: catalog.example, primary: 192.0.2.1, tsig_file: /etc/dane_exporter/transfer.key}",
				":6: discovery.sources[3].files: must have at least one path"}},
		{"invalid settings of sources", "discovery:\n  sources:\n  - {name: a, files: ['[a-', '']}\n  - {name: b, zone: a..b, members: all, primary: udp://192.0.2.1, tsig_file: ''}\n  mx_rate: 0\n  mx_interval: 1s\n",
			[]string{`:3: discovery.sources[0].files[0]: "[a-" is not a valid pattern: a [ is not closed, or it ends in a \`,
				`:3: discovery.sources[0].files[1]: an empty path matches nothing; must be a path or a pattern such as /etc/dane_exporter/domains/*.txt`,
				`:3: discovery.sources[0].files: must have at least one path`,
				`:4: discovery.sources[1].zone: "a..b": idna: invalid label "a..b"; must be the name of a zone`,
				`:4: discovery.sources[1].members: "all" is not one of: catalog, delegations`,
				`:4: discovery.sources[1].primary: "udp://192.0.2.1": not a nameserver over TCP or TLS; must be the address of a nameserver, such as 192.0.2.1 or tls://192.0.2.1#ns.example.net`,
				`:4: discovery.sources[1].tsig_file: "": the value is empty; must be the path of a file`,
				`:5: discovery.mx_rate: "0" is not a whole number from 1 to 10000`,
				`:6: discovery.mx_interval: "1s" is not a duration from 1m to 168h, such as 500ms, 2s or 1m30s`}},
		{"mta_sts with connect: false", "modules: {m: {connect: false, mta_sts: true}}\n",
			[]string{":1: modules.m.mta_sts: not allowed with connect: false; the policy is fetched over HTTPS"}},
		{"invalid module name", "modules: {\"a b\": {}}\n",
			[]string{":1: modules.a b: not a valid module name; must be 1 to 64 characters of a-z, 0-9, _ and -"}},
		{"unknown key in the resolver of a module", "modules: {m: {resolver: {server: [192.0.2.53]}}}\n",
			[]string{":1: modules.m.resolver.server: unknown key; allowed here: attempts, cache_mib, nsec3_max_iterations, servers, sha1, timeout, trust_anchors"}},
		{"word instead of the resolver of a module", "modules: {m: {resolver: system}}\n",
			[]string{":1: modules.m.resolver: found a single value; must be a mapping of keys to values"}},
		{"mistakes in a module and in a later section", "modules: {m: {resolver: {attempts: 0}}}\nresolver: {attempts: 4}\n",
			[]string{`:1: modules.m.resolver.attempts: "0" is not a whole number from 1 to 3`, `:2: resolver.attempts: "4" is not a whole number from 1 to 3`}},
		{"UTF-16", "\xff\xfer\x00",
			[]string{":1: the file is not valid UTF-8"}},
		{"unknown YAML anchor", "limits: *nope\n",
			[]string{":1: not valid YAML: a value that begins with * refers to an unknown anchor"}},
		{"IPv4-mapped IPv6 network", "access:\n  allow_networks: [\"::ffff:10.0.0.0/104\"]\n",
			[]string{":2: access.allow_networks[0]: \"::ffff:10.0.0.0/104\" is an IPv4-mapped IPv6 network; must be in IPv4 form, such as 10.0.0.0/8"}},
		{"merge key without a mapping", "modules: {m: {<<: smtp}}\n",
			[]string{":1: modules.m.<<: found a single value; must be an alias of a mapping, such as *name, or a list of them"}},
		{"two merge keys that both have a mistake", "modules:\n  a: &a {port: 0}\n  b: {<<: *a}\n",
			[]string{`:2: modules.a.port: "0" is not a whole number from 1 to 65535`, `:2: modules.b.port: "0" is not a whole number from 1 to 65535`}},
		{"merge key in its own mapping", "modules: {m: &m {<<: *m}}\n",
			[]string{":1: modules.m.<<: the mapping contains itself"}},
		{"list of merge keys that do not end", "modules: {m: &m {discover: srv, policy: client, srv: [{service: imaps, protocol: tls}], <<: [*m, *m]}}\n",
			[]string{":1: modules.m.<<: the mapping contains itself", ":1: modules.m.<<: the mapping contains itself"}},
		{"merge keys that multiply", "limits: {<<: {a: &a {}, <<: {b: &b {<<: [" + strings.Repeat("*a,", 40) + "]}, c: &c {<<: [" + strings.Repeat("*b,", 40) + "]}, <<: [" + strings.Repeat("*c,", 40) + "]}}}\n",
			[]string{":1: limits: merge keys (<<) add more than 1000 keys"}},
		{"boolean of YAML 1.1", "modules: {m: {nameservers: yes}}\n",
			[]string{`:1: modules.m.nameservers: "yes" is not true or false`}},
		{"invalid YAML", "resolver:\n  a: b: c\n",
			[]string{":2: not valid YAML: mapping values are not allowed in this context"}},
		{"two documents", "{}\n---\n{}\n",
			[]string{":2: a second YAML document begins here; the file must have one document"}},
		{"cache size out of range", "resolver: {cache_mib: 0}\nmodules: {m: {resolver: {cache_mib: 5000}}}\n", []string{
			`:1: resolver.cache_mib: "0" is not a whole number from 1 to 4096`,
			`:2: modules.m.resolver.cache_mib: "5000" is not a whole number from 1 to 4096`,
		}},
		{"several mistakes", "limits: {probes: 0}\nmodule: {}\n",
			[]string{`:1: limits.probes: "0" is not a whole number from 1 to 100000`,
				":2: module: unknown key; allowed here: access, discovery, limits, modules, resolver"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := write(t, test.text)
			_, err := Load(path, defaults(t))
			if err == nil {
				t.Fatal("no error")
			}
			want := path + strings.Join(test.want, "\n"+path)
			if err.Error() != want {
				t.Errorf("got\n%s\nwant\n%s", err, want)
			}
			mistake, ok := errors.AsType[*Error](err)
			if !ok || mistake.File != path || mistake.Line == 0 {
				t.Errorf("got %#v, want an *Error with file and line", mistake)
			}
		})
	}
}

func TestTooLarge(t *testing.T) {
	path := write(t, strings.Repeat("#", maxFileSize+1))
	if _, err := Load(path, defaults(t)); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("got %v", err)
	}
}

// TestMistakesAreBounded: a file that is not a configuration must not fill the log.
func TestMistakesAreBounded(t *testing.T) {
	path := write(t, strings.Repeat("? \n", 10)+strings.Repeat("- x\n", 100))
	_, err := Load(path, defaults(t))
	if err == nil {
		t.Fatal("no error")
	}
	var many strings.Builder
	for i := range 100 {
		many.WriteString(strings.Repeat("k", i+1) + ": 1\n")
	}
	_, err = Load(write(t, many.String()), defaults(t))
	if got := strings.Count(err.Error(), "\n") + 1; got != maxErrors {
		t.Errorf("%d errors, want %d", got, maxErrors)
	}
}

// FuzzParse checks that Parse returns either a configuration or an error, and
// that it accepts each configuration again after yaml.Marshal.
func FuzzParse(f *testing.F) {
	example, err := os.ReadFile("../../config.example.yml")
	if err != nil {
		f.Fatal(err)
	}
	base, err := Defaults(example)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(example)
	for _, seed := range []string{"modules: {a: &a {port: 1}, b: *a}", "a: *a", "? [a]\n: b", "access: {targets: [a], ports: [25], allow_networks: [10.0.0.0/8]}",
		"resolver: {servers: [tls://192.0.2.53:853#dns.example.net], timeout: 1s, attempts: 3, sha1: accept}", "limits: {probes: 1, queue_wait: 0s}",
		"modules: {m: {resolver: {servers: [\"https://192.0.2.53/dns-query#dns.example.net\"], timeout: 3s}}, n: {resolver: {}}}\nresolver: {attempts: 1}",
		"modules: {m: {discover: srv, srv: [{service: imaps, protocol: tls}], proxy: \"socks5://u:p@192.0.2.1:1080\", source_addresses: [192.0.2.7], key_types: [rsa]}}",
		"modules: {m: {discover: none, services: [{port: 25, protocol: smtp, policy: smtp-relay}], per_address: true, mta_sts: false}}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Parse("fuzz.yml", text, base)
		if (c == nil) == (err == nil) {
			t.Fatalf("got %v, %v", c, err)
		}
		if err != nil {
			return
		}
		shown, err := yaml.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse("shown.yml", shown, base); err != nil && !strings.Contains(string(shown), "proxy: socks5://") { // a password is masked
			t.Errorf("%q was accepted, and its marshalled form was not: %v\n%s", text, err, shown)
		}
	})
}

// TestMarshalAndBack: the text that /config shows is a configuration file.
func TestMarshalAndBack(t *testing.T) {
	c := load(t, "access: {allow_networks: [10.0.0.0/8]}\nmodules: {m: {timeout: 90s}}\n")
	text, err := yaml.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	again := load(t, string(text))
	again.origins = c.origins
	if !reflect.DeepEqual(again, c) {
		t.Errorf("got  %+v\nwant %+v", again, c)
	}
}

func load(t *testing.T, text string) *Config {
	t.Helper()
	c, err := Load(write(t, text), defaults(t))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "dane.yml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
