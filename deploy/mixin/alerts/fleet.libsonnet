// Alerts about all targets of a job that one exporter probes with one module.
function(config, p, t)
  [
    // The exporter probes all targets again before the alert fires: one observation raises none.
    {
      name: 'DaneMassLoss',
      expr: p.massLoss,
      minutes: std.max(10, config.intervalMinutes + 5),
      keep: '5m',
      severity: 'warning',
      scope: 'fleet',
      summary: '{{ $labels.job }}: {{ $value | humanizePercentage }} of the protected targets of the module {{ $labels.module }} '
               + '{{ if eq $labels.protection "ds" }}have lost their DS records{{ else if eq $labels.protection "tlsa" }}have lost their TLSA records{{ else }}are no longer authenticated by DANE{{ end }}',
      description: 'Within %s, ' % (if config.lossMinutes == 60 then 'an hour' else '%d minutes' % config.lossMinutes)
                   + '{{ if eq $labels.protection "ds" }}these targets became insecure: a zone of theirs is not signed any more, or its parent zone has no DS record of it. Senders deliver without DANE as soon as their resolvers see it.'
                   + '{{ else if eq $labels.protection "tlsa" }}the TLSA records of these targets were removed or became unusable. Senders deliver without DANE.'
                   + '{{ else }}DANE senders began to refuse these targets, or to deliver to them without authentication.{{ end }}'
                   + ' So many changes at the same time probably have one cause, such as a failed update of zones, of a provisioning system or at a registrar. Stop it before it affects more targets.'
                   + '{{ with query (printf "topk(5, group by (instance) (%s{protection=%%q, job=%%q, module=%%q, exporter=%%q}))" $labels.protection $labels.job $labels.module $labels.exporter) | sortByLabel "instance" }} Targets:%s.{{ end }}' % [p.lostTargets, t.listOfInstances],
      section: 'danemassloss',
    },
  ]
