{{/* Where the installer lives: it touches nodes, which the release namespace must admit (Pod Security privileged). */}}
{{- define "isola.gvisor.namespace" -}}
{{- .Release.Namespace -}}
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
