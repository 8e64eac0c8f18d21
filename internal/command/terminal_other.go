//go:build !unix

package command

import (
	"io"
	"os"
)

// isTerminal reports whether w is a character device, such as a console.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
