package command

import (
	"slices"

	"github.com/alecthomas/kingpin/v2"

	"dane_exporter/internal/web"
)

// flagValue is a flag, for /config.
type flagValue struct {
	model *kingpin.FlagModel
	given *bool // on the command line
}

// flagsOf returns the flags of a command, or of the application. It is called once for each, before
// the command line is parsed.
func flagsOf(group interface {
	GetFlag(name string) *kingpin.FlagClause
}, model *kingpin.FlagGroupModel) (flags []flagValue) {
	for _, flag := range model.Flags {
		if flag.Hidden || flag.Name == "help" || flag.Name == "version" {
			continue
		}
		f := flagValue{flag, new(bool)}
		group.GetFlag(flag.Name).IsSetByUser(f.given)
		flags = append(flags, f)
	}
	return flags
}

// shownFlags returns flags with their values, for /config. No flag has a secret as its value.
func shownFlags(groups ...[]flagValue) (shown []web.Flag) {
	for _, f := range slices.Concat(groups...) {
		shown = append(shown, web.Flag{Name: f.model.Name, Value: f.model.Value.String(), Given: *f.given})
	}
	return shown
}
