// Package repocheck holds the tests of the repository as a whole. It has no
// code of its own.
//
// The tests fail when
//
//   - a command, configuration or link in README.md or docs/ does not work;
//   - a generated table differs from the code, or the runbook lacks a section;
//   - an alert, a recording rule or a query in docs/queries.md names a metric,
//     label, reason or outcome that does not exist;
//   - a package imports one that the layout does not allow;
//   - go.mod and docs/dependencies.md list different modules;
//   - SECURITY.md names a test or a lab scenario that does not exist.
//
// make docs writes the generated tables.
package repocheck
