// Tests of the rules with given settings, for promtool: alerts that fire, and their texts.
// A case has the fields name (what is tested), series, firing (expected alerts), silent, uninhibited, and texts.
// case.libsonnet documents them.
function(config)
  local t = (import 'case.libsonnet')(config);
  local cases = (import 'refused.libsonnet')(t)
                + (import 'summary.libsonnet')(t)
                + (import 'lookups.libsonnet')(t)
                + (import 'ending.libsonnet')(t)
                + (import 'lifetimes.libsonnet')(t)
                + (import 'inconsistent.libsonnet')(t)
                + (import 'zone.libsonnet')(t)
                + (import 'fleet.libsonnet')(t)
                + (import 'exporter.libsonnet')(t);
  local file(step, tests) = {
    rule_files: ['rules.yml'],
    evaluation_interval: '%dm' % step,
    // Alerts use recorded series.
    group_eval_order: ['dane_targets', 'dane_dates', 'dane_signatures', 'dane_summaries', 'dane_dashboards', 'dane', 'dane_exporter'],
    tests: tests,
  };
  {
    alerts: file(t.step, t.alertTests(cases)),
    // A text does not depend on the time at which its alert starts.
    texts: file(5, [t.textTest(case) for case in cases if std.objectHas(case, 'texts') && t.interval == 5]),
  }
