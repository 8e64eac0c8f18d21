// Package probe finds out what a DANE client does with one target now, and if
// it refuses, why.
//
// A probe runs in one direction. Discovery leads from the target to its hosts, by
// MX or SRV records or not at all. Then, for all hosts in parallel, it looks up
// the addresses and the TLSA records, each with its DNSSEC status, and makes a
// handshake with every address. All of that is [dane.Facts]: what was found,
// failures included. [dane.Judge] turns facts into a [dane.Verdict]. Both make
// the [Report], which metrics, pages and commands present.
//
// This package orchestrates; the work is done below it: package dnssec looks up
// and validates, handshake connects, tlsa matches, mtasts fetches policies, dane
// judges. The outside world is one value, [Environment].
package probe
