// Cases for alerts about what senders do now.
function(t) [
  {
    name: 'DaneDomainRefused: a lost scrape and an unknown outcome keep the refusal; few bad probes, a flapping and an unreachable domain do not fire',
    local bad = t.alert('DaneDomainRefused', 'bad.example'),
    local unknown = t.alert('DaneDomainRefused', 'unknown.example'),
    local mismatch = t.alert('DaneTLSAMismatch', 'bad.example', 'mx1.bad.example'),
    local brief = t.unconfirmed(t.refused),
    // Two refusals within the confirmation window are two observations.
    local flapping = if t.brief(t.refused) > 0 then [t.brief(t.refused), 1] else [1, 4],
    series: t.outcome('bad.example', t.problem, ['bad'])
            + [
              t.finding('bad.example', 'tlsa_mismatch', 'mx1.bad.example', t.problem),
              t.finding('bad.example', 'no_address', 'mx2.bad.example', 'ok*66', ['ok']),
            ]
            + t.outcome('unknown.example', 'ok*10 bad unknown bad*13 unknown*2 bad*14 ok*25', ['bad'])
            + t.outcome('brief.example', 'ok*10 bad*%d ok*50' % brief, ['bad'])
            + t.outcome('flapping.example', 'ok*10' + std.repeat(' bad*%d ok*%d' % flapping, 5) + ' ok*20', ['bad'])
            + t.outcome('unreachable.example', 'ok*66'),
    firing: t.lifecycle([bad, mismatch, unknown], start=t.confirmed),
    texts: [t.text(t.at(26), 'DaneDomainRefused', [
      {
        labels: t.labels({ instance: 'bad.example', severity: 'critical', scope: 'domain', outcome: 'refused' }),
        annotations: {
          summary: 'bad.example: DANE senders refuse the domain (no_address at mx2.bad.example, tlsa_mismatch at mx1.bad.example)',
          description: 'Clients that validate DANE refuse bad.example. Mail servers queue the mail and retry for some days. ' + t.advice('tlsa_mismatch'),
        } + t.links('bad.example', 'danedomainrefused'),
      },
      {
        labels: t.labels({ instance: 'unknown.example', severity: 'critical', scope: 'domain', outcome: 'refused' }),
        annotations: {
          summary: 'unknown.example: DANE senders refuse the domain',
          description: 'Clients that validate DANE refuse unknown.example. Mail servers queue the mail and retry for some days.',
        } + t.links('unknown.example', 'danedomainrefused'),
      },
    ])],
  },

  {
    name: 'DaneDomainRefused: the text has at most five findings, those that make senders refuse first, and advice for two of them',
    series: t.outcome('bad.example', t.problem, ['bad'])
            // topk keeps those with most addresses.
            + [
              t.finding('bad.example', 'no_address', 'mx%d.bad.example' % host, t.problem, labels={ address: '192.0.2.%d' % address })
              for host in std.range(1, 5)
              for address in std.range(host, 6)
            ]
            + [t.finding('bad.example', 'dnssec_bogus', '', t.problem)],
    firing: [t.firing(t.at(26), [t.alert('DaneDomainRefused', 'bad.example'), t.alert('DaneDNSSECBogus', 'bad.example')])],
    texts: [t.text(t.at(26), 'DaneDomainRefused', [{
      labels: t.labels({ instance: 'bad.example', severity: 'critical', scope: 'domain', outcome: 'refused' }),
      annotations: {
        summary: 'bad.example: DANE senders refuse the domain (dnssec_bogus, no_address at mx1.bad.example, no_address at mx2.bad.example, no_address at mx3.bad.example, no_address at mx4.bad.example)',
        description: 'Clients that validate DANE refuse bad.example. Mail servers queue the mail and retry for some days. ' + t.advice('dnssec_bogus'),
      } + t.links('bad.example', 'danedomainrefused'),
    }])],
  },

  {
    name: 'DaneHostRefused: one of two hosts is refused, and the domain is not; the alert ends when the host is no longer listed',
    local host = t.alert('DaneHostRefused', 'bad.example', 'mx.bad.example'),
    series: t.outcome('bad.example', t.problem)
            + t.hostOutcome('bad.example', 'mx.bad.example', 'ok*10 bad lost bad*14 lost bad*14 gone*25')
            + t.hostOutcome('bad.example', 'mx2.bad.example', 'ok*66')
            + [
              t.finding('bad.example', 'dns_failure', 'mx.bad.example', t.problem),
              t.finding('bad.example', 'no_address', 'mx3.bad.example', t.problem),
            ],
    firing: t.lifecycle([host], start=t.confirmed),
    texts: [t.text(t.at(26), 'DaneHostRefused', [{
      labels: t.labels({ instance: 'bad.example', severity: 'warning', scope: 'host', host: 'mx.bad.example', port: '25', outcome: 'refused' }),
      annotations: {
        summary: 'bad.example: DANE senders refuse mx.bad.example port 25 (dns_failure)',
        description: 'DANE senders refuse at least one address of the host. They try the other hosts and addresses of the domain, if there are any. Mail is delayed or reaches fewer servers. If the fix takes long and the host is an MX host, remove it from the MX records. ' + t.advice('dns_failure'),
      } + t.links('bad.example', 'danehostrefused'),
    }])],
  },

  {
    name: 'DaneHostRefused: a host whose outcome becomes unknown, while that of the domain is known, stays refused',
    series: t.outcome('bad.example', 'ok*66')
            + t.hostOutcome('bad.example', 'mx.bad.example', 'ok*10 bad unknown bad*14 unknown bad*14 ok*25'),
    firing: t.lifecycle([t.alert('DaneHostRefused', 'bad.example', 'mx.bad.example')], start=t.confirmed),
  },

  {
    name: 'DaneHostRefused: the name of a host is no regular expression',
    local names = ['*.bad.example', 'mx(1.bad.example', '\\128.bad.example', 'mx"1.bad.example'],
    series: t.outcome('bad.example', t.problem)
            + std.flattenArrays([t.hostOutcome('bad.example', name, t.problem) for name in names])
            + [t.finding('bad.example', 'dns_failure', name, t.problem) for name in names]
            + [t.finding('bad.example', 'timeout', 'mx1.bad.example', t.problem)],
    firing: t.lifecycle([t.alert('DaneHostRefused', 'bad.example', name) for name in names], start=t.confirmed),
    texts: [t.text(t.at(26), 'DaneHostRefused', [{
      labels: t.labels({ instance: 'bad.example', severity: 'warning', scope: 'host', host: name, port: '25', outcome: 'refused' }),
      annotations: {
        summary: 'bad.example: DANE senders refuse %s port 25 (dns_failure)' % name,
        description: 'DANE senders refuse at least one address of the host. They try the other hosts and addresses of the domain, if there are any. Mail is delayed or reaches fewer servers. If the fix takes long and the host is an MX host, remove it from the MX records. ' + t.advice('dns_failure'),
      } + t.links('bad.example', 'danehostrefused'),
    } for name in names])],
  },

  {
    name: 'A finding of a host stays while the outcome of the host is unknown and that of the domain is known; it ends when the host is no longer listed, or recovers',
    local timeline = 'ok*10 bad*17 unknown*2 bad*2 %s*35',
    local bad(instance, end) =
      t.outcome(instance, 'ok*66')
      + t.hostOutcome(instance, 'mx.' + instance, timeline % end)
      + t.hostOutcome(instance, 'mx2.' + instance, 'ok*66')
      + [
        t.finding(instance, 'tlsa_mismatch', 'mx.' + instance, timeline % end),
        t.finding(instance, 'timeout', 'mx.' + instance, timeline % end, ['unknown']),
      ],
    series: bad('gone.example', 'gone') + bad('repaired.example', 'ok'),
    local alerts = [t.alert(name, i, 'mx.' + i) for name in ['DaneHostRefused', 'DaneTLSAMismatch'] for i in ['gone.example', 'repaired.example']],
    firing: [
      t.firing(t.at(26), alerts),
      t.firing(t.at(28) + std.min(t.interval, 5) - t.step, alerts),
      t.firing(t.at(29), alerts),
      t.firing(t.at(31) + t.keep('DaneHostRefused') - t.step, alerts),
      t.firing(t.at(31) + t.keep('DaneTLSAMismatch') + t.step, []),
    ],
  },

  {
    name: 'DaneTLSAMismatch: a mismatch at two addresses is one alert, which continues when one address recovers; an unusable record and few bad probes do not fire',
    local mismatch(address, timeline) = t.finding('bad.example', 'tlsa_mismatch', 'mx.bad.example', timeline, labels={ address: address }),
    series: t.outcome('bad.example', t.problem)
            + [
              mismatch('192.0.2.1', 'ok*10 bad lost bad*14 lost bad*4 ok*35'),
              mismatch('192.0.2.2', t.problem),
              t.finding('bad.example', 'tlsa_unusable', 'mx2.bad.example', t.problem),
            ]
            + t.outcome('repaired.example', 'ok*66')
            + [t.finding('repaired.example', 'tlsa_mismatch', 'mx.repaired.example', 'ok*10 bad*%d ok*50' % t.unconfirmed(t.refused))],
    firing: t.lifecycle([t.alert('DaneTLSAMismatch', 'bad.example', 'mx.bad.example')], start=t.confirmed),
    texts: [t.text(t.at(26), 'DaneTLSAMismatch', [{
      labels: t.labels({ instance: 'bad.example', severity: 'warning', scope: 'host', host: 'mx.bad.example', port: '25', reason: 'tlsa_mismatch', effect: 'error' }),
      annotations: {
        summary: 'bad.example: DANE authentication of mx.bad.example port 25 fails (tlsa_mismatch)',
        description: t.explanation('tlsa_mismatch'),
      } + t.links('bad.example', 'tlsa_mismatch'),
    }])],
  },

  {
    name: 'DaneDNSSECBogus: of the domain itself; an unsigned zone and a failed lookup do not fire',
    series: std.flattenArrays([
      t.outcome(f[0], t.problem) + [t.finding(f[0], f[1], '', t.problem)]
      for f in [['bad.example', 'dnssec_bogus'], ['unsigned.example', 'mx_insecure'], ['failing.example', 'dns_failure']]
    ]),
    firing: t.lifecycle([t.alert('DaneDNSSECBogus', 'bad.example')], start=t.confirmed),
    texts: [t.text(t.at(26), 'DaneDNSSECBogus', [{
      labels: t.labels({ instance: 'bad.example', severity: 'warning', scope: 'domain', reason: 'dnssec_bogus', effect: 'error' }),
      annotations: {
        summary: 'bad.example: DNSSEC validation fails (dnssec_bogus)',
        description: t.explanation('dnssec_bogus'),
      } + t.links('bad.example', 'dnssec_bogus'),
    }])],
  },

  {
    name: 'DaneSTARTTLSGone: a failed handshake does not fire',
    series: t.outcome('bad.example', t.problem)
            + [
              t.finding('bad.example', 'starttls_not_offered', 'mx.bad.example', t.problem),
              t.finding('bad.example', 'tls_handshake_failed', 'mx2.bad.example', t.problem),
            ],
    firing: t.lifecycle([t.alert('DaneSTARTTLSGone', 'bad.example', 'mx.bad.example')], start=t.confirmed),
    texts: [t.text(t.at(26), 'DaneSTARTTLSGone', [{
      labels: t.labels({ instance: 'bad.example', severity: 'warning', scope: 'host', host: 'mx.bad.example', port: '25', reason: 'starttls_not_offered', effect: 'error' }),
      annotations: {
        summary: 'bad.example: STARTTLS does not work at mx.bad.example port 25 (starttls_not_offered)',
        description: t.explanation('starttls_not_offered'),
      } + t.links('bad.example', 'starttls_not_offered'),
    }])],
  },

  {
    name: 'DaneTLSARecordsGone: a host that never had records does not fire; the alert ends a day after the records were lost',
    local gone = t.alert('DaneTLSARecordsGone', 'bad.example', 'mx.bad.example'),
    local timeline = 'ok*10 bad lost bad*14 lost bad*%d' % t.scrapes(1500),
    local day = t.at(9) + 24 * 60,
    local host(instance) = { host: 'mx.' + instance, port: '25', usable: 'yes' },
    series: t.outcome('bad.example', timeline)
            + t.hostOutcome('bad.example', 'mx.bad.example', std.strReplace(timeline, 'bad', 'ok'))
            + [
              t.series('dane_tlsa_records', 'bad.example', host('bad.example'), t.values(timeline, { ok: 1, bad: 0 })),
              t.finding('bad.example', 'no_tlsa', 'mx.bad.example', timeline),
            ]
            + t.outcome('never.example', timeline)
            + [
              t.series('dane_tlsa_records', 'never.example', host('never.example'), t.values(timeline, { ok: 0, bad: 0 })),
              t.finding('never.example', 'no_tlsa', 'mx.never.example', timeline, ['ok', 'bad']),
            ],
    firing: [
      t.firing(t.at(t.confirmed) + t.cause - t.step, []),
      t.firing(t.at(t.confirmed) + t.cause, [gone]),
      t.firing(t.at(26), [gone]),
      t.firing(day - 2 * t.step, [gone]),
      t.firing(day + 5 + 3 * t.step, []),
    ],
    texts: [t.text(t.at(26), 'DaneTLSARecordsGone', [{
      labels: t.labels({ instance: 'bad.example', severity: 'warning', scope: 'host', host: 'mx.bad.example', port: '25', reason: 'no_tlsa', effect: 'degraded' }),
      annotations: {
        summary: 'bad.example: DANE no longer applies to mx.bad.example port 25 (no_tlsa)',
        description: t.explanation('no_tlsa'),
      } + t.links('bad.example', 'no_tlsa'),
    }])],
  },

  {
    name: 'One observation raises no alert, at any interval, if the scrapes after it are lost or the problem is over',
    local one(instance, timeline) =
      t.outcome(instance, timeline, ['bad'])
      + t.hostOutcome(instance, 'mx.' + instance, timeline)
      + [t.finding(instance, reason, 'mx.' + instance, timeline) for reason in ['tlsa_mismatch', 'starttls_rejected', 'dnssec_bogus', 'nameserver_inconsistent']],
    ignore: ['DaneScrapesFail', 'DaneTargetNeverScraped'],
    series: one('once.example', 'ok*4 bad lost ok*60')
            + one('twice.example', 'ok*4 bad ok*20 bad ok*40')
            + one('lost.example', 'ok*4 bad lost*2 ok*60')
            + one('last.example', 'ok*4 bad lost*60'),
    firing: [
      t.firing(minute, [])
      for scrape in std.range(4, 8) + [26]
      for minute in std.set([t.at(scrape), t.at(scrape) + t.interval - std.min(t.step, t.interval), t.at(scrape) + t.refused + t.step])
    ],
  },

  {
    name: 'Two observations raise a page ten minutes after the second, at any interval, and then the alerts that it inhibits; two lost scrapes end none',
    local timeline = 'ok*10 bad lost*2 bad*10 lost*2 bad*10 lost*2 bad*4 ok*25',
    series: t.outcome('bad.example', timeline, ['bad'])
            + t.hostOutcome('bad.example', 'mx.bad.example', timeline)
            + [t.finding('bad.example', 'tlsa_mismatch', 'mx.bad.example', timeline)],
    local page = [t.alert('DaneDomainRefused', 'bad.example')],
    local alerts = page + [t.alert(name, 'bad.example', 'mx.bad.example') for name in ['DaneHostRefused', 'DaneTLSAMismatch']],
    firing: [
      t.firing(t.at(13) + t.refused - t.step, []),
      t.firing(t.at(13) + t.cause - t.step, page),
      t.firing(t.at(13) + t.host, alerts),
    ] + [t.firing(t.at(scrape), alerts) for scrape in std.range(23, 40) if t.at(scrape) > t.at(13) + t.host],
  },

  {
    name: 'A finding that another one replaces ends at the next probe with a known outcome, not at an unknown one',
    local timeline = 'ok*10 bad*20 unknown*2 worse*20',
    local mismatch = t.alert('DaneTLSAMismatch', 'bad.example', 'mx.bad.example'),
    local starttls = t.alert('DaneSTARTTLSGone', 'bad.example', 'mx.bad.example'),
    series: t.outcome('bad.example', timeline)
            + [
              t.finding('bad.example', 'tlsa_mismatch', 'mx.bad.example', timeline),
              t.finding('bad.example', 'resolver_unreachable', '', timeline, ['unknown']),
              t.finding('bad.example', 'starttls_rejected', 'mx.bad.example', timeline, ['worse']),
            ],
    firing: [
      t.firing(t.at(32) + 5 - t.step, [mismatch]),
      t.firing(t.at(32) + 5 + t.step, []),
      t.firing(t.at(33) + t.cause - t.step, []),
      t.firing(t.at(33) + t.cause, [starttls]),
    ],
  },

  {
    name: 'The exporter dies while alerts fire: they stand for six hours, and another alert is added',
    local timeline = 'ok*10 bad*20 lost*%d' % (t.scrapes(t.memory) + 10),
    local alerts = [t.alert('DaneDomainRefused', 'bad.example')] + [t.alert(a, 'bad.example', 'mx.bad.example') for a in ['DaneTLSAMismatch', 'DaneHostRefused']],
    local scrapesFail = { alertname: 'DaneScrapesFail', module: 'smtp_mx' },
    series: t.outcome('bad.example', timeline, ['bad'])
            + t.hostOutcome('bad.example', 'mx.bad.example', timeline)
            + [t.finding('bad.example', 'tlsa_mismatch', 'mx.bad.example', timeline)]
            // One observation of a problem before the exporter dies raises no alert.
            + t.outcome('once.example', 'ok*29 bad lost*%d' % (t.scrapes(t.memory) + 10), ['bad']),
    firing: [
      t.firing(t.at(29), alerts),
      t.firing(t.at(29) + t.window + 10, alerts + [scrapesFail]),
      t.firing(t.at(29) + t.memory - t.step, alerts + [scrapesFail]),
      t.firing(t.at(29) + t.memory + 15 + 2 * t.step, [t.alert('DaneTargetNeverScraped', i) for i in ['bad.example', 'once.example']]),
    ],
  },

  {
    name: 'The domain cannot be judged while alerts fire, as without a resolver: they stand, and DaneDomainNotJudged is added; a problem that ended does not come back',
    local unknown = t.scrapes(t.memory - 60),
    local timeline = 'ended*6 ok*4 bad*20 unknown*%d ok*20' % unknown,
    local refused = [t.alert('DaneDomainRefused', 'bad.example')] + [t.alert(a, 'bad.example', 'mx.bad.example') for a in ['DaneTLSAMismatch', 'DaneHostRefused']],
    local notJudged = t.alert('DaneDomainNotJudged', 'bad.example'),
    series: t.outcome('bad.example', timeline, ['bad'])
            + t.hostOutcome('bad.example', 'mx.bad.example', timeline)
            + t.hostOutcome('bad.example', 'removed.bad.example', std.strReplace(std.strReplace(timeline, 'bad', 'gone'), 'unknown', 'gone'))
            + [
              t.finding('bad.example', 'tlsa_mismatch', 'mx.bad.example', timeline),
              t.finding('bad.example', 'starttls_not_offered', 'mx.bad.example', timeline, ['ended']),
              t.finding('bad.example', 'chain_invalid', 'removed.bad.example', timeline, ['ended']),
              t.finding('bad.example', 'resolver_unreachable', '', timeline, ['unknown']),
            ]
            // Few probes without a verdict raise no alert.
            + t.outcome('brief.example', 'ok*20 unknown*%d ok*%d' % [t.unconfirmed(t.notJudged), unknown]),
    firing: [
      t.firing(t.at(29), refused),
      t.firing(t.at(31) + t.notJudged - t.step, refused),
      t.firing(t.at(31) + t.notJudged, refused + [notJudged]),
      t.firing(t.at(29 + unknown), refused + [notJudged]),
      t.firing(t.at(30 + unknown) + t.keep('DaneDomainRefused') + t.step, []),
    ],
    texts: [t.text(t.at(29 + unknown), 'DaneDomainNotJudged', [{
      labels: t.labels({ instance: 'bad.example', severity: 'warning', scope: 'domain', outcome: 'unknown' }),
      annotations: {
        summary: 'bad.example: the exporter cannot judge the domain (resolver_unreachable)',
        description: 'The cause is on the side of the exporter. It does not know whether DANE clients accept bad.example. Other alerts about the domain are from the last probe that could judge it, and remain for up to 6h. ' + t.advice('resolver_unreachable'),
      } + t.links('bad.example', 'danedomainnotjudged'),
    }])],
  },

  {
    name: 'A target that is removed from the scrape configuration ends its alerts',
    local timeline = 'ok*10 bad*20 removed*30',
    local alerts = [t.alert('DaneDomainRefused', 'bad.example')] + [t.alert(a, 'bad.example', 'mx.bad.example') for a in ['DaneTLSAMismatch', 'DaneHostRefused']],
    series: t.outcome('bad.example', timeline, ['bad'])
            + t.hostOutcome('bad.example', 'mx.bad.example', timeline)
            + [t.finding('bad.example', 'tlsa_mismatch', 'mx.bad.example', timeline)],
    firing: [
      t.firing(t.at(29), alerts),
      t.firing(t.at(29) + t.window + 10 + 2 * t.step, []),
    ],
  },

  {
    name: 'DaneDomainUnreachable: a refused domain whose servers no longer answer; few bad probes do not fire',
    local bad = 10 + t.scrapes(t.refused + 5),
    local timeline = 'ok*10 bad*%d down*%d lost down*5 ok*20' % [bad, t.scrapes(t.unreachable) + 5],
    local start = 10 + bad,
    local end = start + t.scrapes(t.unreachable) + 11,
    local unreachable(instance, timeline) =
      t.outcomes(instance, timeline, ['down'], ['bad'])
      + [t.finding(instance, 'connect_failed', 'mx.' + instance, timeline, ['down'])],
    local alert = t.alert('DaneDomainUnreachable', 'bad.example'),
    series: unreachable('bad.example', timeline)
            + unreachable('brief.example', 'ok*20 down*%d ok*50' % t.unconfirmed(t.unreachable)),
    firing: [
      t.firing(t.at(start) - t.step, [t.alert('DaneDomainRefused', 'bad.example')]),
      t.firing(t.at(start + 1) + t.unreachable - t.step, []),
      t.firing(t.at(start + 1) + t.unreachable, [alert]),
      t.firing(t.at(end) + t.keep('DaneDomainUnreachable') - t.step, [alert]),
      t.firing(t.at(end) + t.keep('DaneDomainUnreachable') + t.step, []),
    ],
    texts: [t.text(t.at(end - 2), 'DaneDomainUnreachable', [{
      labels: t.labels({ instance: 'bad.example', severity: 'critical', scope: 'domain', outcome: 'unreachable' }),
      annotations: {
        summary: 'bad.example: no server is reachable (connect_failed at mx.bad.example)',
        description: 'The exporter reaches no server of bad.example. Most likely, no client does, with DANE or without. Mail servers queue the mail and retry for some days. ' + t.advice('connect_failed'),
      } + t.links('bad.example', 'danedomainunreachable'),
    }])],
  },

  {
    name: 'DaneRequirementNotMet: probes that fail, whatever the outcome; few that fail, and the target of another exporter, do not fire',
    local timeline = 'ok*10 bad lost bad*38 lost bad*9 ok*15',
    local known = std.strReplace(timeline, 'bad', 'ok'),
    local case(instance, timeline, finding=[]) =
      [t.success(instance, timeline)] + [t.finding(instance, reason, 'mx.' + instance, timeline) for reason in finding],
    // The alerts about the cause. In alertmanager.yml, they inhibit this one.
    ignore: ['DaneDomainRefused', 'DaneDomainUnreachable', 'DaneDomainNotJudged', 'DaneHostRefused'],
    local instances = ['bad.example', 'refused.example', 'unreachable.example', 'unknown.example', 'host.example', 'internal.example', 'none.example'],
    series: t.outcome('bad.example', known) + case('bad.example', timeline, ['no_tlsa', 'tls_obsolete'])
            + t.outcome('refused.example', timeline, ['bad']) + case('refused.example', timeline, ['dns_failure', 'no_tlsa'])
            + t.outcomes('unreachable.example', timeline, ['bad']) + case('unreachable.example', timeline)
            + t.outcome('unknown.example', std.strReplace(timeline, 'bad', 'unknown')) + case('unknown.example', timeline)
            + t.outcome('host.example', known) + case('host.example', timeline) + t.hostOutcome('host.example', 'mx.host.example', timeline)
            + t.outcome('internal.example', known) + case('internal.example', timeline, ['limit_exceeded'])
            + t.outcome('none.example', known) + case('none.example', timeline, ['null_mx', 'tlsrpt_syntax'])
            + t.outcome('brief.example', 'ok*75') + case('brief.example', 'ok*10 bad*%d ok*50' % t.unconfirmed(t.unreachable))
            + [{ series: 'probe_success{job="blackbox", instance="other.example"}', values: '0x75' }],
    firing: t.lifecycle([t.alert('DaneRequirementNotMet', i) for i in instances], start=t.confirmed, lost=50, end=60),
    local text(instance, findings, advice) = {
      labels: t.labels({ instance: instance, severity: 'warning', scope: 'domain' }),
      annotations: {
        summary: instance + ': does not meet the requirement of the module smtp_mx' + findings,
        description: 'Probes fail (probe_success is 0). Either all recent probes fail, or about a third or more of those within 120m.' + advice,
      } + t.links(instance, 'danerequirementnotmet'),
    },
    local intended = ' If it is intended that DANE does not protect this target, use a module with the requirement if_published, or remove the target.',
    texts: [t.text(t.at(50), 'DaneRequirementNotMet', [
      text('bad.example', ' (no_tlsa at mx.bad.example, tls_obsolete at mx.bad.example)', ' ' + t.advice('no_tlsa') + intended),
      text('refused.example', ' (dns_failure at mx.refused.example, no_tlsa at mx.refused.example)', ' %s %s' % [t.advice('dns_failure'), t.advice('no_tlsa')] + intended),
      text('unreachable.example', '', ''),
      text('unknown.example', '', ''),
      text('host.example', '', ''),
      text('internal.example', ' (limit_exceeded at mx.internal.example)', ' ' + t.advice('limit_exceeded')),
      text('none.example', ' (null_mx at mx.none.example, tlsrpt_syntax at mx.none.example)', ' ' + t.advice('null_mx')),
    ])],
  },

  {
    name: 'An outcome that changes all the time, so that no condition holds for long, raises an alert; a probe that seldom fails does not',
    // At an interval of a minute, a condition holds for five probes.
    local times = if t.interval == 1 then 5 else 1,
    local scrapes = if t.interval == 1 then 80 else 44,
    local repeat(words, instance=std.join('-', words)) =
      local period = std.join(' ', ['%s*%d' % [w, times] for w in words]);
      local timeline = 'pass*2' + std.repeat(' ' + period, std.ceil(scrapes / times / std.length(words)));
      t.outcomes(instance, timeline, ['unreachable'], ['refused'])
      + [t.success(instance, timeline, ['pass'])],
    local refused = ['refused-unreachable', 'refused-unknown', 'refused-lost', 'unreachable-unknown', 'unreachable-lost'],
    local failing = ['pass-refused', 'pass-unreachable', 'pass-unknown', 'pass-refused-unreachable', 'pass-pass-refused-refused', 'refused-unknown-unreachable-unknown'],
    series: std.flattenArrays([repeat(std.split(i, '-')) for i in refused + failing])
            + repeat(['pass', 'pass', 'pass', 'pass', 'pass', 'refused']),
    firing: [],
    raised: [
      { minute: t.at(scrape), matchers: 'instance!=""', instances: refused + failing }
      for scrape in std.range(scrapes - 4, scrapes)
    ] + [
      // No sender, or no sender that validates DANE, delivers.
      { minute: t.at(scrape), matchers: 'severity="critical", instance=~"%s"' % std.join('|', refused), instances: refused }
      for scrape in std.range(scrapes - 4, scrapes)
    ],
  },

  {
    name: 'Two modules of one instance, and two exporters, do not mix: the known outcome of one does not end the findings of the other',
    local bad(labels, timeline) = t.outcome('bad.example', timeline, ['bad'], labels)
                                  + [t.finding('bad.example', 'tlsa_mismatch', 'mx.bad.example', timeline, labels=labels)],
    local timeline = 'ok*10 bad unknown bad*14 lost bad*14 ok*25',
    local alerts = [t.alert('DaneDomainRefused', 'bad.example'), t.alert('DaneTLSAMismatch', 'bad.example', 'mx.bad.example')],
    series: bad({}, timeline)
            + t.outcome('bad.example', 'ok*66', labels={ module: 'smtp_mx_full' })
            + t.outcome('bad.example', 'ok*66', labels={ exporter: 'other.example:10125' }),
    firing: t.lifecycle(alerts, start=t.confirmed),
  },

  {
    name: 'Links: the external URL of the exporter if it is absolute, its label, and the setting',
    local of(instance, labels) = t.outcome(instance, 'ok*66', labels=labels) + [t.finding(instance, 'starttls_rejected', 'mx.example', 'ok*66', ['ok'], labels)],
    local info(exporter, url) = t.ofExporter('dane_exporter_info', exporter, { external_url: url }, t.values('ok*66', { ok: 1 })),
    series: of('xn--bd-yla.example', {}) + of('slash.example', { exporter: 'slash.example:10125' })
            + of('unset.example', { exporter: 'unset.example:10125' }) + of('none.example', { exporter: '' })
            + of('path.example', { exporter: 'path.example:10125' }) + [info('path.example:10125', '/dane')]
            + [info('exporter.example:10125', 'https://dane.example/path'), info('slash.example:10125', 'http://slash.example/'), info('unset.example:10125', '')],
    firing: [t.firing(t.at(26), [
      t.alert('DaneSTARTTLSGone', i, 'mx.example')
      for i in ['xn--bd-yla.example', 'slash.example', 'unset.example', 'none.example', 'path.example']
    ])],
    local text(instance, exporter, url) = {
      labels: t.labels({ instance: instance, severity: 'warning', scope: 'host', host: 'mx.example', port: '25', reason: 'starttls_rejected', effect: 'error', [if exporter != '' then 'exporter']: exporter })
              + (if exporter == '' then { exporter:: null } else {}),
      annotations: {
        summary: instance + ': STARTTLS does not work at mx.example port 25 (starttls_rejected)',
        description: t.explanation('starttls_rejected'),
        report_url: '%s/report?target=%s&module=smtp_mx' % [url, instance],
        runbook_url: url + '/docs/runbook.md#starttls_rejected',
      },
    },
    texts: [t.text(t.at(26), 'DaneSTARTTLSGone', [
      text('xn--bd-yla.example', 'exporter.example:10125', 'https://dane.example/path'),
      text('slash.example', 'slash.example:10125', 'http://slash.example'),
      text('unset.example', 'unset.example:10125', 'http://unset.example:10125'),
      text('none.example', '', 'https://dane-exporter.example'),
      text('path.example', 'path.example:10125', 'http://path.example:10125'),
    ])],
  },
]
