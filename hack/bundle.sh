#!/usr/bin/env bash
# usage: hack/bundle.sh [--no-sbom] [FILE]
#
# Makes one file of all that an installation without a network needs, and prints its name (dist/isola-VERSION.bundle.tar.gz):
# the images as one OCI archive, the chart, values that name these images, their bills of materials, checksums, and
# install-bundle.sh, which installs from it.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

bills=true
if [ "${1:-}" = --no-sbom ]; then
  bills=false
  shift
fi
version=$(sed -n 's/^version: *//p' "$root/chart/Chart.yaml")
bundle=${1:-$root/dist/isola-$version.bundle.tar.gz}
# where the chart has the image of each
places() {
  cat <<'EOF'
isola-operator          operator.image
isola-sandbox-sidecar   operator.sandboxSidecar.image
isola-api-gateway       apiGateway.image
isola-egress            egress.image
isola-exporter          exporter.image
isola-snapshot-uploader operator.sandboxRuntime.rootfssnapshot.uploader.image
isola-gvisor-installer  gvisor.installer.image
EOF
}

# Values as helm's --values takes them, by the field `tag` or `digest`.
values() { # FIELD
  local name place path
  while read -r name place; do
    path=$(sed -n "s|^$name=||p" "$scratch/list")
    case $1 in
      tag) echo "$place.tag ${path##*:}" ;;
      digest) echo "$place.digest $(python3 "$root/hack/oci.py" digest "$store" "$path")" ;;
    esac
  done < <(places) | python3 -c '
import json, sys
values = {}
for path, value in (line.split() for line in sys.stdin):
    *above, last = path.split(".")
    below = values
    for name in above:
        below = below.setdefault(name, {})
    below[last] = value
json.dump(values, sys.stdout, indent=2)'
}

gather() {
  mkdir -p "$scratch/bundle"
  cd "$scratch/bundle"
  cut -d= -f2 "$scratch/list" >images.txt
  # shellcheck disable=SC2046
  python3 "$root/hack/oci.py" archive "$store" $(cat images.txt) >images.tar
  values tag >images-by-tag.json
  values digest >images-by-digest.json
  helm package "$root/chart" --destination .
  cp "$root/hack/install-bundle.sh" .
}

checksums() {
  cd "$scratch/bundle"
  find . -type f | LC_ALL=C sort | xargs sha256sum >"$scratch/sums"
  mv "$scratch/sums" SHA256SUMS
  mkdir -p "$(dirname "$bundle")"
  case $bundle in
    *.gz) tar -cf - -- * | gzip -n >"$bundle.new" ;;
    *) tar -cf "$bundle.new" -- * ;;
  esac
  mv "$bundle.new" "$bundle"
}

"$root/hack/binaries.sh" helm >/dev/null
scratch
# shellcheck disable=SC2046
"$root/hack/images.sh" $(places | cut -d' ' -f1) >"$scratch/list"
step 'gathering images and chart' gather
# shellcheck disable=SC2046
! $bills || "$root/hack/sbom.sh" "$scratch/bundle/sbom" $(places | cut -d' ' -f1)
step 'checksums' checksums
echo "$bundle"
