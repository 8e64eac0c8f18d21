// Cases for alerts about the exporter and the monitoring itself.
function(t)
  local keep = 10;
  // Of those that inhibit alerts about domains.
  local outlasts = t.evaluations(t.interval + 11);
  local exporter = 'localhost:10125';
  local alert(name, instance=exporter, module='') = t.alert(name, instance, module=module);
  local texts(name, severity, description, alerts) = t.text(t.at(20), name, [
    {
      local of = { job: 'dane_exporter', instance: exporter, exporter: self.instance, severity: severity, scope: 'exporter' } + a.labels,
      labels: of,
      annotations: { summary: of.instance + ': ' + a.summary, description: description, runbook_url: 'http://%s/docs/runbook.md#%s' % [of.instance, std.asciiLower(name)] },
    }
    for a in alerts
  ]);
  local text(name, severity, summary, description, labels={}) = texts(name, severity, description, [{ labels: labels, summary: summary }]);
  local window = t.exporterWindow;
  // A gauge that is 0 while the problem lasts.
  local gauge(metric, instance, timeline, labels={}) = t.ofExporter(metric, instance, labels, t.values(timeline, { ok: 1, bad: 0 }));
  [
    {
      name: 'DaneExporterBlind: an exporter that loses most connections, tries none, or fails at another port does not fire',
      local connects(instance, result, values, port='25') = t.ofExporter('dane_exporter_connects_total', instance, { port: port, result: result }, values),
      series: [
        connects(exporter, 'timeout', '0x9 2 stale 6+2x13 stale 36+2x13 62x30'),
        connects(exporter, 'connected', '1+1x9 10 stale 10x13 stale 10x13 11+1x30'),
        connects('most.example:10125', 'timeout', '0+2x70'),
        connects('most.example:10125', 'connected', '0+1x70'),
        connects('idle.example:10125', 'timeout', '7x70'),
        connects('other.example:10125', 'timeout', '0+2x70', '587'),
      ],
      firing: [
        t.firing(t.at(8) + window + 5 - t.step, []),
        t.firing(t.at(8) + window + 5 + 2 * t.step, [alert('DaneExporterBlind')]),
        t.firing(t.at(26), [alert('DaneExporterBlind')]),
        t.firing(t.at(41) + outlasts - t.step, [alert('DaneExporterBlind')]),
        t.firing(t.at(41) + outlasts + t.step, []),
      ],
      texts: [text('DaneExporterBlind', 'critical', 'no connection to port 25 succeeds', 'Every connection of the exporter to port 25 has failed for 15m. If it probes servers of several operators, its provider or a firewall most likely blocks port 25, and no mail domain is monitored. Otherwise, the servers may be down. To check, run nc -vz from the host of the exporter to another mail server.', { port: '25' })],
    },
    {
      name: 'DaneNoResolver: one unsuitable resolver of two does not fire, nor does that of another module',
      local ok(instance, server, timeline, module='') = gauge('dane_exporter_resolver_ok', instance, timeline, { [if module != '' then 'module']: module, server: server }),
      series: [
        ok(exporter, '192.0.2.53:53', t.problem),
        ok('two.example:10125', '192.0.2.53:53', t.problem),
        ok('two.example:10125', '192.0.2.54:53', 'ok*66'),
        ok('view.example:10125', '192.0.2.53:53', 'ok*66'),
        ok('view.example:10125', '192.0.2.53:53', t.problem, 'view_a'),
        ok('view.example:10125', '192.0.2.53:53', 'ok*66', 'view_b'),
      ],
      firing: t.lifecycle([alert('DaneNoResolver'), alert('DaneNoResolver', 'view.example:10125', 'view_a')], 5, outlasts),
      texts: [texts('DaneNoResolver', 'warning', 'The self-check found a problem with each resolver. For example, none answers, or none returns DNSSEC records. Verdicts are missing, or may be wrong. dane_exporter check --self shows which resolver fails and why. Check resolver.servers in the configuration, and the network to the resolvers.', [
        { labels: {}, summary: 'no DNS resolver is suitable for validation' },
        { labels: { instance: 'view.example:10125', module: 'view_a' }, summary: 'no DNS resolver of the module view_a is suitable for validation' },
      ])],
    },
    {
      name: 'DaneTrustAnchor: an exporter that gets no keys has no series, and does not fire',
      series: [
        gauge('dane_exporter_trust_anchor_ok', exporter, t.problem),
        gauge('dane_exporter_trust_anchor_ok', 'mute.example:10125', 'ok*10 lost'),
        gauge('dane_exporter_trust_anchor_ok', 'view.example:10125', 'ok*66'),
        gauge('dane_exporter_trust_anchor_ok', 'view.example:10125', t.problem, { module: 'view_a' }),
      ],
      firing: t.lifecycle([alert('DaneTrustAnchor'), alert('DaneTrustAnchor', 'view.example:10125', 'view_a')], 5, outlasts),
      texts: [texts('DaneTrustAnchor', 'critical', 'This exporter reports every signed zone as bogus. The zones are not the cause, and senders may deliver. Update dane_exporter, or the file that resolver.trust_anchors names. Check the clock of the machine, and that the resolver does not serve a root zone of its own.', [
        { labels: {}, summary: 'no trust anchor authenticates the root keys' },
        { labels: { instance: 'view.example:10125', module: 'view_a' }, summary: 'no trust anchor of the module view_a authenticates the root keys' },
      ])],
    },
    {
      name: 'DaneRootKeyWithoutAnchor: a key that is there for less than six hours, and an exporter that gets no keys, do not fire',
      local keys(instance, timeline) = t.ofExporter('dane_exporter_root_keys_without_anchor', instance, {}, t.values(timeline, { none: 0, one: 1, two: 2 })),
      // The number of scrapes in six hours, and the scrapes after which the alert fires.
      local held = t.scrapes(t.rootKeys),
      local last = 10 + held + 5,
      series: [
        keys(exporter, 'none*10 one lost one*%d two*3 none*30' % (held + 1)),
        keys('brief.example:10125', 'none*10 one*%d none*40' % (t.brief(t.rootKeys))),
        keys('mute.example:10125', 'none*10 lost'),
      ],
      firing: [
        t.firing(t.at(10) + t.rootKeys - t.step, []),
        t.firing(t.at(10) + t.rootKeys, [alert('DaneRootKeyWithoutAnchor')]),
        t.firing(t.at(last + 1) + keep - t.step, [alert('DaneRootKeyWithoutAnchor')]),
        t.firing(t.at(last + 1) + keep + t.step, []),
      ],
      texts: [t.text(t.at(last), 'DaneRootKeyWithoutAnchor', [{
        labels: { job: 'dane_exporter', instance: exporter, exporter: exporter, severity: 'warning', scope: 'exporter' },
        annotations: {
          summary: exporter + ': the root has 2 new keys without a trust anchor',
          description: 'DNSSEC validation works until the root is signed by new keys alone. Then the exporter cannot judge any domain. Before that time, update dane_exporter, or the file that resolver.trust_anchors names. dane_exporter check --self shows the key tags. Compare them with the keys that IANA publishes.',
          runbook_url: 'http://%s/docs/runbook.md#danerootkeywithoutanchor' % exporter,
        },
      }])],
    },
    {
      name: 'DaneConfigReloadFailed: an invalid file that is corrected within five minutes does not fire',
      series: [
        gauge('dane_exporter_config_last_reload_successful', exporter, t.problem),
        gauge('dane_exporter_config_last_reload_successful', 'corrected.example:10125', 'ok*10' + std.repeat(' bad', t.brief(5)) + ' ok*50'),
      ],
      firing: t.lifecycle([alert('DaneConfigReloadFailed')], 5, keep),
      texts: [text('DaneConfigReloadFailed', 'warning', 'the configuration could not be loaded', 'The configuration, or a file that it names, is invalid or cannot be read. The previous configuration stays in effect until the exporter restarts. Then the exporter fails to start. To find the error, run dane_exporter --config.check --config.file=FILE.')],
    },
    {
      name: 'DaneDiscoveryFails: a source that fails for an hour, and a good source of the same exporter do not fire',
      local up(instance, source, timeline) = gauge('dane_exporter_discovery_up', instance, timeline, { source: source }),
      local hours(n) = t.scrapes(60 * n),
      series: [
        up(exporter, 'hosting', 'ok*3 bad*%d ok*%d' % [hours(4), hours(1)]),
        up(exporter, 'customers', 'ok*%d' % hours(6)),
        up('brief.example:10125', 'hosting', 'ok*3 bad*%d ok*%d' % [hours(1), hours(4)]),
      ],
      firing: [
        t.firing(t.at(3) + 120 - t.step, []),
        t.firing(t.at(3) + 120 + 2 * t.step, [alert('DaneDiscoveryFails')]),
        t.firing(t.at(3 + hours(4)) + keep - t.step, [alert('DaneDiscoveryFails')]),
        t.firing(t.at(3 + hours(4)) + keep + 2 * t.step, []),
      ],
      texts: [text('DaneDiscoveryFails', 'warning', 'the list of domains hosting cannot be read', 'For two hours, no attempt to read the list of the source hosting of /sd has succeeded. The previous list remains in use, and new domains are not monitored. After a restart of the exporter, /sd returns status 503. Prometheus then keeps its targets until it restarts too. The log of the exporter has the cause.', { source: 'hosting' }) + { minute: t.at(3) + 130 }],
    },
    {
      name: 'DaneProbesRejected: a single burst does not fire',
      local rejected(instance, values) = t.ofExporter('dane_exporter_probes_rejected_total', instance, { reason: 'busy' }, values),
      series: [
        rejected(exporter, '0x9 3 stale 9+3x13 stale 54+3x13 93x30'),
        rejected('crowd.example:10125', '0x9 7x60'),
      ],
      firing: [
        t.firing(t.at(10) + window - t.step, []),
        t.firing(t.at(10) + window, [alert('DaneProbesRejected')]),
        t.firing(t.at(26), [alert('DaneProbesRejected')]),
        t.firing(t.at(40) + window + keep + t.step, []),
      ],
      texts: [text('DaneProbesRejected', 'warning', '9 probes were rejected within 15m', 'More simultaneous probes are requested than limits.probes allows, or probes take too long. Some domains are not monitored. Raise the limit, scrape less often, or distribute the domains over several exporters.')],
    },
    {
      name: 'DaneScrapesFail: a single failed scrape, also the first one of a new target, and the targets of other exporters do not fire',
      // After six hours, the targets have an alert of their own.
      local down = std.min(30, t.scrapes(t.memory) - 2),
      local up(instance, values) = t.series('up', instance, {}, values),
      series: [
        up('a.example', '1x9 0x%d 1x30' % down),
        up('b.example', '1x9 0x%d 1x30' % down),
        up('c.example', '1x9 0 1x60'),
        up('new.example', '_x10 0 1x60'),
        { series: 'up{job="node", instance="d.example"}', values: '0x70' },
      ],
      local alerts = [{ alertname: 'DaneScrapesFail', module: 'smtp_mx' }],
      firing: [
        t.firing(t.at(9) + t.window + 5 - t.step, []),
        t.firing(t.at(9) + t.window + 5 + 2 * t.step, alerts),
        t.firing(t.at(11 + down) + keep - t.step, alerts),
        t.firing(t.at(11 + down) + keep + t.step, []),
      ],
      texts: [t.text(t.at(26), 'DaneScrapesFail', [{
        labels: t.labels({ severity: 'warning', scope: 'exporter' }),
        annotations: {
          summary: 'dane: 2 targets have not been scraped for 15m',
          description: 'These targets are not monitored. The targets page of Prometheus shows the error. The exporter is down, rejects the probes, or takes longer than scrape_timeout.',
          runbook_url: 'http://exporter.example:10125/docs/runbook.md#danescrapesfail',
        },
      }])],
    },
    {
      name: 'DaneTargetNeverScraped: after the second failed scrape of a new target; one that was scraped before, and one that is removed, do not fire',
      local scrapes = t.scrapes(t.memory - 60),
      series: [
        t.series('up', 'never.example', {}, '0x%d' % (scrapes + 10)),
        t.series('up', 'before.example', {}, '1x5 0x%d' % scrapes),
        t.series('up', 'removed.example', {}, '0x5 stale'),
      ],
      ignore: ['DaneScrapesFail'],
      firing: [
        t.firing(t.at(1) + 5 - t.step, []),
        t.firing(t.at(1) + 5, [t.alert('DaneTargetNeverScraped', i) for i in ['never.example', 'removed.example']]),
        t.firing(t.at(5) + t.window + 15 + 2 * t.step, [t.alert('DaneTargetNeverScraped', 'never.example')]),
        t.firing(t.at(scrapes + 4), [t.alert('DaneTargetNeverScraped', 'never.example')]),
      ],
      texts: [t.text(t.at(scrapes), 'DaneTargetNeverScraped', [{
        labels: t.labels({ instance: 'never.example', severity: 'warning', scope: 'exporter' }),
        annotations: {
          summary: 'never.example: no scrape with the module smtp_mx has succeeded',
          description: 'Within 6h, no scrape of this target has succeeded. It is not monitored. The targets page of Prometheus shows the error. Status 400: the target or the module is invalid. Request the URL of the target with curl: the answer says what is wrong. Deadline exceeded: scrape_timeout is shorter than the probe takes.',
          runbook_url: 'http://exporter.example:10125/docs/runbook.md#danetargetneverscraped',
        },
      }])],
    },
    {
      name: 'DaneExporterDown: an exporter that dies, one that was never up, and one without the label exporter; a restart does not fire',
      local up(instance, values, labels={}) = t.ofExporter('up', instance, labels, values),
      series: [
        up(exporter, '1x9 0x30 1x30'),
        up('never.example:10125', '0x39 1x30'),
        up('restart.example:10125', '1x9 0 1x60'),
        { series: 'up{job="dane-exporter", instance="unlabelled.example:10125"}', values: '1x9 0x30 1x30' },
        { series: 'up{job="node", instance="node.example:9100"}', values: '0x70' },
      ],
      firing: [
        t.firing(t.at(1) + 5 - t.step, []),
        t.firing(t.at(1) + 5, [alert('DaneExporterDown', 'never.example:10125')]),
        t.firing(t.at(11) + 5 - t.step, [alert('DaneExporterDown', 'never.example:10125')]),
        t.firing(t.at(11) + 5, [alert('DaneExporterDown', i) for i in ['never.example:10125', exporter, 'unlabelled.example:10125']]),
        t.firing(t.at(39), [alert('DaneExporterDown', i) for i in ['never.example:10125', exporter, 'unlabelled.example:10125']]),
        t.firing(t.at(41) + keep + t.step, []),
      ],
      local down(labels) = {
        labels: { severity: 'warning', scope: 'exporter' } + labels,
        annotations: {
          summary: labels.instance + ': the exporter is down',
          description: 'Prometheus cannot scrape the exporter. The domains that it probes are not monitored. Alerts about them are from the last probes, and stand for up to 6h. New problems raise no alert. Start the exporter; its log and the targets page of Prometheus have the cause.',
          runbook_url: '%s/docs/runbook.md#daneexporterdown' % (if std.objectHas(labels, 'exporter') then 'http://' + labels.exporter else 'https://dane-exporter.example'),
        },
      },
      texts: [t.text(t.at(20), 'DaneExporterDown', [
        down({ job: 'dane_exporter', instance: i, exporter: i })
        for i in [exporter, 'never.example:10125']
      ] + [down({ job: 'dane-exporter', instance: 'unlabelled.example:10125' })])],
    },
    {
      name: 'DaneNoResolver, DaneTrustAnchor and DaneExporterBlind: an exporter that dies keeps the last known state',
      local timeline = 'ok*10 bad*20 lost*%d' % t.scrapes(t.memory),
      series: [
        gauge('dane_exporter_resolver_ok', exporter, timeline, { server: '192.0.2.53:53' }),
        gauge('dane_exporter_trust_anchor_ok', exporter, timeline),
        t.ofExporter('dane_exporter_connects_total', exporter, { port: '25', result: 'timeout' }, '0+2x29 stale'),
        t.ofExporter('up', exporter, {}, t.values(timeline, { ok: 1, bad: 1, lost: 0 })),
      ],
      ignore: ['DaneExporterDown'],
      firing: [t.firing(minute, [alert(a) for a in ['DaneNoResolver', 'DaneTrustAnchor', 'DaneExporterBlind']]) for minute in [t.at(29), t.at(29) + t.memory - t.step]],
    },
    {
      name: 'Watchdog: always fires',
      // alertTests checks that it fires in each test.
      series: [],
      firing: [],
      texts: [t.text(60, 'Watchdog', [{
        labels: { severity: 'none', scope: 'monitoring' },
        annotations: {
          summary: 'Prometheus evaluates the rules of dane_exporter, and Alertmanager delivers alerts',
          description: "This alert always fires. Route it to a dead man's switch, which notifies you when the alert stops.",
          runbook_url: 'https://dane-exporter.example/docs/runbook.md#watchdog',
        },
      }])],
    },
  ]
