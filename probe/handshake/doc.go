// Package handshake makes TLS handshakes with the endpoints of a service, as a
// mail server or another client of the protocol makes them.
//
// [Client.Do] makes one handshake. It connects to an address, through a SOCKS5
// proxy if there is one, and runs the protocol's STARTTLS dialogue. It
// completes TLS with any certificate that the server sends, and makes the
// protocol's first exchange inside TLS. If TLS fails, further connections with
// other offers may show why. The offers are a short ClientHello, one without
// ALPN, and one like that of OpenSSL. A failure is a result too: the
// [dane.Endpoint] has the last stage that was completed, and an error with its
// cause ([dane.WithCause]).
//
// A client shares its work. At most one connection to an address and port is
// open at a time. Simultaneous requests with the same [Key] wait for one attempt,
// and its result serves later requests for a while. So ten thousand domains at
// one mail host cost it one connection, not ten thousand.
package handshake
