// Recording rules of fleets. A fleet is the targets of one job that one exporter probes with
// one module. The rules count the targets with each protection, and find mass losses. They
// work with both values of the module setting "series".
local reasons = import 'reasons.libsonnet';

function(config, p)
  local ago = 'offset %dm' % config.lossMinutes;
  local scraped = 'and %s %s' % [p.on(), p.scraped];

  // The last known state of each target: 1 if it has the protection, 0 if it does not. A
  // failed scrape, a failed lookup, an unknown outcome and an exporter that is down do not
  // change it. A target that is removed has none.
  local states = {
    // Clients that validate DANE authenticate the target. The target has no state while
    // no server is reachable, because DaneDomainUnreachable fires, and while a broken zone is
    // the only cause of the outcome, because DaneZoneBroken fires.
    authenticated: |||
      %s
      unless %s %s == 1
      unless %s %s
    ||| % [p.remembered('dane_outcome{outcome="authenticated"}'), p.on(), p.remembered('dane_outcome{outcome="unreachable"}'), p.on(), p.zoneOfTarget],
    // The share of the hosts that have TLSA records, so that removing a host is not a loss.
    tlsa: |||
      %s
      / (%s > 0)
    ||| % [p.remembered('dane_hosts_with_tlsa'), p.remembered('dane_hosts')],
    // The names of the target are in signed zones, and the parent zones have DS records. With
    // "nameservers: true", their nameservers show a removal before the caches of resolvers do.
    ds: |||
      1 - (
        group by (%s) (
          target:dane_finding:current{reason=~"%s"}
          or
          %s == 0
        )
        or
        group by (%s) (%s) * 0
      )
    ||| % [p.target, std.join('|', reasons.insecure), p.remembered('dane_delegation_ds_records'), p.target, p.remembered('dane_hosts_with_tlsa')],
  };

  std.flattenArrays([
    [
      { record: p.protected, expr: states[protection] + scraped, labels: { protection: protection } },
      { record: p.lossThreshold, expr: 'vector(%g)' % config.lossShares[protection], labels: { protection: protection } },
    ]
    for protection in p.protections
  ])
  + [
    { record: p.protectedSum, expr: 'sum by (%s, protection) (%s)' % [p.fleet, p.protected] },
    // The decrease of the number. Only targets with a state at both times count, not those
    // that are new or removed.
    { record: p.lost, expr: 'sum by (%s, protection) (%s %s - %s)' % [p.fleet, p.protected, ago, p.protected] },
    { record: p.lostShare, expr: '%s / (%s %s > 0)' % [p.lost, p.protectedSum, ago] },
    // The targets of a mass loss, with their state before it, until they have that state
    // again, for at most lossStands.
    {
      record: p.lostTargets,
      expr: |||
        (
          last_over_time(%(targets)s[1h]) > %(state)s
          and on (%(fleet)s, protection)
          max_over_time(%(lost)s[%(stands)s]) >= %(threshold)s
        )
        or
        (
          %(state)s %(ago)s > %(state)s
          and on (%(fleet)s, protection) (
            %(lost)s >= %(threshold)s
            and
            %(number)s >= %(least)d
          )
        )
      ||| % {
        targets: p.lostTargets,
        state: p.protected,
        fleet: p.fleet,
        lost: p.lostShare,
        number: p.lost,
        least: config.lossTargets,
        threshold: p.ofThreshold,
        stands: config.lossStands,
        ago: ago,
      },
    },
    // Their share of the targets that have the protection or had it before the loss.
    {
      record: p.massLossShare,
      local sum = 'sum by (%s, protection) (%s - %s)' % [p.fleet, p.lostTargets, p.protected],
      expr: '%s / (%s + %s)' % [sum, sum, p.protectedSum],
    },
  ]
