// Cases for alerts about results that depend on the sender, and about MTA-STS and TLSRPT.
function(t)
  // Longer than half an hour at every interval.
  local problem = 'ok*10 bad lost bad*38 lost bad*9 ok*15';
  local lasts = { start: t.confirmed, lost: 50, end: 60 };
  local firing(alert) = t.lifecycle([alert], start=lasts.start, lost=lasts.lost, end=lasts.end);
  [
    {
      name: 'DaneNameserverInconsistent: a secondary nameserver that lags for less than half an hour does not fire',
      series: t.outcome('bad.example', problem)
              + [t.finding('bad.example', 'nameserver_inconsistent', 'mx.bad.example', problem)]
              + t.outcome('behind.example', 'ok*75')
              + [t.finding('behind.example', 'nameserver_inconsistent', 'mx.behind.example', 'ok*10 bad*%d ok*40' % t.unconfirmed(t.inconsistent))],
      firing: firing(t.alert('DaneNameserverInconsistent', 'bad.example', 'mx.bad.example')),
      texts: [t.text(t.at(50), 'DaneNameserverInconsistent', [{
        labels: t.labels({ instance: 'bad.example', severity: 'warning', scope: 'host', host: 'mx.bad.example', port: '25', reason: 'nameserver_inconsistent', effect: 'warning' }),
        annotations: {
          summary: 'bad.example: the nameservers disagree on the TLSA records of mx.bad.example port 25 (nameserver_inconsistent)',
          description: t.explanation('nameserver_inconsistent'),
        } + t.links('bad.example', 'nameserver_inconsistent'),
      }])],
    },
    {
      name: 'DaneParentInconsistent: one alert for a zone, which stands while scrapes are lost and while its nameservers could not be queried; one result in an hour does not fire',
      zones: ['registry', 'brief', 'equal'],
      local bad = t.scrapes(t.parent) + 5,
      local timeline = 'ok*10 bad lost bad*%d lost bad unqueried*%d ok*30' % [bad, t.scrapes(120)],
      local end = 10 + 2 + bad + 2 + t.scrapes(120),
      local server(instance, zone, number, timeline, at) =
        t.series('dane_nameserver_ds_consistent', instance, { zone: zone, nameserver: 'ns%d.%s' % [number, zone], address: '192.0.2.%d' % number, delegation: instance }, t.values(timeline, at)),
      local child(instance, zone, timeline) =
        t.outcome(instance, timeline)
        + [server(instance, zone, 1, timeline, { ok: 1, bad: 1 }), server(instance, zone, 2, timeline, { ok: 1, bad: 0 }), server(instance, 'equal', 3, timeline, { ok: 1, bad: 1 })],
      series: child('one.registry', 'registry', timeline) + child('two.registry', 'registry', timeline)
              + child('one.brief', 'brief', 'ok*10 bad*%d ok*%d' % [t.scrapes(61), end]),
      firing: [],
      local alert = [{ alertname: 'DaneParentInconsistent', zone: 'registry' }],
      uninhibited: t.always(t.at(9), t.at(10) + t.parent, [])
                   + t.always(t.at(10) + t.parent, t.at(end) + 5, alert)
                   + t.always(t.at(end) + 5 + t.step, t.at(end) + 5 + 3 * t.step, []),
      texts: [t.text(t.at(10 + bad), 'DaneParentInconsistent', [{
        labels: { zone: 'registry', severity: 'warning', scope: 'zone' },
        annotations: {
          summary: 'registry: the nameservers of the zone disagree on DS records',
          description: t.explanation('parent_inconsistent') + ' Nameservers that differ: ns2.registry (192.0.2.2). Targets that depend on them: one.registry, two.registry.',
          runbook_url: 'http://exporter.example:10125/docs/runbook.md#parent_inconsistent',
        },
      }])],
    },
    {
      name: 'DaneMTASTSDisagreement: a host that the policy does not list does not fire',
      series: t.outcome('bad.example', problem)
              + [
                t.finding('bad.example', 'mta_sts_disagreement', 'mx.bad.example', problem),
                t.finding('bad.example', 'mta_sts_host_not_covered', 'mx2.bad.example', problem),
              ],
      firing: firing(t.alert('DaneMTASTSDisagreement', 'bad.example', 'mx.bad.example')),
      texts: [t.text(t.at(50), 'DaneMTASTSDisagreement', [{
        labels: t.labels({ instance: 'bad.example', severity: 'warning', scope: 'host', host: 'mx.bad.example', port: '25', reason: 'mta_sts_disagreement', effect: 'warning' }),
        annotations: {
          summary: 'bad.example: DANE and MTA-STS senders treat mx.bad.example port 25 differently (mta_sts_disagreement)',
          description: t.explanation('mta_sts_disagreement'),
        } + t.links('bad.example', 'mta_sts_disagreement'),
      }])],
    },
    {
      name: 'DaneMTASTSPolicyBroken and DaneTLSRPTInvalid: text that the syntax does not allow does not fire',
      series: t.outcome('bad.example', problem)
              + [
                t.finding('bad.example', reason, '', problem)
                for reason in ['mta_sts_policy_invalid', 'tlsrpt_record_invalid', 'mta_sts_syntax', 'tlsrpt_syntax']
              ],
      firing: t.lifecycle([t.alert(a, 'bad.example') for a in ['DaneMTASTSPolicyBroken', 'DaneTLSRPTInvalid']], start=lasts.start, lost=lasts.lost, end=lasts.end),
      local text(name, severity, reason, summary) = t.text(t.at(50), name, [{
        labels: t.labels({ instance: 'bad.example', severity: severity, scope: 'domain', reason: reason, effect: 'warning' }),
        annotations: { summary: 'bad.example: %s (%s)' % [summary, reason], description: t.explanation(reason) } + t.links('bad.example', reason),
      }]),
      texts: [
        text('DaneMTASTSPolicyBroken', 'warning', 'mta_sts_policy_invalid', 'senders cannot use the MTA-STS policy'),
        text('DaneTLSRPTInvalid', 'info', 'tlsrpt_record_invalid', 'the TLSRPT record is invalid'),
      ],
    },
    {
      name: 'DaneMTASTSRefused: MTA-STS senders are refused, and DANE senders are not; a domain without a policy does not fire',
      local outcome(instance, sender) = t.series('dane_mta_sts_sender_outcome', instance, { sender: sender, outcome: 'refused' }, t.values(t.problem, { ok: 0, bad: 1 })),
      series: t.outcome('bad.example', t.problem)
              + [outcome('bad.example', 'mta_sts'), t.finding('bad.example', 'mta_sts_host_not_covered', 'mx.bad.example', t.problem)]
              + t.outcome('dane.example', t.problem)
              + [outcome('dane.example', 'dane')]
              + t.outcome('none.example', t.problem),
      firing: t.lifecycle([t.alert('DaneMTASTSRefused', 'bad.example')], start=t.confirmed),
      texts: [t.text(t.at(26), 'DaneMTASTSRefused', [{
        labels: t.labels({ instance: 'bad.example', severity: 'critical', scope: 'domain', sender: 'mta_sts', outcome: 'refused' }),
        annotations: {
          summary: 'bad.example: MTA-STS senders refuse the domain (mta_sts_host_not_covered at mx.bad.example)',
          description: 'The MTA-STS policy of the domain is in mode enforce, and no mail server of the domain fulfils it. Mail servers that implement MTA-STS, such as those of Google and Microsoft, deliver no mail to bad.example. They queue it and retry for some days. Each mail server must be listed in the policy, and have a certificate of a public CA for its own name. If the fix takes long, change the mode of the policy to testing, and the id of the record.',
        } + t.links('bad.example', 'danemtastsrefused'),
      }])],
    },
  ]
