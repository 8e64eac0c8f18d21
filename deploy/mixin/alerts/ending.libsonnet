// Alerts about what will fail if nothing changes.
function(config, p, t)
  local soon = { minutes: std.max(15, config.intervalMinutes + 5), keep: '15m' };
  local day = 86400;
  local before(days) = { op: '<', threshold: '%d * %d' % [days, day], seconds: days * day };

  [
    // The zone may be a parent, whose failure stops mail as much as one's own.
    soon {
      name: 'DaneSignaturesNearEnd',
      query: p.signatureRemaining,
      op: '<',
      threshold: config.signatureShare,
      severity: 'warning',
      scope: 'domain',
      summary: '{{ $labels.instance }}: DNSSEC signatures of the zone {{ $labels.zone }} have {{ $value | humanizePercentage }} of their validity left and are not renewed',
      local consequence = 'When they expire, the zone and all zones below it become bogus: mail servers that validate refuse the domain, and other validating clients cannot resolve it.',
      local action = ' If the zone is yours, check that its signer runs and that the secondary nameservers transfer the new zone. If it belongs to another operator, such as a registry or a mail provider, only that operator can sign it: send a report there.',
      description: consequence + ' They expire on {{ range %s }}{{ .Value | humanizeTimestamp }}{{ end }}.' % t.query(
        'last_over_time(dane_dnssec_signature_expiry_timestamp_seconds{TARGET, zone=%%q}[%s])' % config.window, ['$labels.zone']
      ) + action,
      section: 'danesignaturesnearend',
      grafana: {
        summary: '{{ $labels.instance }}: DNSSEC signatures of the zone {{ $labels.zone }} expire soon and are not renewed',
        description: consequence + action,
      },
    },

    // Only dates that DANE checks: a DANE-EE record ignores all dates.
    soon + before(config.authenticationDays) {
      name: 'DaneAuthenticationEnds',
      query: p.seconds('dane_authenticated_until_timestamp_seconds'),
      severity: 'warning',
      scope: 'host',
      local authentication = '{{ $labels.instance }}: DANE authentication of {{ $labels.host }} port {{ $labels.port }}',
      summary: authentication + ' expires in {{ $value | humanizeDuration }}',
      description: 'A certificate whose dates count under the TLSA records expires at that time, and mail servers that validate DANE then refuse the host. Renew it, and check that the TLSA records match the new certificate before the server uses it.',
      section: 'daneauthenticationends',
      grafana: { summary: authentication + ' expires within %d days' % config.authenticationDays },
    },

    soon + before(config.certificateDays) {
      name: 'DanePKIXExpiryNear',
      query: 'min without (address, key_type) (%s) - time()' % p.last('dane_certificate_not_after_timestamp_seconds'),
      severity: 'info',
      scope: 'host',
      summary: '{{ $labels.instance }}: the certificate of {{ $labels.host }} port {{ $labels.port }} expires in {{ $value | humanizeDuration }}',
      description: 'Whether DANE senders are affected depends on the TLSA records. Senders that use MTA-STS and clients that use the Web PKI are affected. Find out why the certificate was not renewed, and check that the TLSA records match the new one before the server uses it.',
      section: 'danepkixexpirynear',
    },

    // A record that matches only the current certificate fails at every renewal, which
    // ACME clients do a month before the expiry. A record of a key fails only if the
    // renewal uses a new key. A record of an issuer survives both.
    soon {
      local left = p.seconds('dane_certificate_not_after_timestamp_seconds'),
      name: 'DaneRolloverNotReady',
      expr: |||
        %(notReady)s == 0
        and %(on)s (
          %(left)s < %(certificateDays)d * 86400
          or %(on)s (
            %(survives)s == 0
            and %(on)s
            %(left)s < %(renewalDays)d * 86400
          )
        )
        unless %(on)s
        %(issuer)s == 1
      ||| % config {
        on: p.on(['host', 'port']),
        left: left,
        notReady: p.last('dane_tlsa_rollover_ready'),
        survives: p.last('dane_tlsa_survives_renewal'),
        issuer: p.last('dane_tlsa_record_match{usage=~"0|2"}'),
      },
      severity: 'warning',
      scope: 'host',
      summary: '{{ $labels.instance }}: the certificate of {{ $labels.host }} port {{ $labels.port }} expires soon and no TLSA record of the next one is published',
      description: 'If the certificate is renewed with a new key, no record matches until the new record is published and the old one has expired from all caches. Until then, DANE senders refuse the host. Publish the record of the next key now, in addition to the current one, or renew with the same key under a 3 1 1 record.',
      section: 'danerollovernotready',
    },
  ]
