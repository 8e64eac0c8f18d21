package server

import (
	"context"
	"io"
	"net"
	"time"
)

// Garbage greets with what is no protocol, and closes.
type Garbage struct{}

// Serve implements Handler.
func (Garbage) Serve(_ context.Context, conn net.Conn) {
	io.WriteString(conn, "\x00\xff\x1b[2J<html>\r\nhello?\r\n")
}

// Tarpit greets with one byte a second, and never comes to an end.
type Tarpit struct{}

// Serve implements Handler.
func (Tarpit) Serve(ctx context.Context, conn net.Conn) {
	every := time.NewTicker(time.Second)
	defer every.Stop()
	for _, err := io.WriteString(conn, "220-"); err == nil; _, err = io.WriteString(conn, "x") {
		select {
		case <-every.C:
		case <-ctx.Done():
			return
		}
	}
}
