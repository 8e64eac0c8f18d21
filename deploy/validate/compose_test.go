package validate

import (
	"os"
	"slices"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
)

// TestCompose: the file is as its schema wants it, what it mounts is there, and
// the exporter's container has no privilege. No engine is asked.
func TestCompose(t *testing.T) {
	options, err := cli.NewProjectOptions([]string{"../docker/compose.yml"}, cli.WithEnv([]string{"GRAFANA_PASSWORD=secret"}))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	exporter, ok := project.Services["dane-exporter"]
	if !ok || len(project.Services) != 4 {
		t.Fatalf("services %q", project.ServiceNames())
	}
	if exporter.Privileged || !exporter.ReadOnly || !slices.Equal(exporter.CapDrop, []string{"ALL"}) || len(exporter.CapAdd) > 0 {
		t.Errorf("the exporter may more than it must: %+v", exporter)
	}
	if _, err := os.Stat(exporter.Build.Context + "/" + exporter.Build.Dockerfile); err != nil {
		t.Error(err)
	}
	mounts := 0
	for _, service := range project.Services {
		for _, volume := range service.Volumes {
			if volume.Type != "bind" {
				continue
			}
			mounts++
			if _, err := os.Stat(volume.Source); err != nil || !volume.ReadOnly {
				t.Errorf("%s mounts %s, read-only %t: %v", service.Name, volume.Source, volume.ReadOnly, err)
			}
		}
		for _, port := range service.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s listens at %s:%s", service.Name, port.HostIP, port.Published)
			}
		}
	}
	if mounts == 0 {
		t.Error("nothing is mounted")
	}
}
