// Parts of the texts of alerts: the table of reasons, and links.
local reasons = import 'reasons.json';

function(config) {
  local t = self,

  reasonsWithEffect(effect):: [r for r in std.objectFields(reasons) if reasons[r].effect == effect],

  // byReason(label, of, text) is a template: text(reason) for the reason that label has.
  byReason(label, of, text)::
    if std.length(of) == 1 then text(reasons[of[0]])
    else '{{ if ' + std.join('{{ else if ', ['eq %s "%s" }}%s' % [label, r, text(reasons[r])] for r in of]) + '{{ end }}',

  // The meaning of the reason, what senders do now, and the remedy.
  explanation(of):: t.byReason('$labels.reason', of, function(r) std.join(' ', [r.meaning, r.senders, r.remedy])),

  // query(text, args) is a template that queries series of the target of an alert. TARGET
  // in text becomes the matchers of its labels; args are arguments for further verbs.
  query(text, args=[])::
    'query (printf "%s" %s)' % [
      std.strReplace(text, 'TARGET', std.join(', ', [l + '=%q' for l in config.targetLabels])),
      std.join(' ', ['$labels.' + l for l in config.targetLabels] + args),
    ],

  // listOfFindings(labels, matchers, args) is a template with up to five findings of the
  // target in parentheses. Findings that make senders refuse are first.
  listOfFindings(labels, matchers='', args=[])::
    local count(effect) = 'count by (%s) (target:dane_finding:current{TARGET%s, effect%s\\"error\\"})' % [std.join(', ', labels), matchers, effect];
    // Each of the two selectors needs its arguments.
    local values = ['$labels.' + l for l in config.targetLabels] + args;
    '{{ with %s | sortByLabel "reason" }} ({{ range $i, $found := . }}{{ if $i }}, {{ end }}{{ $found.Labels.reason }}%s{{ end }}){{ end }}' % [
      t.query('topk(5, 1000 * %s or %s)' % [count('='), count('!=')], args + values),
      if std.member(labels, 'host') then '{{ with $found.Labels.host }} at {{ . }}{{ end }}' else '',
    ],

  // advice(matchers, args) is a template with what senders do now and the remedy, for up to
  // two of the findings that make senders refuse.
  advice(matchers='', args=[]):: t.adviceOn('error', matchers, args),

  // adviceOn(effect, matchers, args) is the same for the findings with an effect.
  adviceOn(effect, matchers='', args=[])::
    '{{ range %s | sortByLabel "reason" }} {{ .Labels.reason }}: %s{{ end }}' % [
      t.query('topk(2, count by (reason) (target:dane_finding:current{TARGET%s, effect=\\"%s\\"}))' % [matchers, effect], args),
      t.byReason('.Labels.reason', t.reasonsWithEffect(effect), function(r) r.senders + ' ' + r.remedy),
    ],

  // adviceOnFailure(warnings) is the same for findings that make a probe fail: those of all
  // effects but warning, and the given warnings.
  adviceOnFailure(warnings)::
    local found(matchers) = 'count by (reason) (target:dane_finding:current{TARGET, %s})' % matchers;
    local of = [r for r in std.objectFields(reasons) if reasons[r].effect != 'warning' || std.member(warnings, r)];
    local queries = [found('effect=\\"error\\"'), found('effect=~\\"degraded|internal\\"'), found('reason=~\\"%s\\"' % std.join('|', warnings))];
    '{{ range %s | sortByLabel "reason" }} {{ .Labels.reason }}: %s{{ end }}' % [
      t.query('topk(2, 1000 * %s or 100 * %s or %s)' % queries, ['$labels.' + l for q in std.range(2, 3) for l in config.targetLabels]),
      t.byReason('.Labels.reason', of, function(r) r.senders + ' ' + r.remedy),
    ],

  // When a certificate expires, if the value of the alert is the time left.
  expiry: '{{ if gt $value 0.0 }} expires in {{ $value | humanizeDuration }}{{ else }} has expired{{ end }}',

  // link(url, of) is a template: url with the address of the exporter that probed the target.
  // The URL of an exporter that is down remains known. If the alert has no label exporter, of
  // defines the exporter, see exporterOfZone.
  link(url, of={})::
    local exporter = { define: '', value: '$labels.exporter' } + of;
    local address = std.join('', [
      exporter.define,
      '{{ $url := "%s" }}' % config.exporterUrl,
      '{{ with %s }}{{ $url = printf "http://%%s" . }}{{ end }}' % exporter.value,
      '{{ range query (printf "last_over_time(dane_exporter_info{exporter=%%q, external_url=~\\"https?://.+\\"}[%s])" %s) }}' % [config.memory, exporter.value],
      '{{ $url = .Labels.external_url }}{{ end }}',
      '{{ reReplaceAll "/+$" "" $url }}',
    ]);
    std.strReplace(url, 'EXPORTER', address),

  // A list of at most five series by instance.
  listOfInstances: '{{ range $i, $target := . }}{{ if $i }},{{ end }} {{ $target.Labels.instance }}{{ end }}{{ if eq (len .) 5 }} and possibly others{{ end }}',

  // exporterOfZone(metric) is an exporter that probed a target with the zone of the alert.
  exporterOfZone(metric):: {
    define: '{{ $exporter := "" }}{{ range query (printf "topk(1, group by (exporter) (%s{zone=%%q}))" $labels.zone) }}{{ $exporter = .Labels.exporter }}{{ end }}' % metric,
    value: '$exporter',
  },

  // The same for Grafana, whose templates cannot query.
  grafanaLink(url)::
    std.strReplace(url, 'EXPORTER', '{{ with .Labels.exporter }}http://{{ . }}{{ else }}%s{{ end }}' % config.exporterUrl),

  reportUrl: config.reportUrl + '?target={{ urlquery $labels.instance }}{{ with $labels.module }}&module={{ urlquery . }}{{ end }}',
  runbookUrl(section):: config.runbookUrl + '#' + section,
}
