// Comments at the start of the generated files.
{
  local generated = |||
    # Generated from deploy/mixin by make mixin. To change a setting (the scrape interval,
    # thresholds, labels, links), change deploy/mixin/config.libsonnet and run make mixin.
  |||,

  rules: |||
    # Alerting and recording rules for dane_exporter. They need Prometheus 2.42 or later.
    %s#
    # Probe jobs have the labels instance (the target), module and exporter, as in the scrape
    # configurations in deploy/prometheus. They are scraped at least every five minutes;
    # for a longer interval, set intervalMinutes. The evaluation interval is at most two
    # minutes: Prometheus stores a sample when the probe ends, and sees it until five minutes
    # after the start of the scrape. The job of the exporter itself has the label exporter too,
    # with the same value.
    #
    # Severities: critical (mail is being lost now), warning (look today), info (look this
    # week), none (Watchdog). The label scope is what an alert is about: domain, host,
    # zone, fleet, exporter or monitoring. alertmanager.yml uses it.
  ||| % generated,

  views: |||
    # An alert if another resolver leads senders to another outcome than that of smtp_mx. It
    # applies to targets that are scraped twice: with smtp_mx, and with a module that has its
    # own resolver and a name that begins with view_. docs/configuration.md explains such
    # modules. Load it in addition to rules.yml; prometheus-views.yml does. Test it with:
    # promtool test rules views_test.yml
    %s
  ||| % generated,

  chartRules: |||
    # The rules of deploy/prometheus/rules.yml, which the chart puts into a PrometheusRule.
    %s
  ||| % generated,

  tests: |||
    # Tests of rules.yml. Run with: promtool test rules rules_test.yml rules_texts_test.yml
    %s# The cases are in deploy/mixin/tests.
  ||| % generated,

  grafanaAlerts: |||
    # The five most important alerts, for installations that alert in Grafana (11 or later)
    # instead of Prometheus and Alertmanager. Use either these or
    # deploy/prometheus/rules.yml, not both: the alerts and their names are the same.
    %s#
    # These rules need the same labels as rules.yml, and none of its recording rules. If a
    # series ends, no notification is sent:
    #  - Neither a failed scrape nor a probe with the outcome unknown ends an alert or restarts
    #    its "for" period. The last known state stands for six hours. The queries evaluate
    #    each minute of these hours: for thousands of domains, use rules.yml.
    #  - noDataState is OK: no series means that there is no problem or that nothing is
    #    scraped. These rules do not detect missing scrapes.
    #  - execErrState is KeepLast: if Prometheus does not answer, the alerts keep their state.
    #
    # Links start with the address in the label exporter.
    # datasourceUid is the uid of the data source in ../datasources/prometheus.yml.
  ||| % generated,
}
