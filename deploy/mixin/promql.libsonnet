// Parts of PromQL expressions that several rules and alerts use.
function(config) {
  local p = self,
  local indent(expr, by='  ') = by + std.strReplace(std.stripChars(expr, '\n'), '\n', '\n' + by),
  indent:: indent,

  // Labels of a target, and the clause that joins series of one target. The clause may
  // have more labels.
  target: std.join(', ', config.targetLabels),
  on(labels=[]):: 'on (%s)' % std.join(', ', config.targetLabels + labels),

  // The last sample of each series. A failed scrape and an unknown outcome have no sample.
  // They neither end an alert nor restart its "for" period.
  last(selector):: 'last_over_time(%s[%s])' % [selector, config.window],

  // The same, for as long as the last known verdict stands.
  remembered(selector):: 'last_over_time(%s[%s])' % [selector, config.memory],

  // Prometheus finds a sample until five minutes after the scrape, and no longer than until
  // the next scrape. So a plain selector returns the result of a probe only while it is the
  // last one, and the result of a failed scrape is empty. "now" in a name means this.
  //
  // While the outcome of the target is unknown, its other states are absent. A probe with
  // "connect: false" that succeeds has no outcome, and its target is not refused.
  local undecidedNow = 'probe_success == 1 unless %s dane_outcome' % p.on(),
  knownNow: '(dane_outcome{outcome="refused"} or probe_success == 1)',

  // observed(selector, byHost) has the value of each series, or -1 if the series has
  // ended: the last probe with a known outcome lacks it. While the outcome of the
  // target is unknown, or a scrape has failed, it has no sample. So its last sample is
  // the last known state. With byHost, a series does not end while the outcome of its
  // host is unknown.
  observed(selector, byHost=true):: |||
    %(now)s
    or
    (
      %(past)s * 0 - 1
      unless %(now)s
      and %(on)s %(known)s%(host)s
    )
  ||| % {
    now: selector,
    past: p.remembered(selector),
    on: p.on(),
    known: p.knownNow,
    host: if byHost then '\n  unless %s dane_host_outcome{outcome="unknown"} == 1' % p.on(['host', 'port']) else '',
  },

  // confirmed(selector, observed) has the value of each observed series whose problem was
  // seen at least twice, or that has no problem. One observation raises no alert.
  confirmed(selector, observed=selector)::
    local problem = if std.endsWith(observed, '\n') then '(\n%s\n)' % indent(observed) else observed;
    |||
      (%s > 0 and sum_over_time(%s[%s]) >= 2)
      or
      %s <= 0
    ||| % [problem, selector, config.confirmationWindow, problem],

  // Alerts about a target stand while the target is scraped, even if all scrapes fail. They
  // end when it is removed from the scrape configuration.
  scraped: 'target:dane_scraped:group',
  scrapedExpr: |||
    group by (%(target)s) (
      last_over_time(up[%(window)s])
      and %(on)s
      %(remembered)s
    )
    or
    group by (%(target)s) (%(last)s)
  ||| % {
    local probed = 'dane_probe_complete', // of every probe
    target: p.target,
    window: config.window,
    on: p.on(),
    remembered: p.remembered(probed),
    last: p.last(probed),
  },

  // known(recorded) is the last known value of a recorded series, which a failed scrape and
  // an unknown outcome do not end.
  known(recorded):: '(%s and %s %s)' % [p.remembered(recorded), p.on(), p.scraped],

  // outcome(state) is 1 if the last known verdict has this state, seen at least twice.
  outcome(state):: p.known('target:dane_outcome:confirmed{outcome="%s"}' % state),

  // outcomeConfirmed(selector) is p.confirmed for an outcome. If a target alternates
  // between refused and unreachable, each of both stays confirmed for the confirmation
  // window, so the target does not recover in between.
  local failures = 'dane_outcome{outcome=~"refused|unreachable"}',
  outcomeConfirmed(selector):: |||
    (
      %(of)s * 0 + 1
      and %(on)s
      %(failures)s == 1
      and
      sum_over_time(%(of)s[%(window)s]) >= 2
    )
    or
    %(of)s <= 0
    or
    (%(past)s * 0 and %(on)s (%(undecided)s))
  ||| % { of: selector, on: p.on(), failures: failures, window: config.confirmationWindow, past: p.remembered(selector), undecided: undecidedNow },
  outcomesConfirmed: p.outcomeConfirmed(failures) + 'or\n' + p.confirmed('dane_outcome{outcome="unknown"}'),

  // The zone at fault of a target, which is the only cause of its outcome: 2 if the last known
  // outcome has it, 0 if one within zoneMinutes had it, negative otherwise.
  zoneRecent: 'target:dane_outcome_zone:recent',
  zoneRecentExpr: 'max_over_time(%(of)s[%(minutes)dm]) + %(of)s' % { of: 'target:dane_outcome_zone:observed', minutes: config.zoneMinutes },
  // The number of targets of a zone at fault.
  zoneExplains: 'zone:dane_outcome_zone:count',
  zoneExplainsExpr: 'count by (zone) (group by (zone, instance) (%s >= 0))' % p.known(p.zoneRecent),
  // The number of targets of a broken zone. A zone becomes broken when it is at fault for
  // several targets, one of which was probed twice. It remains broken until it is at fault for
  // none, so the alert about the zone ends after the alerts about its last targets.
  zoneBroken: 'zone:dane_zone_broken:count',
  zoneBrokenExpr: |||
    %(explains)s
    and on (zone) (
      (
        %(explains)s >= %(targets)d
        and on (zone)
        max by (zone) (sum_over_time(dane_outcome_zone[%(confirmation)s])) >= 2
      )
      or
      last_over_time(%(broken)s[10m])
    )
  ||| % { explains: p.zoneExplains, broken: p.zoneBroken, targets: config.zoneTargets, confirmation: config.confirmationWindow },
  // 1 for the broken zone of a target. A target has at most one series, even if its zone has
  // just changed.
  zoneOfTarget: 'target:dane_zone_broken:group',
  zoneOfTargetExpr: |||
    topk by (%s) (
      1,
      %s >= 0
      and on (zone)
      %s
    ) * 0 + 1
  ||| % [p.target, p.known(p.zoneRecent), p.zoneBroken],

  // 1 for a parent zone of a target if its nameservers return different DS records, 0 if not.
  // While the exporter could not query them, there is no sample.
  parentInconsistent: 'target:dane_parent_inconsistent:observed',
  parentInconsistentExpr: 'max by (%s, zone) (1 - dane_nameserver_ds_consistent)' % p.target,

  // withZone(expr) adds the label zone to the series of targets that a broken zone explains.
  // Other series stay as they are: all are of targets that are scraped.
  withZone(expr):: |||
    (
    %s
    )
    * %s group_left (zone) (
      %s
      or %s
      %s
    )
  ||| % [indent(expr), p.on(), p.zoneOfTarget, p.on(), p.scraped],

  // The protections of the targets of a fleet, see fleet.libsonnet. A target that loses the
  // first loses the others too.
  fleet: std.join(', ', [l for l in config.targetLabels if l != 'instance']),
  protections: ['ds', 'tlsa', 'authenticated'],
  protected: 'target:dane_protected:known',
  protectedSum: 'fleet:dane_protected:sum',
  lost: 'fleet:dane_lost:sum',
  lostShare: 'fleet:dane_lost:ratio',
  lostTargets: 'target:dane_mass_loss:known',
  massLossShare: 'fleet:dane_mass_loss:ratio',
  lossThreshold: 'protection:dane_loss_threshold:ratio',
  ofThreshold: 'on (protection) group_left () ' + p.lossThreshold,
  // The loss of several protections by a fleet is one series.
  massLoss: std.join('\nor on (%s)\n' % p.fleet, ['%s{protection="%s"} >= %s' % [p.massLossShare, l, p.ofThreshold] for l in p.protections]),

  // finding(matchers) selects findings that hold and were seen at least twice, without the
  // address: a mismatch at two addresses of a host is one alert.
  finding(matchers):: 'max without (address) (%s)' % p.known('target:dane_finding:confirmed{%s}' % matchers),
  findingsConfirmed(matchers=''):: p.confirmed('dane_finding' + matchers, p.observed('dane_finding' + matchers)),

  // date(metric) is the last known value of a time. It bridges failed handshakes for the
  // window, and unknown outcomes for longer.
  date(metric, selector=metric):: '(%s or (%s >= 0 and %s %s))' % [p.last(selector), p.remembered('target:%s:observed' % metric), p.on(), p.scraped],
  dates: {
    signatureExpiry: { metric: 'dane_dnssec_signature_expiry_timestamp_seconds', byHost: false },
    signatureInception: { metric: 'dane_dnssec_signature_inception_timestamp_seconds', byHost: false },
    authenticatedUntil: { metric: 'dane_authenticated_until_timestamp_seconds', start: 'dane_authenticated_from_timestamp_seconds' },
    certificate: { metric: 'dane_certificate_not_after_timestamp_seconds', start: 'dane_certificate_not_before_timestamp_seconds' },
    policyCertificate: {
      metric: 'dane_mta_sts_certificate_not_after_timestamp_seconds',
      start: 'dane_mta_sts_certificate_not_before_timestamp_seconds',
      byHost: false,
    },
    rolloverReady: { metric: 'dane_tlsa_rollover_ready' },
    survivesRenewal: { metric: 'dane_tlsa_survives_renewal' },
    recordMatch: { metric: 'dane_tlsa_record_match', selector: 'dane_tlsa_record_match{usage=~"0|2"}' },
  },

  // The same without recording rules, for Grafana. The subqueries are evaluated every minute,
  // because Prometheus finds a sample for five minutes only.
  selfContained:: p {
    local scraped = 'and %s (\n%s\n)' % [p.on(), indent(p.scrapedExpr)],
    local known(expr) = |||
      (
        last_over_time((
      %s
        )[%s:1m])
        %s
      )
    ||| % [indent(expr, '    '), config.memory, std.stripChars(indent(scraped), ' ')],
    outcome(state):: known(p.outcomeConfirmed('dane_outcome{outcome="%s"}' % state)),
    finding(matchers):: 'max without (address) %s' % known(p.findingsConfirmed('{%s}' % matchers)),
    local hostless = [d.metric for d in std.objectValues(p.dates) if !std.get(d, 'byHost', true)],
    date(metric, selector=metric):: |||
      (
        %s
        or
        %s >= 0
      )
    ||| % [p.last(selector), std.stripChars(indent(known(p.observed(selector, !std.member(hostless, metric)))), ' \n')],
    signatureRemaining:: self.signatureRemainingExpr,
    knownDate(d):: self.date(d.metric),
    lifetime(d):: lifetimeOf(p.remembered(d.metric), d),
  },

  // timing(rank) is when an alert about what senders do now fires and ends. One probe makes the
  // conditions of several alerts true, and they can become true, and false, one evaluation apart:
  // Prometheus evaluates groups in parallel, and stores scrapes meanwhile. So in
  // alertmanager.yml, an alert of a lower rank inhibits those of higher ranks: it fires before
  // them, and outlasts them. It has no alert twice if its zone changes: "keep" is shorter than
  // "for".
  timing(rank):: { minutes: 10 + rank * config.evaluationMinutes, keep: '%dm' % (9 - rank * config.evaluationMinutes) },
  // The same for an alert about the cause of many: it outlasts them until the next probe too.
  outlasts: '%dm' % (config.intervalMinutes + 9 + config.evaluationMinutes),

  exporterIncrease(selector):: 'increase(%s[%s])' % [selector, config.exporterWindow],
  // 1 if an exporter tries to connect to port 25 and never succeeds, 0 if it succeeds or
  // does not try.
  exporterBlind: 'exporter:dane_exporter_connects_failed:all',
  exporterBlindExpr: |||
    (
      sum without (result) (%(tried)s) > 0
      unless
      sum without (result) (%(connected)s) > 0
    ) * 0 + 1
    or
    sum without (result) (%(tried)s) * 0
  ||| % {
    tried: p.exporterIncrease('dane_exporter_connects_total{port="25"}'),
    connected: p.exporterIncrease('dane_exporter_connects_total{port="25", result="connected"}'),
  },

  // Remaining share of the validity of a zone's signatures: 1 when they are created, 0
  // when they expire.
  signatureRemaining: 'target:dane_dnssec_signature_remaining:ratio',
  // (end - time()) / (end - start), with each date evaluated once.
  signatureRemainingExpr: |||
    1 / (1 + (time() - %(start)s) / (%(end)s - time()))
  ||| % {
    end: p.date(p.dates.signatureExpiry.metric),
    start: p.date(p.dates.signatureInception.metric),
  },

  // The last known expiry of each certificate, and its lifetime, which several expressions
  // use.
  knownDate(d):: 'target:%s:known' % d.metric,
  certificateLifetime:: 'target:dane_certificate_lifetime_seconds:known',

  // lifetime(d) is the time from the start to the end d. The start is the last known one.
  // Without a start, the lifetime is infinite. It is never negative, so that the time left of
  // an expired certificate is below each share of it.
  local lifetimeOf(end, d) = '(clamp_min(%s - %s, 0) or %s * 0 + Inf)' % [end, p.remembered(d.start), end],
  lifetime(d):: lifetimeOf(p.knownDate(d), d),

  // remaining(d) is the time left until the last known end d.
  remaining(d):: '%s - time()' % p.knownDate(d),

  // below(left, share, lifetime, days) is the time left that is below a share of the lifetime
  // and below so many days. Most certificates have more days left, so that filter is first.
  below(left, share, lifetime, days):: '(%s < %d * 86400) < %.2f * %s' % [left, days, share, lifetime],
  // limit(share, lifetime, days) is the time left below which the same holds.
  limit(share, lifetime, days):: 'clamp_max(%.2f * %s, %d * 86400)' % [share, lifetime, days],
}
