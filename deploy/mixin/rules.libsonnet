// Recording rules: current findings and outcomes, and aggregates for the dashboards.
local newPromql = import 'promql.libsonnet';

{
  local config = $._config,
  local p = newPromql(config),
  local times = p.times,
  local known = p.last(times.known.record),
  // The hosts that the last probe of the target lists.
  local listed = p.holding(p.last(times.host.record), known),
  local indent(expr) = '  ' + std.strReplace(std.stripChars(expr, '\n'), '\n', '\n  ') + '\n',

  prometheusRules+:: {
    groups+: [
      {
        name: 'dane_targets',
        rules: [
          times.known,
          times.finding,
          times.host,
          times.hostKnown,
          // A finding of a host also holds while the outcome of the host is unknown and the
          // host is listed. Findings without a host, of hosts without an outcome, and of
          // modules with "series: summary" depend on the outcome of the target alone.
          {
            local finding = p.last(times.finding.record),
            record: 'target:dane_finding:current',
            expr: |||
              (
              %s  or
                (
                  %s >= %s group_left () %s
                  and %s
                  (
              %s    )
                )
              ) > bool 0
            ||| % [indent(p.holding(finding, known)), finding, p.on(['host', 'port']), p.last(times.hostKnown.record), p.on(['host', 'port']), indent(indent(indent(listed)))],
          },
          // A host that is no longer listed has no outcome. A host whose outcome is unknown is
          // listed, and keeps its last known outcome.
          {
            record: 'target:dane_host_outcome_refused:current',
            expr: |||
              %s
              and %s
              (
              %s)
            ||| % [p.last('dane_host_outcome{outcome="refused"}'), p.on(['host', 'port']), indent(listed)],
          },
          { record: p.signatureRemaining, expr: p.signatureRemainingExpr },
        ],
      },
      {
        // While an outcome is unknown, the last known one is not counted.
        local unknown = p.last('dane_outcome{outcome="unknown"}'),
        name: 'dane_dashboards',
        rules: [
          {
            record: 'job_module_outcome:dane_outcome:sum',
            expr: |||
              sum by (job, module, outcome) (
                %(unknown)s
                or
                (%(known)s unless %(on)s %(unknown)s == 1)
              )
            ||| % { unknown: unknown, known: p.last('dane_outcome{outcome!="unknown"}'), on: p.on() },
          },
          {
            record: 'job_module_reason:dane_finding:count',
            expr: 'count by (job, module, reason) (count by (%s, reason) (target:dane_finding:current))' % p.target,
          },
          {
            // Other exporters have a metric probe_success too.
            record: 'job_module:probe_success:avg',
            expr: 'avg by (job, module) (%s and %s %s)' % [p.last('probe_success'), p.on(), unknown],
          },
        ],
      },
    ],
  },
}
