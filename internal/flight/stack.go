package flight

import "runtime"

// deepen makes room on the stack of a goroutine that has just begun. Work that
// calls deep, as a handshake does, would else find its stack too small again and
// again, and each time all of it is copied to one of twice the size. The frame
// is what counts, and makes 32 KiB of stack; what would fill it is never run.
//
//go:noinline
func deepen(fill bool) {
	if fill {
		var room [26 << 10]byte
		runtime.KeepAlive(&room)
	}
}
