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

