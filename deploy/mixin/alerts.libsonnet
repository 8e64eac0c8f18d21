// Alerts for Prometheus, from the definitions in alerts/. Their form:
//   query, op, threshold  the condition; or expr, if it is not a comparison
//   zonesOfTargets        with scope zone: series with the zone and its targets
//   withZone              whether the alert has the label zone if a broken zone is its cause
//   minutes               how long the condition must hold
//   keep                  keep_firing_for, which suppresses repeated notifications of
//                         flapping conditions
//   severity              critical (mail is being lost now), warning (look today), info
//                         (look this week), none
//   scope                 what the alert is about: domain, host, zone, fleet, exporter or monitoring
//   summary, description  templates
//   section               of the runbook: the reason if there is one
//   grafana               fields that differ in Grafana, whose templates cannot query
local newPromql = import 'promql.libsonnet';
local newTexts = import 'texts.libsonnet';

{
  local config = $._config,
  local p = newPromql(config),
  local t = newTexts(config),

  local condition(a) =
    if std.objectHas(a, 'expr') then a.expr
    else if std.endsWith(a.query, '\n') then '(\n%s) %s %s\n' % [a.query, a.op, a.threshold]
    else '%s %s %s' % [a.query, a.op, a.threshold],

  local alert(a) = {
    local aboutTarget = std.member(['domain', 'host'], a.scope),
    local ofZone = if a.scope == 'zone' then t.exporterOfZone(a.zonesOfTargets) else {},
    alert: a.name,
    expr: if std.get(a, 'withZone', false) then p.withZone(condition(a)) else condition(a),
    [if std.objectHas(a, 'minutes') then 'for']: '%dm' % a.minutes,
    [if std.objectHas(a, 'keep') then 'keep_firing_for']: a.keep,
    labels: { severity: a.severity, scope: a.scope },
    annotations: {
      summary: a.summary,
      description: a.description,
      [if aboutTarget then 'report_url']: t.link(t.reportUrl),
      runbook_url: t.link(t.runbookUrl(a.section), ofZone),
    },
  },
  local group(name, definitions) = { name: name, rules: [alert(a) for a in definitions] },

  prometheusAlerts+:: {
    groups+: [
      group('dane', (import 'alerts/refused.libsonnet')(config, p, t)
                    + (import 'alerts/ending.libsonnet')(config, p, t)
                    + (import 'alerts/inconsistent.libsonnet')(config, p, t)
                    + (import 'alerts/fleet.libsonnet')(config, p, t)),
      group('dane_exporter', (import 'alerts/exporter.libsonnet')(config, p, t)),
    ],
  },

  // For targets with several modules. They need the rules above.
  viewsAlerts:: { groups: [group('dane_views', (import 'alerts/views.libsonnet')(config, p, t))] },
}
