// Parts of PromQL expressions that several rules and alerts use.
function(config) {
  local p = self,

  // Labels of a target, and the clause that joins series of one target. The clause may
  // have more labels.
  target: std.join(', ', config.targetLabels),
  on(labels=[]):: 'on (%s)' % std.join(', ', config.targetLabels + labels),

  // The last sample of each series. A failed scrape and an unknown outcome have no sample.
  // They neither end an alert nor restart its "for" period.
  last(selector):: 'last_over_time(%s[%s])' % [selector, config.window],

  // confirmed(selector) is the last value of states that were 1 at least twice: one
  // observation raises no alert.
  confirmed(selector):: |||
    %s
    and
    sum_over_time(%s[%s]) >= 2
  ||| % [p.last(selector), selector, config.confirmationWindow],

  // holding(times, known) filters series that contain the time of a probe: those of the last
  // probe whose outcome is known, and of later ones. All, if no outcome is known.
  //
  // A finding that has ended has no series. After a failed scrape, there are no series
  // either. The time of the last known outcome distinguishes the two cases.
  holding(times, known):: |||
    (%(times)s >= %(on)s group_left () %(known)s)
    or
    (%(times)s unless %(on)s %(known)s)
  ||| % { times: times, known: known, on: p.on() },

  // timestamp() returns the time of a scrape only for a plain selector. Recording rules
  // therefore store the times of probes.
  times: {
    known: { record: 'target:dane_outcome_known:timestamp', expr: 'max by (%s) (timestamp(dane_outcome{outcome="refused"}))' % p.target },
    finding: { record: 'target:dane_finding:timestamp', expr: 'timestamp(dane_finding)' },
    host: { record: 'target:dane_host_outcome:timestamp', expr: 'timestamp(dane_host_outcome{outcome="unknown"})' },
    hostKnown: {
      record: 'target:dane_host_outcome_known:timestamp',
      expr: 'max by (%s, host, port) (timestamp(dane_host_outcome{outcome="refused"}))' % p.target,
    },
  },

  // finding(matchers) selects findings that hold and were seen at least twice, without the
  // address: a mismatch at two addresses of a host is one alert.
  finding(matchers):: |||
    max without (address) (
      target:dane_finding:current{%(matchers)s}
      %(seenTwice)s
    )
  ||| % { matchers: matchers, seenTwice: p.seenTwice(matchers) },
  seenTwice(matchers):: 'and count_over_time(dane_finding{%s}[%s]) >= 2' % [matchers, config.confirmationWindow],

  // The same with subqueries instead of recording rules. The subqueries are evaluated every
  // minute, because Prometheus finds a sample for five minutes only.
  selfContained:: p {
    local times(of) = 'max_over_time(timestamp(%s)[%s:1m])' % [of, config.window],
    finding(matchers):: |||
      max without (address) (
        (
          %s
        ) > bool 0
        %s
      )
    ||| % [
      std.strReplace(std.stripChars(p.holding(times('dane_finding{%s}' % matchers),
        'max by (%s) (%s)' % [p.target, times('dane_outcome{outcome="refused"}')]), '\n'), '\n', '\n    '),
      p.seenTwice(matchers),
    ],
    signatureRemaining: p.signatureRemainingExpr,
  },

  // Remaining share of the validity of a zone's signatures: 1 when they are created, 0
  // when they expire.
  signatureRemaining: 'target:dane_dnssec_signature_remaining:ratio',
  signatureRemainingExpr: |||
    (%(end)s - time())
    /
    (%(end)s - %(start)s)
  ||| % {
    end: p.last('dane_dnssec_signature_expiry_timestamp_seconds'),
    start: p.last('dane_dnssec_signature_inception_timestamp_seconds'),
  },

  // seconds(metric) is the time left until the last value of metric.
  seconds(metric):: p.last(metric) + ' - time()',

  // Targets whose module has "series: summary" have no series of hosts. Append this to an
  // expression to restrict it to these targets.
  summaryOnly: 'unless %s %s' % [p.on(), p.last('dane_host_outcome{outcome="unknown"}')],
}
