// Package server runs mail and TLS servers on loopback addresses, working or
// broken as configured, and makes their certificates.
//
// A [Handler] serves one connection. There is one for each protocol, such as
// [SMTP], [IMAP] or [TLS], and some for servers that misbehave, such as [Garbage].
// An [Authority] issues certificates; a [Certificate] makes the chain to send.
package server
