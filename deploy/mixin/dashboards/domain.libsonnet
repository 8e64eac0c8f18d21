// One domain, probed with one module: its outcome, the findings that explain the outcome,
// and the measured facts. Each exporter that probes the domain has its own series.
local p = import 'panels.libsonnet';
local v = import 'values.libsonnet';

local selector = 'job="$job", module="$module", instance="$instance"';
local hosts = selector + ', host=~"$host"';
// The labels that the variables select. They are the same in all rows of a table.
local selected = ['job', 'module', 'instance'];

// Shown in place of series that series: summary does not export.
local full = 'Needs series: full in the module';
local needsFull(description) = description + ' ' + full + '.';

local service = [p.column('host'), p.column('port')];
local exporter = [p.column('exporter')];

local summary(q, links) = p.row('Outcome for DANE clients', [
  p.stat(
    'Outcome',
    'Outcome for a DANE client delivering to the domain. The value links to the report, which explains each step. The findings below have the reasons and remedies.',
    6,
    4,
    [p.instant(q.withURL(q.rank('dane_outcome', selector), selector), '{{exporter}}')],
    { mappings: v.outcomes, noValue: 'No probe of this domain', links: [links.reportOfDomain('${__field.labels.external_url}')] },
    { colorMode: 'background' }
  ),
  p.stat(
    'Requirement fulfilled',
    'Whether all endpoints that count fulfil the requirement of the module (probe_success). If not, see the findings.',
    5,
    4,
    [p.instant(q.min('probe_success', selector), '{{exporter}}')],
    { mappings: v.yesNo(), noValue: 'No probe of this domain' }
  ),
  p.stat(
    'Findings',
    'Number of findings. The table below explains them.',
    4,
    4,
    [p.instant('sum by (%s) (target:dane_finding:current{%s})\nor 0 * %s' % [q.labels(), selector, q.max('dane_outcome', selector)], '{{exporter}}')],
    { unit: 'none', decimals: 0, noValue: 'No probe of this domain', thresholds: v.noneIsGood }
  ),
  p.stat(
    'Measurement',
    'Whether the probe measured everything before its deadline. If not, raise scrape_timeout and the timeout of the module.',
    5,
    4,
    [p.instant(q.min('dane_probe_complete', selector), '{{exporter}}')],
    { mappings: v.yesNo('partial', 'complete', 'orange'), noValue: 'No probe of this domain' }
  ),
  p.stat(
    'Last scrape',
    'Whether the last scrape succeeded. If not, the dashboard shows earlier results: check the exporter.',
    4,
    4,
    [p.instant(q.min('up', selector), '{{exporter}}')],
    { mappings: v.yesNo('failed', 'works'), noValue: 'Never scraped' }
  ),
  p.stat(
    'Authentication expires in',
    'Time until DANE authentication fails if nothing changes. Only dates that DANE checks are used. Publish records of the next certificate before it expires.',
    6,
    4,
    [p.instant('%s - time()' % q.min('dane_authenticated_until_timestamp_seconds', hosts), '{{exporter}}')],
    { unit: 'dtdurations', noValue: 'DANE checks no date', thresholds: v.timeLeft }
  ),
  p.stat(
    'Certificate expires in',
    'Time until the first certificate expires. DANE clients ignore this date with DANE-EE records. Other clients check it.',
    6,
    4,
    [p.instant('%s - time()' % q.min('dane_certificate_not_after_timestamp_seconds', hosts), '{{exporter}}')],
    { unit: 'dtdurations', noValue: 'No certificate was seen', thresholds: v.timeLeft }
  ),
  p.stat(
    'Signature validity left',
    'Smallest remaining share of the validity of DNSSEC signatures, of all zones that the domain depends on. A small share means that a signer has stopped.',
    6,
    4,
    [p.instant(q.shareLeft(
      'dane_dnssec_signature_expiry_timestamp_seconds', 'dane_dnssec_signature_inception_timestamp_seconds', selector, []
    ), '{{exporter}}')],
    { unit: 'percentunit', noValue: 'Not signed', thresholds: v.shareLeft }
  ),
  p.stat(
    'Hosts',
    'Number of hosts of the domain: all, those with a secure, usable TLSA record, and those with a refused service. Every host should have records. None should be refused.',
    6,
    4,
    [
      p.instant(q.max('dane_hosts', selector), 'all'),
      p.instant(q.max('dane_hosts_with_tlsa', selector), 'with TLSA records'),
      p.instant(q.max('dane_hosts_refused', selector), 'refused'),
    ],
    { unit: 'none', decimals: 0, noValue: 'Not measured', thresholds: v.limits('text', []) },
    { textMode: 'value_and_name' }
  ),
  p.stateTimeline(
    'Outcome of the domain and its services',
    'Outcome for a DANE client over time. Services need series: full in the module. If the outcome changes together with a certificate, the TLSA records were probably not updated.',
    24,
    7,
    [
      p.range(q.rank('dane_outcome', selector), '{{instance}} ({{exporter}})'),
      p.range(q.rank('dane_host_outcome', hosts, ['host', 'port']), '{{host}}:{{port}} ({{exporter}})'),
    ],
    { mappings: v.outcomes, noValue: 'No probe of this domain' }
  ),
  p.table(
    'Findings',
    'Current findings. Each reason links to its meaning and remedy in the runbook, and to the report. error: senders refuse the host. ' +
    'degraded: senders deliver with less protection. warning: delivery will fail, or differs between senders. internal: the exporter is the cause.',
    24,
    7,
    [p.rows(q.withURL(q.findings(selector), selector))],
    'No finding',
    [
      p.words('effect', 'effect', v.effects),
      p.column('reason', properties={ links: [links.runbookOfRow, links.reportOfDomain('${__data.fields.exporter}')] }),
    ] + service + [p.column('address'), p.column('external_url', 'exporter')],
    selected + ['exporter', 'Value'],
    'effect'
  ),
], collapsed=false);

local services(q) =
  local yes(metric) = p.rows(q.min(metric, hosts, ['host', 'port']));
  p.row('Hosts and services', [
    p.table(
      'Services',
      needsFull('One row for each port of each host. Senders try the lowest MX preference first. Without a TLSA match, the host is refused. ' +
                'With DANE-EE records, DANE clients ignore Web PKI and name.'),
      24,
      7,
      [
        p.rows(q.rank('dane_host_outcome', hosts, ['host', 'port'])),
        p.rows('0 * %s\n+ on (%s) group_left () %s' % [
          q.max('dane_host_outcome', hosts, ['host', 'port']),
          q.labels(['host']),
          q.max('dane_mx_preference', selector, ['host']),
        ]),
        yes('dane_endpoint_up'),
        yes('dane_starttls_offered'),
        yes('dane_tlsa_match'),
        yes('dane_pkix_valid'),
        yes('dane_certificate_name_match'),
        p.rows('time() - ' + q.min('dane_handshake_timestamp_seconds', hosts, ['host', 'port'])),
      ],
      full,
      service + [
        p.words('Value #A', 'outcome', v.outcomes, 'color-background'),
        p.number('Value #B', 'preference', 'none', { noValue: 'no MX' }),
        p.words('Value #C', 'connects', v.yesNo()),
        p.words('Value #D', 'STARTTLS', v.yesNo()),
        p.words('Value #E', 'TLSA match', v.yesNo()),
        p.words('Value #F', 'Web PKI', v.yesNo(color='text')),
        p.words('Value #G', 'name', v.yesNo(color='text')),
        p.number('Value #H', 'since handshake', 's'),
      ] + exporter,
      selected,
      'preference'
    ),
    p.timeseries(
      'Endpoints',
      needsFull('Number of addresses of the services, by outcome. If some addresses are refused and others authenticated, the servers of one name differ.'),
      12,
      7,
      [p.range('max by (outcome) (sum by (%s) (%s))' % [q.labels(['outcome']), q.last('dane_endpoints', hosts)], '{{outcome}}')],
      { unit: 'none', decimals: 0, min: 0, noValue: full },
      v.outcomeColors
    ),
    p.table(
      'TLS',
      needsFull('Version, cipher suite and key exchange of the handshake. Servers should offer TLS 1.2 or later.'),
      12,
      7,
      [p.rows(q.max('dane_tls_info', hosts, ['host', 'port', 'version', 'cipher', 'group']))],
      full,
      service + [p.column('version'), p.column('cipher'), p.column('group', 'key exchange')] + exporter,
      selected + ['Value'],
      'host'
    ),
    p.table(
      'Not probed',
      needsFull('Addresses that were not tried because the exporter has no IPv6, and lists that were truncated. The other panels do not include them. ' +
                'Give the exporter IPv6, or probe the hosts by their own names.'),
      24,
      5,
      [
        p.rows(q.max('dane_endpoints_skipped', hosts, ['host', 'port'])),
        p.rows(q.max('dane_truncated', selector, ['what'])),
      ],
      'Nothing is missing, or the module has series: summary',
      service + [
        p.number('Value #A', 'skipped addresses', 'none', { noValue: 'none' }),
        p.column('what', 'list'),
        p.words('Value #B', 'truncated', v.yesNo(yes='truncated'), noValue='not truncated'),
      ] + exporter,
      selected,
      'host'
    ),
  ]);

local records(q) = p.row('TLSA records', [
  p.table(
    'TLSA records and matches',
    needsFull('A record that matches no certificate in use is wrong, stale, or for the next key. Remove stale records.'),
    16,
    8,
    [p.rows(q.max('dane_tlsa_record_match', hosts, ['host', 'port', 'usage', 'selector', 'matching_type', 'data']))],
    full,
    service + [
      p.column('usage'),
      p.column('selector'),
      p.column('matching_type', 'type'),
      p.words('Value', 'matches', v.yesNo(color='orange')),
      p.column('data'),
    ] + exporter,
    selected,
    'host'
  ),
  p.table(
    'Rollover status',
    needsFull('next key: a record for the next certificate is published. survives renewal: a new certificate with the same key and issuer would match. ' +
              'stale: number of usable records that match nothing. After you publish a record, wait for the TTL, and then change the certificate.'),
    8,
    8,
    [p.rows(q.min(metric, hosts, ['host', 'port'])) for metric in ['dane_tlsa_rollover_ready', 'dane_tlsa_survives_renewal']] +
    [p.rows(q.max(metric, hosts, ['host', 'port'])) for metric in ['dane_tlsa_stale_records', 'dane_tlsa_ttl_seconds']],
    full,
    service + [
      p.words('Value #A', 'next key', v.yesNo(color='text')),
      p.words('Value #B', 'survives renewal', v.yesNo(color='orange')),
      p.number('Value #C', 'stale', 'none'),
      p.number('Value #D', 'TTL', 'dtdurations'),
    ] + exporter,
    selected,
    'host'
  ),
  p.timeseries(
    'Usable records',
    needsFull('Number of records that a client can use, cannot use, or ignores in favour of a stronger digest. Without a usable record, the server is not authenticated.'),
    24,
    6,
    [p.range('sum by (%s) (%s)' % [q.labels(['host', 'port', 'usable']), q.last('dane_tlsa_records', hosts)], '{{host}}:{{port}} usable: {{usable}}')],
    { unit: 'none', decimals: 0, min: 0, noValue: full }
  ),
]);

local dnssec(q) = p.row('DNSSEC', [
  p.table(
    'Status of each lookup',
    needsFull('DNSSEC status of the lookups of MX, SRV, address and TLSA records, and the zone and algorithm of their signatures. ' +
              'bogus, indeterminate: senders refuse the host or domain; repair the zone. insecure: DANE does not apply.'),
    12,
    8,
    [p.rows(q.max('dane_dnssec_info', selector, ['lookup', 'name', 'host', 'status', 'signer', 'algorithm']))],
    full,
    [p.column('lookup'), p.column('name'), p.column('host'), p.words('status', 'status', v.statuses), p.column('signer'), p.column('algorithm')] + exporter,
    selected + ['Value'],
    'lookup'
  ),
  p.timeseries(
    'Validity of the signatures',
    'Remaining share of the validity of the signatures of each zone. It rises when the zone is signed again. With series: summary, only the zone with the smallest share is shown.',
    12,
    8,
    [p.range(q.shareLeft(
      'dane_dnssec_signature_expiry_timestamp_seconds', 'dane_dnssec_signature_inception_timestamp_seconds', selector, ['zone']
    ), '{{zone}}')],
    {
      unit: 'percentunit',
      min: 0,
      max: 1,
      noValue: 'Not signed',
      custom: { thresholdsStyle: { mode: 'line' } },
      thresholds: v.limits('red', [[0.15, 'transparent']]),
    }
  ),
  p.table(
    'Secure lookups',
    needsFull('Whether the answer to each lookup is secure. Alerts use this series.'),
    12,
    6,
    [p.rows(q.min('dane_dnssec_valid', selector, ['lookup', 'name', 'host']))],
    full,
    [p.column('lookup'), p.column('name'), p.column('host'), p.words('Value', 'secure', v.yesNo(color='orange'))] + exporter,
    selected,
    'lookup'
  ),
  p.table(
    'Nameservers',
    needsFull('The nameservers of the zones with the TLSA records, and of their parents: whether each answers, has the same TLSA or DS records as the others, and has valid signatures. If some differ, repair the zone transfer to them. ' +
              'Needs nameservers: true, too.'),
    12,
    6,
    local by = ['zone', 'nameserver', 'address'];
    [
      p.rows(q.min('dane_nameserver_up', selector, by)),
      p.rows(q.min('dane_nameserver_tlsa_consistent', selector, by)),
      p.rows(q.min('dane_nameserver_ds_consistent', selector, by)),
      p.rows(q.max('dane_nameserver_soa_serial', selector, by)),
      p.rows(q.min('dane_nameserver_signature_expiry_timestamp_seconds', selector, by) + ' - time()'),
    ],
    'Needs nameservers: true and series: full in the module',
    [
      p.column('zone'),
      p.column('nameserver'),
      p.column('address'),
      p.words('Value #A', 'answers', v.yesNo()),
      p.words('Value #B', 'TLSA consistent', v.yesNo()),
      p.words('Value #C', 'DS consistent', v.yesNo()),
      p.number('Value #D', 'serial', 'none'),
      p.number('Value #E', 'signatures expire in', 'dtdurations', { thresholds: v.timeLeft }),
    ] + exporter,
    selected,
    'nameserver'
  ),
]);

local certificates(q) =
  local end(metric) = p.rows(q.min(metric, hosts, ['host', 'port']) + ' - time()');
  local left(field, name) = p.number(field, name, 'dtdurations', { thresholds: v.timeLeft, 'custom.cellOptions': { type: 'color-text' } });
  p.row('Certificates', [
    p.table(
      'Server certificates',
      "The server's own certificates, their validity, and the earliest expiry of the chain. If a certificate changed, compare it with the TLSA records. " +
      'A certificate that is not renewed in time has less than a quarter of its lifetime left, and less than 14 days. ' +
      'Subjects and issuers need series: full in the module. With series: summary, only the dates of the certificate with the smallest share of validity left are shown.',
      24,
      7,
      [
        p.rows(q.max('dane_certificate_info', hosts, ['host', 'port', 'subject', 'issuer', 'serial', 'fingerprint_sha256'])),
        end('dane_certificate_not_after_timestamp_seconds'),
        end('dane_certificate_chain_not_after_timestamp_seconds'),
        p.rows('1000 * ' + q.max('dane_certificate_not_before_timestamp_seconds', hosts, ['host', 'port'])),
        p.rows(q.renewedInTime('dane_certificate_not_after_timestamp_seconds', 'dane_certificate_not_before_timestamp_seconds', hosts, ['host', 'port'])),
      ],
      'No certificate was seen',
      service + [
        p.column('subject', properties={ noValue: full }),
        p.column('issuer', properties={ noValue: full }),
        p.number('Value #D', 'valid since', 'dateTimeAsIso'),
        left('Value #B', 'expires in'),
        left('Value #C', 'chain expires in'),
        p.words('Value #E', 'renewed in time', v.yesNo(color='orange')),
        p.column('serial'),
        p.column('fingerprint_sha256', 'SHA-256'),
      ] + exporter,
      selected + ['Value #A'],
      'expires in'
    ),
    p.table(
      'Renewal',
      'Whether a CA can issue the next certificate: it validates the CAA records of the name and, for validation by DNS, _acme-challenge. ' +
      'If it cannot, the certificate expires. Needs renewal: true and series: full in the module.',
      24,
      5,
      [
        p.rows(q.min('dane_dnssec_valid', hosts + ', lookup="caa"', ['host'])),
        p.rows(q.min('dane_dnssec_valid', hosts + ', lookup="acme_challenge"', ['host'])),
        p.rows(q.findings(hosts + ', reason="caa_forbids_issuer"', ['host'])),
      ],
      'Needs renewal: true and series: full in the module',
      [
        p.column('host'),
        p.words('Value #A', 'CAA secure', v.yesNo(color='orange')),
        p.words('Value #B', '_acme-challenge secure', v.yesNo(color='orange')),
        p.words('Value #C', 'CAA admits the CA', v.forbidden, noValue='not forbidden'),
      ] + exporter,
      selected,
      'host'
    ),
    p.timeseries(
      'Time until expiry',
      'Time until DANE authentication fails, and until the certificate expires. The lines rise at a renewal.',
      24,
      7,
      [
        p.range(q.min('dane_authenticated_until_timestamp_seconds', hosts, ['host', 'port']) + ' - time()', 'authentication {{host}}:{{port}}'),
        p.range(q.min('dane_certificate_not_after_timestamp_seconds', hosts, ['host', 'port']) + ' - time()', 'certificate {{host}}:{{port}}'),
      ],
      { unit: 'dtdurations', noValue: 'No certificate was seen' }
    ),
  ]);

local mtaSTS(q) =
  local needs = 'Needs mta_sts: true and series: full in the module';
  local describe(description) = description + ' ' + needs + '.';
  p.row('MTA-STS', [
    p.stat(
      'Mode',
      describe('Mode of the MTA-STS policy. enforce: senders refuse hosts that fail. testing: senders only report them. none: MTA-STS is off.'),
      4,
      5,
      [p.instant('max by (%s) (%s == 1)' % [q.labels(['mode']), q.last('dane_mta_sts_mode', selector)], '{{mode}}')],
      { unit: 'none', noValue: needs, thresholds: v.limits('text', []) },
      { textMode: 'name' }
    ),
    p.stat(
      'Record and policy',
      describe('Whether the MTA-STS record is present and valid, and whether its policy was fetched and is valid.'),
      8,
      5,
      [
        p.instant(q.min('dane_mta_sts_record_present', selector), 'record present'),
        p.instant(q.min('dane_mta_sts_record_valid', selector), 'record valid'),
        p.instant(q.min('dane_mta_sts_policy_fetched', selector), 'policy fetched'),
      ],
      { mappings: v.yesNo(), noValue: needs },
      { textMode: 'value_and_name' }
    ),
    p.table(
      'TLSRPT',
      describe('Whether each TLSRPT record (RFC 8460) is present and valid. Senders report failures of MTA-STS to the domain, and failures of DANE to the name of the mail server. Without a record, they send no reports.'),
      6,
      5,
      [
        p.rows(q.min('dane_tlsrpt_record_present', selector, ['name'])),
        p.rows(q.min('dane_tlsrpt_record_valid', selector, ['name'])),
      ],
      needs,
      [p.column('name'), p.words('Value #A', 'present', v.yesNo(color='orange')), p.words('Value #B', 'valid', v.yesNo(color='orange'), noValue='no record')] + exporter,
      selected,
      'name'
    ),
    p.stat(
      'Times',
      describe('How long senders may keep the policy, and when the certificate of the policy host expires.'),
      6,
      5,
      [
        p.instant(q.min('dane_mta_sts_max_age_seconds', selector), 'max_age'),
        p.instant(q.min('dane_mta_sts_certificate_not_after_timestamp_seconds', selector) + ' - time()', 'certificate expires in'),
      ],
      { unit: 'dtdurations', noValue: needs, thresholds: v.limits('text', []) },
      { textMode: 'value_and_name' }
    ),
    p.table(
      'Hosts under the policy',
      describe('Whether the policy lists each host, and whether each host fulfils MTA-STS: STARTTLS and a Web PKI certificate. If not, change the policy or the certificate.'),
      12,
      6,
      [
        p.rows(q.max('dane_mta_sts_host_covered', hosts, ['host'])),
        p.rows(q.min('dane_mta_sts_host_passes', hosts, ['host'])),
      ],
      needs,
      [p.column('host'), p.words('Value #A', 'listed', v.yesNo()), p.words('Value #B', 'passes', v.yesNo())] + exporter,
      selected,
      'host'
    ),
    p.stat(
      'Outcome by sender',
      describe('Outcome for a sender that implements only DANE, only MTA-STS, or both. If the outcomes differ, mail of some senders is lost.'),
      12,
      6,
      [p.instant(q.rank('dane_mta_sts_sender_outcome', selector, ['sender']), '{{sender}}')],
      { mappings: v.outcomes, noValue: needs },
      { textMode: 'value_and_name' }
    ),
  ]);

local durations(q) = p.row('Duration', [
  p.timeseries(
    'Duration of the probe and its phases',
    'Time from the first start to the last end of each phase. Phases overlap. The probe must end within scrape_timeout. Phases need series: full in the module.',
    24,
    7,
    [
      p.range(q.max('probe_duration_seconds', selector), 'probe'),
      p.range(q.max('dane_probe_phase_duration_seconds', selector, ['phase']), '{{phase}}'),
    ],
    { unit: 's', min: 0, noValue: 'No probe of this domain' }
  ),
]);

function(config)
  local q = (import 'queries.libsonnet')(config);
  local settings = config.dashboards;
  local links = (import 'links.libsonnet')(settings);
  p.dashboard(
    settings,
    settings.uids.domain,
    'DANE: one domain',
    'Outcome for DANE clients at one domain, with the findings that explain it. Each value is the last one of the past %s. After a change, the previous state may be shown too.' % config.window,
    'now-24h',
    [
      p.variable('job', 'Job', 'dane_outcome', 'job'),
      p.variable('module', 'Module', 'dane_outcome{job="$job"}', 'module'),
      p.variable('instance', 'Domain', 'dane_outcome{job="$job", module="$module"}', 'instance'),
      // Two metrics, because series: summary has no outcome of hosts.
      p.variable(
        'host', 'Host', '{__name__=~"dane_host_outcome|dane_certificate_not_after_timestamp_seconds", %s}' % selector, 'host', several=true, allValue='.*'
      ),
    ],
    [links.fleet([['job', '${job:percentencode}'], ['module', '${module:percentencode}']]), links.exporter],
    [
      p.annotation('Outcome changed', 'red', q.outcomeChanged(selector), '{{instance}} is {{outcome}} ({{exporter}})'),
      p.annotation('Certificate changed', 'green', q.changed('dane_certificate_not_before_timestamp_seconds', selector), 'New certificate at {{host}}:{{port}}'),
      p.annotation('Configuration loaded', 'blue', q.reloads(selector), '{{instance}} loaded its configuration', useValueForTime=true),
    ],
    [summary(q, links), services(q), records(q), dnssec(q), certificates(q), mtaSTS(q), durations(q)]
  )
