// Package probe asks what a DANE client would do with one target right now, and
// if it would refuse, why.
//
// A probe goes one way. Discovery leads from the target to its hosts. Of each
// host the addresses and the TLSA records are looked up, each with its DNSSEC
// status; each address is met in a handshake, as a sender would meet it. All of
// that is [Facts]: what was found, failures included, without judgement. [Judge]
// turns facts into a [Verdict] by the rules of RFC 7672 for mail servers, or RFC
// 6698 and RFC 7671 for other clients. Both make the [Report], which others show.
//
// Everything outside is one value, [World]: resolvers, connections, the clock.
package probe
