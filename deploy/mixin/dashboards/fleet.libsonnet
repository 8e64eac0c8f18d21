// All domains: how many have each outcome, which are the worst, and what expires next.
local p = import 'panels.libsonnet';
local v = import 'values.libsonnet';

local selector = 'job=~"$job", module=~"$module"';

// The labels of a target, as columns of a table.
local target(links) = {
  first: [p.column('instance', 'domain', { links: [links.domainOfRow] })],
  last: [p.column('module'), p.column('job'), p.column('external_url', 'exporter')],
  hidden: ['exporter'],
};

local outcomes(q) = p.row('Outcomes for DANE clients', [
  p.stat(
    'Targets by outcome',
    'Outcome for a DANE client now. A target is one domain or server, as one module and one exporter probe it. ' +
    'refused and unreachable mean that mail is lost or delayed: see the tables below. opportunistic: DANE does not apply. ' +
    'unknown: the exporter cannot judge; see the dashboard of the exporter.',
    14,
    5,
    [p.instant('sum by (outcome) (\n%s\n)' % std.rstripChars(q.outcomes('dane_outcome', selector), '\n'), '{{outcome}}')],
    { unit: 'none', decimals: 0, noValue: 'No probe in this job' },
    { textMode: 'value_and_name' },
    v.outcomeColors
  ),
  p.stat(
    'Requirement fulfilled',
    'Share of the targets that fulfil the requirement of their module (probe_success). For the others, the table of targets says no under fulfilled.',
    4,
    5,
    [p.instant('avg(%s and on (%s) %s)' % [q.last('probe_success', selector), q.labels(), q.last('dane_outcome', selector)])],
    { unit: 'percentunit', decimals: 1, noValue: 'No probe in this job', thresholds: v.limits('red', [[0.9, 'orange'], [0.999, 'green']]) }
  ),
  p.stat(
    'Not scraped',
    'Targets whose last scrape failed, so that their present state is not known. Check the exporter and the page Targets of Prometheus.',
    3,
    5,
    [p.instant('count(%s == 0) or vector(0)' % q.last('up', selector + ', ' + q.probes))],
    { unit: 'none', decimals: 0, noValue: 'Not measured', thresholds: v.noneIsGood }
  ),
  p.stat(
    'Probes cut short',
    'Targets whose last probe did not measure everything before its deadline. Raise scrape_timeout and the timeout of the module, or look for slow servers.',
    3,
    5,
    [p.instant('count(%s == 0) or vector(0)' % q.last('dane_probe_complete', selector))],
    { unit: 'none', decimals: 0, noValue: 'Not measured', thresholds: v.limits('green', [[1, 'orange']]) }
  ),
  p.timeseries(
    'Trend of problems',
    'Targets that are refused, unreachable or unknown. A step of many targets at the same time has one cause: a hoster, a resolver or the exporter.',
    12,
    8,
    [p.range('sum by (outcome) (job_module_outcome:dane_outcome:sum{%s, outcome=~"refused|unreachable|unknown"})' % selector, '{{outcome}}')],
    { unit: 'none', decimals: 0, noValue: 'Needs the recording rules of deploy/prometheus/rules.yml' } + p.stacked,
    v.outcomeColors
  ),
  p.timeseries(
    'Trend of findings',
    'Number of findings by reason. The runbook has a section for each reason: follow the links in the table of findings.',
    12,
    8,
    [p.range('sum by (reason) (job_module_reason:dane_finding:count{%s})' % selector, '{{reason}}')],
    { unit: 'none', decimals: 0, noValue: 'No finding, or the recording rules of deploy/prometheus/rules.yml are not loaded' } + p.stacked
  ),
  p.timeseries(
    'Share of targets that fulfil their requirement',
    'Average of probe_success for each job and module. Compare it with your objective.',
    12,
    7,
    [p.range('job_module:probe_success:avg{%s}' % selector, '{{job}} {{module}}')],
    { unit: 'percentunit', max: 1, noValue: 'Needs the recording rules of deploy/prometheus/rules.yml' }
  ),
  p.timeseries(
    'Hosts of the targets',
    'Hosts that the targets lead to, those with a secure, usable TLSA record, and those with a refused service. A host counts once for each target that leads to it.',
    12,
    7,
    [
      p.range('sum(%s)' % q.last('dane_hosts', selector), 'all'),
      p.range('sum(%s)' % q.last('dane_hosts_with_tlsa', selector), 'with TLSA records'),
      p.range('sum(%s)' % q.last('dane_hosts_refused', selector), 'refused'),
    ],
    { unit: 'none', decimals: 0, min: 0, noValue: 'No target leads to a host' },
    [v.colorOf('all', 'blue'), v.colorOf('with TLSA records', 'green'), v.colorOf('refused', 'red')]
  ),
], collapsed=false);

local worst(q, links) =
  local t = target(links);
  local count(effect) = 'count by (%s) (target:dane_finding:current{%s, effect="%s"})' % [q.labels(), selector, effect];
  p.row('Worst first', [
    p.table(
      'Targets, worst first',
      'Outcome of each target, with the number of its findings and hosts. The domain links to its dashboard, the outcome to the report of the exporter. Start at the top.',
      24,
      11,
      [
        p.rows(q.withURL(q.rank('dane_outcome', selector), selector)),
        p.rows(q.min('probe_success', selector) + '\nand on (%s) %s' % [q.labels(), q.last('dane_outcome', selector)]),
        p.rows(count('error')),
        p.rows(count('degraded')),
        p.rows(q.max('dane_hosts', selector)),
        p.rows(q.max('dane_hosts_refused', selector)),
        p.rows(q.max('probe_duration_seconds', selector) + '\nand on (%s) %s' % [q.labels(), q.last('dane_outcome', selector)]),
      ],
      'No probe in this job',
      t.first + [
        p.words('Value #A', 'outcome', v.outcomes, 'color-background') { properties+: { links: [links.reportOfRow] } },
        p.words('Value #B', 'fulfilled', v.yesNo()),
        p.number('Value #C', 'errors', 'none', { noValue: 'none' }),
        p.number('Value #D', 'degraded', 'none', { noValue: 'none' }),
        p.number('Value #E', 'hosts', 'none'),
        p.number('Value #F', 'refused hosts', 'none'),
        p.number('Value #G', 'duration', 's'),
      ] + t.last,
      t.hidden,
      'outcome',
      desc=true
    ),
    p.table(
      'Findings',
      'What is wrong now. Each reason links to its meaning and remedy in the runbook, and to the report. error: senders refuse the host. ' +
      'degraded: it works with less protection. warning: it will fail, or differs between senders. internal: the cause is on the side of the exporter.',
      24,
      11,
      [p.rows(q.withURL(q.findings(selector), selector))],
      'No finding',
      [
        p.words('effect', 'effect', v.effects),
        p.column('reason', properties={ links: [links.runbookOfRow, links.reportOfRow] }),
      ] + t.first + [p.column('host'), p.column('port'), p.column('address')] + t.last,
      t.hidden + ['Value'],
      'effect'
    ),
  ], collapsed=false);

local expiries(q, links) =
  local t = target(links);
  local ends(metric, what, by=['host', 'port']) =
    'label_replace(%s, "ends", "%s", "", "")' % [q.min(metric, selector, by), what];
  p.row('Next expiries', [
    p.table(
      'Certificates that expire next',
      'authentication: no TLSA record authenticates the server after this time; publish records of the next certificate first. ' +
      'certificate: expiry of the certificate, which DANE-EE records ignore. policy host: expiry at the MTA-STS policy host, with mta_sts in the module.',
      12,
      11,
      [p.rows(q.withURL(|||
        (bottomk(30,
          %s
          or %s
          or %s
        ) - time())
      ||| % [
        ends('dane_authenticated_until_timestamp_seconds', 'authentication'),
        ends('dane_certificate_not_after_timestamp_seconds', 'certificate'),
        ends('dane_mta_sts_certificate_not_after_timestamp_seconds', 'policy host', []),
      ], selector))],
      'No certificate was seen',
      t.first + [
        p.column('ends'),
        p.column('host'),
        p.column('port'),
        p.number('Value', 'in', 'dtdurations', { thresholds: v.timeLeft, 'custom.cellOptions': { type: 'color-text' } }),
      ] + t.last,
      t.hidden,
      'in'
    ),
    p.table(
      'Zones with the least validity of signatures left',
      'Remaining share of the validity of the signatures of each zone, and one target that depends on the zone. ' +
      'A working signer renews them long before the expiry, whatever the period. A small share means that the signer has stopped.',
      12,
      11,
      [p.rows(q.withURL('bottomk(30, bottomk by (zone) (1,\n%s\n))' % std.rstripChars(q.shareLeft(
        'dane_dnssec_signature_expiry_timestamp_seconds',
        'dane_dnssec_signature_inception_timestamp_seconds',
        selector,
        ['zone']
      ), '\n'), selector))],
      'No signed zone was seen',
      [
        p.column('zone'),
        p.number('Value', 'left', 'percentunit', { min: 0, max: 1, thresholds: v.shareLeft, 'custom.cellOptions': { type: 'gauge' } }),
      ] + t.first + t.last,
      t.hidden,
      'left'
    ),
  ]);

function(config)
  local q = (import 'queries.libsonnet')(config);
  local settings = config.dashboards;
  local links = (import 'links.libsonnet')(settings);
  p.dashboard(
    settings,
    settings.uids.fleet,
    'DANE: all domains',
    'Outcomes for DANE clients at all domains that dane_exporter probes. Complete with both values of the module setting series.',
    'now-7d',
    [
      p.variable('job', 'Job', 'dane_outcome', 'job', several=true),
      p.variable('module', 'Module', 'dane_outcome{job=~"$job"}', 'module', several=true, allValue='.*'),
    ],
    [links.domain(), links.exporter],
    [p.annotation('Configuration loaded', 'blue', q.reloads(selector), '{{instance}} loaded its configuration', useValueForTime=true)],
    [outcomes(q), worst(q, links), expiries(q, links)]
  )
