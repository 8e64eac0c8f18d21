package command

import (
	"testing"

	"dane_exporter/internal/config"
)

// TestUsualAt: tlsa speaks to a port as the built-in module of that port does.
func TestUsualAt(t *testing.T) {
	c, err := config.Defaults(example(t))
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for name, module := range c.Modules {
		if module.Port == 0 {
			continue
		}
		compared++
		if got := usualAt(module.Port); got != module.Protocol {
			t.Errorf("port %d: %s, want %s as in the module %s", module.Port, got, module.Protocol, name)
		}
	}
	if compared < 10 {
		t.Errorf("only %d modules name a port", compared)
	}
}
