// Settings of rules, alerts and dashboards. To change one, import mixin.libsonnet and
// override it:
//   (import 'mixin.libsonnet') { _config+:: { intervalMinutes: 60 } }
{
  _config+:: {
    local c = self,

    // The longest scrape interval of the probe jobs, in minutes.
    intervalMinutes: 5,
    // How far rules look back for the last sample of a target: three intervals, so that
    // two lost scrapes change nothing. Prometheus itself looks back five minutes.
    window: '%dm' % (3 * c.intervalMinutes),

    // The labels that the scrape configuration gives to a target. Two modules of one
    // instance, or two exporters that probe it, are kept apart.
    targetLabels: ['job', 'instance', 'module', 'exporter'],
    // Selects the probe jobs among all scrape jobs: only they have a label module.
    probeSelector: 'module!=""',
  },
}
