{{- define "dane-exporter.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* The name of the objects. The name of a Service has at most 63 characters. */}}
{{- define "dane-exporter.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- $full := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) }}
{{- default $full .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "dane-exporter.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride }}
{{- end }}

{{/* The labels that select the pods. They must not change in an upgrade. */}}
{{- define "dane-exporter.selectorLabels" -}}
app.kubernetes.io/name: {{ include "dane-exporter.name" . | toYaml }}
app.kubernetes.io/instance: {{ .Release.Name | toYaml }}
{{- end }}

{{- define "dane-exporter.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "dane-exporter.selectorLabels" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | trunc 63 | trimSuffix "-" | toYaml }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{/*
The metadata of an object: a dict with context, and optionally name, namespace, labels and
annotations. The labels of the chart take precedence, because monitors select the Service by
them; then its own, then commonLabels.
*/}}
{{- define "dane-exporter.metadata" -}}
name: {{ .name | default (include "dane-exporter.fullname" .context) | toYaml }}
namespace: {{ .namespace | default (include "dane-exporter.namespace" .context) | toYaml }}
labels:
  {{- merge (include "dane-exporter.labels" .context | fromYaml) (default dict .labels) .context.Values.commonLabels | toYaml | nindent 2 }}
{{- with .annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "dane-exporter.image" -}}
{{- with .Values.global.imageRegistry | default .Values.image.registry }}{{ . }}/{{ end }}
{{- .Values.image.repository }}
{{- if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{/* Whether the chart creates the ConfigMap with the configuration. */}}
{{- define "dane-exporter.ownConfig" -}}
{{- if not (or .Values.configExistingConfigMap .Values.configExistingSecret) }}true{{ end }}
{{- end }}

{{- define "dane-exporter.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (.Values.serviceAccount.create | ternary (include "dane-exporter.fullname" .) "") }}
{{- end }}

{{/* The prefix of all HTTP paths, without a final slash: as the exporter computes it. */}}
{{- define "dane-exporter.prefix" -}}
{{- with .Values.web.routePrefix | default (get (urlParse .Values.web.externalUrl) "path") | trimAll "/" }}/{{ . }}{{ end }}
{{- end }}

{{/* Where Prometheus reaches the exporter. Probes and monitors have it as the label exporter. */}}
{{- define "dane-exporter.address" -}}
{{ include "dane-exporter.fullname" . }}.{{ include "dane-exporter.namespace" . }}.svc:{{ .Values.service.port }}
{{- end }}

{{/* The settings of requests of Prometheus, for probes and monitors. */}}
{{- define "dane-exporter.credentials" -}}
{{- with .Values.web.tlsConfig }}
tlsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.web.basicAuth }}
basicAuth:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* An endpoint of the PodMonitor or the ServiceMonitor: a dict with context and monitor. */}}
{{- define "dane-exporter.endpoint" -}}
port: http
path: {{ include "dane-exporter.prefix" .context }}/metrics
{{- if ne .context.Values.web.scheme "http" }}
scheme: {{ .context.Values.web.scheme }}
{{- end }}
{{- with include "dane-exporter.credentials" .context }}
{{ trim . }}
{{- end }}
interval: {{ .monitor.interval }}
{{- with .monitor.scrapeTimeout }}
scrapeTimeout: {{ . }}
{{- end }}
relabelings:
  # The probes are distributed over all replicas, so all have the same label exporter. If
  # one replica cannot probe, the alerts about all domains are inhibited.
  - targetLabel: exporter
    replacement: {{ include "dane-exporter.address" .context }}
  {{- with .monitor.relabelings }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .monitor.metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* A duration such as 1m30s in seconds. The schema admits no other units. */}}
{{- define "dane-exporter.seconds" -}}
{{- $duration := . }}
{{- $sum := 0 }}
{{- range $unit, $seconds := dict "h" 3600 "m" 60 "s" 1 }}
{{- $sum = regexFind (printf "[0-9]+%s" $unit) $duration | trimSuffix $unit | int | mul $seconds | add $sum }}
{{- end }}
{{- $sum }}
{{- end }}

{{/* Fails for values that are valid one by one and wrong together. */}}
{{- define "dane-exporter.validate" -}}
{{- $values := .Values }}
{{- $name := include "dane-exporter.fullname" . }}
{{- if not (regexMatch "^[a-z][-a-z0-9]*$" $name) }}
{{- fail (printf "the name %s is not valid for a Service: it must consist of lower-case letters, digits and hyphens, and start with a letter; set fullnameOverride" $name) }}
{{- end }}
{{- if and $values.configExistingConfigMap $values.configExistingSecret }}
{{- fail "set configExistingConfigMap or configExistingSecret, not both" }}
{{- end }}
{{- if and $values.podMonitor.enabled $values.serviceMonitor.enabled }}
{{- fail "enable podMonitor or serviceMonitor, not both: each pod would be scraped twice" }}
{{- end }}
{{- if and $values.ingress.enabled (not $values.ingress.hosts) }}
{{- fail "ingress.enabled needs ingress.hosts" }}
{{- end }}
{{- if and $values.web.basicAuth (not (and $values.livenessProbe $values.readinessProbe)) }}
{{- fail "web.basicAuth needs livenessProbe and readinessProbe: an HTTP request without credentials gets status 401, and the kubelet restarts the pod" }}
{{- end }}
{{- $scrapes := dict }}
{{- range $name, $probe := $values.probes }}
{{- $_ := set $scrapes (printf "probes.%s" $name) (merge dict $probe $values.probeDefaults) }}
{{- end }}
{{- range $name := list "podMonitor" "serviceMonitor" }}
{{- if (get $values $name).enabled }}
{{- $_ := set $scrapes $name (get $values $name) }}
{{- end }}
{{- end }}
{{- range $name, $scrape := $scrapes }}
{{- $interval := include "dane-exporter.seconds" $scrape.interval | int }}
{{- if gt (include "dane-exporter.seconds" $scrape.scrapeTimeout | int) $interval }}
{{- fail (printf "%s: the scrapeTimeout (%s) is longer than the interval (%s)" $name $scrape.scrapeTimeout $scrape.interval) }}
{{- end }}
{{- if and $values.prometheusRule.enabled (gt $interval 300) }}
{{- fail (printf "%s: the interval is %s, and the rules of prometheusRule need at most 5m; make rules for longer intervals from deploy/mixin (intervalMinutes)" $name $scrape.interval) }}
{{- end }}
{{- end }}
{{- end }}
