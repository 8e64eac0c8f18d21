//go:build unix

package transport

import (
	"errors"
	"net"
	"syscall"
)

// maxEarly is the number of datagrams that discardEarly removes at most. A socket
// that receives more between two system calls is under attack.
const maxEarly = 64

// discardEarly removes the datagrams that arrived on a socket before the query was
// sent: none of them can be a response.
func discardEarly(conn *net.UDPConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(func(fd uintptr) {
		var one [1]byte // the rest of a datagram is dropped
		for range maxEarly {
			if _, err := syscall.Read(int(fd), one[:]); err != nil && !errors.Is(err, syscall.ECONNREFUSED) {
				return // the socket does not block, so there are no more
			}
		}
	})
}
