{{- define "gatehouse.labels" -}}
app.kubernetes.io/name: gatehouse-service
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}
{{- define "gatehouse.selector" -}}
app.kubernetes.io/name: gatehouse-service
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
{{- define "gatehouse.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end -}}
{{- end }}
