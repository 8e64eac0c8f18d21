// The files that are generated from the mixin: path below deploy/, and content.
// Write them with: make mixin
local mixin = import 'mixin.libsonnet';

local json(value) = std.manifestJsonEx(value, '  ') + '\n';

{
  ['grafana/dashboards/' + name]: json(mixin.grafanaDashboards[name])
  for name in std.objectFields(mixin.grafanaDashboards)
}
