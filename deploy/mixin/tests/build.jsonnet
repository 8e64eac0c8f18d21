// The rules for another scrape interval, and their tests: file and content. Write them to
// a directory, here for an hour, and run them there:
//   jsonnet -S -m DIRECTORY --tla-code interval=60 deploy/mixin/tests/build.jsonnet
//   promtool test rules DIRECTORY/*_test.yml
function(interval)
  local mixin = (import '../mixin.libsonnet') { _config+:: { intervalMinutes: interval } };
  local tests = (import 'tests.libsonnet')(mixin._config);
  local groups = mixin.prometheusRules.groups + mixin.prometheusAlerts.groups;
  // promtool evaluates the texts of all active alerts each time. It takes half of the time
  // without them.
  local withoutTexts = [g { rules: [r { annotations:: null } for r in g.rules] } for g in groups];
  {
    'rules.yml': std.manifestYamlDoc({ groups: groups }),
    'conditions.yml': std.manifestYamlDoc({ groups: withoutTexts }),
    'alerts_test.yml': std.manifestYamlDoc(tests.alerts { rule_files: ['conditions.yml'] }),
    [if std.length(tests.texts.tests) > 0 then 'texts_test.yml']: std.manifestYamlDoc(tests.texts),
  }
