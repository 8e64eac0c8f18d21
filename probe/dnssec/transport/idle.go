package transport

import (
	"net"
	"sync"
	"time"
)

// maxIdle is the number of UDP sockets to one server that wait for a query.
const maxIdle = 64

// idleSockets are UDP sockets to a server on this host that wait for the next query. Each had
// exactly one response to each of its queries. All are closed when none of them was used
// for idleTime, and after a query failed: a new socket may reach a server that was replaced.
type idleSockets struct {
	mutex   sync.Mutex
	conns   []*net.UDPConn
	expired *time.Timer // closes them; nil until there are any
}

// take returns a socket, or nil if none is idle.
func (i *idleSockets) take() *net.UDPConn {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	last := len(i.conns) - 1
	if last < 0 {
		return nil
	}
	conn := i.conns[last]
	i.conns[last], i.conns = nil, i.conns[:last]
	return conn
}

// put keeps a socket for later queries, or closes it if there are maxIdle already.
func (i *idleSockets) put(conn *net.UDPConn) {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	if len(i.conns) >= maxIdle {
		conn.Close()
		return
	}
	i.conns = append(i.conns, conn)
	if i.expired == nil {
		i.expired = time.AfterFunc(idleTime, i.close)
	} else {
		i.expired.Reset(idleTime)
	}
}

// close closes the sockets that are idle.
func (i *idleSockets) close() {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	for _, conn := range i.conns {
		conn.Close()
	}
	clear(i.conns)
	i.conns = i.conns[:0]
}
