// Words, colours and limits of displayed values. A colour always comes with a word or a
// number.
local value(words) = [{
  type: 'value',
  options: {
    [word.value]: { text: word.text, color: word.color, index: word.index }
    for word in std.mapWithIndex(function(i, word) word { index: i }, words)
  },
}];

// From best to worst. The position is the rank that queries compute; see queries.libsonnet.
local outcomes = [
  { text: 'authenticated', color: 'green' },
  { text: 'encrypted', color: 'blue' },
  { text: 'opportunistic', color: 'light-blue' },
  { text: 'none', color: 'text' },
  { text: 'unknown', color: 'purple' },
  { text: 'unreachable', color: 'orange' },
  { text: 'refused', color: 'red' },
];

local colorOf(name, color) = {
  matcher: { id: 'byName', options: name },
  properties: [{ id: 'color', value: { mode: 'fixed', fixedColor: color } }],
};

{
  // Ranks of outcomes.
  outcomes: value(std.mapWithIndex(function(i, outcome) outcome { value: '%d' % i }, outcomes)),
  // Overrides for series that are named after outcomes.
  outcomeColors: [colorOf(outcome.text, outcome.color) for outcome in outcomes],

  // The words for 0 and 1, and the colour of 0.
  yesNo(no='no', yes='yes', color='red'): value([{ value: '0', text: no, color: color }, { value: '1', text: yes, color: 'green' }]),

  // A finding: 1 means no.
  forbidden: value([{ value: '1', text: 'no', color: 'red' }]),

  effects: value([
    { value: 'error', text: 'error', color: 'red' },
    { value: 'degraded', text: 'degraded', color: 'orange' },
    { value: 'warning', text: 'warning', color: 'yellow' },
    { value: 'internal', text: 'internal', color: 'purple' },
  ]),
  effectColors: [colorOf('error', 'red'), colorOf('degraded', 'orange'), colorOf('warning', 'yellow'), colorOf('internal', 'purple')],

  statuses: value([
    { value: 'secure', text: 'secure', color: 'green' },
    { value: 'insecure', text: 'insecure', color: 'text' },
    { value: 'bogus', text: 'bogus', color: 'red' },
    { value: 'indeterminate', text: 'indeterminate', color: 'orange' },
  ]),

  colorOf: colorOf,

  // Thresholds: the colour of the smallest values, then pairs of a limit and the colour from there.
  limits(first, steps): {
    mode: 'absolute',
    steps: [{ color: first, value: null }] + [{ value: step[0], color: step[1] } for step in steps],
  },
  // A number that should be 0.
  noneIsGood: self.limits('green', [[1, 'red']]),
  // Seconds until an expiry. Certificates of six days are renewed with three days left, and
  // alerts about longer ones fire before.
  timeLeft: self.limits('red', [[86400, 'orange'], [3 * 86400, 'green']]),
  // Remaining share of a validity period.
  shareLeft: self.limits('red', [[0.15, 'orange'], [0.3, 'green']]),
}
