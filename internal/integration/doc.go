// Package integration compares dane_exporter with independent implementations
// of DNSSEC, TLS and DANE.
//
// The tests carry the build tag integration and run on Linux as root:
//
//	go test -tags integration ./internal/integration
//
// The test binary runs itself again in new network, mount and process
// namespaces. Real ports are free there, no packet leaves the machine, and no
// process or mount outlives the tests. The namespace holds no process but the
// tests' own, so every daemon listens at a fixed address and port: nothing else
// can take it. All ports are below the ephemeral range of outgoing connections.
// A daemon that cannot bind its address ends, and the test fails with its log.
//
// The testbed is a small signed Internet:
//
//   - Knot signs and serves the root, a top-level domain with NSEC3 opt-out and
//     zones of every algorithm. BIND signs and serves a second branch.
//   - Unbound recurses without validating. It is the exporter's resolver.
//   - Postfix offers STARTTLS, and OpenSSL's s_server offers TLS.
//   - Dovecot, Prosody, OpenLDAP and PostgreSQL serve the other STARTTLS
//     protocols. A separate test runs each once with TLS and once without.
//
// The reference for DNSSEC is a second Unbound, which validates, and delv. The
// reference for DANE is posttls-finger and openssl s_client. The openssl command
// is also the reference for the records that dane_exporter tlsa writes.
//
// Prometheus and Alertmanager run the shipped configuration against the lab.
// Prometheus also stands in for Grafana, which Debian does not package: it runs
// every query of the dashboards and of Grafana's alert rules. Chromium loads the
// web pages, and axe checks that they are accessible. Icinga, vmagent and node_exporter run
// the recipes of docs/compatibility.md.
//
// The hooks of deploy/renewal renew certificates in a testbed of their own: Pebble
// issues to certbot, lego and dehydrated, and BIND signs a dynamic zone whose secondary
// is late. Meanwhile, posttls-finger and the exporter probe the servers.
//
// Each case is one row of a table: a name, a description, zone data and server,
// and the outcome. Where a reference and the exporter differ on purpose, the row
// cites the RFC. A missing program is a failure that names the Debian package.
// No test is skipped.
//
// The differential test checks the DNSSEC validator further. A DNS server
// between the resolver and its clients changes responses at random, from a seed.
// It drops, moves and changes records and signatures, signs some of them again
// with the zones' own keys, and replays one answer for another. A validating
// Unbound and our validator ask it the same questions. Each disagreement must
// belong to a listed class with its RFC. To run more trials:
//
//	go test -tags integration ./internal/integration -run Differential -timeout 1h -seed 7 -trials 50000
package integration
