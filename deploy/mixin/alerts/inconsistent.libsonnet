// Alerts about results that depend on the sender, and about MTA-STS and TLSRPT. They need "series: full": findings of
// effect warning are not in the summary.
function(config, p, t)
  local reasons = import '../reasons.libsonnet';
  local lasting = p.timing(3) { minutes: config.inconsistentMinutes, severity: 'warning', scope: 'host' };
  local finding(reason) = {
    query: p.finding('reason="%s"' % reason),
    op: '==',
    threshold: 1,
    description: t.explanation([reason]),
    section: reason,
  };

  [
    lasting + finding('nameserver_inconsistent') {
      name: 'DaneNameserverInconsistent',
      summary: '{{ $labels.instance }}: the nameservers disagree{{ if $labels.host }} on the TLSA records of {{ $labels.host }} port {{ $labels.port }}{{ end }} ({{ $labels.reason }})',
    },
    // One alert for a parent zone, such as a top-level domain with many targets.
    finding('parent_inconsistent') {
      local different = 'last_over_time(dane_nameserver_ds_consistent{zone=%%q}[%s]) == 0' % config.window,
      local affected = 'last_over_time(%s{zone=%%q}[%s]) == 1' % [p.parentInconsistent, config.memory],
      name: 'DaneParentInconsistent',
      query: 'max by (zone) (%s)' % p.known(p.parentInconsistent),
      minutes: config.parentMinutes,
      keep: '5m',
      severity: 'warning',
      scope: 'zone',
      zonesOfTargets: p.parentInconsistent,
      summary: '{{ $labels.zone }}: the nameservers of the zone disagree on DS records',
      description: t.explanation(['parent_inconsistent'])
                   + '{{ with query (printf "topk(5, group by (nameserver, address) (%s))" $labels.zone) | sortByLabel "nameserver" }} Nameservers that differ:{{ range $i, $server := . }}{{ if $i }},{{ end }} {{ $server.Labels.nameserver }} ({{ $server.Labels.address }}){{ end }}{{ if eq (len .) 5 }} and possibly others{{ end }}.{{ end }}' % different
                   + '{{ with query (printf "topk(5, group by (instance) (%s))" $labels.zone) | sortByLabel "instance" }} Targets that depend on them:%s.{{ end }}' % [affected, t.listOfInstances],
    },
    lasting + finding('mta_sts_disagreement') {
      name: 'DaneMTASTSDisagreement',
      summary: '{{ $labels.instance }}: DANE and MTA-STS senders treat {{ $labels.host }} port {{ $labels.port }} differently ({{ $labels.reason }})',
    },
    // A policy in mode enforce forbids MTA-STS senders to deliver.
    p.timing(2) {
      name: 'DaneMTASTSRefused',
      query: p.known('target:dane_mta_sts_refused:confirmed'),
      op: '==',
      threshold: 1,
      severity: 'critical',
      scope: 'domain',
      summary: '{{ $labels.instance }}: MTA-STS senders refuse the domain' + t.listOfFindings(['reason', 'host'], ', reason=~\\"mta_sts_host_not_covered|mta_sts_disagreement\\"'),
      description: 'The MTA-STS policy of the domain is in mode enforce, and no mail server of the domain fulfils it. Mail servers that implement MTA-STS, such as those of Google and Microsoft, deliver no mail to {{ $labels.instance }}. They queue it and retry for some days. Each mail server must be listed in the policy, and have a certificate of a public CA for its own name. If the fix takes long, change the mode of the policy to testing, and the id of the record.',
      section: 'danemtastsrefused',
    },
    lasting {
      name: 'DaneMTASTSPolicyBroken',
      query: p.finding('reason=~"%s"' % std.join('|', reasons.policies)),
      op: '==',
      threshold: 1,
      scope: 'domain',
      summary: '{{ $labels.instance }}: senders cannot use the MTA-STS policy ({{ $labels.reason }})',
      description: t.explanation(reasons.policies),
      section: '{{ $labels.reason }}',
    },
    lasting + finding('tlsrpt_record_invalid') {
      name: 'DaneTLSRPTInvalid',
      severity: 'info',
      scope: 'domain',
      summary: '{{ $labels.instance }}: the TLSRPT record is invalid ({{ $labels.reason }})',
    },
  ]
