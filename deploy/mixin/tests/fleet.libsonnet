// Cases for DaneMassLoss. A fleet is a module here. A target of it is protected at the word
// ok. At others, it has lost its DS records (ds; parent: resolvers still have them), the TLSA records of its only host (tlsa) or
// of one of two (half), is refused (bad) or not reachable (down). It may have one host less
// (less). Its outcome may be unknown, its scrape lost, and the target removed.
function(t)
  local known = ['ok', 'parent', 'ds', 'tlsa', 'half', 'less', 'bad', 'down'];
  local all(value) = { [w]: value for w in known };
  local findings = { ds: 'mx_insecure', tlsa: 'no_tlsa', half: 'no_tlsa', bad: 'tlsa_mismatch', down: 'connect_failed' };
  // The series of a target, whose name is %s.
  local target(fleet, timeline, zone, connects) =
    local series(name, values, labels={}) = t.series(name, '%s', { module: fleet } + labels, t.values(timeline, values));
    local outcome(state, at) = series('dane_outcome', all(0) { [w]: 1 for w in at }, { outcome: state });
    [
      series('up', all(1) { unknown: 1, lost: 0 }),
      series('dane_probe_complete', all(1) { unknown: 1 }),
      series('dane_hosts', all(2) { less: 1 }),
      series('dane_hosts_with_tlsa', all(2) { tlsa: 0, half: 1, less: 1 }),
    ] + (if !connects then [series('probe_success', all(1))] else [
           outcome('authenticated', ['ok', 'parent', 'half', 'less']),
           outcome('refused', ['bad']),
           outcome('unreachable', ['down']),
           series('dane_outcome', all(0) { unknown: 1 }, { outcome: 'unknown' }),
         ])
    + [
      t.finding('%s', findings[w], if w == 'ds' then '' else 'mx.' + fleet, timeline, [w], { module: fleet })
      for w in std.objectFields(findings)
      if std.member(t.words(timeline), w)
    ] + (if std.member(t.words(timeline), 'parent') then [series('dane_delegation_ds_records', all(1) { parent: 0 }, { zone: '%s' })] else [])
    + (if zone == '' then [] else [series('dane_outcome_zone', { bad: 1 }, { zone: zone })]);
  // fleet(name, parts) has the targets of each part: their number and timeline. The values of
  // all targets of a part are equal, and are computed once.
  local fleet(name, parts, zone='', connects=true) = std.flattenArrays([
    local ofTarget = target(name, parts[part][1], zone, connects);
    [
      s { series: std.strReplace(s.series, '%s', '%s-%d-%d.example' % [name, part, i]) }
      for i in std.range(1, parts[part][0])
      for s in ofTarget
    ]
    for part in std.range(0, std.length(parts) - 1)
  ]);
  local loss(module) = { alertname: 'DaneMassLoss', module: module };

  // The number of scrapes in the time that is compared, and the scrapes at which a change
  // starts and the case ends.
  local period = t.scrapes(t.loss);
  local start = period + 2;
  local last = start + 2 * period + 10;
  // A timeline with words from the start on, and then one more word until the end.
  local change(words, rest='ok') = 'ok*%d %s %s*%d' % [start, words, rest, last + 2 - start - std.length(t.words(words))];
  local steady = change('ok');
  local new(word) = 'removed*%d %s*%d' % [start, word, last + 2 - start];
  local case(c) = {
    // Other alerts about the targets are not tested here.
    ignore: ['DaneD.+', 'DaneZoneBroken', 'DaneHostRefused', 'DaneRequirementNotMet', 'DaneT.+', 'DaneScrapesFail'],
    // The default: no mass loss.
    firing: [t.firing(m, []) for m in [0] + [t.at(start) + 10 * i for i in std.range(0, std.floor(t.at(last - start) / 10))]],
  } + c;
  // The alert fires so many minutes after the scrape that finds the loss.
  local after = t.massLoss;
  std.map(case, [
    {
      name: 'DaneMassLoss: targets lose their DS records or TLSA records, or are refused: one alert for each loss, until it is repaired',
      local lasting = period + std.ceil(period / 3),
      local lost(word) = [[5, change('%s*%d' % [word, lasting])], [3, steady]],
      series: fleet('ds', lost('ds')) + fleet('lookups', lost('ds'), connects=false) + fleet('parents', lost('parent')) + fleet('tlsa', lost('tlsa')) + fleet('refused', lost('bad')),
      local alerts = [loss(l) for l in ['ds', 'lookups', 'parents', 'tlsa', 'refused']],
      local end = t.at(start + lasting),
      firing: [
        t.firing(t.at(start) + after - t.step, []),
        t.firing(t.at(start) + after + t.step, alerts),
        // It continues after the loss is no longer within the compared time.
        t.firing(t.at(start + period) + 15, alerts),
        t.firing(end - t.step, alerts),
        t.firing(end + 5 + 2 * t.step, []),
        t.firing(t.at(last), []),
      ],
      local text(module, protection, summary, consequence) = {
        labels: t.labels({ module: module, protection: protection, severity: 'warning', scope: 'fleet' }),
        annotations: {
          summary: 'dane: 62.5% of the protected targets of the module ' + module + ' ' + summary,
          description: 'Within an hour, %s So many changes at the same time probably have one cause, such as a failed update of zones, of a provisioning system or at a registrar. Stop it before it affects more targets. Targets:%s and possibly others.'
                       % [consequence, std.join(',', [' %s-0-%d.example' % [module, i] for i in std.range(1, 5)])],
          runbook_url: 'http://exporter.example:10125/docs/runbook.md#danemassloss',
        },
      },
      local insecure(module) = text(module, 'ds', 'have lost their DS records', 'these targets became insecure: a zone of theirs is not signed any more, or its parent zone has no DS record of it. Senders deliver without DANE as soon as their resolvers see it.'),
      local removed(module) = text(module, 'tlsa', 'have lost their TLSA records', 'the TLSA records of these targets were removed or became unusable. Senders deliver without DANE.'),
      texts: [t.text(t.at(start + period), 'DaneMassLoss', [
        insecure('ds'),
        insecure('lookups'),
        insecure('parents'),
        removed('tlsa'),
        text('refused', 'authenticated', 'are no longer authenticated by DANE', 'DANE senders began to refuse these targets, or to deliver to them without authentication.'),
      ])],
    },
    {
      name: 'DaneMassLoss: a slow drift, fewer than five targets, and as many targets that gain a protection as lose it do not fire',
      series: fleet('drift', [[5, change('ok*%d' % (1 + i * (period + 1)), 'tlsa')] for i in std.range(0, 1)] + [[98, steady]], connects=false)
              + fleet('few', [[4, change('bad*%d' % period)]])
              + fleet('few_ds', [[4, change('ds*%d' % period)]])
              + fleet('swap', [[6, change('tlsa', 'tlsa')], [6, 'tlsa*%d ok*%d' % [start, last + 2 - start]]]),
    },
    {
      name: 'DaneMassLoss: resolvers see the removal of all DS records within a day, 4 % of them in an hour: fires',
      local lost(i) = 1 + std.floor(i * period / 5),
      series: fleet('drip', [[1, change('ok*%d' % lost(i), 'ds')] for i in std.range(0, 4)] + [[120, steady]], connects=false),
      local fires = t.at(start + lost(4)) + after,
      firing: [
        t.firing(fires - t.interval - t.step, []),
        t.firing(fires + t.interval + t.step, [loss('drip')]),
        t.firing(t.at(last), [loss('drip')]),
      ],
    },
    {
      name: 'DaneMassLoss: a deploy does not fire: the exporter restarts, discovery removes targets and adds unprotected ones, and a mail host is removed',
      series: fleet('deploy', [
        [6, change('lost', 'removed')],
        [3, change('lost ok')],
        [6, change('lost unknown ok')],
        [6, change('lost less', 'less')],
        [12, new('ds')],
        // Fewer than five targets lose a protection meanwhile.
        [2, change('ds', 'ds')],
      ]),
    },
    {
      name: 'DaneMassLoss: an exporter that is lost, outcomes that are unknown, servers that are not reachable, and a single probe that finds all targets refused do not fire, also among unsigned targets',
      local unsigned = ['ds*%d lost*%d ds' % [start, period], 'ds*%d unknown*%d ds' % [start, period]],
      series: fleet('dead', [[6, change('lost*%d' % period)], [6, unsigned[0]]])
              + fleet('unknown', [[6, change('unknown*%d' % period)], [6, unsigned[1]]])
              + fleet('down', [[6, change('down*%d' % period)]])
              + fleet('once', [[6, change('bad')]]),
    },
    {
      name: 'DaneMassLoss: targets are refused only because of a broken zone: only DaneZoneBroken fires',
      local broken = change('bad*%d' % period),
      series: fleet('zone', [[6, broken]], 'massloss'),
    },
    {
      name: 'DaneMassLoss: targets lose the TLSA records of one of two hosts; a loss while the exporter is lost fires when it is back; an alert continues while the exporter is lost; it ends if the lost targets are removed',
      // The last scrape before is longer ago than the time that is compared and the window.
      local back = start + period + 3,
      local removed = back + t.scrapes(after + 10) + 1,
      local until = std.ceil(period / 2),
      local lost(word) = [[6, change('lost*%d' % (back - start), word)], [3, steady]],
      series: fleet('back', lost('tlsa'), connects=false) + fleet('back_bad', lost('bad')) + fleet('back_ds', lost('ds'), connects=false)
              + fleet('stands', [[6, change('tlsa*%d' % until, 'lost')], [3, change('ok*%d' % until, 'lost')]], connects=false)
              + fleet('half', [[10, change('half', 'half')], [1, steady]])
              + fleet('gone', [[6, change('tlsa*%d' % (removed - start), 'removed')], [3, steady]]),
      local standing(minute) = if minute < t.at(start + until - 1) + t.memory then ['stands'] else [],
      local backs = ['back', 'back_bad', 'back_ds'],
      local end = t.at(removed) + t.window + 10 + t.step,
      local found = t.at(back) + after + t.step,
      firing: [
        t.firing(t.at(start) + after + t.step, [loss(l) for l in ['stands', 'gone', 'half']]),
        t.firing(found, [loss(l) for l in backs + standing(found) + ['gone', 'half']]),
        t.firing(t.at(removed) - t.step, [loss(l) for l in backs + standing(t.at(removed)) + ['gone', 'half']]),
        t.firing(end, [loss(l) for l in backs + standing(end) + ['half']]),
      ],
    },
  ] + (
    // A day has few scrapes at this interval only.
    if t.interval < 60 then [] else [{
      name: 'DaneMassLoss: a loss that is not repaired ends after a day',
      series: fleet('intended', [[5, 'ok*%d tlsa*30' % start]]),
      firing: [t.firing(t.at(start + 24), [loss('intended')]), t.firing(t.at(start + 28), [])],
    }]
  ))
