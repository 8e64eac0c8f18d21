// Panels, variables, links and annotations of Grafana's dashboard model, and their layout.
local datasource = { type: 'prometheus', uid: '${datasource}' };
local refIds = std.stringChars('ABCDEFGHIJKLMNOP');

local trim(expression) = std.rstripChars(expression, '\n');

// Panels have a width and a height, w and h, until they are placed.
local panel(type, title, description, w, h, targets, defaults, overrides, options) = {
  type: type,
  title: title,
  description: description,
  w:: w,
  h:: h,
  datasource: datasource,
  targets: std.mapWithIndex(function(i, target) { refId: refIds[i], datasource: datasource } + target, targets),
  fieldConfig: { defaults: defaults, overrides: overrides },
  options: options,
};

local place(panels, y) =
  local step(state, p) =
    local wraps = state.x + p.w > 24;
    local x = if wraps then 0 else state.x;
    local top = if wraps then state.bottom else state.y;
    {
      x: x + p.w,
      y: top,
      bottom: std.max(state.bottom, top + p.h),
      placed: state.placed + [p { gridPos: { x: x, y: top, w: p.w, h: p.h } }],
    };
  std.foldl(step, panels, { x: 0, y: y, bottom: y, placed: [] });

// Panels inside a collapsed row belong to the row; others follow it.
local layout(rows) =
  local step(state, row) =
    local inside = place(row.panels, state.y + 1);
    local header = {
      type: 'row',
      title: row.title,
      collapsed: row.collapsed,
      gridPos: { x: 0, y: state.y, w: 24, h: 1 },
      panels: if row.collapsed then inside.placed else [],
    };
    if row.collapsed
    then { y: state.y + 1, panels: state.panels + [header] }
    else { y: inside.bottom, panels: state.panels + [header] + inside.placed };
  std.foldl(step, rows, { y: 0, panels: [] }).panels;

// Numbers the panels in the order of the page.
local number(panels) =
  local step(state, p) =
    local nested = if p.type == 'row' then p.panels else [];
    local id = state.next;
    {
      next: id + 1 + std.length(nested),
      panels: state.panels + [{ id: id } + p + (
        if p.type == 'row'
        then { panels: std.mapWithIndex(function(i, inner) { id: id + 1 + i } + inner, nested) }
        else {}
      )],
    };
  std.foldl(step, panels, { next: 1, panels: [] }).panels;

{
  // Queries. A table shows one row for each series.
  range(expression, legend): { expr: trim(expression), range: true, instant: false, legendFormat: legend },
  instant(expression, legend='__auto'): { expr: trim(expression), range: false, instant: true, legendFormat: legend },
  rows(expression): { expr: trim(expression), range: false, instant: true, format: 'table' },
  buckets(expression): { expr: trim(expression), range: true, instant: false, format: 'heatmap', legendFormat: '{{le}}' },

  // One number, or one for each series.
  stat(title, description, w, h, targets, defaults, options={}, overrides=[]):
    panel('stat', title, description, w, h, targets, { color: { mode: 'thresholds' } } + defaults, overrides, {
      reduceOptions: { calcs: ['lastNotNull'], values: false },
      colorMode: 'value',
      graphMode: 'none',
      justifyMode: 'auto',
      orientation: 'auto',
      percentChangeColorMode: 'standard',
      showPercentChange: false,
      textMode: 'auto',
      wideLayout: true,
    } + options),

  timeseries(title, description, w, h, targets, defaults, overrides=[]):
    panel('timeseries', title, description, w, h, targets, { color: { mode: 'palette-classic' } } + defaults, overrides, {
      legend: { calcs: [], displayMode: 'list', placement: 'bottom', showLegend: true },
      tooltip: { mode: 'multi', sort: 'desc' },
    }),

  // Added to the defaults of a time series.
  stacked: { custom+: { stacking: { mode: 'normal', group: 'A' }, fillOpacity: 40, lineWidth: 1 } },

  stateTimeline(title, description, w, h, targets, defaults):
    panel('state-timeline', title, description, w, h, targets, { custom: { fillOpacity: 70, lineWidth: 0 } } + defaults, [], {
      alignValue: 'left',
      legend: { calcs: [], displayMode: 'list', placement: 'bottom', showLegend: false },
      mergeValues: true,
      rowHeight: 0.9,
      showValue: 'auto',
      tooltip: { mode: 'single', sort: 'none' },
    }),

  heatmap(title, description, w, h, targets, defaults, unit):
    panel('heatmap', title, description, w, h, targets, defaults, [], {
      calculate: false,
      cellGap: 1,
      color: { mode: 'scheme', scheme: 'Blues', fill: 'blue', scale: 'exponential', exponent: 0.5, steps: 64, reverse: false },
      exemplars: { color: 'rgba(255,0,255,0.7)' },
      filterValues: { le: 1e-9 },
      legend: { show: true },
      rowsFrame: { layout: 'auto' },
      showValue: 'never',
      tooltip: { mode: 'single', showColorScale: true, yHistogram: false },
      yAxis: { axisPlacement: 'left', reverse: false, unit: unit },
    }),

  // A table of the columns, in their order. A column is a label, or the value of a query,
  // with the name it is shown under and the properties of its cells. Labels that are not
  // columns must be in hidden.
  table(title, description, w, h, targets, noValue, columns, hidden=[], sortBy, desc=false):
    local several = std.length(targets) > 1;
    local override(column) = {
      matcher: { id: 'byName', options: column.name },
      properties: [{ id: id, value: column.properties[id] } for id in std.objectFields(column.properties)],
    };
    panel('table', title, description, w, h, targets, {
      custom: { align: 'auto', filterable: true, inspect: false },
      noValue: noValue,
    }, [override(column) for column in columns if column.properties != {}], {
      cellHeight: 'sm',
      frameIndex: 0,
      showHeader: true,
      sortBy: [{ displayName: sortBy, desc: desc }],
    }) {
      transformations: (if several then [{ id: 'merge', options: {} }] else []) + [{
        id: 'organize',
        options: {
          excludeByName: { [name]: true for name in ['Time'] + hidden },
          renameByName: { [column.field]: column.name for column in columns if column.field != column.name },
          indexByName: { [columns[i].field]: i for i in std.range(0, std.length(columns) - 1) },
        },
      }],
    },

  column(field, name=field, properties={}): { field: field, name: name, properties: properties },
  // A column of words, by the mappings of its values.
  words(field, name, mappings, cell='color-text', noValue='Not measured'): self.column(field, name, {
    mappings: mappings,
    noValue: noValue,
    'custom.cellOptions': { type: cell },
  }),
  // A column of numbers.
  number(field, name, unit, properties={}): self.column(field, name, { unit: unit, noValue: 'Not measured' } + properties),

  dataLink(title, url, targetBlank=false): { title: title, url: url, targetBlank: targetBlank },

  link(title, tooltip, url): {
    title: title,
    tooltip: tooltip,
    type: 'link',
    icon: 'dashboard',
    url: url,
    tags: [],
    asDropdown: false,
    includeVars: false,
    keepTime: true,
    targetBlank: false,
  },

  annotation(name, color, expression, title, useValueForTime=false): {
    name: name,
    datasource: datasource,
    enable: true,
    hide: false,
    iconColor: color,
    target: { refId: 'Anno', expr: trim(expression) },
    titleFormat: title,
    useValueForTime: useValueForTime,
  },

  datasourceVariable: { name: 'datasource', label: 'Data source', type: 'datasource', query: 'prometheus', refresh: 1 },

  // A variable with the values of a label. A variable of which several values may be
  // selected starts with all.
  variable(name, label, metric, labelName, several=false, allValue=null): {
    name: name,
    label: label,
    type: 'query',
    datasource: datasource,
    local query = 'label_values(%s, %s)' % [metric, labelName],
    definition: query,
    query: { refId: name, query: query },
    refresh: 2, // when the time range changes
    sort: 1,
    [if several then 'multi']: true,
    [if several then 'includeAll']: true,
    [if several then 'current']: { text: 'All', value: '$__all' },
    [if allValue != null then 'allValue']: allValue,
  },

  row(title, panels, collapsed=true): { title: title, panels: panels, collapsed: collapsed },

  // A dashboard, with the settings that all have in common.
  dashboard(settings, uid, title, description, from, variables, links, annotations, rows): {
    uid: uid,
    title: title,
    description: description,
    tags: settings.tags,
    schemaVersion: 39, // Grafana 11.0; later versions convert it when they read it
    editable: false,
    graphTooltip: 1, // one crosshair for all panels
    refresh: settings.refresh,
    timezone: settings.timezone,
    time: { from: from, to: 'now' },
    links: links,
    templating: { list: [$.datasourceVariable] + variables },
    annotations: { list: annotations },
    panels: number(layout(rows)),
  },
}
