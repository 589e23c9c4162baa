#!/usr/bin/env bash
# usage: [BASE_IMAGE=python:3.11-slim] hack/images.sh [--list]
#
# Builds the images of the components, two for sandboxes and one of MinIO, and prints a line NAME=IMAGE for each. A tag is
# the digest of what goes in, so nothing is built twice and a changed line of one component gives that one a new image. --list
# prints the lines without building.
#
# BASE_IMAGE must hold Python 3.11. Left out, it is python:3.11-slim if that can be had, or else made of Debian packages.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# name, the module that is started, the extra of pyproject.toml, our packages that it imports
components() {
  cat <<'EOF'
isola-operator        isola_operator operator api/isola_lifecycle api/isola_store controlplane/isola_operator
isola-api-gateway     isola_gateway  gateway  api/isola_lifecycle api/isola_store api/isola_rest controlplane/isola_gateway
isola-exporter        isola_exporter exporter api/isola_lifecycle api/isola_store controlplane/isola_exporter
isola-egress          isola_egress   egress   api/isola_lifecycle api/isola_store dataplane/isola_egress
isola-snapshot-uploader isola_uploader uploader api/isola_lifecycle api/isola_store api/isola_rest snapshots/isola_bucket snapshots/isola_uploader snapshots/isola_mounter
isola-sandbox-sidecar isola_sidecar  sidecar  dataplane/isola_sidecar
EOF
}
sandboxes='sandbox-python sandbox-noshell'

usual_base=python:3.11-slim
# bookworm's Python is 3.11; procps and busybox are for the sandboxes
base_packages=python3,ca-certificates,procps,busybox-static
made_base=$registry/python:$(printf '%s' "$base_packages" | digest)

base_image() {
  if [ -n "${BASE_IMAGE:-}" ]; then
    docker image inspect "$BASE_IMAGE" >/dev/null 2>&1 || step "pulling $BASE_IMAGE" docker pull "$BASE_IMAGE"
    return
  fi
  for BASE_IMAGE in "$usual_base" "$made_base"; do
    ! docker image inspect "$BASE_IMAGE" >/dev/null 2>&1 || return 0
  done
  BASE_IMAGE=$usual_base
  say "    trying to pull $usual_base ..."
  ! docker pull -q "$usual_base" >/dev/null 2>&1 || return 0
  BASE_IMAGE=$made_base
  { debian_host && have mmdebstrap; } ||
    fail "$usual_base cannot be pulled, and only a Debian with mmdebstrap can make a base image: set BASE_IMAGE"
  step 'base image: Debian with Python' make_base
}

make_base() {
  mmdebstrap --variant=essential --include="$base_packages" \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' bookworm - | docker import - "$made_base"
}

requirements() { # EXTRA
  (cd "$root" && uv export --quiet --frozen --no-dev --no-emit-project --no-header --extra "$1")
}

# The same base and the same inputs give the same name, on every checkout.
tag() { # EXTRA SOURCE...
  local extra=$1
  shift
  {
    echo "$base_id $version"
    requirements "$extra"
    digest_files hack/images/Dockerfile "$@"
  } | digest
}

component() { # IMAGE NAME MODULE EXTRA SOURCE...
  local image=$1 name=$2 module=$3 extra=$4 source
  shift 4
  local context=$scratch/$name
  mkdir -p "$context/packages" "$context/source"
  requirements "$extra" >"$context/requirements.txt"
  # Resolved on this machine, for the image's: no step in the image needs a network.
  uv pip install --quiet --no-deps --require-hashes --requirements "$context/requirements.txt" \
    --target "$context/packages" --link-mode copy --only-binary :all: \
    --python-version 3.11 --python-platform "$machine-manylinux_2_28"
  rm -rf "$context/packages/bin" "$context/packages/.lock"
  for source; do cp -R "$root/$source" "$context/source/"; done
  find "$context/source" -name __pycache__ -prune -exec rm -rf {} +
  docker build -t "$image" --target "$name" --build-arg "BASE_IMAGE=$BASE_IMAGE" --build-arg "MODULE=$module" \
    --build-arg "VERSION=$version" -f "$root/hack/images/Dockerfile" "$context"
}

sandbox() { # IMAGE NAME
  mkdir -p "$scratch/empty"
  docker build -t "$1" --target "$2" --build-arg "BASE_IMAGE=$BASE_IMAGE" \
    -f "$root/hack/images/sandboxes.Dockerfile" "$scratch/empty"
}

minio() { # IMAGE
  local context=$scratch/minio
  mkdir -p "$context/data/isola"
  cp "$("$root/hack/binaries.sh" --for-nodes minio | tail -n 1)/minio" "$context/"
  docker build -t "$1" -f "$root/hack/images/minio.Dockerfile" "$context"
}

version=v$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/pyproject.toml")
case $arch in amd64) machine=x86_64 ;; arm64) machine=aarch64 ;; *) fail "no packages are built for $arch" ;; esac
build=true
[ "${1:-}" != --list ] || build=false

locked images
base_image
base_id=$(docker image inspect -f '{{.Id}}' "$BASE_IMAGE")
scratch

made() { ! $build || docker image inspect "$1" >/dev/null 2>&1; }

for name in $sandboxes; do
  image=$registry/$name:$({
    echo "$base_id"
    digest_files hack/images/sandboxes.Dockerfile
  } | digest)
  made "$image" || step "image: $name" sandbox "$image" "$name"
  echo "$name=$image"
done

image=$registry/minio:$(digest_files hack/images/minio.Dockerfile hack/gomod/minio/go.mod hack/gomod/minio/go.sum)
made "$image" || step 'image: minio' minio "$image"
echo "minio=$image"

components >"$scratch/components"
while read -r name module extra sources <&3; do
  # shellcheck disable=SC2086
  image=$registry/$name:$(tag "$extra" $sources)
  # shellcheck disable=SC2086
  made "$image" || step "image: $name" component "$image" "$name" "$module" "$extra" $sources
  echo "$name=$image"
done 3<"$scratch/components"
