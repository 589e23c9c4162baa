#!/usr/bin/env bash
# usage: install-bundle.sh BUNDLE (--registry HOST[/PATH] | --kind CLUSTER) [HELM-ARGUMENT...]
#
# Installs or upgrades Isola from what hack/bundle.sh made, without any network but the cluster's. Of the machine it asks for
# kubectl and helm, on the cluster that KUBECONFIG names.
#   --registry   brings the images to a registry that the cluster can pull from (by skopeo); pods name them by digest
#   --kind       puts them into the nodes of a kind cluster on this machine (by docker); pods name them by tag
# What follows is helm's: --namespace, --values FILE, --set gvisor.installer.enabled=true and so on.
set -euo pipefail

usage() {
  sed -n '2,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
  exit 2
}
fail() {
  echo "error: $*" >&2
  exit 1
}

[ $# -ge 3 ] || usage
bundle=$1 how=$2 where=$3
shift 3
for tool in helm kubectl tar sha256sum; do command -v "$tool" >/dev/null || fail "$tool is missing on this machine"; done

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
tar -xf "$bundle" -C "$folder"
(cd "$folder" && sha256sum --check --quiet SHA256SUMS) ||
  fail "$bundle is not what was made: bring it here again"

case $how in
  --registry)
    command -v skopeo >/dev/null || fail 'skopeo, which writes to a registry, is missing on this machine'
    registry=$where values=images-by-digest.json
    while read -r image; do
      # The same digests there as here, so a registry that changes an image is found out by the node that pulls it.
      skopeo copy --preserve-digests "oci-archive:$folder/images.tar:$image" "docker://$registry/${image#*/}"
    done <"$folder/images.txt"
    ;;
  --kind)
    command -v docker >/dev/null || fail 'docker, in which kind has its nodes, is missing on this machine'
    values=images-by-tag.json
    registry=$(head -n 1 "$folder/images.txt")
    registry=${registry%%/*}
    nodes=$(docker ps --filter "label=io.x-k8s.kind.cluster=$where" --format '{{.Names}}')
    [ -n "$nodes" ] || fail "there is no kind cluster '$where' on this machine: 'kind get clusters' lists them"
    for node in $nodes; do
      docker exec -i "$node" ctr -n k8s.io images import --local --all-platforms - <"$folder/images.tar" >/dev/null
    done
    ;;
  *) usage ;;
esac

helm upgrade --install isola "$folder"/isola-*.tgz --values "$folder/$values" --set "global.imageRegistry=$registry" \
  --create-namespace "$@"
