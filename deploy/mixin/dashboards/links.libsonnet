// Links between the dashboards, and to the pages of the exporter. Links of the header keep
// the time range; those in tables pass it on.
local panels = import 'panels.libsonnet';

local query(pairs) = std.join('&', ['${datasource:queryparam}'] + ['var-%s=%s' % [pair[0], pair[1]] for pair in pairs]);
local time = '&${__url_time_range}';

function(settings) {
  local uids = settings.uids,
  local page(uid, pairs=[]) = '/d/%s?%s' % [uid, query(pairs)],

  fleet(pairs=[]): panels.link('All domains', 'Outcomes of all domains', page(uids.fleet, pairs)),
  domain(pairs=[]): panels.link('One domain', 'Outcome of one domain, and why', page(uids.domain, pairs)),
  exporter: panels.link('Exporter', 'Whether the exporter itself works', page(uids.exporter)),

  // From a row of a table to its domain. The columns must have these names.
  domainOfRow: panels.dataLink('Dashboard of ${__data.fields.domain}', page(uids.domain, [
    [name, '${__data.fields.%s:percentencode}' % (if name == 'instance' then 'domain' else name)]
    for name in ['job', 'module', 'instance']
  ]) + time),

  // To the pages of the exporter, from a table with its URL in the column exporter.
  reportOfRow: panels.dataLink(
    'Report', '${__data.fields.exporter}/report?target=${__data.fields.domain:percentencode}&module=${__data.fields.module:percentencode}', true
  ),
  runbookOfRow: panels.dataLink('Runbook', '${__data.fields.exporter}/docs/runbook.md#${__data.fields.reason}', true),
  // The same for the selected domain, from a table, and from a series.
  reportOfDomain(url): panels.dataLink('Report', url + '/report?target=${instance:percentencode}&module=${module:percentencode}', true),
}
