{{/* Where the installer lives: with what else touches nodes. */}}
{{- define "isola.gvisor.namespace" -}}
{{- include "isola.nodeNamespace" . -}}
{{- end -}}

{{- define "isola.gvisor.name" -}}
{{- include "isola.fullname" . }}-gvisor-installer
{{- end -}}

{{- define "isola.gvisor.serviceAccountName" -}}
{{- default (include "isola.gvisor.name" .) .Values.gvisor.installer.serviceAccount.name -}}
{{- end -}}

{{/* The label that the installer gives a node that has gVisor, by its hands or its own. */}}
{{- define "isola.gvisor.nodeLabel" -}}
isola.run/gvisor: ready
{{- end -}}
