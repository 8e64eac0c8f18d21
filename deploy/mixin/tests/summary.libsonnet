// Cases for modules with "series: summary", which have no series of hosts.
function(t)
  local hosts(instance, timeline, hosts, refused, withTLSA) = [
    t.series('dane_hosts', instance, {}, t.values(timeline, hosts)),
    t.series('dane_hosts_refused', instance, {}, t.values(timeline, refused)),
    t.series('dane_hosts_with_tlsa', instance, {}, t.values(timeline, withTLSA)),
  ];
  [
    {
      name: 'series: summary: the number of refused hosts and the findings raise DaneHostRefused and DaneTLSAMismatch',
      series: t.outcome('bad.example', t.problem)
              + hosts('bad.example', t.problem, { ok: 2, bad: 2 }, { ok: 0, bad: 1 }, { ok: 2, bad: 2 })
              + [t.finding('bad.example', 'tlsa_mismatch', 'mx.bad.example', t.problem)],
      firing: t.lifecycle([
        t.alert('DaneHostRefused', 'bad.example'),
        t.alert('DaneTLSAMismatch', 'bad.example', 'mx.bad.example'),
      ], t.refused),
      texts: [t.text(t.at(26), 'DaneHostRefused', [{
        labels: t.labels({ instance: 'bad.example', severity: 'warning', scope: 'host' }),
        annotations: {
          summary: 'bad.example: DANE senders refuse 1 of its hosts (tlsa_mismatch)',
          description: 'DANE senders refuse at least one address of the host. They try the other hosts and addresses of the domain, so mail is delayed or reaches fewer servers. If the fix takes long, remove the host from the MX records. ' + t.advice('tlsa_mismatch'),
        } + t.links('bad.example', 'danehostrefused'),
      }])],
    },
    {
      name: 'series: full: a host that has an outcome is not counted a second time',
      series: t.outcome('bad.example', t.problem)
              + t.hostOutcome('bad.example', 'mx.bad.example', t.problem)
              + hosts('bad.example', t.problem, { ok: 2, bad: 2 }, { ok: 0, bad: 1 }, { ok: 2, bad: 2 }),
      firing: t.lifecycle([t.alert('DaneHostRefused', 'bad.example', 'mx.bad.example')], t.refused),
    },
    {
      name: 'series: summary: fewer hosts with TLSA records raise DaneTLSARecordsGone, unless there are fewer hosts; a host that never had records does not',
      // The records are back within a day, at every interval.
      local timeline = 'ok*10 bad lost bad*14 lost bad*3 ok*36',
      series: t.outcome('bad.example', timeline)
              + hosts('bad.example', timeline, { ok: 2, bad: 2 }, { ok: 0, bad: 0 }, { ok: 2, bad: 1 })
              + [t.finding('bad.example', 'no_tlsa', 'mx2.bad.example', timeline)]
              + t.outcome('fewer.example', timeline)
              + hosts('fewer.example', timeline, { ok: 2, bad: 1 }, { ok: 0, bad: 0 }, { ok: 1, bad: 0 })
              + [t.finding('fewer.example', 'no_tlsa', 'mx2.fewer.example', timeline)]
              + t.outcome('never.example', timeline)
              + hosts('never.example', timeline, { ok: 2, bad: 2 }, { ok: 0, bad: 0 }, { ok: 1, bad: 1 })
              + [t.finding('never.example', 'no_tlsa', 'mx2.never.example', timeline)],
      firing: t.lifecycle([t.alert('DaneTLSARecordsGone', 'bad.example', 'mx2.bad.example')], t.refused, end=30),
    },
  ]
