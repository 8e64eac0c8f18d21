// Helpers for test cases. Times are minutes. A timeline is a sequence of scrapes, such as
// "ok*10 bad lost bad*14": a word for each scrape, or with *N for N scrapes. A series has
// a value for each word. At a word without a value, the series is absent.
local reasons = import '../reasons.json';

function(config) {
  local t = self,
  local interval = config.intervalMinutes,
  local minutes(duration) = std.parseInt(std.rstripChars(duration, 'm')),

  interval: interval,
  // The evaluation interval. It is long if the tests last for hours: samples are stored at
  // the time of an evaluation here.
  step: if interval < 10 then 1 else 5,
  window: minutes(config.window),
  memory: 60 * config.memoryHours,
  exporterWindow: minutes(config.exporterWindow),
  // How long the condition of an alert holds before the alert fires.
  refused: 10,
  ending: std.max(15, interval + 5),
  inconsistent: config.inconsistentMinutes,
  unreachable: config.unreachableMinutes,
  notJudged: config.notJudgedMinutes,
  day: 86400,

  // The minute of a scrape.
  at(scrape):: scrape * interval,
  // The number of scrapes in a time, rounded up.
  scrapes(minutes):: std.ceil(minutes / interval),
  // A value that falls below seconds half a minute before the scrape.
  below(seconds, scrape):: seconds + 60 * t.at(scrape) - 30,
  // The number of bad probes in sequence that do not raise an alert.
  brief(minutes):: std.floor(minutes / interval),

  // The same with alerts that need two observations.
  unconfirmed(minutes):: 1 + t.brief(minutes),

  // Problems last from scrape 10 to 40. The second scrape of the problem is lost, while
  // the alert is pending, and another one while the alert fires.
  // Alerts that need two observations become pending at scrape 12.
  confirmed: 12,
  problem: 'ok*10 bad lost bad*14 lost bad*14 ok*25',

  words(timeline):: std.flattenArrays([
    local parts = std.split(word, '*');
    if std.length(parts) == 1 then [word] else std.makeArray(std.parseInt(parts[1]), function(i) parts[0])
    for word in std.split(timeline, ' ')
    if word != ''
  ]),
  // values(timeline, of) is the values of a series in promtool's notation.
  values(timeline, of):: std.join(' ', [if std.objectHas(of, w) then '' + of[w] else 'stale' for w in t.words(timeline)]),

  local selector(name, labels) =
    '%s{%s}' % [name, std.join(', ', ['%s=%s' % [l, std.escapeStringJson(labels[l])] for l in std.objectFields(labels)])],
  // A series of a target. labels may override those of the scrape configuration.
  series(name, instance, labels, values):: {
    series: selector(name, { job: 'dane', instance: instance, module: 'smtp_mx', exporter: 'exporter.example:10125' } + labels),
    values: values,
  },
  // A series of the exporter itself.
  ofExporter(name, instance, labels, values):: { series: selector(name, { job: 'dane_exporter', instance: instance, exporter: instance } + labels), values: values },

  // The outcome of a target: refused at the words in bad, unknown at the word unknown, and
  // known at all others except lost. The scrape fails at the word lost, and the
  // target is not configured at the word removed.
  outcome(instance, timeline, bad=[], labels={})::
    local known = { [w]: 0 for w in std.set(t.words(timeline)) };
    [
      t.series('up', instance, labels, t.values(timeline, { [w]: 1 for w in std.set(t.words(timeline)) } + { lost: 0, removed:: null })),
      t.series('dane_outcome', instance, { outcome: 'unknown' } + labels, t.values(timeline, known { unknown: 1, lost: 'stale', removed: 'stale' })),
      t.series('dane_outcome', instance, { outcome: 'refused' } + labels, t.values(timeline, known + { [w]: 1 for w in bad } + { unknown: 'stale', lost: 'stale', removed: 'stale' })),
    ],
  // The outcome of a host: refused at the word bad, not listed at the word gone.
  hostOutcome(instance, host, timeline)::
    local labels = { host: host, port: '25' };
    [
      t.series('dane_host_outcome', instance, labels { outcome: 'unknown' }, t.values(timeline, { ok: 0, bad: 0, unknown: 1 })),
      t.series('dane_host_outcome', instance, labels { outcome: 'refused' }, t.values(timeline, { ok: 0, bad: 1 })),
    ],
  // A finding, present at the words in at.
  finding(instance, reason, host, timeline, at=['bad'], labels={})::
    t.series('dane_finding', instance, {
      reason: reason,
      effect: reasons[reason].effect,
      host: host,
      port: if host == '' then '' else '25',
      address: '',
    } + labels, t.values(timeline, { [w]: 1 for w in at })),

  // Expectations: the alerts that fire at a minute, and no other.
  firing(minute, alerts):: { minute: minute, alerts: alerts },
  alert(name, instance='', host='', module='smtp_mx'):: {
    alertname: name,
    [if instance != '' then 'instance']: instance,
    [if host != '' then 'host']: host,
    [if instance != '' && module != '' then 'module']: module,
  },
  // The alerts fire from the given time after scrape start on, through a lost scrape, and
  // until keep minutes after scrape end.
  lifecycle(alerts, after, keep=5, start=10, lost=26, end=41):: [
    t.firing(t.at(start) + after - t.step, []),
    t.firing(t.at(start) + after, alerts),
    t.firing(t.at(lost), alerts),
    t.firing(t.at(end) + keep - t.step, alerts),
    t.firing(t.at(end) + keep + t.step, []),
  ],

  // The labels and texts of the alerts with a name that fire at a minute. They are checked
  // with the shipped interval only: values in texts depend on the time.
  text(minute, name, alerts):: { minute: minute, name: name, alerts: alerts },
  labels(labels):: { job: 'dane', module: 'smtp_mx', exporter: 'exporter.example:10125' } + labels,
  links(instance, section):: {
    report_url: 'http://exporter.example:10125/report?target=%s&module=smtp_mx' % instance,
    runbook_url: 'http://exporter.example:10125/docs/runbook.md#' + section,
  },
  explanation(reason):: std.join(' ', [reasons[reason].meaning, reasons[reason].senders, reasons[reason].remedy]),
  advice(reason):: '%s: %s %s' % [reason, reasons[reason].senders, reasons[reason].remedy],

  // A case as a test of promtool. The alerts in ignore may fire or not.
  test(case):: {
    name: case.name,
    interval: '%dm' % interval,
    input_series: case.series,
    promql_expr_test: [
      {
        expr: 'count by (alertname, instance, module, host) (ALERTS{alertstate="firing", alertname!~"%s"})' % std.join('|', ['Watchdog'] + std.get(case, 'ignore', [])),
        eval_time: '%dm' % f.minute,
        exp_samples: [{ labels: selector('', a), value: 1 } for a in f.alerts],
      }
      for f in case.firing
    ] + [
      {
        expr: 'count by (alertname) (ALERTS{alertstate="firing", alertname="Watchdog"})',
        eval_time: '%dm' % minute,
        exp_samples: [{ labels: '{alertname="Watchdog"}', value: 1 }],
      }
      for minute in std.get(case, 'watchdog', [])
    ],
    [if std.objectHas(case, 'texts') && interval == 5 then 'alert_rule_test']: [
      {
        eval_time: '%dm' % text.minute,
        alertname: text.name,
        exp_alerts: [{ exp_labels: a.labels, exp_annotations: a.annotations } for a in text.alerts],
      }
      for text in case.texts
    ],
  },
}
