package repocheck

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"time"

	"dane_exporter/internal/command"
	"dane_exporter/internal/lab"
)

// sessionCommands are the commands of the lab that documents show with their output, by
// generated part.
var sessionCommands = map[string][]string{
	"session-check": {
		"lab check --brief good.lab.test",
		"lab check good.lab.test tlsa-mismatch.lab.test no-tlsa.lab.test good.lab.test",
		"lab check --brief good.lab.test tlsa-mismatch.lab.test no-tlsa.lab.test",
	},
	"session-self": {
		"lab check --self",
	},
	"session-nagios": {
		"lab check --output nagios good.lab.test",
		"lab check --output nagios good.lab.test tlsa-mismatch.lab.test",
	},
}

// varying are the parts of the output that depend on the machine and on the number of
// scenarios of the lab, and what a document shows instead.
var varying = []struct {
	pattern *regexp.Regexp
	shown   string
}{
	{regexp.MustCompile(`\b(time|slowest)=\d+\.\d+s`), "$1=0.018s"},
	{regexp.MustCompile(`\b192\.0\.2\.\d+`), "192.0.2.25"},
}

// sessions returns the generated parts with commands and their output.
func sessions(t *testing.T) map[string]string {
	t.Helper()
	l, err := lab.New(time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	config := []byte(readFile(t, "config.example.yml"))
	parts := make(map[string]string)
	for part, commands := range sessionCommands {
		var text strings.Builder
		text.WriteString("```console\n")
		for _, line := range commands {
			var output bytes.Buffer
			command.RunInLab(t.Context(), l, strings.Fields(line), config, &output, &output)
			shown := output.String()
			for _, v := range varying {
				shown = v.pattern.ReplaceAllString(shown, v.shown)
			}
			text.WriteString("$ dane_exporter " + line + "\n" + shown)
		}
		text.WriteString("```\n")
		parts[part] = text.String()
	}
	return parts
}
