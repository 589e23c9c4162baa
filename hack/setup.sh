#!/usr/bin/env bash
# usage: hack/setup.sh [--no-demo]
#
# From an empty machine to Isola on a real cluster with real gVisor, and a first sandbox in it. Everything that is there
# already is kept, so a second run takes seconds. Settings, all by environment:
#   CLUSTER_NAME=isola   ISOLA_PORT=8080   ISOLA_CACHE=~/.cache/isola
#   NODE_IMAGE=kindest/node:...    pull kind's node and add gVisor to it, instead of building one
#   BASE_IMAGE=python:3.11-slim    what the component images start from
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

install() {
  # An install that was interrupted stays pending and would block this one; its own record is all that has to go.
  kubectl -n "$release_namespace" delete secret --ignore-not-found \
    -l 'owner=helm,status in (pending-install,pending-upgrade,pending-rollback)'
  helm upgrade --install isola "$root/chart" --namespace "$release_namespace" --create-namespace \
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

# Before the chart, whose installation takes longer than this to be ready.
object_storage() {
  sed "s|$registry/minio:local|$registry/minio:$(image minio)|" "$root/hack/cluster/minio.yaml" | kubectl apply -f -
}

image() { sed -n "s|^$1=$registry/$1:||p" "$images"; }

answering() {
  local tries=150
  until curl -fsS --max-time 2 "http://localhost:$port/readyz"; do
    tries=$((tries - 1))
    [ $tries -gt 0 ] || return 1
    sleep 0.2
  done
}

why_not_ready() {
  kubectl -n "$release_namespace" get pods -o wide
  kubectl -n "$release_namespace" get events --sort-by=.lastTimestamp | tail -n 15
  kubectl -n "$release_namespace" logs --all-containers --prefix --tail 15 -l app.kubernetes.io/instance=isola
}

locked "setup-$cluster"
"$root/hack/host.sh" start
# images need none of the programs, and the first build of those is long
"$root/hack/images.sh" >"$images.new" &
companion=$!
"$root/hack/cluster.sh" up
"$root/hack/binaries.sh" helm >/dev/null
wait $companion || fail 'the images could not be built: see FAILED above'
mv "$images.new" "$images"
# shellcheck disable=SC2046
"$root/hack/cluster.sh" load $(cut -d= -f2 "$images")
explain=why_not_ready
step 'object storage for snapshots' object_storage
step 'installing the chart, and waiting for operator and gateway' install
step "waiting for http://localhost:$port" answering
say "$(printf '%4d s  in all' $SECONDS)"

if [ "${1:-}" = --no-demo ]; then
  "$root/hack/env.sh"
else
  "$root/hack/demo.sh"
fi
