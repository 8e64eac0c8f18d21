// Alerts about the exporter and the monitoring itself. In alertmanager.yml, the first three
// inhibit the alerts about domains. They fire before those do, so that one cause sends one
// notification.
function(config, p, t)
  local problem = { minutes: 5, keep: '10m', severity: 'warning', scope: 'exporter' };
  local last(metric) = 'last_over_time(%s[%s])' % [metric, config.exporterWindow];
  local increase(selector) = 'increase(%s[%s])' % [selector, config.exporterWindow];

  [
    problem {
      name: 'DaneExporterBlind',
      expr: |||
        sum without (result) (%s) > 0
        unless
        sum without (result) (%s) > 0
      ||| % [increase('dane_exporter_connects_total{port="25"}'), increase('dane_exporter_connects_total{port="25", result="connected"}')],
      summary: '{{ $labels.instance }}: no connection to port 25 succeeds',
      description: 'The exporter has reached no mail server for %s, although it tries. Most likely its provider or a firewall blocks port 25, and the domains are not monitored. If the exporter probes a single domain, the server of that domain may be the cause. To check, run nc -vz from the host of the exporter to another mail server.' % config.exporterWindow,
      section: 'daneexporterblind',
    },

    problem {
      name: 'DaneNoResolver',
      expr: 'max without (server) (%s) == 0' % last('dane_exporter_resolver_ok'),
      summary: '{{ $labels.instance }}: no DNS resolver is suitable for validation',
      description: 'No resolver answers, or all of them withhold DNSSEC records, so nothing can be judged. dane_exporter check --self shows which resolver fails and why. Check resolver.servers in the configuration, and the network to the resolvers.',
      section: 'danenoresolver',
    },

    problem {
      name: 'DaneTrustAnchor',
      expr: last('dane_exporter_trust_anchor_ok') + ' == 0',
      summary: '{{ $labels.instance }}: no trust anchor authenticates the root keys',
      description: 'Every signed zone appears bogus to this exporter, and the zones are not the cause. Update dane_exporter, or the file that resolver.trust_anchors names. Check that the resolver does not serve a root zone of its own.',
      section: 'danetrustanchor',
    },

    problem {
      name: 'DaneConfigReloadFailed',
      expr: last('dane_exporter_config_last_reload_successful') + ' == 0',
      summary: '{{ $labels.instance }}: the configuration file is invalid and was not loaded',
      description: 'The previous configuration stays in effect until the exporter restarts. Then the exporter fails to start. dane_exporter --config.check --config.file=FILE names the line.',
      section: 'daneconfigreloadfailed',
    },

    // The increase after a single burst lasts for less than the window.
    problem {
      name: 'DaneProbesRejected',
      expr: 'sum without (reason) (%s) > 0' % increase('dane_exporter_probes_rejected_total'),
      minutes: std.parseInt(std.rstripChars(config.exporterWindow, 'm')),
      summary: '{{ $labels.instance }}: {{ $value | humanize }} probes were rejected within %s' % config.exporterWindow,
      description: 'More probes run at the same time than limits.probes allows, so some domains are not monitored. Raise the limit, scrape less often, or distribute the domains over several exporters.',
      section: 'daneprobesrejected',
    },

    // All alerts above outlast lost scrapes. This alert fires if the scrapes keep failing.
    // A target that is new has failed at least twice.
    problem {
      local up = 'up{%s}[%s]' % [config.probeSelector, config.window],
      name: 'DaneScrapesFail',
      expr: |||
        count by (%s) (
          max_over_time(%s) == 0
          and
          count_over_time(%s) > 1
        ) > 0
      ||| % [std.join(', ', [l for l in config.targetLabels if l != 'instance']), up, up],
      summary: '{{ $labels.job }}: {{ $value }} targets have not been scraped for %s' % config.window,
      description: 'These targets are not monitored. The targets page of Prometheus shows the error: the exporter is down, rejects probes, or takes longer than scrape_timeout.',
      section: 'danescrapesfail',
    },

    // Always fires. When Prometheus dies, Alertmanager resolves what it knew, and no rule
    // can prevent that; a dead man's switch misses this alert.
    {
      name: 'Watchdog',
      expr: 'vector(1)',
      severity: 'none',
      scope: 'monitoring',
      summary: 'Prometheus evaluates the rules of dane_exporter, and Alertmanager delivers',
      description: "This alert always fires. Route it to a dead man's switch, which notifies you when the alert stops.",
      section: 'watchdog',
    },
  ]
