// Cases for alerts about what will fail if nothing changes. The threshold is reached at
// scrape 10, and the problem is solved at scrape 41. Certificates without a start of their
// validity have a threshold in days; lifetimes.libsonnet has cases for the others.
function(t)
  local keep = 15;
  local service(host) = { host: host, port: '25' };
  // Alerts about a zone.
  local signatures(zone) = { alertname: 'DaneSignaturesNearEnd', zone: zone };
  local zoneLink(name) = { runbook_url: t.links('', std.asciiLower(name)).runbook_url };
  [
    {
      name: 'DaneSignaturesNearEnd: each zone of the chain, once for all targets; an online signer, which always has half of the validity left, does not fire',
      zones: ['bad.example', 'parent', 'online.example'],
      // Signatures that are valid for two weeks.
      local end = t.below(0.15 * 14 * t.day, 10),
      local start = end - 14 * t.day,
      local validity(instance, zone, ends, starts) = [
        t.series('dane_dnssec_signature_expiry_timestamp_seconds', instance, { zone: zone }, ends),
        t.series('dane_dnssec_signature_inception_timestamp_seconds', instance, { zone: zone }, starts),
      ],
      local alerts = [signatures(zone) for zone in ['bad.example', 'parent']],
      local step = '+%dx65' % (60 * t.interval),
      series: t.outcome('bad.example', t.problem)
              + validity('bad.example', 'bad.example', t.values(t.problem, { ok: end, bad: end }), t.values(t.problem, { ok: start, bad: start }))
              + validity('bad.example', 'parent', t.values('ok*66', { ok: 90 * t.day }), t.values('ok*66', { ok: 0 }))
              + validity('parent.example', 'parent', t.values(t.problem, { ok: end, bad: end }), t.values(t.problem, { ok: start, bad: start }))
              + validity('other.example', 'parent', t.values(t.problem, { ok: end + 3600, bad: end + 3600 }), t.values(t.problem, { ok: start + 3600, bad: start + 3600 }))
              + validity('online.example', 'online.example', t.day + step, -t.day + step),
      firing: [],
      uninhibited: t.always(t.at(9), t.at(10) + t.ending, []) + t.always(t.at(10) + t.ending, t.at(41), alerts),
      local text(zone, instances) = {
        labels: { zone: zone, severity: 'warning', scope: 'zone' },
        annotations: {
          summary: zone + ': DNSSEC signatures of the zone have 14.92% of their validity left and are not renewed',
          description: 'When the signatures expire, the zone and all zones below it become bogus. Validating mail servers then refuse the domains that depend on it, and other validating clients cannot resolve them. Time of the first expiry: 1970-01-03 03:13:30 +0000 UTC. Targets that depend on the zone: %s. If the zone is yours, check that its signer runs and that the secondary nameservers transfer the new zone. If the operator is another organisation, such as a registry or a mail provider, only that operator can sign the zone. Report the expiry there.' % instances,
        } + zoneLink('danesignaturesnearend'),
      },
      texts: [t.text(t.at(10) + t.ending, 'DaneSignaturesNearEnd', [text('bad.example', 'bad.example'), text('parent', 'bad.example, other.example, parent.example')])],
    },
    {
      name: 'DaneSignaturesNearEnd: ends when the zone is signed again',
      zones: ['renewed'],
      local end = t.below(0.15 * 14 * t.day, 10),
      local timeline = 'ok*10 ok lost ok*14 lost ok*14 new*25',
      series: t.outcome('bad.example', timeline) + [
        t.series('dane_dnssec_signature_expiry_timestamp_seconds', 'bad.example', { zone: 'renewed' }, t.values(timeline, { ok: end, new: end + 14 * t.day })),
        t.series('dane_dnssec_signature_inception_timestamp_seconds', 'bad.example', { zone: 'renewed' }, t.values(timeline, { ok: end - 14 * t.day, new: end })),
      ],
      firing: [],
      uninhibited: t.always(t.at(9), t.at(10) + t.ending, [])
                   + t.always(t.at(10) + t.ending, t.at(41) + keep, [signatures('renewed')])
                   + t.always(t.at(41) + keep + t.step, t.at(42) + keep, []),
    },
    {
      name: 'DaneAuthenticationEnds: a service without a date that counts has no series, and never fires',
      local end = t.below(7 * t.day, 10),
      local timeline = 'old*10 old lost old*14 lost old*14 new*25',
      series: t.outcome('bad.example', timeline) + [
        t.series('dane_authenticated_until_timestamp_seconds', 'bad.example', service('mx.bad.example'), t.values(timeline, { old: end, new: end + 90 * t.day })),
        t.series('dane_authenticated_until_timestamp_seconds', 'bad.example', service('mx2.bad.example'), t.values(timeline, { old: 30 * t.day, new: 30 * t.day })),
      ],
      firing: t.lifecycle([t.alert('DaneAuthenticationEnds', 'bad.example', 'mx.bad.example')], t.ending, keep),
      texts: [t.text(t.at(26), 'DaneAuthenticationEnds', [{
        labels: t.labels({ instance: 'bad.example', severity: 'warning', scope: 'host', host: 'mx.bad.example', port: '25' }),
        annotations: {
          summary: 'bad.example: DANE authentication of mx.bad.example port 25 expires in 6d 22h 39m 30s',
          description: 'DANE checks the validity period of a certificate that the server sends. When it expires, clients that validate DANE refuse the host. Renew the certificate. Check that the TLSA records match the new certificate before the server uses it.',
        } + t.links('bad.example', 'daneauthenticationends'),
      }])],
    },
    {
      name: 'DanePKIXExpiryNear: one of two addresses has the old certificate, the other one a new certificate of ten days',
      local end = t.below(14 * t.day, 10),
      local timeline = 'old*10 old lost old*14 lost old*14 new*25',
      local date(metric, host, of, labels) = t.series('dane_certificate_%s_timestamp_seconds' % metric, 'bad.example', service(host) + labels, t.values(timeline, of)),
      local certificate(host, of, labels={}) = date('not_after', host, of, labels),
      local start(host, of, labels) = date('not_before', host, of, labels),
      series: t.outcome('bad.example', timeline) + [
        certificate('mx.bad.example', { old: end, new: end + 90 * t.day }, { address: '192.0.2.1' }),
        start('mx.bad.example', { old: end - 90 * t.day, new: end }, { address: '192.0.2.1' }),
        certificate('mx.bad.example', { old: 10 * t.day, new: 10 * t.day }, { address: '192.0.2.2' }),
        start('mx.bad.example', { old: 0, new: 0 }, { address: '192.0.2.2' }),
        certificate('mx2.bad.example', { old: 60 * t.day, new: 60 * t.day }),
      ],
      firing: t.lifecycle([t.alert('DanePKIXExpiryNear', 'bad.example', 'mx.bad.example')], t.ending, keep),
      texts: [t.text(t.at(26), 'DanePKIXExpiryNear', [{
        labels: t.labels({ instance: 'bad.example', severity: 'info', scope: 'host', host: 'mx.bad.example', port: '25' }),
        annotations: {
          summary: 'bad.example: the certificate of mx.bad.example port 25 expires in 13d 22h 39m 30s',
          description: 'Senders that use MTA-STS and clients that use the Web PKI are affected. The TLSA records determine whether DANE senders are affected. Find out why the certificate was not renewed. Check that the TLSA records match the new certificate before the server uses it.',
        } + t.links('bad.example', 'danepkixexpirynear'),
      }])],
    },
    {
      name: 'What has expired: the texts do not say that it expires',
      zones: ['expired'],
      local date(metric, labels, seconds) = t.series(metric, 'bad.example', labels, t.values('ok*30', { ok: seconds })),
      series: t.outcome('bad.example', 'ok*30') + [
        date('dane_certificate_not_after_timestamp_seconds', service('mx.bad.example'), 1),
        // A start after the end, which makes no certificate valid.
        date('dane_certificate_not_before_timestamp_seconds', service('mx.bad.example'), 100 * t.day),
        date('dane_dnssec_signature_expiry_timestamp_seconds', { zone: 'expired' }, 2),
        date('dane_dnssec_signature_inception_timestamp_seconds', { zone: 'expired' }, 1),
      ],
      firing: [t.firing(t.at(26), [t.alert('DanePKIXExpiryNear', 'bad.example', 'mx.bad.example')])],
      uninhibited: t.always(t.at(26), t.at(27), [{ alertname: 'DanePKIXExpiryNear', instance: 'bad.example' }, signatures('expired')]),
      local text(name, labels, summary, description) = t.text(t.at(26), name, [{
        labels: t.labels({ instance: 'bad.example' } + labels),
        annotations: { summary: 'bad.example: ' + summary, description: description } + t.links('bad.example', std.asciiLower(name)),
      }]),
      texts: [
        text('DanePKIXExpiryNear', { severity: 'info', scope: 'host', host: 'mx.bad.example', port: '25' }, 'the certificate of mx.bad.example port 25 has expired', 'Senders that use MTA-STS and clients that use the Web PKI are affected. The TLSA records determine whether DANE senders are affected. Find out why the certificate was not renewed. Check that the TLSA records match the new certificate before the server uses it.'),
        t.text(t.at(26), 'DaneSignaturesNearEnd', [{
          labels: { zone: 'expired', severity: 'warning', scope: 'zone' },
          annotations: {
            summary: 'expired: DNSSEC signatures of the zone have expired',
            description: 'When the signatures expire, the zone and all zones below it become bogus. Validating mail servers then refuse the domains that depend on it, and other validating clients cannot resolve them. Time of the first expiry: 1970-01-01 00:00:02 +0000 UTC. Targets that depend on the zone: bad.example. If the zone is yours, check that its signer runs and that the secondary nameservers transfer the new zone. If the operator is another organisation, such as a registry or a mail provider, only that operator can sign the zone. Report the expiry there.',
          } + zoneLink('danesignaturesnearend'),
        }]),
      ],
    },
    {
      name: 'DaneRolloverNotReady: a record of the whole certificate fires 35 days before the expiry; a record of the key, of the next key, or of the issuer does not',
      local timeline = 'old*10 old lost old*14 lost old*14 new*25',
      local certificate(host, ready, survives, seconds, usage) = [
        t.series('dane_tlsa_rollover_ready', 'bad.example', service(host), t.values(timeline, ready)),
        t.series('dane_tlsa_survives_renewal', 'bad.example', service(host), t.values(timeline, { old: survives, new: survives })),
        t.series('dane_certificate_not_after_timestamp_seconds', 'bad.example', service(host), t.values(timeline, { old: seconds, new: seconds })),
        t.series('dane_tlsa_record_match', 'bad.example', service(host) { usage: usage, selector: '1', matching_type: '1', data: '00' }, t.values(timeline, { old: 1, new: 1 })),
      ],
      series: t.outcome('bad.example', timeline)
              + certificate('mx.bad.example', { old: 0, new: 1 }, 0, t.below(35 * t.day, 10), '3')
              + certificate('key.bad.example', { old: 0, new: 0 }, 1, 30 * t.day, '3')
              + certificate('ready.bad.example', { old: 1, new: 1 }, 0, 20 * t.day, '3')
              + certificate('ta.bad.example', { old: 0, new: 0 }, 0, 20 * t.day, '2'),
      firing: t.lifecycle([t.alert('DaneRolloverNotReady', 'bad.example', 'mx.bad.example')], t.ending, keep),
      texts: [t.text(t.at(26), 'DaneRolloverNotReady', [{
        labels: t.labels({ instance: 'bad.example', severity: 'warning', scope: 'host', host: 'mx.bad.example', port: '25' }),
        annotations: {
          summary: 'bad.example: the certificate of mx.bad.example port 25 is due for renewal, and no TLSA record of the next certificate is published',
          description: 'If the certificate is renewed with a new key, no record matches it at first. DANE senders refuse the host until the new record is published and the old one has expired from all caches. Publish the record of the next key now, in addition to the current one. Alternatively, renew with the same key and a 3 1 1 record.',
        } + t.links('bad.example', 'danerollovernotready'),
      }])],
    },
    {
      name: 'DaneRolloverNotReady: a record of the key fires 14 days before the expiry, and ends when the certificate is renewed with the same key',
      local end = t.below(14 * t.day, 10),
      local timeline = 'old*10 old lost old*14 lost old*14 new*25',
      local of(metric, values) = t.series(metric, 'bad.example', service('key.bad.example'), t.values(timeline, values)),
      series: t.outcome('bad.example', timeline) + [
        of('dane_tlsa_rollover_ready', { old: 0, new: 0 }),
        of('dane_tlsa_survives_renewal', { old: 1, new: 1 }),
        of('dane_certificate_not_after_timestamp_seconds', { old: end, new: end + 90 * t.day }),
        t.series('dane_tlsa_record_match', 'bad.example', service('key.bad.example') { usage: '3', selector: '1', matching_type: '1', data: '00' }, t.values(timeline, { old: 1, new: 1 })),
      ],
      firing: t.lifecycle([t.alert(a, 'bad.example', 'key.bad.example') for a in ['DaneRolloverNotReady', 'DanePKIXExpiryNear']], t.ending, keep),
    },
    {
      name: 'DaneRenewalWillFail: each of three reasons; a failure of less than half an hour does not fire',
      local problem = 'ok*10 bad lost bad*38 lost bad*9 ok*25',
      local hosts = { caa_lookup_failed: 'mx.bad.example', caa_forbids_issuer: 'mx2.bad.example', acme_challenge_bogus: 'mx3.bad.example' },
      series: t.outcome('bad.example', problem)
              + [t.finding('bad.example', reason, hosts[reason], problem) for reason in std.objectFields(hosts)]
              + t.outcome('brief.example', 'ok*85')
              + [t.finding('brief.example', 'caa_lookup_failed', 'mx.brief.example', 'ok*10 bad*%d ok*40' % t.unconfirmed(t.inconsistent))],
      firing: t.lifecycle([t.alert('DaneRenewalWillFail', 'bad.example', hosts[reason]) for reason in std.objectFields(hosts)], start=t.confirmed, lost=50, end=60),
      local text(reason, host, how='') = {
        labels: t.labels({ instance: 'bad.example', severity: 'warning', scope: 'host', host: host, port: '25', reason: reason, effect: 'warning' }),
        annotations: {
          summary: 'bad.example: the next certificate of %s port 25 cannot be issued%s (%s)' % [host, how, reason],
          description: t.explanation(reason),
        } + t.links('bad.example', reason),
      },
      texts: [t.text(t.at(50), 'DaneRenewalWillFail', [
        text('caa_lookup_failed', hosts.caa_lookup_failed),
        text('caa_forbids_issuer', hosts.caa_forbids_issuer),
        text('acme_challenge_bogus', hosts.acme_challenge_bogus, ' after validation by DNS'),
      ])],
    },
    {
      name: 'DaneMTASTSCertificateExpiryNear: the certificate of the policy host',
      local end = t.below(14 * t.day, 10),
      local timeline = 'old*10 old lost old*14 lost old*14 new*25',
      series: t.outcome('bad.example', timeline)
              + [t.series('dane_mta_sts_certificate_not_after_timestamp_seconds', 'bad.example', {}, t.values(timeline, { old: end, new: end + 90 * t.day }))],
      firing: t.lifecycle([t.alert('DaneMTASTSCertificateExpiryNear', 'bad.example')], t.ending, keep),
      texts: [t.text(t.at(26), 'DaneMTASTSCertificateExpiryNear', [{
        labels: t.labels({ instance: 'bad.example', severity: 'info', scope: 'domain' }),
        annotations: {
          summary: 'bad.example: the certificate of the MTA-STS policy host expires in 13d 22h 39m 30s',
          description: 'When the certificate of mta-sts.bad.example has expired, senders cannot fetch the MTA-STS policy. Those without a copy deliver without MTA-STS. Find out why the certificate was not renewed. DANE does not depend on it.',
        } + t.links('bad.example', 'danemtastscertificateexpirynear'),
      }])],
    },
    {
      name: 'What ends soon stays known for six hours while the target cannot be judged; a host that was removed before does not come back',
      local end = 4 * t.day,
      local memory = t.scrapes(t.memory),
      local timeline = 'listed*6 ok*14 unknown*%d' % (memory + 20),
      local date(metric, host, of, labels={}) = t.series(metric, 'bad.example', labels + (if host == '' then {} else service(host)), t.values(timeline, of)),
      local dates(host, of) = [
        date('dane_authenticated_until_timestamp_seconds', host, of),
        date('dane_certificate_not_after_timestamp_seconds', host, of),
      ],
      local alerts = [t.alert(a, 'bad.example', 'mx.bad.example') for a in ['DaneAuthenticationEnds', 'DanePKIXExpiryNear', 'DaneRolloverNotReady']],
      zones: ['remembered'],
      series: t.outcome('bad.example', timeline)
              + dates('mx.bad.example', { listed: end, ok: end })
              + dates('removed.bad.example', { listed: end })
              // Valid for six days: its renewal is not due.
              + dates('short.bad.example', { listed: end, ok: end })
              + [date(metric, 'short.bad.example', { listed: -2 * t.day, ok: -2 * t.day }) for metric in ['dane_authenticated_from_timestamp_seconds', 'dane_certificate_not_before_timestamp_seconds']]
              + [
                date('dane_tlsa_rollover_ready', 'mx.bad.example', { listed: 0, ok: 0 }),
                date('dane_tlsa_survives_renewal', 'mx.bad.example', { listed: 1, ok: 1 }),
                date('dane_dnssec_signature_expiry_timestamp_seconds', '', { listed: 60 * t.at(8), ok: 60 * t.at(8) }, { zone: 'remembered' }),
                date('dane_dnssec_signature_inception_timestamp_seconds', '', { listed: 1, ok: 1 }, { zone: 'remembered' }),
              ],
      ignore: ['DaneDomainNotJudged'],
      firing: [
        t.firing(t.at(6) + t.window + keep + t.ending, alerts),
        t.firing(t.at(19) + t.window + 30, alerts),
        t.firing(t.at(19) + t.memory - t.step, alerts),
        t.firing(t.at(19) + t.memory + 5 + keep + 2 * t.step, []),
      ],
      local known = [{ alertname: a, instance: 'bad.example' } for a in ['DaneAuthenticationEnds', 'DanePKIXExpiryNear', 'DaneRolloverNotReady']] + [signatures('remembered')],
      uninhibited: t.always(t.at(19) + t.window + 30, t.at(19) + t.memory, known)
                   + t.always(t.at(19) + t.memory + 5 + keep + 2 * t.step, t.at(19) + t.memory + 5 + keep + 3 * t.step, []),
    },
  ]
