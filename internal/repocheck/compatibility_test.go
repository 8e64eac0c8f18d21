package repocheck

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"dane_exporter/collector"
	"dane_exporter/probe/dane"
)

// TestCompatibility checks that the flags, settings and metrics of the exporter in the tables of
// docs/compatibility.md exist.
func TestCompatibility(t *testing.T) {
	p := newProgram(t)
	help := exec.Command(filepath.Join(p.dir, "dane_exporter"), "--help-long")
	help.Env = p.env
	output, err := help.CombinedOutput()
	if err != nil {
		t.Fatalf("--help-long: %v\n%s", err, output)
	}
	flags := regexp.MustCompile(`--(?:\[no-\])?([a-z][a-z.-]*)`).FindAllStringSubmatch(string(output), -1)
	isFlag := func(name string) bool {
		return slices.ContainsFunc(flags, func(flag []string) bool { return flag[1] == name })
	}
	isMetric := func(name string) bool {
		return slices.ContainsFunc(slices.Concat(collector.ProbeMetrics(), collector.ExporterMetrics()), func(m collector.Metric) bool { return m.Name == name })
	}
	isReason := func(name string) bool {
		return slices.ContainsFunc(dane.Reasons(), func(r dane.ReasonInfo) bool { return string(r.Reason) == name })
	}
	settings := readFile(t, "config.example.yml")
	code := regexp.MustCompile("`([^`]+)`")
	flag := regexp.MustCompile(`--([a-z][a-z.-]*)`)
	metric := regexp.MustCompile(`\b(?:dane|probe)_\w+`)
	setting := regexp.MustCompile(`^([a-z_]+)(?:: .*)?$`)
	checked := 0
	for line := range strings.Lines(readFile(t, "docs/compatibility.md")) {
		columns := strings.Split(line, "|")
		if len(columns) < 4 {
			continue
		}
		for _, found := range code.FindAllStringSubmatch(columns[2], -1) {
			text := found[1]
			checked++
			for _, f := range flag.FindAllStringSubmatch(text, -1) {
				if !isFlag(f[1]) {
					t.Errorf("there is no flag --%s: %s", f[1], line)
				}
			}
			for _, name := range metric.FindAllString(text, -1) {
				if !isMetric(name) {
					t.Errorf("there is no metric %s: %s", name, line)
				}
			}
			s := setting.FindStringSubmatch(text)
			if s == nil || isReason(s[1]) || isMetric(s[1]) || slices.Contains([]string{"check", "none", "smtp", "imap", "xmpp_client"}, s[1]) {
				continue
			}
			if !strings.Contains(settings, "  "+s[1]+":") {
				t.Errorf("there is no setting %s: %s", s[1], line)
			}
		}
	}
	if checked < 60 {
		t.Errorf("found only %d names", checked)
	}
}
