// Package rollover decides when a new certificate or key is safe to serve under DANE.
//
// A resolver that queried a nameserver just before it got the record of the new key
// returns the old TLSA RRset until its TTL expires. A sender with that resolver
// refuses the new key. If there was no RRset, the resolver returns the cached denial, and
// the sender does not authenticate the server. So the key is safe to serve two TTLs
// after every nameserver of the zone has the record (RFC 7671 §8.1). If the records are
// at the end of aliases, the same holds for the nameservers and the TTL of each alias.
//
// A [Publication] collects what the servers answer over time. It opens no connection
// and reads no clock. A [File] stores publications between runs of a command.
package rollover
