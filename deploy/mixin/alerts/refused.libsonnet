// Alerts about what senders do now.
function(config, p, t)
  // The conditions need two observations, so "for" does not depend on the interval. All alerts
  // about what makes clients refuse have the zone of the target. If it changes, they become
  // pending again together, and none fires without the one that inhibits it.
  local domain = p.timing(0);
  local unreachable = p.timing(1) { minutes: config.unreachableMinutes };
  local cause = p.timing(2);
  local host = p.timing(3);
  local rest = p.timing(4) { minutes: config.unreachableMinutes + config.evaluationMinutes };
  local findings(of) = { query: p.finding('reason=~"%s"' % std.join('|', of)), op: '==', threshold: 1 };

  local reasons = import '../reasons.libsonnet';
  // Findings of a host, or of all hosts where the alert does not name one. Names of MX
  // hosts may contain characters of regular expressions, so no expression is made of them.
  local ofHost = {
    matchers: ', %s',
    args: ['$host'],
    define: '{{ $host := "host!=\\"\\"" }}{{ with $labels.host }}{{ $host = printf "host=%q" . }}{{ end }}',
  };

  [
    // It fires before the alerts about the targets, and outlasts them. In alertmanager.yml, it
    // inhibits those that have its zone.
    {
      name: 'DaneZoneBroken',
      expr: p.zoneBroken + ' > 0',
      minutes: 5,
      keep: p.outlasts,
      severity: 'critical',
      scope: 'zone',
      zonesOfTargets: p.zoneOfTarget,
      summary: '{{ $labels.zone }}: DANE senders refuse {{ $value }} targets because of this zone',
      description: 'The data or the nameservers of the zone {{ $labels.zone }} make lookups fail. That is the only reason why DANE clients refuse'
                   + '{{ with query (printf "topk(5, group by (instance) (%s{zone=%%q}))" $labels.zone) | sortByLabel "instance" }}%s{{ end }}' % [p.zoneOfTarget, t.listOfInstances]
                   + '. Mail servers queue the mail and retry for some days. If the zone is yours, repair its signatures, its DS record or its nameservers. If the operator is another organisation, such as a registry or a mail provider, only that operator can repair it. Report the fault there.',
      section: 'danezonebroken',
    },

    domain {
      name: 'DaneDomainRefused',
      query: p.outcome('refused'),
      withZone: true,
      op: '==',
      threshold: 1,
      severity: 'critical',
      scope: 'domain',
      summary: '{{ $labels.instance }}: DANE senders refuse the domain' + t.listOfFindings(['reason', 'host']),
      description: 'Clients that validate DANE refuse {{ $labels.instance }}. Mail servers queue the mail and retry for some days.' + t.advice(),
      section: 'danedomainrefused',
      grafana: {
        summary: '{{ $labels.instance }}: DANE senders refuse the domain',
        description: 'Clients that validate DANE refuse this target. Mail servers queue the mail and retry for some days. The dashboard of the domain shows the reason. docs/runbook.md has the remedy.',
      },
    },

    // A host that is refused for a reason with an alert has both alerts. In
    // alertmanager.yml, the other one inhibits this one. With "series: summary", this alert
    // counts only the hosts without such a reason.
    host {
      name: 'DaneHostRefused',
      expr: |||
        %s == 1
        or
        %s > 0
      ||| % [p.known('target:dane_host_outcome_refused:confirmed'), p.known('target:dane_hosts_refused:confirmed')],
      withZone: true,
      severity: 'warning',
      scope: 'host',
      summary: ofHost.define + '{{ $labels.instance }}: DANE senders refuse {{ with $labels.host }}{{ . }} port {{ $labels.port }}{{ else }}{{ $value }} of its hosts{{ end }}'
               + t.listOfFindings(['reason'], ofHost.matchers, ofHost.args),
      description: ofHost.define + 'DANE senders refuse at least one address of the host. They try the other hosts and addresses of the domain, if there are any. Mail is delayed or reaches fewer servers. If the fix takes long and the host is an MX host, remove it from the MX records.'
                   + t.advice(ofHost.matchers, ofHost.args),
      section: 'danehostrefused',
    },

    cause + findings(reasons.mismatches) {
      name: 'DaneTLSAMismatch',
      withZone: true,
      severity: 'warning',
      scope: 'host',
      summary: '{{ $labels.instance }}: DANE authentication of {{ $labels.host }} port {{ $labels.port }} fails ({{ $labels.reason }})',
      description: t.explanation(reasons.mismatches),
      section: '{{ $labels.reason }}',
    },

    cause + findings(reasons.bogus) {
      name: 'DaneDNSSECBogus',
      withZone: true,
      severity: 'warning',
      scope: 'domain',
      summary: '{{ $labels.instance }}: DNSSEC validation fails{{ with $labels.host }} for {{ . }}{{ end }} ({{ $labels.reason }})',
      description: t.explanation(reasons.bogus),
      section: 'dnssec_bogus',
    },

    cause + findings(reasons.starttls) {
      name: 'DaneSTARTTLSGone',
      withZone: true,
      severity: 'warning',
      scope: 'host',
      summary: '{{ $labels.instance }}: STARTTLS does not work at {{ $labels.host }} port {{ $labels.port }} ({{ $labels.reason }})',
      description: t.explanation(reasons.starttls),
      section: '{{ $labels.reason }}',
    },

    // The service had usable records within the last day, and it is now proven that none
    // apply. The alert ends after a day without usable records. Without series of hosts, the
    // alert counts hosts.
    cause {
      local found = findings(reasons.absences),
      name: 'DaneTLSARecordsGone',
      expr: |||
        (
          %s
          and %s
          max_over_time(dane_tlsa_records{usable="yes"}[%s]) > 0
        )
        or
        %s > 0
      ||| % [found.query, p.on(['host', 'port']), config.recordsWindow, p.known('target:dane_hosts_without_tlsa:confirmed')],
      severity: 'warning',
      scope: 'host',
      summary: '{{ $labels.instance }}: {{ with $labels.host }}DANE no longer applies to {{ . }} port {{ $labels.port }} ({{ $labels.reason }}){{ else }}{{ $value }} fewer hosts have TLSA records{{ end }}',
      description: '{{ if $labels.host }}' + t.explanation(reasons.absences) + '{{ else }}Senders deliver to these hosts without DANE, with TLS if the server offers it. dane_exporter check names each host without records and the reason.{{ end }}',
      section: '{{ or $labels.reason "no_tlsa" }}',
    },

    // No sender can deliver, with DANE or without.
    unreachable {
      name: 'DaneDomainUnreachable',
      query: p.outcome('unreachable'),
      op: '==',
      threshold: 1,
      severity: 'critical',
      scope: 'domain',
      summary: '{{ $labels.instance }}: no server is reachable' + t.listOfFindings(['reason', 'host']),
      description: 'The exporter reaches no server of {{ $labels.instance }}. Most likely, no client does, with DANE or without. Mail servers queue the mail and retry for some days.' + t.advice(),
      section: 'danedomainunreachable',
    },

    // Earlier alerts stand. This alert is in addition to them.
    cause {
      name: 'DaneDomainNotJudged',
      query: p.outcome('unknown'),
      op: '==',
      threshold: 1,
      minutes: config.notJudgedMinutes,
      severity: 'warning',
      scope: 'domain',
      summary: '{{ $labels.instance }}: the exporter cannot judge the domain' + t.listOfFindings(['reason', 'host'], ', effect=\\"internal\\"'),
      description: 'The cause is on the side of the exporter. It does not know whether DANE clients accept {{ $labels.instance }}. Other alerts about the domain are from the last probe that could judge it, and remain for up to %s.' % config.memory
                   + t.adviceOn('internal'),
      section: 'danedomainnotjudged',
    },

    // Every other reason why probes fail, also an outcome that changes too often for other
    // alerts. In alertmanager.yml, the alert about the cause inhibits this one.
    rest {
      name: 'DaneRequirementNotMet',
      query: p.known('target:dane_requirement_failed:confirmed'),
      withZone: true,
      op: '==',
      threshold: 1,
      severity: 'warning',
      scope: 'domain',
      summary: '{{ $labels.instance }}: does not meet the requirement of the module {{ $labels.module }}' + t.listOfFindings(['reason', 'host']),
      description: 'Probes fail (probe_success is 0). Either all recent probes fail, or about a third or more of those within %s.' % config.flappingWindow
                   + t.adviceOnFailure(reasons.nothing)
                   + '{{ if %s }} If it is intended that DANE does not protect this target, use a module with the requirement if_published, or remove the target.{{ end }}'
                     % t.query('target:dane_finding:current{TARGET, effect=\\"degraded\\"}'),
      section: 'danerequirementnotmet',
    },
  ]
