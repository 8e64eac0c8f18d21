// The dashboards by file name, and their settings.
{
  _config+:: {
    dashboards: {
      tags: ['dane'],
      refresh: '1m',
      timezone: 'browser',
      uids: { fleet: 'dane-fleet', domain: 'dane-domain', exporter: 'dane-exporter' },
    },
  },

  grafanaDashboards+:: {
    'fleet.json': (import 'fleet.libsonnet')($._config),
    'domain.json': (import 'domain.libsonnet')($._config),
    'exporter.json': (import 'exporter.libsonnet')($._config),
  },
}
