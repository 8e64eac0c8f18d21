// Package dane decides what a DANE client does with a target, from facts that a
// probe has gathered.
//
// The input is [Facts]: the DNS answers with their DNSSEC status, and one
// handshake with each address of each service, failures included. The output is
// a [Verdict]: one [Outcome] for the target and for each service and endpoint,
// and the findings that explain it, each with a [Reason] of a closed table.
// [Judge] maps one to the other by the rules of RFC 7672 for mail servers that
// relay to each other, and of RFC 6698, RFC 7671 and RFC 7673 for other clients.
//
// Judge is pure. It opens no connection, reads no clock and inspects no network
// error: an error is classified by a [Cause] where it arises. The same facts
// can therefore be judged for another time, and every rule can be tested with
// facts written by hand.
//
// Read judge.go with RFC 7672 §2.2 at hand. It follows a client's own order: discovery,
// addresses, TLSA records, TLS, certificate. The TLSA base domain is in
// tlsabase.go, the choice among hosts in aggregate.go, MTA-STS in judge_mtasts.go.
// The causes of errors are in cause.go, the table of reasons in reason.go.
package dane
