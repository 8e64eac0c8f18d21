// Alerts about results that depend on the sender. They need "series: full": findings of
// effect warning are not in the summary.
function(config, p, t)
  local lasting = { minutes: config.inconsistentMinutes, keep: '5m', severity: 'warning', scope: 'host' };
  local finding(reason) = {
    query: p.finding('reason="%s"' % reason),
    op: '==',
    threshold: 1,
    description: t.explanation([reason]),
    section: reason,
  };

  [
    lasting + finding('nameserver_inconsistent') {
      name: 'DaneNameserverInconsistent',
      summary: '{{ $labels.instance }}: the nameservers disagree on the TLSA records of {{ $labels.host }} port {{ $labels.port }} ({{ $labels.reason }})',
    },
    lasting + finding('mta_sts_disagreement') {
      name: 'DaneMTASTSDisagreement',
      summary: '{{ $labels.instance }}: DANE and MTA-STS senders treat {{ $labels.host }} port {{ $labels.port }} differently ({{ $labels.reason }})',
    },
  ]
