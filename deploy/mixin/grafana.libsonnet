// Grafana-managed alerts: the five most important ones, as a provisioning file.
local newPromql = import 'promql.libsonnet';
local newTexts = import 'texts.libsonnet';

{
  local config = $._config,
  local p = newPromql(config).selfContained,
  local t = newTexts(config),

  // Grafana expands $ in provisioning files as environment variables. Its templates have
  // the labels in .Labels too.
  local template(text) = std.strReplace(text, '$labels', '.Labels'),
  // DaneTLSAMismatch: dane-tlsa-mismatch
  local uids = {
    DaneDomainRefused: 'dane-domain-refused',
    DaneTLSAMismatch: 'dane-tlsa-mismatch',
    DaneDNSSECBogus: 'dane-dnssec-bogus',
    DaneSignaturesNearEnd: 'dane-signatures-near-end',
    DaneAuthenticationEnds: 'dane-authentication-ends',
  },

  local rule(definition) = {
    local a = definition + std.get(definition, 'grafana', {}),
    local evaluator = if a.op == '==' then { type: 'gt', params: [a.threshold - 1] } else { type: 'lt', params: [a.threshold] },
    uid: uids[a.name],
    title: a.name,
    'for': '%dm' % a.minutes,
    noDataState: 'OK',
    execErrState: 'KeepLast',
    labels: { severity: a.severity, scope: a.scope },
    annotations: {
      summary: template(a.summary),
      description: template(a.description),
      [if a.scope != 'zone' then 'report_url']: t.grafanaLink(template(t.reportUrl)),
      runbook_url: t.grafanaLink(template(t.runbookUrl(a.section))),
    },
    condition: 'firing',
    data: [
      {
        refId: 'query',
        datasourceUid: 'prometheus',
        relativeTimeRange: { from: 600, to: 0 },
        model: { refId: 'query', instant: true, expr: a.query },
      },
      {
        refId: 'firing',
        datasourceUid: '__expr__',
        model: { refId: 'firing', type: 'threshold', expression: 'query', conditions: [{ evaluator: evaluator }] },
      },
    ],
  },

  grafanaAlerts:: {
    apiVersion: 1,
    groups: [{
      orgId: 1,
      name: 'dane',
      folder: 'DANE',
      interval: '1m',
      rules: [
        rule(a)
        for a in (import 'alerts/refused.libsonnet')(config, p, t) + (import 'alerts/ending.libsonnet')(config, p, t)
        if std.objectHas(uids, a.name)
      ],
    }],
  },
}
