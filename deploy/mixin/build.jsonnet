// The files that are generated from the mixin: path below deploy/, and content.
// Write them with: make mixin
local headers = import 'headers.libsonnet';
local mixin = import 'mixin.libsonnet';

local json(value) = std.manifestJsonEx(value, '  ') + '\n';
local yaml(header, value) = header + std.manifestYamlDoc(value, indent_array_in_object=true, quote_keys=false) + '\n';
local tests = (import 'tests/tests.libsonnet')(mixin._config);
local chart = 'helm/dane-exporter/files';
local groups = { groups: mixin.prometheusRules.groups + mixin.prometheusAlerts.groups };

{
  [directory + '/dashboards/' + name]: json(mixin.grafanaDashboards[name])
  for directory in ['grafana', chart]
  for name in std.objectFields(mixin.grafanaDashboards)
}
+ {
  'prometheus/rules.yml': yaml(headers.rules, groups),
  'prometheus/views.yml': yaml(headers.views, mixin.viewsAlerts),
  'prometheus/rules_test.yml': yaml(headers.tests, tests.alerts),
  'prometheus/rules_texts_test.yml': yaml(headers.tests, tests.texts),
  [chart + '/rules.yaml']: yaml(headers.chartRules, groups),
  'grafana/provisioning/alerting/dane.yml': yaml(headers.grafanaAlerts, mixin.grafanaAlerts),
}
