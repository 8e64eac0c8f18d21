// Package docker holds what is shipped for Docker to the rest of the project.
// That the compose file is as its schema wants it is seen in deploy/validate;
// images are not built by any test.
package docker

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"dane_exporter/internal/config"
)

func read(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// TestImage: what runs is one static binary from an empty image, of a user by
// number who is not root, and its health is asked of a command that exists.
func TestImage(t *testing.T) {
	file := read(t, "Dockerfile")
	start := strings.LastIndex(file, "\nFROM ")
	build, image := file[:start], file[start+1:]
	for _, wanted := range []string{"CGO_ENABLED=0", "-trimpath", "-X github.com/prometheus/common/version.Version=$VERSION"} {
		if !strings.Contains(build, wanted) {
			t.Errorf("the build has no %s", wanted)
		}
	}
	for _, wanted := range []string{
		`(?m)^FROM scratch$`,
		`(?m)^USER [1-9]\d*:[1-9]\d*$`,
		`(?m)^COPY --from=build /etc/ssl/certs/ca-certificates.crt `,
		`(?m)^HEALTHCHECK .* CMD \["/dane_exporter", "healthy"\]$`,
		`(?m)^ENTRYPOINT \["/dane_exporter"\]$`,
	} {
		if !regexp.MustCompile(wanted).MatchString(image) {
			t.Errorf("the image has no line %s", wanted)
		}
	}
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(read(t, "../../go.mod"))
	if version == nil || !strings.Contains(build, "FROM golang:"+version[1]+" AS build") {
		t.Errorf("it is not built with the Go %q of go.mod", version)
	}
}

// TestConfig: the exporter takes the configuration.
func TestConfig(t *testing.T) {
	defaults, err := config.Defaults([]byte(read(t, "../../config.example.yml")))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load("config.yml", defaults); err != nil {
		t.Error(err)
	}
}
