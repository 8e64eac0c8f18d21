package validate

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// TestCompose checks compose.yml against its schema, that it mounts directories, in
// which the configuration files exist, and that the container of the exporter has no
// privileges. It needs no engine.
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
			// The mount of a file keeps the old file when an editor replaces it.
			info, err := os.Stat(volume.Source)
			if err != nil || !info.IsDir() || !volume.ReadOnly {
				t.Errorf("%s mounts %s, read-only %t: %v; must be a directory", service.Name, volume.Source, volume.ReadOnly, err)
			}
		}
		for _, port := range service.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s publishes a port at %s:%s, not on localhost", service.Name, port.HostIP, port.Published)
			}
		}
	}
	if mounts == 0 {
		t.Error("no service mounts a directory")
	}
	for service, file := range map[string]string{
		"dane-exporter": "/etc/dane_exporter/config.yml",
		"prometheus":    "/etc/dane/docker/prometheus.yml",
		"alertmanager":  "/etc/alertmanager/alertmanager.yml", // the default of the image
	} {
		config := project.Services[service]
		if service != "alertmanager" && !slices.Contains(config.Command, "--config.file="+file) {
			t.Errorf("%s: the command %q does not read %s", service, config.Command, file)
		}
		mounted := slices.ContainsFunc(config.Volumes, func(v types.ServiceVolumeConfig) bool {
			inside, ok := strings.CutPrefix(file, v.Target+"/")
			_, err := os.Stat(filepath.Join(v.Source, inside))
			return ok && err == nil
		})
		if !mounted {
			t.Errorf("%s: no volume has %s", service, file)
		}
	}
	for _, file := range []string{"rules.yml", "domains.yml"} { // prometheus.yml refers to them
		if _, err := os.Stat("../docker/" + file); err != nil {
			t.Error(err)
		}
	}
}
