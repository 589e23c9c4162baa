#!/usr/bin/env bash
# usage: hack/install.sh
#
# Puts the chart, with the images that $ISOLA_CACHE/images-$CLUSTER_NAME names, into the cluster that is there, and
# returns when all of it is ready. Anything that is in place already stays.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

image() { sed -n "s|^$1=$registry/$1:||p" "$images"; }

# Held to `restricted` before anything is in it: the API server itself then refuses whatever would touch a node.
restricted() {
  kubectl get namespace "$release_namespace" || kubectl create namespace "$release_namespace"
  kubectl label --overwrite namespace "$release_namespace" pod-security.kubernetes.io/enforce=restricted
}

install() {
  # An install that was interrupted stays pending and would block this one; its own record is all that has to go.
  kubectl -n "$release_namespace" delete secret --ignore-not-found \
    -l 'owner=helm,status in (pending-install,pending-upgrade,pending-rollback)'
  helm upgrade --install isola "$root/chart" --namespace "$release_namespace" \
    --set "global.imageRegistry=$registry" \
    --set "operator.image.tag=$(image isola-operator)" \
    --set "operator.sandboxSidecar.image.tag=$(image isola-sandbox-sidecar)" \
    --set "apiGateway.image.tag=$(image isola-api-gateway)" \
    --set egress.enabled=true --set "egress.image.tag=$(image isola-egress)" \
    --set apiGateway.service.type=NodePort --set apiGateway.service.nodePort=30080 \
    --set sandboxNamespace.create=true \
    --set operator.sandboxRuntime.rootfssnapshot.enabled=true \
    --set "operator.sandboxRuntime.rootfssnapshot.uploader.image.tag=$(image isola-snapshot-uploader)" \
    --set operator.sandboxRuntime.rootfssnapshot.snapshotMounter.cacheSizeLimit=2Gi \
    --set operator.sandboxRuntime.rootfssnapshot.storage.type=s3 \
    --set operator.sandboxRuntime.rootfssnapshot.storage.s3.bucket=isola \
    --set operator.sandboxRuntime.rootfssnapshot.storage.s3.region=us-east-1 \
    --set operator.sandboxRuntime.rootfssnapshot.storage.s3.endpoint=http://minio.isola-storage.svc.cluster.local:9000 \
    --set operator.sandboxRuntime.rootfssnapshot.storage.s3.forcePathStyle=true \
    --set operator.sandboxRuntime.rootfssnapshot.storage.s3.accessKeyId=isola-local \
    --set operator.sandboxRuntime.rootfssnapshot.storage.s3.secretAccessKey=isola-local-secret \
    --history-max 3 --wait --timeout 3m
}

why_not_ready() {
  kubectl get pods -o wide -A -l app.kubernetes.io/instance=isola
  kubectl -n "$release_namespace" get events --sort-by=.lastTimestamp | tail -n 15
  kubectl -n "$release_namespace" logs --all-containers --prefix --tail 15 -l app.kubernetes.io/instance=isola
}

[ -f "$images" ] || fail "there is no cluster '$cluster' with images of ours; 'make up' makes it"
"$root/hack/binaries.sh" helm kubectl >/dev/null
# shellcheck disable=SC2046
"$root/hack/cluster.sh" load $(cut -d= -f2 "$images")
explain=why_not_ready
step 'the release namespace, where Pod Security is restricted' restricted
step 'installing the chart, and waiting for operator and gateway' install
