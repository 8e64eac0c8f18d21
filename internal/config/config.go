// Package config reads the configuration file: checks it, completes it with
// the defaults, and reads it again when asked.
//
// There is one source of defaults, the example file that the program carries.
// Parsing it gives the Config that a user's file is laid over: settings that the
// file leaves out keep their default, lists are replaced whole, modules are
// added by name, and a module of the file starts as a copy of DefaultModule.
//
// Every complaint names the file, the line, the key and what is allowed there.
package config

import (
	"fmt"
	"io"
	"maps"
	"os"
	"time"

	"dane_exporter/probe"
	"dane_exporter/probe/dnssec"
)

// DefaultModule is the module of a probe that names none, and the one that
// every other module starts from.
const DefaultModule = "smtp_mx"

// maxFileSize is more than ten thousand modules take.
const maxFileSize = 4 << 20

// Config is a complete configuration. Nobody writes to it once it is loaded.
type Config struct {
	Resolver Resolver                `yaml:"resolver"`
	Limits   Limits                  `yaml:"limits"`
	Access   probe.Access            `yaml:"access"`
	Modules  map[string]probe.Module `yaml:"modules"`
}

// Resolver says how DNS is asked and what is believed of it.
type Resolver struct {
	Servers            []string      `yaml:"servers"`
	Timeout            time.Duration `yaml:"timeout"` // of one attempt
	Attempts           int           `yaml:"attempts"`
	TrustAnchors       string        `yaml:"trust_anchors"` // BuiltinAnchors, or the path of a file
	SHA1               dnssec.SHA1   `yaml:"sha1"`
	NSEC3MaxIterations uint16        `yaml:"nsec3_max_iterations"`
}

// BuiltinAnchors is the value of Resolver.TrustAnchors that stands for the
// root's keys.
const BuiltinAnchors = "builtin"

// Limits says what the process takes on.
type Limits struct {
	Probes    int           `yaml:"probes"`     // in flight at the same time
	QueueWait time.Duration `yaml:"queue_wait"` // for a place among them
	// HandshakeReuse is how long a handshake serves other probes.
	HandshakeReuse time.Duration `yaml:"handshake_reuse"`
}

// Defaults reads the example file, which is the default configuration.
func Defaults(example []byte) (*Config, error) {
	return Parse("config.example.yml", example, new(Config))
}

// Load reads the file at path over defaults. An empty path gives the defaults.
// The error joins one *Error for each thing that is wrong, in the file's order;
// or it says why the file could not be read.
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

// readFile reads a file that is not absurdly large.
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

// Parse reads the text of a file over a copy of defaults. Errors are those of
// Load, and call the file by its name.
func Parse(name string, text []byte, defaults *Config) (*Config, error) {
	d := decoder{file: name}
	config := *defaults
	config.Modules = maps.Clone(config.Modules)
	if document, ok := d.document(text); ok {
		document.config(&config)
	}
	if err := d.err(); err != nil {
		return nil, err
	}
	return &config, nil
}
