package command

import "runtime"

// slack is how much garbage may lie about before it is collected, in bytes,
// beside what the garbage collector allows in any case. What an exporter holds is
// a few megabytes, so that it would be collected for every score of probes, and
// that took a third of all time.
const slack = 24 << 20

// keepSlack holds slack until release is called. It is counted as memory in
// use, and so defers the collection; since nobody writes to it, it takes none.
func keepSlack() (release func()) {
	unused := make([]byte, slack)
	return func() { runtime.KeepAlive(unused) }
}
