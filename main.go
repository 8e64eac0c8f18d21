// Command dane_exporter is a Prometheus exporter that reports what a DANE client would
// do with mail domains and TLS services, and why it would refuse.
package main

import (
	_ "embed"
	"os"

	"dane_exporter/internal/command"
)

//go:embed config.example.yml
var defaultConfig []byte

func main() {
	os.Exit(command.Run(os.Args[1:], defaultConfig, os.Stdout, os.Stderr))
}
