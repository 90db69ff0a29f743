{{- define "spegel-dapr.fullname" -}}
{{- if .Values.fullnameOverride }}{{ .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else }}{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if contains $name .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}
{{- end }}

{{- define "spegel-dapr.namespace" -}}
{{ default .Release.Namespace .Values.namespaceOverride }}
{{- end }}

{{/* What selects pods, with the component, and for those of a zone the zone. */}}
{{- define "spegel-dapr.selector" -}}
app.kubernetes.io/name: spegel-dapr
app.kubernetes.io/component: {{ .component }}
{{- with .zone }}
spegel-dapr/zone: {{ . | quote }}
{{- end }}
{{- end }}

{{- define "spegel-dapr.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* A part of a location, as the services derive it from a label. */}}
{{- define "spegel-dapr.part" -}}
{{ regexReplaceAll "[^a-z0-9-]" (lower .) "-" }}
{{- end }}

{{/* A value as text; a number as it was written, since Helm reads all as floats. */}}
{{- define "spegel-dapr.text" -}}
{{ if kindIs "string" . }}{{ . }}{{ else }}{{ toJson . }}{{ end }}
{{- end }}

{{/* For a settings map: list items get their index. */}}
{{- define "spegel-dapr.settings" -}}
Zones__Mode: {{ .Values.mode | quote }}
{{- if eq .Values.mode "isolated" }}
Zones__Boundary: {{ .Values.boundary | quote }}
{{- end }}
{{- range $i, $registry := .Values.spegel.mirroredRegistries }}
Registries__Mirrored__{{ $i }}: {{ $registry | quote }}
{{- end }}
{{- range $i, $filter := .Values.spegel.registryFilters }}
Registries__Filters__{{ $i }}: {{ $filter | quote }}
{{- end }}
{{- if not .Values.spegel.resolveTags }}
Registries__ResolveTags: "false"
{{- end }}
{{- if ne .Values.spegel.logLevel "INFO" }}
Logging__LogLevel__Default: {{ get (dict "DEBUG" "Debug" "WARN" "Warning" "ERROR" "Error") .Values.spegel.logLevel | quote }}
{{- end }}
{{- range $name, $value := .Values.settings }}
{{ $name }}: {{ include "spegel-dapr.text" $value | quote }}
{{- end }}
{{- end }}

{{- define "spegel-dapr.image" -}}
image: {{ printf "%s/%s:%s" .root.Values.image.repository .service (default .root.Chart.AppVersion .root.Values.image.tag) | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
{{- end }}

{{- define "spegel-dapr.sidecar" -}}
dapr.io/enabled: "true"
dapr.io/enable-metrics: "true"
dapr.io/metrics-port: "9090"
dapr.io/log-level: {{ .Values.dapr.logLevel }}
{{- with .Values.dapr.config }}
dapr.io/config: {{ . | quote }}
{{- end }}
dapr.io/sidecar-memory-request: {{ .Values.dapr.memoryRequest | quote }}
dapr.io/sidecar-memory-limit: {{ .Values.dapr.memoryLimit | quote }}
# Nothing here needs placement and schedulers, to which a sidecar is connected unless their addresses are blank.
dapr.io/placement-host-address: " "
dapr.io/scheduler-host-address: " "
{{- end }}

{{/*
Who may publish and hear what on layer-events, as `spegel-dapr components` writes it: discoveries speak of their own zone, resolvers hear what they reach
and wish for snapshots of others there. Unless zones are isolated resolvers may reach zones that nobody knows yet, and are not held to any.
*/}}
{{- define "spegel-dapr.topicScopes" -}}
{{- $isolated := eq .Values.mode "isolated" }}
{{- $all := list }}
{{- $speaks := list }}
{{- $hears := list }}
{{- range .Values.zones }}
{{- $region := include "spegel-dapr.part" .region }}
{{- $zone := include "spegel-dapr.part" .zone }}
{{- $topic := printf "layers.%s.%s" $region $zone }}
{{- $all = append $all $topic }}
{{- $all = append $all (printf "%s.wishes" $topic) }}
{{- $reach := list }}
{{- $wishes := list }}
{{- $here := . }}
{{- range $.Values.zones }}
{{- $other := printf "layers.%s.%s" (include "spegel-dapr.part" .region) (include "spegel-dapr.part" .zone) }}
{{- if include "spegel-dapr.hears" (dict "root" $ "here" $here "there" .) }}
{{- $reach = append $reach $other }}
{{- if ne $other $topic }}{{ $wishes = append $wishes (printf "%s.wishes" $other) }}{{ end }}
{{- end }}
{{- end }}
{{- $speaks = concat $speaks (list (printf "discovery-%s=%s" $zone $topic) (printf "resolver-%s=%s" $zone (join "," $wishes))) }}
{{- $hears = append $hears (printf "discovery-%s=" $zone) }}
{{- if $isolated }}
{{- $hears = append $hears (printf "resolver-%s=%s" $zone (join "," (append $reach (printf "%s.wishes" $topic)))) }}
{{- end }}
{{- end }}
{{- if $isolated }}
- name: protectedTopics
  value: {{ join "," $all | quote }}
{{- end }}
- name: publishingScopes
  value: {{ join ";" $speaks | quote }}
- name: subscriptionScopes
  value: {{ join ";" $hears | quote }}
{{- end }}

{{/* Whether resolvers of a zone, `here`, hear the nodes of another, `there`: as Zones:Mode, :Boundary and :FarthestTier say. */}}
{{- define "spegel-dapr.hears" -}}
{{- $isRegion := eq (include "spegel-dapr.part" .here.region) (include "spegel-dapr.part" .there.region) }}
{{- $isZone := and $isRegion (eq (include "spegel-dapr.part" .here.zone) (include "spegel-dapr.part" .there.zone)) }}
{{- $farthest := default "crossRegion" (get .root.Values.settings "Zones__FarthestTier") }}
{{- if eq .root.Values.mode "isolated" }}{{ $farthest = eq .root.Values.boundary "region" | ternary "sameRegion" "sameZone" }}{{ end }}
{{- if or $isZone (and $isRegion (ne $farthest "sameZone")) (eq $farthest "crossRegion") }}true{{ end }}
{{- end }}

{{- define "spegel-dapr.confined" -}}
readOnlyRootFilesystem: true
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
{{- end }}

{{- define "spegel-dapr.unprivileged" -}}
runAsUser: 1654
runAsGroup: 1654
runAsNonRoot: true
{{ include "spegel-dapr.confined" . }}
{{- end }}

{{- define "spegel-dapr.inZone" -}}
nodeAffinity:
  requiredDuringSchedulingIgnoredDuringExecution:
    nodeSelectorTerms:
      - matchExpressions:
          - key: topology.kubernetes.io/zone
            operator: In
            values: [{{ . | quote }}]
{{- end }}

{{/* Probes of a service at its telemetry port. */}}
{{- define "spegel-dapr.probes" -}}
startupProbe:
  httpGet: { path: /healthz, port: {{ . }} }
  periodSeconds: 5
  failureThreshold: 120
livenessProbe:
  httpGet: { path: /healthz, port: {{ . }} }
  periodSeconds: 10
readinessProbe:
  httpGet: { path: /readyz, port: {{ . }} }
  periodSeconds: 10
{{- end }}

{{- define "spegel-dapr.nodeEnv" -}}
- name: Node__Name
  valueFrom: { fieldRef: { fieldPath: spec.nodeName } }
- name: POD_IP
  valueFrom: { fieldRef: { fieldPath: status.podIP } }
- name: Node__Address
  value: http://$(POD_IP):{{ .Values.service.registry.port }}
{{- end }}
