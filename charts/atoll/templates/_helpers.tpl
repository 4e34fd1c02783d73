{{- define "atoll.fullname" -}}
{{- if contains "atoll" .Release.Name }}{{ .Release.Name | trunc 52 | trimSuffix "-" }}{{ else }}{{ printf "%s-atoll" .Release.Name | trunc 52 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "atoll.selector" -}}
app.kubernetes.io/name: atoll
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "atoll.labels" -}}
{{ include "atoll.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{- define "atoll.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* The contexts as one string with commas, whether they come as a string or as a list. */}}
{{- define "atoll.contexts" -}}
{{- $given := .Values.multiCluster.contexts | default list }}
{{- if kindIs "string" $given }}{{ $given = splitList "," $given }}{{ end }}
{{- $names := list }}
{{- range $given }}{{ with trim . }}{{ $names = append $names . }}{{ end }}{{ end }}
{{- join "," $names }}
{{- end }}

{{/* The namespace of the Secret of many contexts. */}}
{{- define "atoll.kubeConfigNamespace" -}}
{{- $parts := splitList "/" .Values.multiCluster.kubeConfig }}
{{- if eq (len $parts) 2 }}{{ first $parts }}{{ else }}{{ .Release.Namespace }}{{ end }}
{{- end }}

{{/* Its name. */}}
{{- define "atoll.kubeConfigName" -}}
{{ splitList "/" .Values.multiCluster.kubeConfig | last }}
{{- end }}

{{/* Every namespace other than our own whose Secrets may be read, with commas. */}}
{{- define "atoll.secretNamespaces" -}}
{{- $all := .Values.secretNamespaces }}
{{- if .Values.multiCluster.kubeConfig }}{{ $all = append $all (include "atoll.kubeConfigNamespace" .) }}{{ end }}
{{- without ($all | uniq) .Release.Namespace | join "," }}
{{- end }}

{{/* What becomes of a CRD file: "install", "off" if its dialect is switched off, or "leave" if it is not this release's. */}}
{{- define "atoll.crdFate" -}}
{{- $crd := .crd }}
{{- $root := .root }}
{{- $dialect := get (dict "apps.kubeblocks.io" "kubeblocks") $crd.spec.group }}
{{- $there := lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" $crd.metadata.name }}
{{- $marks := dig "metadata" "annotations" dict $there }}
{{- if and $dialect (not (dig $dialect "enabled" true $root.Values.dialects)) }}off
{{- else if not $there }}install
{{- else if and (eq (get $marks "atoll.dev/owner") $root.Values.installation) (eq (get $marks "meta.helm.sh/release-name") $root.Release.Name) (eq (get $marks "meta.helm.sh/release-namespace") $root.Release.Namespace) }}install
{{- else if eq (get $marks "atoll.dev/owner") $root.Values.installation }}ours
{{- else }}leave
{{- end }}
{{- end }}
