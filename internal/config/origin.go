package config

import (
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"
)

// Origin is where a value of a configuration comes from.
type Origin struct {
	File    string // or what else sets it
	Line    int    // 0: it is not a line of a file
	Builtin bool   // File is the default configuration
}

func (o Origin) String() string {
	switch {
	case o.Builtin:
		return fmt.Sprintf("built-in, %s:%d", o.File, o.Line)
	case o.Line > 0:
		return fmt.Sprintf("%s:%d", o.File, o.Line)
	default:
		return o.File
	}
}

// Setting is one value of a configuration that is in effect.
type Setting struct {
	Key    string // the path of keys below its section or module, such as "smtp.ehlo"
	Value  string // YAML, without secrets
	Origin Origin
	// Inherited is set if a module leaves the key out: the origin is that of the module that it started as
	// a copy of, or of the section resolver.
	Inherited bool
}

// origins are where the values of a configuration come from.
type origins struct {
	keys      map[string]Origin // of the keys that were given, by path
	inherited map[string]Origin // of the keys that the modules of a file start with
}

// with returns the origins after a file was applied. lines are those of its keys.
func (o *origins) with(file string, lines map[string]int) *origins {
	all := &origins{keys: make(map[string]Origin)}
	if o != nil {
		all.inherited = o.inherited
		for path, origin := range o.keys {
			if _, replaced := lines["modules."+moduleOf(path)]; !replaced {
				all.keys[path] = origin
			}
		}
	}
	for path, line := range lines {
		all.keys[path] = Origin{File: file, Line: line}
	}
	return all
}

// asDefaults returns the origins of the default configuration.
func (o *origins) asDefaults() *origins {
	defaults := &origins{keys: make(map[string]Origin), inherited: make(map[string]Origin)}
	for path, origin := range o.keys {
		origin.Builtin = true
		defaults.keys[path] = origin
		if key, ok := strings.CutPrefix(path, "modules."+DefaultModule+"."); ok {
			defaults.inherited[key] = origin
		}
	}
	return defaults
}

// moduleOf returns the module that a path belongs to, or "".
func moduleOf(path string) string {
	rest, _ := strings.CutPrefix(path, "modules.")
	if rest == path {
		return ""
	}
	module, _, _ := strings.Cut(rest, ".")
	return module
}

// From returns a copy of the configuration in which the values of these paths come from what, which is
// not a file.
func (c *Config) From(what string, paths ...string) *Config {
	changed := *c
	changed.origins = c.origins.with(what, nil)
	for _, path := range paths {
		changed.origins.keys[path] = Origin{File: what}
	}
	return &changed
}

// Sections returns the names of the sections, without modules.
func Sections() []string { return []string{"resolver", "limits", "access", "discovery"} }

// Section returns the settings of a section.
func (c *Config) Section(name string) []Setting {
	section := map[string]any{"resolver": c.Resolver, "limits": c.Limits, "access": c.Access, "discovery": c.Discovery}[name]
	settings := settingsOf("", section)
	for i := range settings {
		settings[i].Origin = c.origin(name + "." + settings[i].Key)
	}
	return settings
}

// Module returns the settings of a module, those that it does not inherit first. It returns none if
// there is no such module.
func (c *Config) Module(name string) []Setting {
	module, ok := c.Modules[name]
	if !ok {
		return nil
	}
	var own, inherited []Setting
	for _, s := range settingsOf("", module) {
		s.Origin = c.origin("modules." + name + "." + s.Key)
		if s.Origin != (Origin{}) {
			own = append(own, s)
			continue
		}
		s.Inherited = true
		if s.Origin = c.origin(s.Key); !strings.HasPrefix(s.Key, "resolver.") && c.origins != nil {
			s.Origin = c.origins.inherited[s.Key]
		}
		inherited = append(inherited, s)
	}
	return append(own, inherited...)
}

// ModuleOrigin returns where a module is defined.
func (c *Config) ModuleOrigin(name string) Origin { return c.origin("modules." + name) }

func (c *Config) origin(path string) Origin {
	if c.origins == nil {
		return Origin{}
	}
	return c.origins.keys[path]
}

// settingsOf returns the values of a struct, by the names of its keys.
func settingsOf(prefix string, of any) (settings []Setting) {
	var node yaml.Node
	if err := node.Encode(of); err != nil {
		panic(fmt.Errorf("marshal the configuration: %w", err)) // it was read from YAML
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := prefix+node.Content[i].Value, node.Content[i+1]
		if key == "smtp" || key == "resolver" {
			settings = append(settings, settingsOf(key+".", value)...)
			continue
		}
		settings = append(settings, Setting{Key: key, Value: flow(value)})
	}
	return settings
}

// flow returns a value as YAML on one line.
func flow(node *yaml.Node) string {
	node.Style |= yaml.FlowStyle
	text, err := yaml.Marshal(node)
	if err != nil {
		panic(fmt.Errorf("marshal the configuration: %w", err)) // it was read from YAML
	}
	return strings.TrimSuffix(string(text), "\n")
}
