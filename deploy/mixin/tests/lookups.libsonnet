// Cases for targets whose module has "connect: false". While their lookups succeed and do
// not decide the outcome, there is none, and probe_success is 1.
function(t) [
  {
    name: 'DaneDomainRefused, DaneDNSSECBogus: a probe of lookups alone that succeeds without an outcome ends them',
    local values(of) = t.values(t.problem, of),
    local outcome(state, value) = t.series('dane_outcome', 'lookups.example', { outcome: state }, values({ bad: value })),
    series: [
      t.series('up', 'lookups.example', {}, values({ ok: 1, bad: 1, lost: 0 })),
      t.series('dane_probe_complete', 'lookups.example', {}, values({ ok: 1, bad: 1 })),
      t.series('probe_success', 'lookups.example', {}, values({ ok: 1, bad: 0 })),
      outcome('refused', 1),
      outcome('unknown', 0),
      t.finding('lookups.example', 'dnssec_bogus', '', t.problem),
    ],
    firing: t.lifecycle([t.alert('DaneDomainRefused', 'lookups.example'), t.alert('DaneDNSSECBogus', 'lookups.example')], start=t.confirmed),
    ignore: ['DaneRequirementNotMet'],
  },

  {
    name: 'DaneDNSSECBogus: one of two hosts is bogus, and the outcome is never decided',
    local values(of) = t.values(t.problem, of),
    series: [
      t.series('up', 'host.example', {}, values({ ok: 1, bad: 1, lost: 0 })),
      t.series('dane_probe_complete', 'host.example', {}, values({ ok: 1, bad: 1 })),
      t.series('probe_success', 'host.example', {}, values({ ok: 1, bad: 0 })),
      t.finding('host.example', 'dnssec_bogus', 'mx2.host.example', t.problem),
    ],
    firing: t.lifecycle([t.alert('DaneDNSSECBogus', 'host.example', 'mx2.host.example')], start=t.confirmed),
  },
]
