{{- /* Words of CEL that several policies use. Templates are schemaless: a field may be missing, null or anything. */ -}}

{{/* The map at a path, or an empty one. */}}
{{- define "isola.cel.map" -}}
(has({{ . }}) && type({{ . }}) == map ? {{ . }} : {})
{{- end -}}

{{/* The list at a path, or an empty one. */}}
{{- define "isola.cel.list" -}}
(has({{ . }}) && type({{ . }}) == list ? {{ . }} : [])
{{- end -}}

{{/* Whether something is set at a path: neither missing nor null, false, 0 or empty. */}}
{{- define "isola.cel.set" -}}
(has({{ . }}) && {{ . }} != null && {{ . }} != false && {{ . }} != '' && {{ . }} != 0)
{{- end -}}

{{/* The indexes of a list, of its first 64 at most. CEL itself loops with an index from Kubernetes 1.33 on. */}}
{{- define "isola.cel.indexes" -}}
{{ until 64 | toJson }}.filter(i, i < {{ . }}.size())
{{- end -}}
