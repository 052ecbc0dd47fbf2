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

{{- /* The pods of the StatefulSet; the pod of the test is not among them. */ -}}
{{- define "alpmon.monitorSelectorLabels" -}}
{{ include "alpmon.selectorLabels" . }}
app.kubernetes.io/component: monitor
{{- end }}

{{- define "alpmon.ownLabels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "alpmon.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- /* Labels of an object; those that selectors go by are nobody's to change. */ -}}
{{- define "alpmon.labels" -}}
{{- merge (include "alpmon.ownLabels" . | fromYaml) .Values.commonLabels | toYaml }}
{{- end }}

{{- /* The same for an object with labels of the user's own, which go first: it is selected by them. */ -}}
{{- define "alpmon.labelsWith" -}}
{{- merge (dict) .labels (include "alpmon.labels" .root | fromYaml) | toYaml }}
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

{{- define "alpmon.configFile" -}}/etc/alpmon/config/alpmon.yaml{{- end }}

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
{{- $text := merge $config (deepCopy .Values.config) | toYaml }}
{{- if gt (len $text) 1048576 }}
{{- fail (printf "config is %d bytes long, and neither a ConfigMap nor alpmon takes more than 1048576: share the targets out to several releases" (len $text)) }}
{{- end }}
{{- $text }}
{{- end }}

{{- /* What every pod of the release has in common: who it is, where it may run, what it may do. */ -}}
{{- define "alpmon.podSettings" -}}
serviceAccountName: {{ include "alpmon.serviceAccountName" . }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- range $key := list "priorityClassName" "imagePullSecrets" "nodeSelector" "tolerations" "affinity" }}
{{- with get $.Values $key }}
{{ dict $key . | toYaml }}
{{- end }}
{{- end }}
{{- end }}

{{- /* The configuration and the files that it may name. */ -}}
{{- define "alpmon.configMounts" -}}
- name: config
  mountPath: {{ include "alpmon.configFile" . | dir }}
  readOnly: true
{{- range $index, $secret := .Values.secrets }}
- name: secret-{{ $index }}
  mountPath: /etc/alpmon/secrets/{{ $secret }}
  readOnly: true
{{- end }}
{{- range $index, $configMap := .Values.configMaps }}
- name: configmap-{{ $index }}
  mountPath: /etc/alpmon/configmaps/{{ $configMap }}
  readOnly: true
{{- end }}
{{- end }}

{{- define "alpmon.configVolumes" -}}
- name: config
  configMap:
    name: {{ include "alpmon.fullname" . }}
{{- range $index, $secret := .Values.secrets }}
- name: secret-{{ $index }}
  secret:
    secretName: {{ $secret }}
{{- end }}
{{- range $index, $configMap := .Values.configMaps }}
- name: configmap-{{ $index }}
  configMap:
    name: {{ $configMap }}
{{- end }}
{{- end }}

{{- /* A probe of one path: HTTP, or alpmon itself where HTTP is guarded; with `options` it may be given a password. */ -}}
{{- define "alpmon.probe" -}}
{{- if .root.Values.webConfig.existingSecret }}
{{- $url := printf "%s://127.0.0.1:%s%s" (include "alpmon.scheme" .root) (include "alpmon.containerPort" .root) .path -}}
exec:
  command: {{ concat (list "alpmon" "health") (default list .options) (list $url) | toJson }}
{{- else -}}
httpGet:
  path: {{ .path }}
  port: metrics
{{- end }}
{{- range $key, $seconds := .root.Values.probes }}
{{ $key }}: {{ int64 $seconds }}
{{- end }}
{{- end }}

{{- /* What a ServiceMonitor's endpoint and a PodMonitor's have in common; by their job the rules look for the monitors. */ -}}
{{- define "alpmon.endpoint" -}}
{{- $job := dict "action" "replace" "targetLabel" "job" "replacement" "alpmon" -}}
- port: metrics
  path: /metrics
  scheme: {{ include "alpmon.scheme" .root }}
  relabelings:
    {{- prepend .monitor.relabelings $job | toYaml | nindent 4 }}
  {{- range $key := list "interval" "scrapeTimeout" "tlsConfig" "basicAuth" "metricRelabelings" }}
  {{- with get $.monitor $key }}
  {{- dict $key . | toYaml | nindent 2 }}
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
