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
  // How long the condition of an alert holds before the alert fires: of DaneDomainRefused, and
  // of alerts that it inhibits about its cause and its hosts.
  refused: 10,
  cause: t.evaluations(14),
  host: t.evaluations(16),
  ending: std.max(15, interval + 5),
  inconsistent: config.inconsistentMinutes,
  unreachable: config.unreachableMinutes,
  unmet: t.evaluations(config.unreachableMinutes + 2),
  notJudged: config.notJudgedMinutes,
  parent: config.parentMinutes,
  rootKeys: config.rootKeysMinutes,
  loss: config.lossMinutes,
  massLoss: std.max(10, interval + 5),
  day: 86400,

  // The time, rounded up to an evaluation.
  evaluations(minutes):: t.step * std.ceil(minutes / t.step),
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
      t.series('dane_probe_complete', instance, labels, t.values(timeline, { [w]: 1 for w in std.set(t.words(timeline)) } + { lost: 'stale', removed: 'stale' })),
      t.series('dane_outcome', instance, { outcome: 'unknown' } + labels, t.values(timeline, known { unknown: 1, lost: 'stale', removed: 'stale' })),
      t.series('dane_outcome', instance, { outcome: 'refused' } + labels, t.values(timeline, known + { [w]: 1 for w in bad } + { unknown: 'stale', lost: 'stale', removed: 'stale' })),
    ],
  // The same with the state unreachable, at the words in down.
  outcomes(instance, timeline, down, bad=[])::
    local known = { [w]: 0 for w in std.set(t.words(timeline)) };
    t.outcome(instance, timeline, bad)
    + [t.series('dane_outcome', instance, { outcome: 'unreachable' }, t.values(timeline, known + { [w]: 1 for w in down } + { unknown: 'stale', lost: 'stale', removed: 'stale' }))],
  // Whether the probe succeeds, which it does at the words in good.
  success(instance, timeline, good=['ok'])::
    t.series('probe_success', instance, {}, t.values(timeline, { [w]: 0 for w in std.set(t.words(timeline)) } + { [w]: 1 for w in good } + { lost: 'stale', removed: 'stale' })),
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

  // The zone that is the only cause of the outcome, at the words in at.
  outcomeZone(instance, zone, timeline, at=['bad']):: t.series('dane_outcome_zone', instance, { zone: zone }, t.values(timeline, { [w]: 1 for w in at })),

  // The expectation for each evaluation from a minute on, before another: the alerts fire, and
  // no other. promtool limits the samples of an expression, so long times are divided.
  always(from, to, alerts)::
    local most = 30;
    local first = t.step * std.ceil(from / t.step);
    local evaluations = std.min(most, std.ceil((to - first) / t.step));
    if evaluations <= 0 then []
    else [{ minute: first + (evaluations - 1) * t.step, evaluations: evaluations, alerts: alerts }]
         + t.always(first + evaluations * t.step, to, alerts),
  // The number of evaluations of an expectation at which an expression has each sample.
  evaluated(u, expr):: 'count_over_time((%s)[%dm30s:%dm])' % [expr, (u.evaluations - 1) * t.step, t.step],

  // The alerts that fire at a minute, and no other.
  firing(minute, alerts):: { minute: minute, alerts: alerts },
  alert(name, instance='', host='', module='smtp_mx'):: {
    alertname: name,
    [if instance != '' then 'instance']: instance,
    [if host != '' then 'host']: host,
    [if instance != '' && module != '' then 'module']: module,
  },
  // How long after their conditions begin and end alerts about what senders do fire and end:
  // those that others inhibit are later, and end earlier.
  local timings = {
    DaneDomainRefused: [t.refused, 9],
    DaneDomainUnreachable: [t.unreachable, 7],
    DaneTLSAMismatch: [t.cause, 5],
    DaneHostRefused: [t.host, 3],
    DaneRequirementNotMet: [t.unmet, 1],
    DaneNameserverInconsistent: [t.inconsistent, 3],
    DaneMTASTSDisagreement: self.DaneNameserverInconsistent,
    DaneMTASTSPolicyBroken: self.DaneNameserverInconsistent,
    DaneTLSRPTInvalid: self.DaneNameserverInconsistent,
    DaneRenewalWillFail: self.DaneNameserverInconsistent,
    DaneDNSSECBogus: self.DaneTLSAMismatch,
    DaneSTARTTLSGone: self.DaneTLSAMismatch,
    DaneTLSARecordsGone: self.DaneTLSAMismatch,
    DaneMTASTSRefused: self.DaneTLSAMismatch,
  },
  keep(alert):: t.evaluations(timings[alert][1]),
  // The alerts fire from a time after scrape start on, through a lost scrape, and until keep
  // minutes after scrape end. Alerts about what senders do have their own times.
  lifecycle(alerts, after=null, keep=null, start=10, lost=26, end=41)::
    local first(a) = t.at(start) + (if after != null then after else timings[a.alertname][0]);
    local last(a) = t.at(end) + (if keep != null then keep else t.keep(a.alertname));
    // An alert ends at the evaluation at this minute, or at the next.
    local unclear(minute) = std.length([a for a in alerts if std.abs(minute - last(a)) < t.step]) > 0;
    [
      t.firing(minute, [a for a in alerts if first(a) <= minute && minute < last(a)])
      for minute in std.set([t.at(lost)] + std.flattenArrays([[first(a) - t.step, first(a), last(a) - t.step, last(a) + t.step] for a in alerts]))
      if !unclear(minute)
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

  // The alerts of cases, as tests of promtool. Each test evaluates all rules, so the cases
  // share two tests: few cases last long. The job of a series has the number of its case.
  alertTests(cases)::
    local numbered = std.mapWithIndex(function(i, case) case { number: i + 1, last: std.foldl(std.max, [e.minute for e in t.expectations(case)], 0) }, cases);
    local isShort(case) = case.last <= t.at(85);
    [
      {
        name: 'alerts: ' + group.name,
        interval: '%dm' % interval,
        input_series: [t.numberedSeries(s, case.number) for case in group.cases for s in case.series],
        promql_expr_test: [
          {
            // promtool shows the expression of a check that fails.
            expr: '%s # %s' % [e.expr % 'job=~".+-%d"' % case.number, case.name],
            eval_time: '%dm' % e.minute,
            exp_samples: [{ labels: selector('', labels), value: std.get(e, 'value', 1) } for labels in e.labels],
          }
          for case in group.cases
          for e in t.expectations(case)
        ] + [
          // Only the alert that is about no job and no zone fires without one, and it always fires.
          { expr: 'count by (alertname) (ALERTS{alertstate="firing", job="", zone=""})', eval_time: '%dm' % minute, exp_samples: [{ labels: '{alertname="Watchdog"}', value: 1 }] }
          for minute in [0, 60, std.foldl(std.max, [case.last for case in group.cases], 0)]
        ],
      }
      for group in [
        { name: 'short cases', cases: std.filter(isShort, numbered) },
        { name: 'long cases', cases: std.filter(function(case) !isShort(case), numbered) },
      ]
    ],
  numberedSeries(s, number)::
    local around = std.splitLimit(s.series, 'job="', 1);
    local job = std.splitLimit(around[1], '"', 1);
    s { series: around[0] + 'job="' + job[0] + '-' + number + '"' + job[1] },

  // What a case expects. In an expression, %s is the matcher of the job. The alerts in
  // ignore may fire or not.
  expectations(case):: [
    {
      minute: f.minute,
      expr: 'count by (alertname, instance, module, host) (ALERTS{alertstate="firing", %%s%s})'
            % (if std.objectHas(case, 'ignore') then ', alertname!~"%s"' % std.join('|', case.ignore) else ''),
      labels: f.alerts,
    }
    for f in case.firing
  ] + [
    { minute: r.minute, expr: 'group by (instance) (ALERTS{alertstate="firing", %%s, %s})' % r.matchers, labels: [{ instance: i } for i in r.instances] }
    for r in std.get(case, 'raised', [])
  ] + [
    // The alerts of the case and of its zones that no alert about a broken zone inhibits. They
    // fire at each evaluation of a time. The names of zones are unique among all cases.
    {
      minute: u.minute,
      value: u.evaluations,
      local firing(matchers) = 'ALERTS{alertstate="firing", %s}' % matchers,
      expr: t.evaluated(u, 'group by (alertname, instance, zone) (%s or (%s unless on (zone) %s))' % [
        firing('job="", zone=~"%s"' % std.join('|', case.zones)),
        firing('%%s, alertname!~"%s"' % std.join('|', ['DaneScrapesFail', 'DaneTargetNeverScraped'] + std.get(case, 'ignore', []))),
        firing('alertname="DaneZoneBroken"'),
      ]),
      labels: u.alerts,
    }
    for u in std.get(case, 'uninhibited', [])
  ] + [
    // A target has one alert of a name at most, also while its zone changes.
    { minute: u.minute, expr: t.evaluated(u, 'count by (alertname, instance) (ALERTS{alertstate="firing", %s, host=""}) > 1'), labels: [] }
    for u in std.get(case, 'uninhibited', [])
  ] + [
    // No alert fires or is pending in the minutes that end at a minute.
    { minute: s.minute, expr: 'count by (alertname, instance) (count_over_time(ALERTS{%%s}[%dm]))' % s.minutes, labels: [] }
    for s in std.get(case, 'silent', [])
  ],

  // The texts of the alerts of a case, as a test of promtool. It has its own test: the
  // expectations are all alerts with a name.
  textTest(case):: {
    name: 'texts: ' + case.name,
    interval: '%dm' % interval,
    input_series: case.series,
    alert_rule_test: [
      {
        eval_time: '%dm' % text.minute,
        alertname: text.name,
        exp_alerts: [{ exp_labels: a.labels, exp_annotations: a.annotations } for a in text.alerts],
      }
      for text in case.texts
    ],
  },
}
