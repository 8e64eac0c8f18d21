package command

import (
	"dane_exporter/collector"
	"dane_exporter/probe"
)

// textfileOutput writes the metrics of all targets for the textfile collector of
// node_exporter. An invalid target has no metrics; its error is written to standard error.
type textfileOutput struct {
	*session
	metrics collector.Textfile
}

func (o *textfileOutput) add(r *probe.Report) error {
	o.metrics.Add(r)
	return nil
}

func (o *textfileOutput) addInvalid(_ string, why error) error {
	o.printError(why)
	return nil
}

// flush writes everything in one step, so that a check that was interrupted writes nothing.
func (o *textfileOutput) flush() error { return o.metrics.Write(o.stdout) }
