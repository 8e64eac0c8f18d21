package validate

import (
	"os"
	"slices"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
)

// TestCompose checks compose.yml against its schema, that the files it mounts exist,
// and that the container of the exporter has no privileges. It needs no engine.
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
		t.Errorf("the exporter has unnecessary privileges: %+v", exporter)
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
				t.Errorf("%s publishes a port at %s:%s, not on localhost", service.Name, port.HostIP, port.Published)
			}
		}
	}
	if mounts == 0 {
		t.Error("no service mounts a file")
	}
}
