// Alerts about what will fail if nothing changes.
function(config, p, t)
  local soon = { minutes: std.max(15, config.intervalMinutes + 5), keep: '15m' };
  // The condition that less than a share of a validity period is left, and less than a
  // number of days.
  local due(d, days, lifetime=p.lifetime(d)) = {
    expr: p.below(p.remaining(d), config.certificateShare, lifetime, days),
    grafana: { query: '%s - %s' % [p.remaining(d), p.limit(config.certificateShare, lifetime, days)], op: '<', threshold: 0 },
  };

  [
    // One alert for each zone. A parent zone has many targets, and the signatures over their
    // delegations expire at different times.
    soon {
      name: 'DaneSignaturesNearEnd',
      query: 'min by (zone) (%s)' % p.signatureRemaining,
      op: '<',
      threshold: config.signatureShare,
      severity: 'warning',
      scope: 'zone',
      zonesOfTargets: p.signatureRemaining,
      summary: '{{ $labels.zone }}: DNSSEC signatures of the zone {{ if gt $value 0.0 }}have {{ $value | humanizePercentage }} of their validity left and are not renewed{{ else }}have expired{{ end }}',
      local consequence = 'When the signatures expire, the zone and all zones below it become bogus. Validating mail servers then refuse the domains that depend on it, and other validating clients cannot resolve them.',
      local action = ' If the zone is yours, check that its signer runs and that the secondary nameservers transfer the new zone. If the operator is another organisation, such as a registry or a mail provider, only that operator can sign the zone. Report the expiry there.',
      description: consequence
                   + ' Time of the first expiry: {{ range query (printf "min(last_over_time(dane_dnssec_signature_expiry_timestamp_seconds{zone=%%q}[%s]))" $labels.zone) }}{{ .Value | humanizeTimestamp }}{{ end }}.' % config.memory
                   + '{{ with query (printf "topk(5, group by (instance) (%s{zone=%%q}))" $labels.zone) | sortByLabel "instance" }} Targets that depend on the zone:%s.{{ end }}' % [p.signatureRemaining, t.listOfInstances]
                   + action,
      section: 'danesignaturesnearend',
      grafana: {
        summary: '{{ $labels.zone }}: DNSSEC signatures of the zone expire soon and are not renewed',
        description: consequence + action,
      },
    },

    // The metric includes only dates that DANE checks. With a DANE-EE record, it checks none.
    soon + due(p.dates.authenticatedUntil, config.authenticationDays) {
      name: 'DaneAuthenticationEnds',
      severity: 'warning',
      scope: 'host',
      local authentication = '{{ $labels.instance }}: DANE authentication of {{ $labels.host }} port {{ $labels.port }}',
      summary: authentication + t.expiry,
      description: 'DANE checks the validity period of a certificate that the server sends. When it expires, clients that validate DANE refuse the host. Renew the certificate. Check that the TLSA records match the new certificate before the server uses it.',
      section: 'daneauthenticationends',
      grafana+: { summary: authentication + ' expires soon' },
    },

    soon {
      local d = due(p.dates.certificate, config.certificateDays, p.certificateLifetime),
      name: 'DanePKIXExpiryNear',
      expr: 'min without (address, key_type) (%s)' % d.expr,
      severity: 'info',
      scope: 'host',
      summary: '{{ $labels.instance }}: the certificate of {{ $labels.host }} port {{ $labels.port }}' + t.expiry,
      description: 'Senders that use MTA-STS and clients that use the Web PKI are affected. The TLSA records determine whether DANE senders are affected. Find out why the certificate was not renewed. Check that the TLSA records match the new certificate before the server uses it.',
      section: 'danepkixexpirynear',
    },

    // A record of the certificate stops matching at every renewal, so this alert fires
    // before ACME clients renew. A record of the key stops matching only if the renewal
    // uses a new key. A record of the issuer still matches in both cases.
    soon {
      local lifetime = p.certificateLifetime,
      local left = p.remaining(p.dates.certificate),
      name: 'DaneRolloverNotReady',
      expr: |||
        %(notReady)s == 0
        and %(on)s (
          %(late)s
          or %(on)s (
            %(survives)s == 0
            and %(on)s (
              %(before)s
              or
              %(beforeShort)s
            )
          )
        )
        unless %(on)s
        %(issuer)s == 1
      ||| % {
        on: p.on(['host', 'port']),
        late: p.below(left, config.certificateShare, lifetime, config.certificateDays),
        // Before an ACME client renews.
        before: p.below(left, config.renewalShare, lifetime, config.renewalDays),
        beforeShort: p.below(left, config.shortRenewalShare, '(%s < %d * 86400)' % [lifetime, config.shortLifetimeDays], config.shortLifetimeDays),
        notReady: p.date('dane_tlsa_rollover_ready'),
        survives: p.date('dane_tlsa_survives_renewal'),
        issuer: p.date('dane_tlsa_record_match', 'dane_tlsa_record_match{usage=~"0|2"}'),
      },
      severity: 'warning',
      scope: 'host',
      summary: '{{ $labels.instance }}: the certificate of {{ $labels.host }} port {{ $labels.port }} is due for renewal, and no TLSA record of the next certificate is published',
      description: 'If the certificate is renewed with a new key, no record matches it at first. DANE senders refuse the host until the new record is published and the old one has expired from all caches. Publish the record of the next key now, in addition to the current one. Alternatively, renew with the same key and a 3 1 1 record.',
      section: 'danerollovernotready',
    },

    // A CA issues no certificate if it cannot validate its lookups, or if the CAA records do
    // not admit it. The finding needs "renewal: true" and "series: full" in the module.
    p.timing(3) {
      local reasons = (import '../reasons.libsonnet').renewals,
      name: 'DaneRenewalWillFail',
      query: p.finding('reason=~"%s"' % std.join('|', reasons)),
      op: '==',
      threshold: 1,
      minutes: config.inconsistentMinutes,
      severity: 'warning',
      scope: 'host',
      summary: '{{ $labels.instance }}: the next certificate of {{ $labels.host }} port {{ $labels.port }} cannot be issued{{ if eq $labels.reason "acme_challenge_bogus" }} after validation by DNS{{ end }} ({{ $labels.reason }})',
      description: t.explanation(reasons),
      section: '{{ $labels.reason }}',
    },

    // Without a valid certificate, senders cannot fetch the policy. They ignore it when
    // their copy expires.
    soon + due(p.dates.policyCertificate, config.certificateDays) {
      name: 'DaneMTASTSCertificateExpiryNear',
      severity: 'info',
      scope: 'domain',
      summary: '{{ $labels.instance }}: the certificate of the MTA-STS policy host' + t.expiry,
      description: 'When the certificate of mta-sts.{{ $labels.instance }} has expired, senders cannot fetch the MTA-STS policy. Those without a copy deliver without MTA-STS. Find out why the certificate was not renewed. DANE does not depend on it.',
      section: 'danemtastscertificateexpirynear',
    },
  ]
