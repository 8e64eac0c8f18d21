package command

import (
	"slices"
	"testing"

	"github.com/alecthomas/kingpin/v2"

	"dane_exporter/internal/web"
)

// TestShownFlags: /config has each flag of a command once, with its value, and whether it is given.
func TestShownFlags(t *testing.T) {
	app := kingpin.New("dane_exporter", "")
	app.Version("1")
	app.Flag("log.level", "").Default("info").String()
	app.Flag("secret.hidden", "").Hidden().String()
	all := flagsOf(app, app.Model().FlagGroupModel)
	flags := newServeFlags(app.Command("serve", ""))
	if _, err := app.Parse([]string{"serve", "--history.limit=5", "--web.enable-pprof", "--web.listen-address=:1", "--web.listen-address=:2"}); err != nil {
		t.Fatal(err)
	}
	shown := shownFlags(flags.all, all)
	for _, want := range []web.Flag{
		{Name: "history.limit", Value: "5", Given: true},
		{Name: "web.enable-pprof", Value: "true", Given: true},
		{Name: "web.listen-address", Value: ":1,:2", Given: true},
		{Name: "timeout-offset", Value: "500ms"},
		{Name: "config.check", Value: "false"},
		{Name: "log.level", Value: "info"},
	} {
		if !slices.Contains(shown, want) {
			t.Errorf("no %+v in %+v", want, shown)
		}
	}
	if len(shown) != len(flags.all)+1 {
		t.Errorf("%d flags are shown, want %d", len(shown), len(flags.all)+1)
	}
}
