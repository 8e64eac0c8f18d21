// Recording rules: the last known state of each target, and aggregates for the
// dashboards.
local newPromql = import 'promql.libsonnet';

{
  local config = $._config,
  local p = newPromql(config),
  local hostRefused = 'dane_host_outcome{outcome="refused"}',
  local senderRefused = 'dane_mta_sts_sender_outcome{sender="mta_sts", outcome="refused"}',
  local date(d) = { record: 'target:%s:observed' % d.metric, expr: p.observed(std.get(d, 'selector', d.metric), std.get(d, 'byHost', true)) },
  local isOfZone(d) = std.startsWith(d.metric, 'dane_dnssec_signature_'),

  prometheusRules+:: {
    groups+: [
      {
        name: 'dane_targets',
        rules: [
          { record: p.scraped, expr: p.scrapedExpr },
          // Before the other rules, so that alerts have the label zone when they become pending.
          { record: 'target:dane_outcome_zone:observed', expr: p.observed('dane_outcome_zone', byHost=false) },
          { record: p.zoneRecent, expr: p.zoneRecentExpr },
          { record: p.zoneExplains, expr: p.zoneExplainsExpr },
          { record: p.zoneBroken, expr: p.zoneBrokenExpr },
          { record: p.zoneOfTarget, expr: p.zoneOfTargetExpr },
          { record: p.parentInconsistent, expr: p.parentInconsistentExpr },
          { record: 'target:dane_outcome:confirmed', expr: p.outcomesConfirmed },
          { record: 'target:dane_finding:observed', expr: p.observed('dane_finding') },
          { record: 'target:dane_finding:confirmed', expr: p.confirmed('dane_finding', 'target:dane_finding:observed') },
          { record: 'target:dane_finding:current', expr: p.known('target:dane_finding:observed') + ' == 1' },
          { record: 'target:dane_host_outcome_refused:observed', expr: p.observed(hostRefused) },
          { record: 'target:dane_host_outcome_refused:confirmed', expr: p.confirmed(hostRefused, 'target:dane_host_outcome_refused:observed') },
          { record: 'target:dane_mta_sts_refused:observed', expr: p.observed(senderRefused, byHost=false) },
          { record: 'target:dane_mta_sts_refused:confirmed', expr: p.confirmed(senderRefused, 'target:dane_mta_sts_refused:observed') },
          // 1 if the last probe failed and at least two have, or if probes alternate between
          // failure and success, with any outcome. Other exporters have a metric probe_success too.
          {
            record: 'target:dane_requirement_failed:confirmed',
            expr: |||
              (
                (
                  probe_success == 0
                  and
                  count_over_time(probe_success[%(confirmation)s]) - sum_over_time(probe_success[%(confirmation)s]) >= 2
                ) + 1
                or
                (
                  probe_success
                  and
                  avg_over_time(probe_success[%(flapping)s]) < 0.7
                  and
                  changes(probe_success[%(flapping)s]) >= 3
                ) * 0 + 1
                or
                (probe_success == 1) * 0
              )
              and %(on)s
              dane_outcome{outcome="unknown"}
            ||| % { confirmation: config.confirmationWindow, flapping: config.flappingWindow, on: p.on() },
          },
          { record: p.exporterBlind, expr: p.exporterBlindExpr },
          // After the rules about findings, which these rules read.
        ] + (import 'fleet.libsonnet')(config, p),
      },
      // Dates, and what alerts about dates depend on. Prometheus evaluates groups in parallel.
      {
        name: 'dane_dates',
        rules: [date(d) for d in std.objectValues(p.dates) if !isOfZone(d)] + [
          { record: p.knownDate(d), expr: p.date(d.metric) }
          for d in std.objectValues(p.dates)
          if std.objectHas(d, 'start')
        ] + [
          { record: p.certificateLifetime, expr: p.lifetime(p.dates.certificate) },
        ],
      },
      {
        name: 'dane_signatures',
        rules: [date(d) for d in std.objectValues(p.dates) if isOfZone(d)] + [
          { record: p.signatureRemaining, expr: p.signatureRemainingExpr },
        ],
      },
      {
        // Modules with "series: summary" have no series of hosts. These rules count hosts
        // instead. They are 0 for other modules.
        name: 'dane_summaries',
        // observed(value) is value if it is positive, otherwise 0.
        local observed(value) = |||
          (
          %(value)s
            unless %(on)s dane_host_outcome{outcome="unknown"}
          )
          or
          dane_hosts * 0
        ||| % { value: p.indent(value), on: p.on() },
        local confirmed(recorded, seenTwice) = |||
          (
            %(recorded)s > 0
            and
            %(seenTwice)s
          )
          or
          %(recorded)s == 0
        ||| % { recorded: recorded, seenTwice: seenTwice },
        rules: [
          // The number of refused hosts, without those that have an alert about a finding,
          // which names them.
          {
            local named = 'count by (%s) (group by (%s, host) (target:dane_finding:confirmed{host!="", reason=~"%s"} == 1))'
                          % [p.target, p.target, std.join('|', (import 'reasons.libsonnet').ofHosts)],
            record: 'target:dane_hosts_refused:observed',
            expr: observed('(dane_hosts_refused - %s group_left () %s or dane_hosts_refused) > 0' % [p.on(), named]),
          },
          {
            record: 'target:dane_hosts_refused:confirmed',
            expr: confirmed('target:dane_hosts_refused:observed', 'sum_over_time(dane_hosts_refused[%s]) > dane_hosts_refused' % config.confirmationWindow),
          },
          // The number of hosts that have lost their records: fewer hosts have records, and
          // more have none. A host that is removed, and a new host without records, change
          // only one of the two numbers. The hosts without records were seen at least twice
          // if, summed over the observations, they are at least twice those that the last
          // one added.
        ] + (
          local most(metric) = 'max_over_time(%s[%s])' % [metric, config.recordsWindow];
          local sum(metric) = 'sum_over_time(%s[%s])' % [metric, config.confirmationWindow];
          local with = 'target:dane_hosts_with_tlsa:max';
          local without = 'target:dane_hosts_without_tlsa:max';
          local withoutNow = '(dane_hosts - dane_hosts_with_tlsa)';
          [
            { record: with, expr: most('dane_hosts_with_tlsa') },
            { record: without, expr: '%s - %s' % [most('dane_hosts'), with] },
            {
              record: 'target:dane_hosts_without_tlsa:observed',
              expr: observed(|||
                (%s - dane_hosts_with_tlsa) > 0
                and
                %s > %s
              ||| % [with, withoutNow, without]),
            },
            {
              record: 'target:dane_hosts_without_tlsa:confirmed',
              expr: confirmed(
                'target:dane_hosts_without_tlsa:observed',
                '(%s - %s - count_over_time(dane_hosts[%s]) * %s) >= 2 * (%s - %s)'
                % [sum('dane_hosts'), sum('dane_hosts_with_tlsa'), config.confirmationWindow, without, withoutNow, without]
              ),
            },
          ]
        ),
      },
      {
        // While an outcome is unknown, the last known one is not counted.
        local unknown = p.last('dane_outcome{outcome="unknown"}'),
        name: 'dane_dashboards',
        rules: [
          {
            record: 'job_module_outcome:dane_outcome:sum',
            expr: |||
              sum by (job, module, outcome) (
                %(unknown)s
                or
                (%(known)s unless %(on)s %(unknown)s == 1)
              )
            ||| % { unknown: unknown, known: p.last('dane_outcome{outcome!="unknown"}'), on: p.on() },
          },
          {
            record: 'job_module_reason:dane_finding:count',
            expr: 'count by (job, module, reason) (count by (%s, reason) (target:dane_finding:current))' % p.target,
          },
          // The number of targets for which senders refuse the host. A host that is not
          // reachable does not count as refused.
          {
            record: 'job_module_host:dane_hosts_refused:count',
            expr: |||
              count by (job, module, host) (
                group by (%s, host) (target:dane_finding:current{host!="", effect="error", reason!~"%s"})
                and %s
                %s > 0
              )
            ||| % [p.target, std.join('|', (import 'reasons.libsonnet').unreachable), p.on(), p.last('dane_hosts_refused')],
          },
          {
            // Other exporters have a metric probe_success too.
            record: 'job_module:probe_success:avg',
            expr: 'avg by (job, module) (%s and %s %s)' % [p.last('probe_success'), p.on(), unknown],
          },
        ],
      },
    ],
  },
}
