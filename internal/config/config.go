// Package config loads, checks and reloads the configuration file.
//
// The example file that the program embeds is the only source of defaults. A
// user's file is applied on top of it: a key that the file leaves out keeps its
// default, a list replaces the default list, modules are added by name, and each
// module of the file starts as a copy of DefaultModule.
//
// Every mistake is reported as an *Error with the file, the line, the key and
// the allowed values.
//
// To add a key: add a field to its struct (here, or in the package that uses the
// setting), one line to the table of its section in settings.go or module.go, and
// its default and a comment to config.example.yml.
package config

import (
	"fmt"
	"io"
	"maps"
	"os"
	"time"

	"dane_exporter/internal/discovery"
	"dane_exporter/probe"
)

// DefaultModule is the module that a probe uses if it names none, and the one
// that every other module starts from.
const DefaultModule = "smtp_mx"

// maxFileSize is the largest accepted configuration file, in bytes. Ten
// thousand modules fit into it.
const maxFileSize = 4 << 20

// Config is a complete configuration. It is not modified after it is loaded.
type Config struct {
	Resolver  probe.ResolverSettings  `yaml:"resolver"` // of the modules without their own
	Limits    Limits                  `yaml:"limits"`
	Access    probe.Access            `yaml:"access"`
	Discovery discovery.Settings      `yaml:"discovery"`
	Modules   map[string]probe.Module `yaml:"modules"`

	origins *origins
}

// Resolvers returns the settings of the resolver of each module that has its own, by
// module name. The empty name stands for all other modules.
func (c *Config) Resolvers() map[string]probe.ResolverSettings {
	resolvers := map[string]probe.ResolverSettings{"": c.Resolver}
	for name, module := range c.Modules {
		if module.Resolver != nil {
			resolvers[name] = *module.Resolver
		}
	}
	return resolvers
}

// BuiltinAnchors is the value of the setting trust_anchors that selects the
// embedded keys of the root zone.
const BuiltinAnchors = "builtin"

// Limits bounds the load that the process accepts.
type Limits struct {
	Probes         int           `yaml:"probes"`          // maximum number of concurrent probes
	QueueWait      time.Duration `yaml:"queue_wait"`      // maximum wait for one of them to finish
	HandshakeReuse time.Duration `yaml:"handshake_reuse"` // maximum age of a handshake that another probe may use
}

// Defaults parses the example file, which is the default configuration.
func Defaults(example []byte) (*Config, error) {
	c, err := Parse("config.example.yml", example, new(Config))
	if err != nil {
		return nil, err
	}
	c.origins = c.origins.asDefaults()
	return c, nil
}

// Load applies the file at path to a copy of defaults. An empty path returns
// defaults. The error joins one *Error for each mistake, in the order of the
// file, or says why the file cannot be read.
func Load(path string, defaults *Config) (*Config, error) {
	if path == "" {
		return defaults, nil
	}
	text, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return Parse(path, text, defaults)
}

// readFile returns the contents of a file of at most maxFileSize bytes.
func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxFileSize+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxFileSize {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxFileSize)
	}
	return text, nil
}

// Parse applies the text of a file to a copy of defaults. The error joins one
// *Error for each mistake; name is the file name in them.
func Parse(name string, text []byte, defaults *Config) (*Config, error) {
	d := decoder{file: name, lines: make(map[string]int)}
	config := *defaults
	config.Modules = maps.Clone(config.Modules)
	if document, ok := d.document(text); ok {
		document.config(&config)
	}
	if err := d.err(); err != nil {
		return nil, err
	}
	config.origins = defaults.origins.with(name, d.lines)
	return &config, nil
}
