// Package docker tests that the files for Docker agree with the rest of the project.
// deploy/validate checks the compose file against its schema. .ci/ship builds and runs the
// image of a release.
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

// TestImage checks that the image has one static binary, runs as a numeric user that is
// not root, and has a health check with an existing command.
func TestImage(t *testing.T) {
	file := read(t, "Dockerfile")
	start := strings.LastIndex(file, "\nFROM ")
	build, image := file[:start], file[start+1:]
	for _, wanted := range []string{"CGO_ENABLED=0", "-trimpath", "-X github.com/prometheus/common/version.Version=$VERSION"} {
		if !strings.Contains(build, wanted) {
			t.Errorf("the build stage lacks %s", wanted)
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
			t.Errorf("the final stage has no line that matches %s", wanted)
		}
	}
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(read(t, "../../go.mod"))
	if version == nil || !strings.Contains(build, "FROM golang:"+version[1]+" AS build") {
		t.Errorf("the build stage does not use the Go version %q of go.mod", version)
	}
}

// TestReleaseImage checks that the image of a release has the settings of the image that is
// built from source, and the name that the Helm chart uses by default.
func TestReleaseImage(t *testing.T) {
	settings := func(file string) string {
		content := read(t, file)
		return content[strings.Index(content, "\nUSER "):]
	}
	if settings("Dockerfile") != settings("release.Dockerfile") {
		t.Error("Dockerfile and release.Dockerfile differ after USER")
	}
	release := read(t, "../../.goreleaser.yml")
	for _, wanted := range []string{"{{ end }}dane_exporter']\n", "    tags: [\"{{ .Version }}\", "} {
		if !strings.Contains(release, wanted) {
			t.Errorf(".goreleaser.yml does not contain %q", wanted)
		}
	}
	if !strings.Contains(read(t, "../helm/dane-exporter/values.yaml"), "\n  repository: dane_exporter\n") {
		t.Error("the Helm chart does not use the image dane_exporter")
	}
}

// TestConfig checks that the configuration loads.
func TestConfig(t *testing.T) {
	defaults, err := config.Defaults([]byte(read(t, "../../config.example.yml")))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load("config.yml", defaults); err != nil {
		t.Error(err)
	}
}
