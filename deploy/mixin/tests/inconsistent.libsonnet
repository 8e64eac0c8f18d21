// Cases for alerts about results that depend on the sender.
function(t)
  // Longer than half an hour at every interval.
  local problem = 'ok*10 bad lost bad*38 lost bad*9 ok*15';
  local lasts = { start: t.confirmed, lost: 50, end: 60 };
  local firing(alert) = t.lifecycle([alert], t.inconsistent, start=lasts.start, lost=lasts.lost, end=lasts.end);
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
      name: 'DaneMTASTSDisagreement: an unavailable policy does not fire',
      series: t.outcome('bad.example', problem)
              + [
                t.finding('bad.example', 'mta_sts_disagreement', 'mx.bad.example', problem),
                t.finding('bad.example', 'mta_sts_policy_unavailable', '', problem),
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
  ]
