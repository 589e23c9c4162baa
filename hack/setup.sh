#!/usr/bin/env bash
# usage: hack/setup.sh [--no-demo]
#
# From an empty machine to Isola on a real cluster with real gVisor, and a first sandbox in it. Everything that is there
# already is kept, so a second run takes seconds. Settings, all by environment:
#   CLUSTER_NAME=isola   ISOLA_PORT=8080   ISOLA_CACHE=~/.cache/isola
#   NODE_IMAGE=kindest/node:...    pull kind's node and add gVisor to it, instead of building one
#   BASE_IMAGE=python:3.11-slim    what the component images start from
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

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

locked "setup-$cluster"
"$root/hack/host.sh" start
# images need none of the programs, and the first build of those is long
"$root/hack/images.sh" >"$images.new" &
companion=$!
"$root/hack/cluster.sh" up
"$root/hack/binaries.sh" helm >/dev/null
wait $companion || fail 'the images could not be built: see FAILED above'
mv "$images.new" "$images"
"$root/hack/cluster.sh" load "$(sed -n 's/^minio=//p' "$images")"
step 'object storage for snapshots' object_storage
"$root/hack/install.sh"
step "waiting for http://localhost:$port" answering
say "$(printf '%4d s  in all' $SECONDS)"

if [ "${1:-}" = --no-demo ]; then
  "$root/hack/env.sh"
else
  "$root/hack/demo.sh"
fi
