#!/usr/bin/env bash
# usage: hack/sbom.sh DIRECTORY [NAME...]
#
# Writes a software bill of materials for each image of ours, or those that are named: DIRECTORY/NAME.spdx.json, of the
# Debian and Python packages and Go modules that syft finds in it. The image is one that hack/images.sh has made.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

[ $# -ge 1 ] || fail 'usage: hack/sbom.sh DIRECTORY [NAME...]'
have jq || fail 'jq is needed to write bills of materials: https://jqlang.org'
into=$1
shift

bom() { # NAME IMAGE
  python3 "$root/hack/oci.py" archive "$store" "$2" >"$scratch/image.tar"
  # Neither asks the network nor tells the time: the same image has the same bill.
  SYFT_CHECK_FOR_APP_UPDATE=false SOURCE_DATE_EPOCH=$epoch "$bin/syft" scan "oci-archive:$scratch/image.tar" \
    --source-name "$1" --source-version "${2##*:}" --output "spdx-json=$scratch/bill.json" --quiet
  mkdir -p "$into"
  jq -S --argjson epoch "$epoch" --arg namespace "https://isola.run/spdx/$1-${2##*:}" \
    '.creationInfo.created = ($epoch | todate) | .documentNamespace = $namespace' "$scratch/bill.json" >"$into/$1.spdx.json"
}

bin=$("$root/hack/binaries.sh" syft | tail -n 1)
scratch
"$root/hack/images.sh" "$@" >"$scratch/list"
while IFS='=' read -r name image <&3; do
  step "bill of materials: $name" bom "$name" "$image"
done 3<"$scratch/list"
