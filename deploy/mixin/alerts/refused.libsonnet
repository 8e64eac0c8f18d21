// Alerts about what senders do now.
function(config, p, t)
  // The conditions need two observations, so "for" does not depend on the interval.
  local now = { minutes: 10, keep: '5m' };
  local findings(reasons) = { query: p.finding('reason=~"%s"' % std.join('|', reasons)), op: '==', threshold: 1 };

  local mismatches = [
    'tlsa_mismatch',
    'trust_anchor_not_sent',
    'chain_invalid',
    'name_mismatch',
    'certificate_expired',
    'certificate_not_yet_valid',
    'pkix_untrusted',
  ];
  local starttls = ['starttls_not_offered', 'starttls_rejected'];
  local absences = ['no_tlsa', 'tlsa_alias_dangling', 'tlsa_insecure', 'address_insecure'];
  // Findings of a host, or of all hosts where the alert does not name one. Names of MX
  // hosts may contain characters of regular expressions, so no expression is made of them.
  local ofHost = {
    matchers: ', %s',
    args: ['$host'],
    define: '{{ $host := "host!=\\"\\"" }}{{ with $labels.host }}{{ $host = printf "host=%q" . }}{{ end }}',
  };

  [
    now {
      name: 'DaneDomainRefused',
      query: p.confirmed('dane_outcome{outcome="refused"}'),
      op: '==',
      threshold: 1,
      severity: 'critical',
      scope: 'domain',
      summary: '{{ $labels.instance }}: DANE senders refuse the domain' + t.listOfFindings(['reason', 'host']),
      description: 'Mail servers that validate DANE deliver no mail to {{ $labels.instance }}. They queue it and retry for some days.' + t.advice(),
      section: 'danedomainrefused',
      grafana: {
        summary: '{{ $labels.instance }}: DANE senders refuse the domain',
        description: 'Mail servers that validate DANE deliver no mail to this domain. They queue it and retry for some days. The dashboard of the domain shows the reason. docs/runbook.md has the remedy.',
      },
    },

    now {
      name: 'DaneHostRefused',
      expr: |||
        (
          target:dane_host_outcome_refused:current == 1
          and
          sum_over_time(dane_host_outcome{outcome="refused"}[%(confirmation)s]) >= 2
        )
        or
        (
          %(refused)s > 0
          and
          sum_over_time(dane_hosts_refused[%(confirmation)s]) > %(refused)s
          %(summaryOnly)s
        )
      ||| % { confirmation: config.confirmationWindow, refused: p.last('dane_hosts_refused'), summaryOnly: p.summaryOnly },
      severity: 'warning',
      scope: 'host',
      summary: ofHost.define + '{{ $labels.instance }}: DANE senders refuse {{ with $labels.host }}{{ . }} port {{ $labels.port }}{{ else }}{{ $value }} of its hosts{{ end }}'
               + t.listOfFindings(['reason'], ofHost.matchers, ofHost.args),
      description: ofHost.define + 'DANE senders refuse at least one address of the host. They try the other hosts and addresses of the domain. Mail is delayed or reaches fewer servers. If the fix takes long, remove the host from the MX records.'
                   + t.advice(ofHost.matchers, ofHost.args),
      section: 'danehostrefused',
    },

    now + findings(mismatches) {
      name: 'DaneTLSAMismatch',
      severity: 'warning',
      scope: 'host',
      summary: '{{ $labels.instance }}: the certificate of {{ $labels.host }} port {{ $labels.port }} does not match its TLSA records ({{ $labels.reason }})',
      description: t.explanation(mismatches),
      section: '{{ $labels.reason }}',
    },

    now + findings(['dnssec_bogus']) {
      name: 'DaneDNSSECBogus',
      severity: 'warning',
      scope: 'domain',
      summary: '{{ $labels.instance }}: DNSSEC validation fails{{ with $labels.host }} for {{ . }}{{ end }} ({{ $labels.reason }})',
      description: t.explanation(['dnssec_bogus']),
      section: 'dnssec_bogus',
    },

    now + findings(starttls) {
      name: 'DaneSTARTTLSGone',
      severity: 'warning',
      scope: 'host',
      summary: '{{ $labels.instance }}: STARTTLS does not work at {{ $labels.host }} port {{ $labels.port }} ({{ $labels.reason }})',
      description: t.explanation(starttls),
      section: '{{ $labels.reason }}',
    },

    // The service had usable records within the last day, and it is now proven that none
    // apply. The alert ends after a day without usable records. Without series of hosts, the
    // alert counts: fewer hosts have records, and more have none. A host that is removed, and
    // a new host without records, change only one of the two numbers. The hosts without
    // records were seen at least twice if, summed over the observations, they are at least
    // twice those that the last one added.
    now {
      local found = findings(absences),
      local most(metric) = 'max_over_time(%s[%s])' % [metric, config.recordsWindow],
      local sum(metric) = 'sum_over_time(%s[%s])' % [metric, config.confirmationWindow],
      local without = '(%s - %s)' % [most('dane_hosts'), most('dane_hosts_with_tlsa')],
      local withoutNow = '(%s - %s)' % [p.last('dane_hosts'), p.last('dane_hosts_with_tlsa')],
      name: 'DaneTLSARecordsGone',
      expr: |||
        (
          %(found)s  and %(onHost)s
          %(records)s > 0
        )
        or
        (
          (%(with)s - %(withNow)s) > 0
          and
          %(withoutNow)s > %(without)s
          and
          (%(sumOfHosts)s - %(sumWith)s - %(observations)s * %(without)s) >= 2 * (%(withoutNow)s - %(without)s)
          %(summaryOnly)s
        )
      ||| % {
        found: std.strReplace(found.query, '\n', '\n  '),
        onHost: p.on(['host', 'port']),
        records: most('dane_tlsa_records{usable="yes"}'),
        withNow: p.last('dane_hosts_with_tlsa'),
        with: most('dane_hosts_with_tlsa'),
        withoutNow: withoutNow,
        without: without,
        sumOfHosts: sum('dane_hosts'),
        sumWith: sum('dane_hosts_with_tlsa'),
        observations: 'count_over_time(dane_hosts[%s])' % config.confirmationWindow,
        summaryOnly: p.summaryOnly,
      },
      severity: 'warning',
      scope: 'host',
      summary: '{{ $labels.instance }}: {{ with $labels.host }}{{ . }} port {{ $labels.port }} has lost its TLSA records ({{ $labels.reason }}){{ else }}{{ $value }} fewer hosts have TLSA records{{ end }}',
      description: '{{ if $labels.host }}' + t.explanation(absences) + '{{ else }}Senders deliver to these hosts without DANE, with TLS if the server offers it. dane_exporter check names each host without records and the reason.{{ end }}',
      section: '{{ or $labels.reason "no_tlsa" }}',
    },
  ]
