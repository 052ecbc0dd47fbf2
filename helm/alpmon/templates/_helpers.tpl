{{- define "alpmon.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- /* 52 characters: a StatefulSet's pods carry the name, an ordinal and, as a label, a revision. */ -}}
{{- define "alpmon.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- $name := include "alpmon.name" . }}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "alpmon.selectorLabels" -}}
app.kubernetes.io/name: {{ include "alpmon.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- /* The pods of the StatefulSet; the pods of the tests are not among them. */ -}}
{{- define "alpmon.monitorSelectorLabels" -}}
{{ include "alpmon.selectorLabels" . }}
app.kubernetes.io/component: monitor
{{- end }}

{{- define "alpmon.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "alpmon.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "alpmon.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "alpmon.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "alpmon.image" -}}
{{- $image := .Values.image }}
{{- with $image.registry }}{{ . }}/{{ end }}{{ $image.repository }}
{{- with $image.digest }}@{{ . }}{{ else }}:{{ default $.Chart.AppVersion $image.tag }}{{ end }}
{{- end }}

{{- /* The port that alpmon listens on inside its pod. */ -}}
{{- define "alpmon.containerPort" -}}9719{{- end }}

{{- define "alpmon.scheme" -}}
{{- if and .Values.webConfig.existingSecret .Values.webConfig.tls }}https{{ else }}http{{ end }}
{{- end }}

{{- /* alpmon's configuration: what the user gave, and what only the chart can know. */ -}}
{{- define "alpmon.config" -}}
{{- $config := dict "listen" (printf ":%s" (include "alpmon.containerPort" .)) }}
{{- with .Values.webConfig }}
{{- if .existingSecret }}
{{- $_ := set $config "web_config_file" (printf "/etc/alpmon/web/%s" .key) }}
{{- end }}
{{- end }}
{{- if .Values.state.enabled }}
{{- $_ := set $config "state_file" "/var/lib/alpmon/state" }}
{{- end }}
{{- merge $config (deepCopy .Values.config) | toYaml }}
{{- end }}

{{- /* A probe of one path: HTTP, or alpmon itself where HTTP is guarded. */ -}}
{{- define "alpmon.probe" -}}
{{ if .root.Values.webConfig.existingSecret }}
exec:
  command: [alpmon, health, "{{ include "alpmon.scheme" .root }}://127.0.0.1:{{ include "alpmon.containerPort" .root }}{{ .path }}"]
{{- else }}
httpGet:
  path: {{ .path }}
  port: metrics
{{- end }}
periodSeconds: {{ .root.Values.probes.periodSeconds }}
timeoutSeconds: {{ .root.Values.probes.timeoutSeconds }}
failureThreshold: {{ .root.Values.probes.failureThreshold }}
{{- end }}

{{- /* What a ServiceMonitor's endpoint and a PodMonitor's have in common. */ -}}
{{- define "alpmon.endpoint" -}}
- port: metrics
  path: /metrics
  scheme: {{ include "alpmon.scheme" .root }}
  {{- range $key := list "interval" "scrapeTimeout" }}
  {{- with get $.monitor $key }}
  {{ $key }}: {{ . }}
  {{- end }}
  {{- end }}
  {{- range $key := list "tlsConfig" "basicAuth" "relabelings" "metricRelabelings" }}
  {{- with get $.monitor $key }}
  {{ $key }}:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
{{- end }}

{{- /* The TCP ports of all URLs that the configuration lets alpmon call, once each, as a JSON list. */ -}}
{{- define "alpmon.targetPorts" -}}
{{- $urls := list }}
{{- range .Values.config.targets }}
{{- $urls = append $urls .url }}
{{- with .reference }}{{ $urls = append $urls (default "" .url) }}{{ end }}
{{- with .auth }}
{{- if .key_file }}{{ $urls = append $urls (default "https://" .rest_url) }}{{ end }}
{{- end }}
{{- end }}
{{- $ports := list }}
{{- range compact $urls }}
{{- $port := regexFind ":[0-9]+$" (regexFind "^[a-z]+://[^/]*" .) | trimPrefix ":" }}
{{- $ports = append $ports (int (default (ternary 443 80 (regexMatch "^(wss|https)://" .)) $port)) }}
{{- end }}
{{- range .Values.networkPolicy.egress.ports }}
{{- $ports = append $ports (int .) }}
{{- end }}
{{- $ports | uniq | toJson }}
{{- end }}
