// Cases for targets that are refused only because of one zone.
function(t)
  // Probes of the targets of a zone find a fault up to one scrape interval apart.
  local early = t.problem;
  local late = 'ok*11 bad lost bad*14 lost bad*14 ok*24';
  // A domain that is refused only because of a zone, at the words in at.
  local domain(instance, timeline, zone='', at=['bad']) =
    t.outcome(instance, timeline, ['bad'])
    + [t.success(instance, timeline), t.finding(instance, 'dnssec_bogus', '', timeline)]
    + (if zone == '' then [] else [t.outcomeZone(instance, zone, timeline, at)]);
  local domains(prefix, number, timeline, zone) = std.flattenArrays([domain('%s%d.example' % [prefix, i], timeline, zone) for i in std.range(1, number)]);
  local broken(zone) = { alertname: 'DaneZoneBroken', zone: zone };
  local own(instance, alerts=['DaneDomainRefused', 'DaneDNSSECBogus']) = [{ alertname: a, instance: instance } for a in alerts];
  local always = t.always;
  // How long a zone remains at fault after the last probe that found it.
  local stands = t.interval + 2;
  local zoneFor = 5;
  local zoneKeeps = t.evaluations(t.interval + 11);
  [
    {
      name: 'DaneZoneBroken: one alert for all domains of a zone, from the first probe to the last; another zone with two domains, and a domain with another reason, have their own',
      zones: ['one', 'two'],
      series: domains('early', 6, early, 'one') + domains('late', 6, late, 'one')
              + domains('two', 2, early, 'two')
              + domain('both.example', early)
              // With "series: summary".
              + domain('summary.example', early, 'one')
              + [
                t.series('dane_hosts', 'summary.example', {}, t.values(early, { ok: 1, bad: 1 })),
                t.series('dane_hosts_refused', 'summary.example', {}, t.values(early, { ok: 0, bad: 1 })),
              ],
      local start = t.at(t.confirmed),
      local end = t.at(41),
      local others(alerts) = std.flattenArrays([own(i, alerts) for i in ['both.example', 'two1.example', 'two2.example']]),
      local pages = [broken('one')] + others(['DaneDomainRefused']),
      local tickets = pages + others(['DaneDNSSECBogus']),
      local keep(alert) = end + t.keep(alert),
      firing: [],
      uninhibited: always(t.at(9), start + zoneFor, [])
                   + always(start + zoneFor, start + t.refused, [broken('one')])
                   + always(start + t.refused, start + t.cause, pages)
                   + always(start + t.cause, std.min(start + t.unmet, end), tickets)
                   // At an interval of a minute, the domains recover before that.
                   + always(start + t.unmet, if start + t.unmet < end then end else start, tickets + others(['DaneRequirementNotMet']))
                   + always(keep('DaneRequirementNotMet') + t.step, keep('DaneDNSSECBogus'), tickets)
                   + always(keep('DaneDNSSECBogus') + t.step, keep('DaneDomainRefused'), pages)
                   + always(keep('DaneDomainRefused') + t.step, t.at(42) + stands + zoneKeeps - t.step, [broken('one')])
                   + always(t.at(42) + stands + zoneKeeps + 2 * t.step, t.at(42) + stands + zoneKeeps + 4 * t.step, []),
    },
    {
      name: 'DaneZoneBroken: it continues until the last domain has recovered, though few are left and their scrapes are lost',
      zones: ['slow'],
      local timeline = 'ok*10 bad*20 ok*40',
      local slow = 'ok*10 bad*20 lost*2 bad*8 lost*2 ok*28',
      series: domains('fast', 4, timeline, 'slow') + domain('slow.example', slow, 'slow'),
      firing: [],
      uninhibited: always(t.at(11) + zoneFor, t.at(42) + zoneKeeps - t.step, [broken('slow')])
                   + always(t.at(42) + stands + zoneKeeps + 2 * t.step, t.at(42) + stands + zoneKeeps + 3 * t.step, []),
      texts: [t.text(t.at(26), 'DaneZoneBroken', [{
        labels: { zone: 'slow', severity: 'critical', scope: 'zone' },
        annotations: {
          summary: 'slow: DANE senders refuse 5 targets because of this zone',
          description: 'The data or the nameservers of the zone slow make lookups fail. That is the only reason why DANE clients refuse fast1.example, fast2.example, fast3.example, fast4.example, slow.example and possibly others. Mail servers queue the mail and retry for some days. If the zone is yours, repair its signatures, its DS record or its nameservers. If the operator is another organisation, such as a registry or a mail provider, only that operator can repair it. Report the fault there.',
          runbook_url: 'http://exporter.example:10125/docs/runbook.md#danezonebroken',
        },
      }])],
    },
    {
      name: 'DaneZoneBroken: a zone that takes the place of another one; a domain whose zone is not broken has one alert, whatever its zone',
      zones: ['first', 'second'],
      local timeline = 'ok*10 bad*15 worse*15 ok*30',
      local changing(instance, zones) =
        t.outcome(instance, timeline, ['bad', 'worse'])
        + [t.finding(instance, 'dnssec_bogus', '', timeline, ['bad', 'worse'])]
        + [t.outcomeZone(instance, zones[i], timeline, [['bad', 'worse'][i]]) for i in std.range(0, 1) if zones[i] != ''],
      series: std.flattenArrays([changing('change%d.example' % i, ['first', 'second']) for i in std.range(1, 3)])
              + changing('single.example', ['third', 'fourth']) + changing('unclear.example', ['fifth', '']),
      firing: [],
      local pages = own('single.example', ['DaneDomainRefused']) + own('unclear.example', ['DaneDomainRefused']),
      local singles = own('single.example') + own('unclear.example'),
      uninhibited: always(t.at(11) + zoneFor, t.at(11) + t.refused, [broken('first')])
                   + always(t.at(11) + t.refused, t.at(11) + t.cause, [broken('first')] + pages)
                   + always(t.at(11) + t.cause, t.at(26), [broken('first')] + singles)
                   + always(t.at(26) + zoneFor + t.step, t.at(26) + stands + zoneKeeps - t.interval - t.step, [broken('first'), broken('second')] + singles)
                   + always(t.at(25) + stands + zoneKeeps + 2 * t.step, t.at(40), [broken('second')] + singles),
    },
    {
      name: 'DaneZoneBroken: a domain that is refused for another reason too, later, has its own alert while the zone is broken; a single probe that does not find the zone changes nothing',
      zones: ['lasting'],
      local timeline = 'ok*10 bad*10 worse*20 ok*30',
      local more = std.strReplace(timeline, 'worse', 'bad'),
      local unclear = 'ok*10 bad*10 unclear bad*4 unclear bad*14 ok*30',
      series: domains('lasting', 3, more, 'lasting')
              + t.outcome('more.example', more, ['bad'])
              + [
                t.outcomeZone('more.example', 'lasting', timeline),
                t.finding('more.example', 'dnssec_bogus', '', more),
                t.finding('more.example', 'tlsa_mismatch', 'mx.more.example', timeline, ['worse']),
              ]
              + t.outcome('unclear.example', unclear, ['bad', 'unclear'])
              + [t.outcomeZone('unclear.example', 'lasting', unclear), t.finding('unclear.example', 'dnssec_bogus', '', unclear, ['bad', 'unclear'])],
      firing: [],
      uninhibited: always(t.at(11) + zoneFor, t.at(20) + stands + t.refused - t.step, [broken('lasting')])
                   + always(t.at(21) + 2 + t.cause + t.step, t.at(40), [broken('lasting')] + own('more.example', ['DaneDomainRefused', 'DaneDNSSECBogus', 'DaneTLSAMismatch'])),
    },
    {
      name: 'DaneZoneBroken: one observation of each domain raises no alert, at any interval',
      zones: ['blip'],
      series: std.flattenArrays([domain('blip%d.example' % i, 'ok*%d bad ok*30' % (10 + i), 'blip') for i in std.range(1, 3)])
              + domains('once', 5, 'ok*10 bad ok*30', 'blip'),
      firing: [],
      uninhibited: always(t.at(10), t.at(20), []),
    },
    {
      name: 'DaneZoneBroken: the exporter dies while the zone is broken: the alert continues, and inhibits those about its domains until they end',
      zones: ['standing'],
      local timeline = 'ok*10 bad*20 lost*%d' % (t.scrapes(t.memory) + 2),
      series: domains('standing', 3, timeline, 'standing'),
      firing: [],
      uninhibited: always(t.at(11) + zoneFor, t.at(29) + t.memory + 5, [broken('standing')]),
    },
  ]
