// The exporter itself: whether it can judge domains, and its load and use of resources.
local p = import 'panels.libsonnet';
local v = import 'values.libsonnet';

local selector = 'job=~"$exporter_job", instance=~"$exporter_instance"';
local rate(metric, more='') = 'rate(%s{%s%s}[$__rate_interval])' % [metric, selector, more];
local none = 'No sample: Prometheus must scrape /metrics of the exporter';

local state = p.row('State', [
  p.stat(
    'Scrape of the exporter',
    'Whether Prometheus can scrape /metrics of the exporter. If not, no domain is monitored.',
    4,
    6,
    [p.instant('min by (instance) (up{%s})' % selector, '{{instance}}')],
    { mappings: v.yesNo('failed', 'works'), noValue: none }
  ),
  p.stat(
    'Resolvers',
    'Whether the self-check found each resolver suitable: it answers and returns DNSSEC records. If none is suitable, every outcome is unknown: change resolver.servers.',
    6,
    6,
    [p.instant('min by (instance, module, server) (dane_exporter_resolver_ok{%s})' % selector, '{{instance}} {{module}} {{server}}')],
    { mappings: v.yesNo('unsuitable', 'suitable'), noValue: none }
  ),
  p.stat(
    'Trust anchor',
    'Whether a trust anchor authenticates the keys of the root zone. If not, update the exporter or resolver.trust_anchors.',
    4,
    6,
    [p.instant('min by (instance, module) (dane_exporter_trust_anchor_ok{%s})' % selector, '{{instance}} {{module}}')],
    { mappings: v.yesNo('no match', 'matches'), noValue: 'Not measured: no resolver returned the keys of the root' }
  ),
  p.stat(
    'Configuration',
    'Whether the last load of the configuration file succeeded. If not, the previous configuration is in use. The log has the error.',
    4,
    6,
    [p.instant('min by (instance) (dane_exporter_config_last_reload_successful{%s})' % selector, '{{instance}}')],
    { mappings: v.yesNo('invalid', 'valid'), noValue: none }
  ),
  p.stat(
    'Time since load',
    'Time since the configuration was last loaded, by a reload or at the start of the exporter.',
    3,
    6,
    [p.instant('time() - max by (instance) (dane_exporter_config_last_reload_success_timestamp_seconds{%s})' % selector, '{{instance}}')],
    { unit: 'dtdurations', noValue: none, thresholds: v.limits('text', []) }
  ),
  p.stat(
    'Panics in one day',
    'Panics recovered in the last day. Each is a defect of the exporter: report it with the stack trace in the log.',
    3,
    6,
    [p.instant('sum by (instance) (increase(dane_exporter_panics_total{%s}[1d]))' % selector, '{{instance}}')],
    { unit: 'none', decimals: 0, noValue: none, thresholds: v.noneIsGood }
  ),
  p.table(
    'Builds',
    'Version of each exporter, and the base URL of its links (--web.external-url). Without that flag, links use the label exporter.',
    24,
    5,
    [
      p.rows('max by (job, instance, version, revision, goversion) (dane_exporter_build_info{%s})' % selector),
      p.rows('max by (job, instance, external_url) (dane_exporter_info{%s})' % selector),
      p.rows('time() - max by (job, instance) (process_start_time_seconds{%s})' % selector),
    ],
    none,
    [
      p.column('instance'),
      p.column('version'),
      p.column('revision'),
      p.column('goversion', 'Go'),
      p.column('external_url', 'URL', { noValue: 'not set' }),
      p.number('Value #C', 'running for', 'dtdurations'),
      p.column('job'),
    ],
    ['Value #A', 'Value #B'],
    'instance'
  ),
], collapsed=false);

local probes = p.row('Probes', [
  p.timeseries(
    'Probes by outcome',
    'Completed probes per second. A rise of unknown means that the exporter cannot judge: see Resolvers and Connections.',
    12,
    7,
    [p.range('sum by (outcome) (%s)' % rate('dane_exporter_probes_total'), '{{outcome}}')],
    { unit: 'reqps', noValue: 'No probe yet' } + p.stacked,
    v.outcomeColors
  ),
  p.timeseries(
    'Probes by module',
    'Completed probes per second, by module.',
    12,
    7,
    [p.range('sum by (module) (%s)' % rate('dane_exporter_probes_total'), '{{module}}')],
    { unit: 'reqps', noValue: 'No probe yet' } + p.stacked
  ),
  p.timeseries(
    'Probes in progress',
    'Probes in progress at the time of the scrape. At limits.probes, further requests wait and are then rejected.',
    12,
    7,
    [p.range('sum by (instance) (dane_exporter_probes_in_flight{%s})' % selector, '{{instance}}')],
    { unit: 'none', decimals: 0, min: 0, noValue: none }
  ),
  p.timeseries(
    'Rejected requests',
    'Probes per second that were rejected because too many were in progress, and requests for modules that the configuration does not define. ' +
    'Raise limits.probes, or correct the scrape configuration.',
    12,
    7,
    [
      p.range('sum by (instance, reason) (%s)' % rate('dane_exporter_probes_rejected_total'), '{{instance}} rejected: {{reason}}'),
      p.range('sum by (instance) (%s)' % rate('dane_exporter_module_unknown_total'), '{{instance}} unknown module'),
    ],
    { unit: 'reqps', min: 0, noValue: 'No request was rejected' }
  ),
  p.timeseries(
    'Duration of probes',
    'Median, 95th and 99th percentile. They must be below scrape_timeout.',
    12,
    7,
    [
      p.range('histogram_quantile(%s, sum by (le) (%s))' % [quantile[0], rate('dane_exporter_probe_duration_seconds_bucket')], quantile[1])
      for quantile in [['0.5', 'median'], ['0.95', '95 %'], ['0.99', '99 %']]
    ],
    { unit: 's', min: 0, noValue: 'No probe yet' }
  ),
  p.heatmap(
    'Distribution of durations',
    'Number of probes by duration. A second band at a timeout shows servers or resolvers that do not answer.',
    12,
    7,
    [p.buckets('sum by (le) (increase(dane_exporter_probe_duration_seconds_bucket{%s}[$__rate_interval]))' % selector)],
    { noValue: 'No probe yet' },
    's'
  ),
  p.timeseries(
    'Duration of lookups',
    '95th percentile of lookups with their validation, by type of the records. If all types are slow, so is the resolver.',
    12,
    7,
    [p.range('histogram_quantile(0.95, sum by (le, type) (%s))' % rate('dane_exporter_lookup_duration_seconds_bucket'), '{{type}}')],
    { unit: 's', min: 0, noValue: 'No lookup yet' }
  ),
  p.timeseries(
    'Duration of handshakes',
    '95th percentile from the start of the TCP connection to the end of the TLS handshake, by protocol.',
    12,
    7,
    [p.range('histogram_quantile(0.95, sum by (le, protocol) (%s))' % rate('dane_exporter_handshake_duration_seconds_bucket'), '{{protocol}}')],
    { unit: 's', min: 0, noValue: 'No handshake yet' }
  ),
], collapsed=false);

local network = p.row('Connections', [
  p.timeseries(
    'Connections to port 25',
    'Connections per second, by result. If no connection succeeds, the provider blocks the port and no domain is monitored.',
    8,
    7,
    [p.range('sum by (result) (%s)' % rate('dane_exporter_connects_total', ', port="25"'), '{{result}}')],
    { unit: 'cps', min: 0, noValue: 'No connection to port 25 yet' }
  ),
  p.timeseries(
    'Connections to all ports',
    'Connections per second, by port and result.',
    8,
    7,
    [p.range('sum by (port, result) (%s)' % rate('dane_exporter_connects_total'), 'port {{port}} {{result}}')],
    { unit: 'cps', min: 0, noValue: 'No connection yet' }
  ),
  p.timeseries(
    'Reused handshakes',
    'Handshakes of another probe per second that a probe reused instead of connecting. limits.handshake_reuse sets their maximum age.',
    8,
    7,
    [p.range('sum by (instance) (%s)' % rate('dane_exporter_handshakes_reused_total'), '{{instance}}')],
    { unit: 'ops', min: 0, noValue: none }
  ),
]);

local dns = p.row('DNS', [
  p.timeseries(
    'Queries',
    'Queries per second, by resolver and transport. Many queries over TCP mean that answers over UDP are truncated or lost.',
    12,
    7,
    [p.range('sum by (server, transport) (%s)' % rate('dane_exporter_dns_queries_total'), '{{server}} {{transport}}')],
    { unit: 'reqps', min: 0, noValue: 'No query yet' }
  ),
  p.timeseries(
    'Queries without an answer',
    'Queries per second that got no answer, by resolver and error. Check the network and the rate limits of the resolver.',
    12,
    7,
    [p.range('sum by (server, error) (%s)' % rate('dane_exporter_dns_errors_total'), '{{server}} {{error}}')],
    { unit: 'reqps', min: 0, noValue: 'Every query got an answer' }
  ),
  p.timeseries(
    'Cache hit ratio',
    'Share of the needed zones that the cache of validated zones contained. It is low after a start, and if the domains have many different parent zones.',
    8,
    7,
    [p.range('sum by (instance) (%s)\n/ sum by (instance) (%s)' % [
      rate('dane_exporter_dns_cache_requests_total', ', result="hit"'),
      rate('dane_exporter_dns_cache_requests_total'),
    ], '{{instance}}')],
    { unit: 'percentunit', min: 0, max: 1, noValue: 'No lookup yet' }
  ),
  p.timeseries(
    'Size of the cache',
    'Estimated memory of the cache of validated zones.',
    8,
    7,
    [p.range('sum by (instance) (dane_exporter_dns_cache_bytes{%s})' % selector, '{{instance}}')],
    { unit: 'bytes', min: 0, noValue: none }
  ),
  p.timeseries(
    'Names in the cache',
    'Names in the cache of validated zones, including names that are known not to be zones.',
    8,
    7,
    [p.range('sum by (instance) (dane_exporter_dns_cache_entries{%s})' % selector, '{{instance}}')],
    { unit: 'none', decimals: 0, min: 0, noValue: none }
  ),
  p.timeseries(
    'Lookups that exceeded the limits on work',
    'Lookups per second that were aborted. The cause is a zone with very many keys or signatures, or an attack.',
    24,
    6,
    [p.range('sum by (instance) (%s)' % rate('dane_exporter_dns_limit_exceeded_total'), '{{instance}}')],
    { unit: 'ops', min: 0, noValue: none }
  ),
]);

local process = p.row('Process', [
  p.timeseries(
    'Memory',
    'Resident memory of the process, and the heap of Go in use. Compare it with the memory limit of the service.',
    12,
    7,
    [
      p.range('process_resident_memory_bytes{%s}' % selector, '{{instance}} resident'),
      p.range('go_memstats_heap_inuse_bytes{%s}' % selector, '{{instance}} heap in use'),
    ],
    { unit: 'bytes', min: 0, noValue: none }
  ),
  p.timeseries(
    'CPU',
    'CPU time per second. 1 is one core.',
    12,
    7,
    [p.range(rate('process_cpu_seconds_total'), '{{instance}}')],
    { unit: 'none', min: 0, noValue: none }
  ),
  p.timeseries(
    'Goroutines',
    'Goroutines of the process. A number that rises without more probes is a leak: report it.',
    12,
    7,
    [p.range('go_goroutines{%s}' % selector, '{{instance}}')],
    { unit: 'none', decimals: 0, min: 0, noValue: none }
  ),
  p.timeseries(
    'Open file descriptors',
    'Share of the limit. Each connection and each DNS query uses one. Raise LimitNOFILE before it reaches 100 %.',
    12,
    7,
    [p.range('process_open_fds{%s} / process_max_fds{%s}' % [selector, selector], '{{instance}}')],
    { unit: 'percentunit', min: 0, max: 1, noValue: none }
  ),
]);

function(config)
  local settings = config.dashboards;
  local links = (import 'links.libsonnet')(settings);
  p.dashboard(
    settings,
    settings.uids.exporter,
    'DANE exporter itself',
    'Whether dane_exporter can judge domains, and its load and use of resources.',
    'now-24h',
    [
      p.variable('exporter_job', 'Job', 'dane_exporter_build_info', 'job', several=true),
      p.variable('exporter_instance', 'Instance', 'dane_exporter_build_info{job=~"$exporter_job"}', 'instance', several=true),
    ],
    [links.fleet(), links.domain()],
    [p.annotation(
      'Configuration loaded',
      'blue',
      'dane_exporter_config_last_reload_success_timestamp_seconds{%s} * 1000' % selector,
      '{{instance}} loaded its configuration',
      useValueForTime=true
    )],
    [state, probes, network, dns, process]
  )
