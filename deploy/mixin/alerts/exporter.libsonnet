// Alerts about the exporter and the monitoring itself. In alertmanager.yml, the first three
// inhibit the alerts about domains. They fire before the alerts about domains, so that one
// cause sends one notification.
function(config, p, t)
  local problem = { minutes: 5, keep: '10m', severity: 'warning', scope: 'exporter' };
  local inhibiting = problem { keep: p.outlasts };
  // The last value of each series: of an exporter that is down, the last known one, until
  // it is removed from the scrape configuration.
  local last(metric) = |||
    (
      last_over_time(%(metric)s[%(window)s])
      or
      last_over_time(%(metric)s[%(memory)s])
      unless on (job, instance)
      last_over_time(%(metric)s[%(window)s])
      and on (job, instance)
      last_over_time(up[%(window)s])
    )
  ||| % { metric: metric, window: config.exporterWindow, memory: config.memory };
  local up(selector) = |||
    (
      last_over_time(up{%(selector)s}[%(window)s]) == 0
      and
      count_over_time(up{%(selector)s}[%(window)s]) - sum_over_time(up{%(selector)s}[%(window)s]) >= 2
    )
  ||| % { selector: selector, window: config.exporterWindow };
  local increase(selector) = p.exporterIncrease(selector);
  // Modules with their own resolver have their own series and alerts.
  local ofModule = '{{ with $labels.module }} of the module {{ . }}{{ end }}';

  [
    inhibiting {
      name: 'DaneExporterBlind',
      severity: 'critical',
      expr: std.stripChars(last(p.exporterBlind), '\n') + ' == 1',
      summary: '{{ $labels.instance }}: no connection to port 25 succeeds',
      description: 'Every connection of the exporter to port 25 has failed for %s. If it probes servers of several operators, its provider or a firewall most likely blocks port 25, and no mail domain is monitored. Otherwise, the servers may be down. To check, run nc -vz from the host of the exporter to another mail server.' % config.exporterWindow,
      section: 'daneexporterblind',
    },

    inhibiting {
      name: 'DaneNoResolver',
      expr: 'max without (server) %s == 0' % std.stripChars(last('dane_exporter_resolver_ok'), '\n'),
      summary: '{{ $labels.instance }}: no DNS resolver%s is suitable for validation' % ofModule,
      description: 'The self-check found a problem with each resolver. For example, none answers, or none returns DNSSEC records. Verdicts are missing, or may be wrong. dane_exporter check --self shows which resolver fails and why. Check resolver.servers in the configuration, and the network to the resolvers.',
      section: 'danenoresolver',
    },

    inhibiting {
      name: 'DaneTrustAnchor',
      severity: 'critical',
      expr: std.stripChars(last('dane_exporter_trust_anchor_ok'), '\n') + ' == 0',
      summary: '{{ $labels.instance }}: no trust anchor%s authenticates the root keys' % ofModule,
      description: 'This exporter reports every signed zone as bogus. The zones are not the cause, and senders may deliver. Update dane_exporter, or the file that resolver.trust_anchors names. Check the clock of the machine, and that the resolver does not serve a root zone of its own.',
      section: 'danetrustanchor',
    },

    // The root publishes a new key long before the key signs, so this alert is not urgent.
    problem {
      name: 'DaneRootKeyWithoutAnchor',
      expr: std.stripChars(last('dane_exporter_root_keys_without_anchor'), '\n') + ' > 0',
      minutes: config.rootKeysMinutes,
      summary: '{{ $labels.instance }}: the root has {{ $value }} new key{{ if ne $value 1.0 }}s{{ end }} without a trust anchor',
      description: 'DNSSEC validation works until the root is signed by new keys alone. Then the exporter cannot judge any domain. Before that time, update dane_exporter, or the file that resolver.trust_anchors names. dane_exporter check --self shows the key tags. Compare them with the keys that IANA publishes.',
      section: 'danerootkeywithoutanchor',
    },

    problem {
      name: 'DaneConfigReloadFailed',
      expr: std.stripChars(last('dane_exporter_config_last_reload_successful'), '\n') + ' == 0',
      summary: '{{ $labels.instance }}: the configuration could not be loaded',
      description: 'The configuration, or a file that it names, is invalid or cannot be read. The previous configuration stays in effect until the exporter restarts. Then the exporter fails to start. To find the error, run dane_exporter --config.check --config.file=FILE.',
      section: 'daneconfigreloadfailed',
    },

    // The previous list remains in use, so the alert can wait until a primary has restarted or
    // a list has been replaced.
    problem {
      name: 'DaneDiscoveryFails',
      expr: std.stripChars(last('dane_exporter_discovery_up'), '\n') + ' == 0',
      minutes: 120,
      summary: '{{ $labels.instance }}: the list of domains {{ $labels.source }} cannot be read',
      description: 'For two hours, no attempt to read the list of the source {{ $labels.source }} of /sd has succeeded. The previous list remains in use, and new domains are not monitored. After a restart of the exporter, /sd returns status 503. Prometheus then keeps its targets until it restarts too. The log of the exporter has the cause.',
      section: 'danediscoveryfails',
    },

    // The increase after a single burst lasts for less than the window.
    problem {
      name: 'DaneProbesRejected',
      expr: 'sum without (reason) (%s) > 0' % increase('dane_exporter_probes_rejected_total'),
      minutes: std.parseInt(std.rstripChars(config.exporterWindow, 'm')),
      summary: '{{ $labels.instance }}: {{ $value | humanize }} probes were rejected within %s' % config.exporterWindow,
      description: 'More simultaneous probes are requested than limits.probes allows, or probes take too long. Some domains are not monitored. Raise the limit, scrape less often, or distribute the domains over several exporters.',
      section: 'daneprobesrejected',
    },

    // The expression requires two failed scrapes, so that a restart of the exporter
    // raises no alert. Two jobs of the example configurations scrape an exporter. This
    // alert covers the job for the exporter's own metrics.
    problem {
      name: 'DaneExporterDown',
      expr: std.join('or\n', [up(s) for s in config.exporterSelectors]),
      summary: '{{ $labels.instance }}: the exporter is down',
      description: 'Prometheus cannot scrape the exporter. The domains that it probes are not monitored. Alerts about them are from the last probes, and stand for up to %s. New problems raise no alert. Start the exporter; its log and the targets page of Prometheus have the cause.' % config.memory,
      section: 'daneexporterdown',
    },

    // This alert fires if all scrapes in the window fail. Targets that were never scraped
    // have an alert of their own.
    problem {
      local up(range) = 'up{%s}[%s]' % [config.probeSelector, range],
      name: 'DaneScrapesFail',
      expr: |||
        count by (%s) (
          max_over_time(%s) == 0
          and
          max_over_time(%s) == 1
          and
          count_over_time(%s) > 1
        ) > 0
      ||| % [std.join(', ', [l for l in config.targetLabels if l != 'instance']), up(config.window), up(config.memory), up(config.window)],
      summary: '{{ $labels.job }}: {{ $value }} targets have not been scraped for %s' % config.window,
      description: 'These targets are not monitored. The targets page of Prometheus shows the error. The exporter is down, rejects the probes, or takes longer than scrape_timeout.',
      section: 'danescrapesfail',
    },

    // The exporter is up: it rejects the target, or each probe takes too long. A single
    // failed scrape of a new target raises no alert.
    problem {
      local up = 'up{%s}[%s]' % [config.probeSelector, config.memory],
      name: 'DaneTargetNeverScraped',
      expr: |||
        max_over_time(%s) == 0
        and
        count_over_time(%s) > 1
        and
        last_over_time(up{%s}[%s]) == 0
      ||| % [up, up, config.probeSelector, config.window],
      summary: '{{ $labels.instance }}: no scrape with the module {{ $labels.module }} has succeeded',
      description: 'Within %s, no scrape of this target has succeeded. It is not monitored. The targets page of Prometheus shows the error. Status 400: the target or the module is invalid. Request the URL of the target with curl: the answer says what is wrong. Deadline exceeded: scrape_timeout is shorter than the probe takes.' % config.memory,
      section: 'danetargetneverscraped',
    },

    // Always fires. When Prometheus stops, Alertmanager resolves its alerts, and no rule
    // can prevent that. A dead man's switch detects that this alert is absent.
    {
      name: 'Watchdog',
      expr: 'vector(1)',
      severity: 'none',
      scope: 'monitoring',
      summary: 'Prometheus evaluates the rules of dane_exporter, and Alertmanager delivers alerts',
      description: "This alert always fires. Route it to a dead man's switch, which notifies you when the alert stops.",
      section: 'watchdog',
    },
  ]
