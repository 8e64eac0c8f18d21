// Cases for modules with "series: summary", which have no series of hosts.
function(t)
  local hosts(instance, timeline, hosts, refused, withTLSA) = [
    t.series('dane_hosts', instance, {}, t.values(timeline, hosts)),
    t.series('dane_hosts_refused', instance, {}, t.values(timeline, refused)),
    t.series('dane_hosts_with_tlsa', instance, {}, t.values(timeline, withTLSA)),
  ];
  [
    {
      name: 'series: summary: the number of refused hosts raises DaneHostRefused, without those that another alert names',
      series: t.outcome('bad.example', t.problem)
              + hosts('bad.example', t.problem, { ok: 3, bad: 3 }, { ok: 0, bad: 2 }, { ok: 3, bad: 3 })
              + [
                t.finding('bad.example', 'tlsa_mismatch', 'mx.bad.example', t.problem),
                t.finding('bad.example', 'dns_failure', 'mx2.bad.example', t.problem),
              ]
              + t.outcome('named.example', t.problem)
              + hosts('named.example', t.problem, { ok: 2, bad: 2 }, { ok: 0, bad: 1 }, { ok: 2, bad: 2 })
              + [t.finding('named.example', 'tlsa_mismatch', 'mx.named.example', t.problem)],
      firing: t.lifecycle([
        t.alert('DaneHostRefused', 'bad.example'),
        t.alert('DaneTLSAMismatch', 'bad.example', 'mx.bad.example'),
        t.alert('DaneTLSAMismatch', 'named.example', 'mx.named.example'),
      ], start=t.confirmed),
      texts: [t.text(t.at(26), 'DaneHostRefused', [{
        labels: t.labels({ instance: 'bad.example', severity: 'warning', scope: 'host' }),
        annotations: {
          summary: 'bad.example: DANE senders refuse 1 of its hosts (dns_failure, tlsa_mismatch)',
          description: 'DANE senders refuse at least one address of the host. They try the other hosts and addresses of the domain, if there are any. Mail is delayed or reaches fewer servers. If the fix takes long and the host is an MX host, remove it from the MX records. ' + t.advice('dns_failure') + ' ' + t.advice('tlsa_mismatch'),
        } + t.links('bad.example', 'danehostrefused'),
      }])],
    },
    {
      name: 'series: summary: the exporter dies while alerts fire: they stand',
      local timeline = 'ok*10 bad*20 lost*%d' % t.scrapes(t.memory),
      series: t.outcome('bad.example', timeline)
              + hosts('bad.example', timeline, { ok: 2, bad: 2 }, { ok: 0, bad: 1 }, { ok: 2, bad: 1 }),
      ignore: ['DaneScrapesFail'],
      firing: [
        t.firing(minute, [t.alert('DaneHostRefused', 'bad.example'), t.alert('DaneTLSARecordsGone', 'bad.example')])
        for minute in [t.at(29), t.at(29) + t.memory - t.step]
      ],
    },
    {
      name: 'series: summary: one observation raises no alert',
      ignore: ['DaneScrapesFail', 'DaneTargetNeverScraped'],
      local one(instance, timeline) =
        t.outcome(instance, timeline)
        + hosts(instance, timeline, { ok: 2, bad: 2 }, { ok: 0, bad: 1 }, { ok: 2, bad: 1 })
        + [
          t.finding(instance, 'no_tlsa', 'plain.' + instance, timeline, ['ok', 'bad']),
          t.finding(instance, 'connect_failed', 'down.' + instance, timeline, ['ok', 'bad']),
        ],
      series: one('once.example', 'ok*4 bad lost ok*60') + one('lost.example', 'ok*4 bad lost*2 ok*60') + one('last.example', 'ok*4 bad lost*60'),
      firing: [
        t.firing(minute, [])
        for scrape in std.range(4, 8) + [26]
        for minute in std.set([t.at(scrape), t.at(scrape) + t.interval - std.min(t.step, t.interval), t.at(scrape) + t.refused + t.step])
      ],
    },
    {
      name: 'series: full: a host that has an outcome is not counted a second time',
      series: t.outcome('bad.example', t.problem)
              + t.hostOutcome('bad.example', 'mx.bad.example', t.problem)
              + hosts('bad.example', t.problem, { ok: 2, bad: 2 }, { ok: 0, bad: 1 }, { ok: 2, bad: 2 }),
      firing: t.lifecycle([t.alert('DaneHostRefused', 'bad.example', 'mx.bad.example')], start=t.confirmed),
    },
    {
      name: 'series: summary: fewer hosts with TLSA records raise DaneTLSARecordsGone; removed hosts and new hosts do not',
      // The records are back within a day, at every interval.
      local timeline = 'ok*10 bad lost bad*14 lost bad*3 ok*36',
      local case(instance, count, withTLSA) =
        t.outcome(instance, timeline)
        + hosts(instance, timeline, count, { [w]: 0 for w in std.objectFields(count) }, withTLSA)
        + [t.finding(instance, 'no_tlsa', 'mx2.' + instance, timeline, ['ok', 'bad'])],
      series: case('bad.example', { ok: 2, bad: 2 }, { ok: 2, bad: 1 })
              + case('removed.example', { ok: 2, bad: 1 }, { ok: 2, bad: 1 })
              + case('plain.example', { ok: 2, bad: 1 }, { ok: 1, bad: 0 })
              + case('new.example', { ok: 2, bad: 3 }, { ok: 2, bad: 2 })
              + case('never.example', { ok: 2, bad: 2 }, { ok: 1, bad: 1 }),
      firing: t.lifecycle([t.alert('DaneTLSARecordsGone', 'bad.example')], start=t.confirmed, end=30),
      texts: [t.text(t.at(26), 'DaneTLSARecordsGone', [{
        labels: t.labels({ instance: 'bad.example', severity: 'warning', scope: 'host' }),
        annotations: {
          summary: 'bad.example: 1 fewer hosts have TLSA records',
          description: 'Senders deliver to these hosts without DANE, with TLS if the server offers it. dane_exporter check names each host without records and the reason.',
        } + t.links('bad.example', 'no_tlsa'),
      }])],
    },
    {
      name: 'series: summary: DaneTLSARecordsGone: a host is removed, and an hour later another host loses its records',
      local hour = t.scrapes(60),
      local timeline = 'ok*4 removed*%d bad*20' % hour,
      series: t.outcome('bad.example', timeline)
              + hosts('bad.example', timeline, { ok: 3, removed: 2, bad: 2 }, { ok: 0, removed: 0, bad: 0 }, { ok: 3, removed: 2, bad: 1 }),
      firing: [
        t.firing(t.at(4 + hour), []),
        t.firing(t.at(4 + hour + 1) + t.cause - t.step, []),
        t.firing(t.at(4 + hour + 1) + t.cause, [t.alert('DaneTLSARecordsGone', 'bad.example')]),
      ],
    },
  ]
