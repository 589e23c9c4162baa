{{/* Names. 40 leaves room for the longest suffix and a pod's hash within the 63 that a label or a Service may have. */}}
{{- define "isola.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "isola.fullname" -}}
{{- $name := include "isola.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Labels of every object of the release. */}}
{{- define "isola.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/name: {{ include "isola.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | replace "+" "_" | quote }}
app.kubernetes.io/part-of: isola
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{/* What tells one component's pods of this release from all others. Takes (list $ "component"). */}}
{{- define "isola.selectorLabels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "isola.name" $root | quote }}
app.kubernetes.io/instance: {{ $root.Release.Name | quote }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* Labels of one component's objects. Takes (list $ "component"). */}}
{{- define "isola.componentLabels" -}}
{{ include "isola.labels" (index . 0) }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* An image's reference. Takes (list $ .Values.x.image). */}}
{{- define "isola.image" -}}
{{- $root := index . 0 -}}
{{- $image := index . 1 -}}
{{- $registry := default $image.registry $root.Values.global.imageRegistry -}}
{{- if $registry }}{{ trimSuffix "/" $registry }}/{{ end -}}
{{- $image.repository -}}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ default $root.Chart.AppVersion $image.tag }}{{ end -}}
{{- end -}}

{{- define "isola.operator.serviceAccountName" -}}
{{- default (printf "%s-operator" (include "isola.fullname" .)) .Values.operator.serviceAccount.name -}}
{{- end -}}

{{/* The CronJob that lists the bucket. One has 52 characters at most. */}}
{{- define "isola.snapshots.inventoryName" -}}
{{- include "isola.fullname" . | trunc 33 | trimSuffix "-" }}-snapshot-inventory
{{- end -}}

{{- define "isola.apiGateway.serviceAccountName" -}}
{{- default (printf "%s-api-gateway" (include "isola.fullname" .)) .Values.apiGateway.serviceAccount.name -}}
{{- end -}}

{{- define "isola.egress.serviceAccountName" -}}
{{- default (printf "%s-egress" (include "isola.fullname" .)) .Values.egress.serviceAccount.name -}}
{{- end -}}

{{- define "isola.egress.service" -}}
{{- include "isola.fullname" . }}-egress
{{- end -}}

{{/* It listens on the very ports that sandboxes connect to, 53 and 443 among them, as an ordinary user without a
     capability. One of the sysctls that Kubernetes calls safe: it holds for the pod's own network alone. */}}
{{- define "isola.egress.sysctls" -}}
sysctls:
  - name: net.ipv4.ip_unprivileged_port_start
    value: "0"
{{- end -}}

{{/* Where this cluster's own addresses lie, which no sandbox may reach: for whoever keeps them from it. */}}
{{- define "isola.rangesEnvironment" -}}
- name: ISOLA_RANGE_DISCOVERY
  value: {{ .Values.operator.network.discoverRanges | quote }}
- name: ISOLA_POD_CIDRS
  value: {{ join "," .Values.operator.network.podCIDRs | quote }}
- name: ISOLA_SERVICE_CIDRS
  value: {{ join "," .Values.operator.network.serviceCIDRs | quote }}
- name: ISOLA_NODE_CIDRS
  value: {{ join "," .Values.operator.network.nodeCIDRs | quote }}
- name: ISOLA_BLOCKED_CIDRS
  value: {{ join "," .Values.operator.network.blockedCIDRs | quote }}
{{- end -}}

{{- define "isola.exporter.serviceAccountName" -}}
{{- default (printf "%s-exporter" (include "isola.fullname" .)) .Values.exporter.serviceAccount.name -}}
{{- end -}}

{{/* Metadata of a control plane pod. Takes (list $ "component" .Values.component). */}}
{{- define "isola.podMetadata" -}}
{{- $root := index . 0 -}}
labels:
  {{- include "isola.componentLabels" (list $root (index . 1)) | nindent 2 }}
{{- with (index . 2).podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "isola.priorityClassName" -}}
{{- default (printf "%s-%s" (include "isola.fullname" .) .Release.Namespace) .Values.priorityClass.name -}}
{{- end -}}

{{/* A component's own PriorityClass, else the release's, else the cluster's. Takes (list $ .Values.component). */}}
{{- define "isola.priority" -}}
{{- $root := index . 0 -}}
{{- $own := (index . 1).priorityClassName -}}
{{- if or $own $root.Values.priorityClass.create -}}
priorityClassName: {{ default (include "isola.priorityClassName" $root) $own | quote }}
{{- end -}}
{{- end -}}

{{/* Several replicas are spread over nodes and zones as far as that goes, unless something else was asked for; those of
     one version, so that a rollout leaves them spread. Takes (list $ "component" .Values.component). */}}
{{- define "isola.spread" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $values := index . 2 -}}
{{- if and (gt (int $values.replicaCount) 1) (not $values.topologySpreadConstraints) -}}
topologySpreadConstraints:
  {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "isola.selectorLabels" (list $root $component) | nindent 8 }}
    matchLabelKeys: [pod-template-hash]
  {{- end }}
{{- end -}}
{{- end -}}

{{/* What the pods of the control plane have in common. Takes (list $ .Values.component), and perhaps the name of a
     template with more of their security context. */}}
{{- define "isola.podSpec" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
# Service links would set ISOLA_API_GATEWAY_PORT and the like, in the very prefix our settings have.
enableServiceLinks: false
{{- with $root.Values.global.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{ include "isola.priority" (list $root $component) }}
{{- with $component.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $component.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $component.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $component.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{ include "isola.podSecurity" $root }}
{{- if gt (len .) 2 }}
  {{- include (index . 2) $root | nindent 2 }}
{{- end }}
volumes:
  # The one writable place under a read-only root: Python's tempfile wants some directory.
  - name: tmp
    emptyDir:
      sizeLimit: 64Mi
{{- end -}}

{{/* Both halves of the "restricted" Pod Security level, and a read-only root on top. */}}
{{- define "isola.podSecurity" -}}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  seccompProfile:
    type: RuntimeDefault
{{- end -}}

{{- define "isola.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop:
      - ALL
{{- end -}}

{{/* Probes of one HTTP port. The start-up probe asks every second, so a pod is ready as soon as it can be, and
     the liveness probe never counts a slow start. Takes the port's name. */}}
{{- define "isola.probes" -}}
startupProbe:
  httpGet:
    path: /healthz
    port: {{ . }}
  periodSeconds: 1
  failureThreshold: 60
livenessProbe:
  httpGet:
    path: /healthz
    port: {{ . }}
  periodSeconds: 10
  timeoutSeconds: 5
readinessProbe:
  httpGet:
    path: /readyz
    port: {{ . }}
  periodSeconds: 5
  timeoutSeconds: 5
{{- end -}}

{{/* The replacement comes first and the old pod goes when it is ready, also with a single replica. Two at a time
     are harmless: an append to the log under a taken number is refused. */}}
{{- define "isola.strategy" -}}
strategy:
  type: RollingUpdate
  rollingUpdate:
    maxSurge: 1
    maxUnavailable: 0
{{- end -}}

{{/* Where admission policies apply: in the sandbox namespace, whose name Kubernetes itself writes into this label. */}}
{{- define "isola.sandboxNamespaceSelector" -}}
namespaceSelector:
  matchLabels:
    kubernetes.io/metadata.name: {{ .Values.sandboxNamespace.name | quote }}
{{- end -}}

{{/* What serves MutatingAdmissionPolicy: v1 since Kubernetes 1.36, v1beta1 in 1.34 and 1.35 where it was switched on; or
     nothing, and then those who come past the gateway stay unknown. */}}
{{- define "isola.mutatingPolicyVersion" -}}
{{- range list "v1" "v1beta1" -}}
{{- $api := printf "admissionregistration.k8s.io/%s" . -}}
{{- if $.Capabilities.APIVersions.Has (printf "%s/MutatingAdmissionPolicy" $api) -}}
{{- $api -}}
{{- break -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "isola.snapshots.serviceAccountName" -}}
{{- default (printf "%s-snapshot-uploader" (include "isola.fullname" .)) .Values.operator.sandboxRuntime.rootfssnapshot.uploader.serviceAccount.name -}}
{{- end -}}

{{/* Whether anything touches nodes; empty if not. */}}
{{- define "isola.touchesNodes" -}}
{{- if or .Values.operator.sandboxRuntime.rootfssnapshot.enabled .Values.gvisor.installer.enabled -}}true{{- end -}}
{{- end -}}

{{/* Where that runs, and whatever has the bucket's credentials. */}}
{{- define "isola.nodeNamespace" -}}
{{- .Values.nodeNamespace.name -}}
{{- end -}}

{{/* What tells this release's uploaders from all other pods there. The operator gives its Jobs the same. */}}
{{- define "isola.snapshots.uploaderLabels" -}}
app.kubernetes.io/name: isola-snapshot-uploader
isola.run/namespace: {{ .Values.sandboxNamespace.name | quote }}
{{- end -}}

{{- define "isola.mounter.serviceAccountName" -}}
{{- default (printf "%s-snapshot-mounter" (include "isola.fullname" .)) .Values.operator.sandboxRuntime.rootfssnapshot.snapshotMounter.serviceAccount.name -}}
{{- end -}}

{{/* The mounter's directory on every node. Its own of each release: what belongs to none of its pods is removed there. */}}
{{- define "isola.mounter.hostDirectory" -}}
{{- .Values.operator.sandboxRuntime.rootfssnapshot.snapshotMounter.hostMountPath }}/{{ .Release.Namespace }}.{{ include "isola.fullname" . -}}
{{- end -}}

{{/* Below it, what sandboxes start from. */}}
{{- define "isola.mounter.stagingRoot" -}}
{{- include "isola.mounter.hostDirectory" . }}/staged
{{- end -}}

{{/* The secret whose keys become the mounter's environment; empty with a cloud identity. */}}
{{- define "isola.mounter.credentialSecret" -}}
{{- $mounter := .Values.operator.sandboxRuntime.rootfssnapshot.snapshotMounter -}}
{{- if $mounter.existingSecret -}}{{ $mounter.existingSecret }}
{{- else if include "isola.snapshots.inlineCredentials" . -}}{{ include "isola.fullname" . }}-operator-snapshot-mounter-credentials
{{- end -}}
{{- end -}}

{{/* The keys of such a secret, from the values. */}}
{{- define "isola.snapshots.credentials" -}}
{{- $storage := .Values.operator.sandboxRuntime.rootfssnapshot.storage -}}
{{- if eq $storage.type "s3" -}}
AWS_ACCESS_KEY_ID: {{ $storage.s3.accessKeyId | quote }}
AWS_SECRET_ACCESS_KEY: {{ $storage.s3.secretAccessKey | quote }}
{{- else -}}
AZURE_STORAGE_ACCOUNT: {{ $storage.azure.storageAccount | quote }}
AZURE_STORAGE_KEY: {{ $storage.azure.accountKey | quote }}
{{- end -}}
{{- end -}}

{{/* Whether the values hold credentials of the bucket themselves; empty if not. */}}
{{- define "isola.snapshots.inlineCredentials" -}}
{{- $storage := .Values.operator.sandboxRuntime.rootfssnapshot.storage -}}
{{- if or (and (eq $storage.type "s3") $storage.s3.accessKeyId) (and (eq $storage.type "azure") $storage.azure.accountKey) -}}true{{- end -}}
{{- end -}}

{{/* The secret whose keys become the uploader's environment; empty with a cloud identity. */}}
{{- define "isola.snapshots.credentialSecret" -}}
{{- $uploader := .Values.operator.sandboxRuntime.rootfssnapshot.uploader -}}
{{- if $uploader.existingSecret -}}{{ $uploader.existingSecret }}
{{- else if include "isola.snapshots.inlineCredentials" . -}}{{ include "isola.fullname" . }}-operator-snapshot-uploader-credentials
{{- end -}}
{{- end -}}

{{/* Where the snapshots are kept, as one URL. */}}
{{- define "isola.snapshots.bucketURL" -}}
{{- $storage := .Values.operator.sandboxRuntime.rootfssnapshot.storage -}}
{{- if eq $storage.type "s3" -}}
{{- $query := list -}}
{{- with $storage.s3.region }}{{ $query = append $query (printf "region=%s" (urlquery .)) }}{{ end -}}
{{- with $storage.s3.endpoint }}{{ $query = append $query (printf "endpoint=%s" (urlquery .)) }}{{ end -}}
{{- if $storage.s3.forcePathStyle }}{{ $query = append $query "use_path_style=true" }}{{ end -}}
s3://{{ $storage.s3.bucket }}{{ if $query }}?{{ join "&" $query }}{{ end }}
{{- else if eq $storage.type "gcs" -}}
gs://{{ $storage.gcs.bucket }}
{{- else if eq $storage.type "azure" -}}
azblob://{{ $storage.azure.container }}?storage_account={{ urlquery $storage.azure.storageAccount }}
{{- end -}}
{{- end -}}
