// All domains: number by outcome, the targets with the worst outcomes, and the next expiries.
local p = import 'panels.libsonnet';
local v = import 'values.libsonnet';

local needsRules = 'Needs the recording rules of deploy/prometheus/rules.yml';
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
    'Number of targets by outcome for a DANE client. A target is one domain or server, probed with one module by one exporter. ' +
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
    'Share of the targets that fulfil the requirement of their module (probe_success). For the others, the column fulfilled in the table of targets is no.',
    4,
    5,
    [p.instant('avg(%s and on (%s) %s)' % [q.last('probe_success', selector), q.labels(), q.last('dane_outcome', selector)])],
    { unit: 'percentunit', decimals: 1, noValue: 'No probe in this job', thresholds: v.limits('red', [[0.9, 'orange'], [0.999, 'green']]) }
  ),
  p.stat(
    'Not scraped',
    'Targets whose last scrape failed. Their current state is not known. Check the exporter and the page Targets of Prometheus.',
    3,
    5,
    [p.instant('count(%s == 0) or vector(0)' % q.last('up', selector + ', ' + q.probes))],
    { unit: 'none', decimals: 0, noValue: 'Not measured', thresholds: v.noneIsGood }
  ),
  p.stat(
    'Incomplete probes',
    'Targets whose last probe did not measure everything before its deadline. Raise scrape_timeout and the timeout of the module, or look for slow servers.',
    3,
    5,
    [p.instant('count(%s == 0) or vector(0)' % q.last('dane_probe_complete', selector))],
    { unit: 'none', decimals: 0, noValue: 'Not measured', thresholds: v.limits('green', [[1, 'orange']]) }
  ),
  p.timeseries(
    'Trend of problems',
    'Targets that are refused, unreachable or unknown. If many targets change at the same time, the cause is one hoster, one resolver or the exporter.',
    12,
    8,
    [p.range('sum by (outcome) (job_module_outcome:dane_outcome:sum{%s, outcome=~"refused|unreachable|unknown"})' % selector, '{{outcome}}')],
    { unit: 'none', decimals: 0, noValue: needsRules } + p.stacked,
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
    { unit: 'percentunit', max: 1, noValue: needsRules }
  ),
  p.timeseries(
    'Hosts of the targets',
    'Number of hosts of the targets: all, those with a secure, usable TLSA record, and those with a refused service. A host counts once for each of its targets.',
    12,
    7,
    [
      p.range('sum(%s)' % q.last('dane_hosts', selector), 'all'),
      p.range('sum(%s)' % q.last('dane_hosts_with_tlsa', selector), 'with TLSA records'),
      p.range('sum(%s)' % q.last('dane_hosts_refused', selector), 'refused'),
    ],
    { unit: 'none', decimals: 0, min: 0, noValue: 'No target has a host' },
    [v.colorOf('all', 'blue'), v.colorOf('with TLSA records', 'green'), v.colorOf('refused', 'red')]
  ),
], collapsed=false);

local losses =
  local of = 'sum by (protection) (%s{' + selector + '})';
  p.row('Mass changes', [
    p.timeseries(
      'Outcome over time',
      'Number of targets by outcome. A target whose outcome is unknown does not count with its last known outcome.',
      12,
      8,
      [p.range('sum by (outcome) (job_module_outcome:dane_outcome:sum{%s})' % selector, '{{outcome}}')],
      { unit: 'none', decimals: 0, min: 0, noValue: needsRules } + p.stacked,
      v.outcomeColors
    ),
    p.timeseries(
      'Protected targets',
      'Number of targets that DANE clients authenticate (authenticated), whose hosts have TLSA records (tlsa), and whose zones are signed, with DS records in the parent zones (ds). ' +
      'lost: targets that lost that protection in a mass loss, and do not have it again.',
      12,
      8,
      [
        p.range(of % 'fleet:dane_protected:sum', '{{protection}}'),
        p.range('sum by (protection) (target:dane_mass_loss:known{%s} > target:dane_protected:known)' % selector, 'lost: {{protection}}'),
      ],
      { unit: 'none', decimals: 0, min: 0, noValue: needsRules }
    ),
    p.timeseries(
      'Loss within an hour',
      'Share of the protected targets that lost a protection within the last hour, minus those that gained it. Only targets whose state is known at both times count. ' +
      'The threshold is that of the alert DaneMassLoss.',
      12,
      8,
      [
        p.range('max by (protection) (fleet:dane_lost:ratio{%s})' % selector, '{{protection}}'),
        p.range('min(protection:dane_loss_threshold:ratio)', 'threshold'),
      ],
      { unit: 'percentunit', noValue: needsRules },
      [v.colorOf('threshold', 'red')]
    ),
    p.table(
      'Zones at fault',
      'Zones whose data or nameservers are the only reason why targets are refused, and the number of these targets.',
      6,
      8,
      [p.rows('count by (zone) (group by (zone, instance) (target:dane_outcome_zone:recent{%s} >= 0))' % selector)],
      'No target is refused only because of one zone',
      [p.column('zone'), p.number('Value', 'targets', 'none')],
      [],
      'targets',
      desc=true
    ),
    p.table(
      'Mail hosts with the most refused domains',
      'Hosts that DANE clients refuse, and the number of targets that use them. The table of findings below has the reasons.',
      6,
      8,
      [p.rows('topk(30, sum by (host) (job_module_host:dane_hosts_refused:count{%s}))' % selector)],
      'No host is refused',
      [p.column('host'), p.number('Value', 'targets', 'none')],
      [],
      'targets',
      desc=true
    ),
  ], collapsed=false);

local worst(q, links) =
  local t = target(links);
  local count(effect) = 'count by (%s) (target:dane_finding:current{%s, effect="%s"})' % [q.labels(), selector, effect];
  p.row('Worst first', [
    p.table(
      'Targets, worst first',
      'Outcome of each target, with the number of its findings and hosts. The domain links to its dashboard. The outcome links to the report of the exporter.',
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
      'Current findings. Each reason links to its meaning and remedy in the runbook, and to the report. error: senders refuse the host. ' +
      'degraded: senders deliver with less protection. warning: delivery will fail, or differs between senders. internal: the exporter is the cause.',
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
      'authentication: no TLSA record authenticates the server after this time. Publish records of the next certificate first. ' +
      'certificate: expiry of the certificate. DANE clients ignore it with DANE-EE records. ' +
      'policy host: expiry of the certificate of the MTA-STS policy host, if the module has mta_sts.',
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
        p.column('ends', 'what expires'),
        p.column('host'),
        p.column('port'),
        p.number('Value', 'expires in', 'dtdurations', { thresholds: v.timeLeft, 'custom.cellOptions': { type: 'color-text' } }),
      ] + t.last,
      t.hidden,
      'expires in'
    ),
    p.table(
      'Zones with the smallest share of signature validity left',
      'Remaining share of the validity of the signatures of each zone, and one target that depends on the zone. ' +
      'A working signer renews signatures long before they expire, whatever their validity period is. A small share means that the signer has stopped.',
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
    'Outcomes for DANE clients at all domains that dane_exporter probes. It is complete with both values of the module setting series.',
    'now-7d',
    [
      p.variable('job', 'Job', 'dane_outcome', 'job', several=true),
      p.variable('module', 'Module', 'dane_outcome{job=~"$job"}', 'module', several=true, allValue='.*'),
    ],
    [links.domain(), links.exporter],
    [p.annotation('Configuration loaded', 'blue', q.reloads(selector), '{{instance}} loaded its configuration', useValueForTime=true)],
    [outcomes(q), losses, worst(q, links), expiries(q, links)]
  )
