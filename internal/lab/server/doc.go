// Package server runs mail and TLS servers on loopback addresses, each good or
// bad in its own way, and makes the certificates that they show.
//
// A [Handler] is what a server does with a connection. There is one for each
// protocol, as [SMTP], [IMAP] or [TLS], and some for none, as [Garbage]. An
// [Authority] issues certificates; what a server sends of them is chosen for
// each server.
package server
