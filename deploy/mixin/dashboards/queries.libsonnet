// PromQL of the dashboards. All metrics of a target are read with last_over_time and the
// window. Prometheus finds a sample for five minutes only, and targets may be scraped less
// often.
local newPromql = import '../promql.libsonnet';
local outcomes = ['authenticated', 'encrypted', 'opportunistic', 'none', 'unknown', 'unreachable', 'refused'];

function(config) {
  local q = self,
  local p = newPromql(config),

  // Selects the probe jobs.
  probes: config.probeSelector,

  // Labels that identify a target, and additional ones.
  labels(more=[]): std.join(', ', config.targetLabels + more),

  // The last value of each series of a metric.
  last(metric, selector): p.last('%s{%s}' % [metric, selector]),

  // The same one step earlier, for annotations.
  local before(metric, selector) = 'last_over_time(%s{%s}[%s] offset $__interval)' % [metric, selector, config.window],

  // The worst values for each target, or for each of its hosts and so on.
  max(metric, selector, by=[]): 'max by (%s) (%s)' % [q.labels(by), q.last(metric, selector)],
  min(metric, selector, by=[]): 'min by (%s) (%s)' % [q.labels(by), q.last(metric, selector)],

  local unknownState(metric, selector) = q.last(metric, selector + ', outcome="unknown"'),

  // The current states of the outcome metric. While the outcome is unknown, the other
  // states are absent, but the window still contains them.
  outcomes(metric, selector, by=[]): |||
    %(all)s unless on (%(labels)s) (%(unknown)s == 1)
    or %(unknown)s
  ||| % { all: q.last(metric, selector), labels: q.labels(by), unknown: unknownState(metric, selector) },

  // The rank of the outcome: 6 is the worst. Of several series, the worst is used.
  rank(metric, selector, by=[]): |||
    max by (%(labels)s) (
      (
        %(known)s
      ) unless on (%(labels)s) (%(unknown)s == 1)
      or 4 * %(unknown)s
    )
  ||| % {
    labels: q.labels(by),
    unknown: unknownState(metric, selector),
    known: std.join('\n    or ', [
      '%d * %s' % [rank, q.last(metric, '%s, outcome="%s"' % [selector, outcomes[rank]])]
      for rank in std.reverse(std.range(0, 6))
      if outcomes[rank] != 'unknown'
    ]),
  },

  findings(selector, by=['reason', 'effect', 'host', 'port', 'address']):
    'max by (%s) (target:dane_finding:current{%s})' % [q.labels(by), selector],

  // Adds the label external_url: the URL of the exporter of each series, for browsers.
  // Without an absolute --web.external-url, it is http:// and the label exporter.
  withURL(expression, selector): |||
    %(expression)s
    * on (exporter) group_left (external_url) (
      topk by (exporter) (1, max by (exporter, external_url) (dane_exporter_info{external_url=~"https?://.+"}))
      or on (exporter) label_replace(
        group by (exporter) (%(targets)s), "external_url", "http://$1", "exporter", "(.+)"
      )
    )
  ||| % { expression: std.rstripChars(expression, '\n'), targets: unknownState('dane_outcome', selector) },

  // Remaining share of the validity period.
  shareLeft(end, begin, selector, by): |||
    min by (%(labels)s) (
      (%(end)s - time())
      / (%(end)s - %(begin)s)
    )
  ||| % { labels: q.labels(by), end: q.last(end, selector), begin: q.last(begin, selector) },

  // 0 if so little of the lifetime of a certificate is left that an alert about its expiry
  // fires, otherwise 1.
  renewedInTime(end, begin, selector, by): |||
    min by (%(labels)s) (
      %(end)s - time()
      >= bool %(limit)s
    )
  ||| % {
    labels: q.labels(by),
    end: q.last(end, selector),
    limit: p.limit(config.certificateShare, '(%s - %s)' % [q.last(end, selector), q.last(begin, selector)], config.certificateDays),
  },

  // Series whose value differs from that of the previous step, for annotations.
  changed(metric, selector): '%s\n!= %s' % [q.last(metric, selector), before(metric, selector)],

  // The new outcome at the time of a change. The first outcome is no change.
  outcomeChanged(selector): |||
    (
      %(now)s == 1
      unless (%(before)s == 1)
    ) and on (%(labels)s) %(before)s
  ||| % {
    labels: q.labels(),
    now: q.last('dane_outcome', selector),
    before: before('dane_outcome', selector),
  },

  // The times of the last loads of the configuration, in milliseconds, of exporters that
  // probe the selected targets.
  reloads(selector): 'dane_exporter_config_last_reload_success_timestamp_seconds * 1000\nand on (exporter) ' +
                     unknownState('dane_outcome', selector),
}
