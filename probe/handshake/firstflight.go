package handshake

import (
	"net"
	"time"
)

// firstFlight is a connection that keeps the beginning of what a server answers to
// a ClientHello.
type firstFlight struct {
	net.Conn
	until time.Time // when silence ends the attempt; zero: at the end of the context
	first time.Time // when the answer began
	size  int
	head  [256]byte // a ServerHello is usually shorter
}

// Read implements net.Conn.
func (f *firstFlight) Read(p []byte) (int, error) {
	if !f.answered() && !f.until.IsZero() {
		f.SetReadDeadline(f.until)
	}
	n, err := f.Conn.Read(p)
	if n > 0 && !f.answered() && !f.until.IsZero() {
		f.SetReadDeadline(time.Time{})
	}
	if n > 0 && !f.answered() {
		f.first = time.Now()
	}
	f.size += copy(f.head[f.size:], p[:n])
	return n, err
}

// answered reports whether the server has sent something.
func (f *firstFlight) answered() bool { return f.size > 0 }

// lacksSecureRenegotiation reports whether the server selects TLS 1.2 or earlier and
// does not support RFC 5746. It returns false if the ServerHello is too long to
// parse.
func (f *firstFlight) lacksSecureRenegotiation() bool {
	record := input{rest: f.head[:f.size]}
	record.take(3) // type and version
	message := input{rest: record.vector(2)}
	if record.failed {
		message = input{rest: f.head[min(f.size, 5):f.size]} // the record has further messages
	}
	kind, body := message.number(1), message.vector(3)
	hello, ok := parseServerHello(body)
	return kind == messageServerHello && !message.failed && ok && !hello.secureRenegotiation
}
