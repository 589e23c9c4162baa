#!/usr/bin/env bash
# usage: [BASE_IMAGE=python:3.11-slim] [SOURCE_DATE_EPOCH=...] hack/images.sh [--list | --no-cache] [NAME...]
#
# Builds the images of the components, two for sandboxes and one of MinIO, or those that are named, and prints a line
# NAME=IMAGE for each. A tag is the digest of what goes in, so nothing is built twice and a changed line of one component
# gives that one a new image, and rebuilds its last layer. Docker is the builder; what counts is kept by hack/oci.py, in
# which the same input has the same digest. --list prints the lines without building, --no-cache builds from nothing.
#
# BASE_IMAGE must hold Python 3.11. Left out, it is python:3.11-slim if that can be had, or else made of Debian packages.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# name, the module that is started, the extra of pyproject.toml, our packages that it imports
components() {
  cat <<'EOF'
isola-operator        isola_operator operator api/isola_lifecycle api/isola_process api/isola_store controlplane/isola_operator
isola-api-gateway     isola_gateway  gateway  api/isola_lifecycle api/isola_process api/isola_store api/isola_rest controlplane/isola_gateway
isola-exporter        isola_exporter exporter api/isola_lifecycle api/isola_process api/isola_store controlplane/isola_exporter
isola-egress          isola_egress   egress   api/isola_lifecycle api/isola_process api/isola_store dataplane/isola_egress
isola-snapshot-uploader isola_uploader uploader api/isola_lifecycle api/isola_process api/isola_store api/isola_rest snapshots/isola_bucket snapshots/isola_uploader snapshots/isola_mounter
isola-sandbox-sidecar isola_sidecar  sidecar  dataplane/isola_sidecar
isola-gvisor-installer isola_gvisor  gvisor   dataplane/isola_gvisor
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
  SOURCE_DATE_EPOCH=$epoch mmdebstrap --variant=essential --include="$base_packages" \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' bookworm - | docker import - "$made_base"
}

# uv takes a quarter of a second to say it, which six components need at every run.
requirements() { # EXTRA
  local file
  file=$cache/requirements/$(digest_files uv.lock pyproject.toml)-$1
  if [ ! -f "$file" ]; then
    mkdir -p "$cache/requirements"
    (cd "$root" && uv export --quiet --frozen --no-dev --no-emit-project --no-header --extra "$1") >"$file.$$"
    mv "$file.$$" "$file"
  fi
  cat "$file"
}

packages_image() { # NAME EXTRA
  echo "$registry/$1-packages:$({
    echo "$base_id"
    requirements "$2"
    digest_files hack/images/packages.Dockerfile
    declare -f packages
  } | digest)"
}

# The same base and the same inputs give the same name, on every checkout.
tag() { # NAME EXTRA SOURCE...
  local name=$1 extra=$2
  shift 2
  {
    echo "$(packages_image "$name" "$extra") $version $epoch"
    [ "$name" != isola-gvisor-installer ] ||
      echo "$(digest_files hack/gomod/gvisor/go.mod hack/gomod/gvisor/go.sum) $(grep '^shim_' "$root/hack/binaries.sh")"
    digest_files hack/images/Dockerfile hack/oci.py "$@"
  } | digest
}

build() { # IMAGE FILE CONTEXT ARGUMENT...
  local image=$1 file=$2 context=$3
  shift 3
  # shellcheck disable=SC2086
  docker build $no_cache -t "$image" -f "$root/hack/images/$file" "$@" "$context"
}

# What was built becomes what is delivered.
keep() { # IMAGE
  docker save "$1" | python3 "$root/hack/oci.py" add "$store" "$1" "$epoch"
}

packages() { # IMAGE EXTRA
  local context=$scratch/packages-$2
  mkdir -p "$context/packages"
  requirements "$2" >"$context/requirements.txt"
  # Resolved on this machine, for the image's: no step in the image needs a network.
  if grep -q . "$context/requirements.txt"; then
    uv pip install --quiet --no-deps --require-hashes --requirements "$context/requirements.txt" \
      --target "$context/packages" --link-mode copy --only-binary :all: \
      --python-version 3.11 --python-platform "$machine-manylinux_2_28"
  fi
  rm -rf "$context/packages/bin" "$context/packages/.lock"
  # Classes that are generated for each resource, 120 MB with their bytecode: ours are read as they are
  # (tests/store/test_generated.py).
  [ ! -d "$context/packages/kubernetes" ] || find "$context/packages/kubernetes" -name '*.py' ! -name __init__.py \
    \( -path '*/client/api/*' -o -path '*/client/models/*' \) -delete
  build "$1" packages.Dockerfile "$context" --build-arg "BASE_IMAGE=$BASE_IMAGE"
}

# What the installer carries to nodes, and what it is held against there.
gvisor() { # FOLDER
  local bin name
  bin=$("$root/hack/binaries.sh" --for-nodes runsc containerd-shim-runsc-v1 | tail -n 1)
  mkdir -p "$1"
  for name in runsc containerd-shim-runsc-v1; do cp -L "$bin/$name" "$1/"; done
  (cd "$1" && if have sha512sum; then sha512sum -- *; else shasum -a 512 -- *; fi >../sums && mv ../sums SHA512SUMS)
}

component() { # IMAGE NAME MODULE EXTRA SOURCE...
  local image=$1 name=$2 module=$3 extra=$4 source on
  shift 4
  local context=$scratch/$name
  on=$(packages_image "$name" "$extra")
  mkdir -p "$context/source"
  if [ -n "$no_cache" ] || ! docker image inspect "$on" >/dev/null 2>&1; then packages "$on" "$extra"; fi
  for source; do cp -R "$root/$source" "$context/source/"; done
  find "$context/source" -name __pycache__ -prune -exec rm -rf {} +
  [ "$name" != isola-gvisor-installer ] || gvisor "$context/gvisor"
  build "$image" Dockerfile "$context" --target "$name" --build-arg "PACKAGES=$on" --build-arg "MODULE=$module" \
    --build-arg "VERSION=$version"
  keep "$image"
}

sandbox() { # IMAGE NAME
  mkdir -p "$scratch/empty"
  build "$1" sandboxes.Dockerfile "$scratch/empty" --target "$2" --build-arg "BASE_IMAGE=$BASE_IMAGE"
  keep "$1"
}

minio() { # IMAGE
  local context=$scratch/minio
  mkdir -p "$context/data/isola"
  cp "$("$root/hack/binaries.sh" --for-nodes minio | tail -n 1)/minio" "$context/"
  build "$1" minio.Dockerfile "$context"
  keep "$1"
}

version=v$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/pyproject.toml")
case $arch in amd64) machine=x86_64 ;; arm64) machine=aarch64 ;; *) fail "no packages are built for $arch" ;; esac
building=true no_cache=
case ${1:-} in
  --list) building=false && shift ;;
  --no-cache) no_cache=--no-cache && shift ;;
esac
only=" $* "

locked images
base_image
base_id=$(docker image inspect -f '{{json .RootFS.Layers}}' "$BASE_IMAGE")
scratch

wanted() { [ "$only" = '  ' ] || [[ $only == *" $1 "* ]]; }
made() { ! $building || { [ -z "$no_cache" ] && [ -f "$store/names/$1" ]; }; }

for name in $sandboxes; do
  wanted "$name" || continue
  image=$registry/$name:$({
    echo "$base_id $epoch"
    digest_files hack/images/sandboxes.Dockerfile hack/oci.py
  } | digest)
  made "$image" || step "image: $name" sandbox "$image" "$name"
  echo "$name=$image"
done

if wanted minio; then
  image=$registry/minio:$(
    digest_files hack/images/minio.Dockerfile hack/oci.py hack/gomod/minio/go.mod hack/gomod/minio/go.sum
  )
  made "$image" || step 'image: minio' minio "$image"
  echo "minio=$image"
fi

components >"$scratch/components"
while read -r name module extra sources <&3; do
  wanted "$name" || continue
  # shellcheck disable=SC2086
  image=$registry/$name:$(tag "$name" "$extra" $sources)
  # shellcheck disable=SC2086
  made "$image" || step "image: $name" component "$image" "$name" "$module" "$extra" $sources
  echo "$name=$image"
done 3<"$scratch/components"
