// Command dane_exporter tells Prometheus what a DANE client would do with mail
// domains and TLS services, and why it would refuse.
package main

import (
	_ "embed"
	"os"

	"dane_exporter/internal/command"
)

//go:embed config.example.yml
var exampleConfig []byte

func main() {
	os.Exit(command.Run(os.Args[1:], exampleConfig, os.Stdout, os.Stderr))
}
