//go:build !unix

package transport

import "net"

// discardEarly does nothing here. The ID of the query is chosen later, so a datagram
// that arrives early matches it only by chance.
func discardEarly(*net.UDPConn) error { return nil }
