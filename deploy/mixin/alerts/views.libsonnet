// Alerts about targets that are probed with several modules, in views.yml.
function(config, p, t)
  local compared = 'on (%s)' % std.join(', ', [l for l in config.targetLabels if l != 'module']);
  [
    // The last known outcomes of both count while the target is scraped.
    {
      name: 'DaneViewsDiffer',
      expr: |||
        (
          %(view)s == 1
          unless %(comparedOutcome)s
          %(own)s == 1
        )
        and %(compared)s
        %(refused)s
        and %(on)s
        %(scraped)s
      ||| % {
        view: p.remembered('dane_outcome{module=~"view_.+", outcome!="unknown"}'),
        own: p.remembered('dane_outcome{module="smtp_mx", outcome!="unknown"}'),
        refused: p.remembered('dane_outcome{module="smtp_mx", outcome="refused"}'),
        compared: compared,
        comparedOutcome: std.strReplace(compared, ')', ', outcome)'),
        on: p.on(),
        scraped: p.scraped,
      },
      minutes: 60,  // after a change, resolvers keep the old records for their TTL
      keep: '5m',
      severity: 'warning',
      scope: 'domain',
      summary: '{{ $labels.instance }}: through the resolver of {{ $labels.module }}, the domain is {{ $labels.outcome }}',
      description: 'Through the resolver of smtp_mx, the domain has another outcome. Senders that use the other resolver, or one in the same place, have the outcome {{ $labels.outcome }}. Compare the lookups in the reports of both modules: dane_exporter check --module {{ $labels.module }} {{ $labels.instance }}. Common causes are nameservers with different versions of a zone, a nameserver that answers only some networks, and a resolver or firewall that changes answers.',
      section: 'daneviewsdiffer',
    },
  ]
