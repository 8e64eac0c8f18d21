// Cases for certificates of several lifetimes. Both dates of a certificate change between
// two scrapes, so that the time left changes and the lifetime does not.
function(t)
  local hour = 3600;
  local day = 24 * hour;
  // The time left: at a renewal, at one that succeeds at the second attempt, above the
  // limit of the alerts, below it, and where they must fire at the latest. If a renewal
  // with the same key breaks DANE, DaneRolloverNotReady fires from first to before.
  local lifetimes = [
    { name: 'day', is: 24 * hour, renewed: 8 * hour, late: 7 * hour, above: 6.1 * hour, below: 5.9 * hour, fires: 4 * hour, first: 14.4 * hour, before: 10 * hour },
    { name: 'six-days', is: 160 * hour, renewed: 80 * hour, late: 68 * hour, above: 41 * hour, below: 39 * hour, fires: 12 * hour, first: 96 * hour, before: 92 * hour },
    { name: '45-days', is: 45 * day, renewed: 15 * day, late: 14 * day, above: 11.3 * day, below: 11.2 * day, fires: 1 * day, first: 18 * day, before: 16 * day },
    { name: '90-days', is: 90 * day, renewed: 30 * day, late: 29 * day, above: 14.1 * day, below: 13.9 * day, fires: 1 * day, first: 35 * day, before: 31 * day },
    { name: '398-days', is: 398 * day, renewed: 30 * day, late: 20 * day, above: 14.1 * day, below: 13.9 * day, fires: 5 * day, first: 35 * day, before: 31 * day },
  ];
  local steps(from, to, scrapes) = [from + (to - from) * i / (scrapes - 1) for i in std.range(0, scrapes - 1)];
  // Long enough for alerts to fire.
  local lasting = t.scrapes(t.ending) + 2;
  local service(instance) = { host: 'mx.' + instance, port: '25' };
  local list(values) = std.join(' ', ['' + v for v in values]);
  // The end and start of the validity of a certificate, from the time left at each scrape.
  local validity(instance, end, start, labels, lifetime, left) = [
    t.series(end, instance, labels, list(std.mapWithIndex(function(i, l) 60 * t.at(i) + l, left))),
    t.series(start, instance, labels, list(std.mapWithIndex(function(i, l) 60 * t.at(i) + l - lifetime, left))),
  ];
  local certificate(instance, lifetime, left) =
    validity(instance, 'dane_certificate_not_after_timestamp_seconds', 'dane_certificate_not_before_timestamp_seconds', service(instance), lifetime, left);
  local authentication(instance, lifetime, left) =
    validity(instance, 'dane_authenticated_until_timestamp_seconds', 'dane_authenticated_from_timestamp_seconds', service(instance), lifetime, left);
  local policyHost(instance, lifetime, left) =
    validity(instance, 'dane_mta_sts_certificate_not_after_timestamp_seconds', 'dane_mta_sts_certificate_not_before_timestamp_seconds', {}, lifetime, left);
  // What a probe finds about the records. ready has a value for each scrape.
  local records(instance, ready, survives, usage) = [
    t.series('dane_tlsa_rollover_ready', instance, service(instance), list(ready)),
    t.series('dane_tlsa_survives_renewal', instance, service(instance), list([survives for r in ready])),
    t.series('dane_tlsa_record_match', instance, service(instance) { usage: usage, selector: '1', matching_type: '1', data: '00' }, list([1 for r in ready])),
  ];
  local outcome(instance, left) = t.outcome(instance, 'ok*%d' % std.length(left));

  [
    {
      // Three renewals on time, three at the second attempt, and then none.
      local cycle = 6,
      local renewals = [l.renewed, l.renewed, l.renewed, l.late, l.late, l.late],
      local healthy = std.flattenArrays([steps(l.is, renewed, cycle) for renewed in renewals]),
      local until = healthy + steps(l.is, l.above, cycle),
      // DaneAuthenticationEnds has a limit of seven days.
      local early = steps(l.below, std.min(l.below, 7.1 * day), lasting),
      local left = until + early + steps(std.min(l.below, 6.9 * day), l.fires, lasting),
      local last = std.length(left) - 1,
      // The record of the next key is published from two scrapes before a renewal on.
      local published = [if i < std.length(healthy) && i % cycle >= cycle - 2 then 1 else 0 for i in std.range(0, last)],
      local never = [0 for l in left],
      local kept = 'kept.%s.example' % l.name,
      local changed = 'changed.%s.example' % l.name,
      local issuer = 'issuer.%s.example' % l.name,
      name: 'certificates of %s: silent while they are renewed, with the same key, a new key, and under a record of the issuer; all alerts fire in time when no renewal follows' % l.name,
      series: std.flattenArrays([
        outcome(i, left) + certificate(i, l.is, left)
        for i in [kept, changed, issuer]
      ]) + records(kept, never, 1, '3') + records(changed, published, 1, '3') + records(issuer, never, 1, '2') + authentication(issuer, l.is, left) + policyHost(issuer, l.is, left),
      silent: [{ minute: t.at(std.length(until) - 1), minutes: t.at(std.length(until)) }],
      local alerts = [t.alert(a, i, 'mx.' + i) for i in [kept, changed] for a in ['DanePKIXExpiryNear', 'DaneRolloverNotReady']]
                     + [t.alert('DanePKIXExpiryNear', issuer, 'mx.' + issuer), t.alert('DaneMTASTSCertificateExpiryNear', issuer)],
      local authenticationEnds = [t.alert('DaneAuthenticationEnds', issuer, 'mx.' + issuer)],
      firing: [
        t.firing(t.at(std.length(until + early) - 1), alerts + (if l.below < 7 * day then authenticationEnds else [])),
        t.firing(t.at(last), alerts + authenticationEnds),
      ],
    }
    for l in lifetimes
  ] + [
    {
      local until = steps(l.is, l.first * 1.01, 6),
      local left = until + steps(l.first * 0.99, l.before, lasting),
      local last = std.length(left) - 1,
      local instance = '%s.example' % l.name,
      name: 'certificates of %s: DaneRolloverNotReady fires before the renewal if it breaks DANE' % l.name,
      series: outcome(instance, left) + certificate(instance, l.is, left) + records(instance, [0 for l in left], 0, '3'),
      silent: [{ minute: t.at(std.length(until) - 1), minutes: t.at(std.length(until)) }],
      firing: [t.firing(t.at(last), [t.alert('DaneRolloverNotReady', instance, 'mx.' + instance)])],
    }
    for l in lifetimes
  ]
