// Package collector turns what a probe found into metrics.
//
// Families is a pure function from a Report to metric families: what one scrape
// of /probe returns. Series lists what may be in it. Three rules hold for all of
// it, because dashboards and alerts hang on them:
//
//   - what was not measured is absent, never 0;
//   - a state is one series for each value it may take, with 1 at the present one;
//   - no server, zone or certificate can break a scrape: label values are made
//     fit by one function, equal label sets are merged, and the number of series
//     is bounded.
//
// An Exporter counts what the process itself does, for /metrics.
package collector
