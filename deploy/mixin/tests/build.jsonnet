// The rules for another scrape interval, and their tests: file and content. Write them to
// a directory, here for an hour, and run them there:
//   jsonnet -S -m DIRECTORY --tla-code interval=60 deploy/mixin/tests/build.jsonnet
//   promtool test rules DIRECTORY/rules_test.yml
function(interval)
  local mixin = (import '../mixin.libsonnet') { _config+:: { intervalMinutes: interval } };
  {
    'rules.yml': std.manifestYamlDoc({ groups: mixin.prometheusRules.groups + mixin.prometheusAlerts.groups }),
    'rules_test.yml': std.manifestYamlDoc((import 'tests.libsonnet')(mixin._config)),
  }
