// Prometheus rules and Grafana dashboards for dane_exporter, in the form of a
// monitoring mixin: prometheusRules, prometheusAlerts and grafanaDashboards, with their
// settings in _config. grafanaAlerts are the most important alerts for Grafana.
(import 'config.libsonnet')
+ (import 'rules.libsonnet')
+ (import 'alerts.libsonnet')
+ (import 'grafana.libsonnet')
+ (import 'dashboards/dashboards.libsonnet')
