{{/* Rules of NetworkPolicies. A port is the one that a pod or a node listens on: most engines judge a connection after
     the address and port of a Service were replaced by those behind it. */}}

{{/* One rule's ports. Takes a list of numbers, each TCP. */}}
{{- define "isola.network.ports" -}}
ports:
  {{- range . | uniq }}
  - protocol: TCP
    port: {{ int . }}
  {{- end }}
{{- end -}}

{{/* Peers by address; anybody when there are none. Takes (list "to" CIDRS), or "from". */}}
{{- define "isola.network.ranges" -}}
{{- if index . 1 -}}
{{ index . 0 }}:
  {{- range index . 1 }}
  - ipBlock:
      cidr: {{ . | quote }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* The one peer that is a component of this release. Takes (list $ "to" "component"), or "from". */}}
{{- define "isola.network.component" -}}
{{ index . 1 }}:
  - podSelector:
      matchLabels:
        {{- include "isola.selectorLabels" (list (index . 0) (index . 2)) | nindent 8 }}
{{- end -}}

{{/* The way to the API server, as an item of egress. */}}
{{- define "isola.network.toApiServer" -}}
- {{ include "isola.network.ports" .Values.networkPolicies.apiServerPorts | nindent 2 | trim }}
  {{- with include "isola.network.ranges" (list "to" .Values.networkPolicies.apiServerCIDRs) }}
  {{- . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* The way to the cluster's name servers, and to a cache of them on each node, as an item of egress. */}}
{{- define "isola.network.toNameServers" -}}
{{- $dns := .Values.operator.network.clusterDNS -}}
- to:
    - namespaceSelector:
        matchLabels:
          kubernetes.io/metadata.name: {{ $dns.namespace | quote }}
      podSelector:
        matchLabels:
          {{- toYaml $dns.podLabels | nindent 10 }}
    - ipBlock:
        cidr: 169.254.0.0/16
  {{- include "isola.network.nameServerPorts" . | nindent 2 }}
{{- end -}}

{{- define "isola.network.nameServerPorts" -}}
ports:
  - protocol: UDP
    port: 53
  - protocol: TCP
    port: 53
{{- end -}}

{{/* The port of a URL. */}}
{{- define "isola.network.portOf" -}}
{{- $url := urlParse . -}}
{{- $port := regexFind ":[0-9]+$" $url.host | trimPrefix ":" -}}
{{- if $port }}{{ $port }}{{ else if eq $url.scheme "http" }}80{{ else }}443{{ end -}}
{{- end -}}

{{/* The ways to the bucket, as items of egress: by its endpoint's port, and where there are no credentials to whoever gives
     them, at an address of the node's own (80; 988 is Google's) or at 443. */}}
{{- define "isola.network.toStorage" -}}
{{- $policies := .Values.networkPolicies -}}
{{- $ports := $policies.storagePorts -}}
{{- if not $ports -}}
{{- $endpoint := .Values.operator.sandboxRuntime.rootfssnapshot.storage.s3.endpoint -}}
{{- $ports = list (include "isola.network.portOf" (default "https://cloud" $endpoint) | int) -}}
{{- end -}}
- {{ include "isola.network.ports" $ports | nindent 2 | trim }}
  {{- with include "isola.network.ranges" (list "to" $policies.storageCIDRs) }}
  {{- . | nindent 2 }}
  {{- end }}
{{- if not (include "isola.snapshots.inlineCredentials" .) }}
- {{ include "isola.network.ports" (list 80 988) | nindent 2 | trim }}
  {{- include "isola.network.ranges" (list "to" (list "169.254.0.0/16")) | nindent 2 }}
- {{ include "isola.network.ports" (list 443) | nindent 2 | trim }}
{{- end }}
{{- end -}}

{{/* Who may scrape, as an item of ingress. Takes (list $ port). */}}
{{- define "isola.network.fromScrapers" -}}
- {{ include "isola.network.ports" (list (index . 1)) | nindent 2 | trim }}
  {{- with (index . 0).Values.networkPolicies.metricsFrom }}
  from:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{/* Everything of a policy before its rules. Takes (list $ "component"). */}}
{{- define "isola.network.head" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ include "isola.fullname" $root }}-{{ $component }}
  namespace: {{ ternary (include "isola.nodeNamespace" $root) $root.Release.Namespace (eq $component "snapshot-mounter") | quote }}
  labels:
    {{- include "isola.componentLabels" (list $root $component) | nindent 4 }}
spec:
  podSelector:
    matchLabels:
      {{- include "isola.selectorLabels" (list $root $component) | nindent 6 }}
  policyTypes: [Ingress, Egress]
{{- end -}}
