// Package integration asks dane_exporter and software that others wrote the
// same questions, and compares the answers.
//
// Its tests carry the build tag integration and run on Linux as root:
//
//	go test -tags integration ./internal/integration
//
// They build a small Internet in network, mount and process namespaces of their
// own, so that the real ports are free, nothing leaves the machine, and nothing
// survives the test:
//
//   - Knot signs and serves the root, a top-level domain with NSEC3 opt-out and
//     zones of every algorithm; BIND signs and serves a second branch;
//   - Unbound recurses without validating: it is the exporter's resolver;
//   - Postfix offers STARTTLS, and OpenSSL's s_server offers TLS;
//   - Dovecot, Prosody, OpenLDAP and PostgreSQL stand for the other protocols
//     that begin in the clear; beside that world, each once with TLS and once
//     without.
//
// The judges are a second Unbound, which validates, and delv for DNSSEC;
// posttls-finger and openssl s_client for DANE.
//
// Prometheus stands for Grafana as well, which Debian does not have: it is asked
// every query of the dashboards and of Grafana's alert rules, after it scraped
// the lab.
//
// Each case is one row of a table: a name, its story, its zone data and server,
// and the outcome. Where a judge and the exporter are meant to differ, the row
// says why in the words of the RFC. A program that is missing is a failure,
// which names the Debian package, and never a reason to skip.
//
// The differential test goes further for DNSSEC. Between the resolver and
// whoever asks it stands a server that breaks responses at random, from a seed:
// it drops, moves and changes records and signatures, signs some of it again
// with the zones' own keys, and replays one answer for another. A validating
// Unbound and our validator ask it the same, and each disagreement has to belong
// to a class that is listed with its RFC. For more of it than the checks make:
//
//	go test -tags integration ./internal/integration -run Differential -timeout 1h -seed 7 -trials 50000
package integration
