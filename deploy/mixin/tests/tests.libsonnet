// Tests of the rules with given settings, for promtool. A case has the fields name (what is
// tested), series, firing (expected alerts), and texts. case.libsonnet documents them.
function(config)
  local t = (import 'case.libsonnet')(config);
  {
    rule_files: ['rules.yml'],
    evaluation_interval: '%dm' % t.step,
    // Alerts use recorded series.
    group_eval_order: ['dane_targets', 'dane_summaries', 'dane_dashboards', 'dane', 'dane_exporter'],
    tests: [
      t.test(case)
      for case in (import 'refused.libsonnet')(t)
                  + (import 'summary.libsonnet')(t)
                  + (import 'ending.libsonnet')(t)
                  + (import 'inconsistent.libsonnet')(t)
                  + (import 'exporter.libsonnet')(t)
    ],
  }
