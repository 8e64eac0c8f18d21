package command

import (
	"testing"

	"dane_exporter/internal/config"
	"dane_exporter/probe/starttls"
)

// TestDefaultProtocols compares the protocol of each port with the built-in module
// of that port.
func TestDefaultProtocols(t *testing.T) {
	c, err := config.Defaults(defaultConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for name, module := range c.Modules {
		if module.Port == 0 {
			continue
		}
		compared++
		if got := starttls.ByPort(module.Port).Name; got != module.Protocol {
			t.Errorf("port %d: %s, want %s as in module %s", module.Port, got, module.Protocol, name)
		}
	}
	if compared < 10 {
		t.Errorf("only %d modules have a port", compared)
	}
}
