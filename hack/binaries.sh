#!/usr/bin/env bash
# usage: hack/binaries.sh [--for-nodes] [NAME...]
#
# Builds the programs that a cluster and the tests are made of, from the Go modules pinned under hack/gomod, and prints
# the directory that holds them. Nothing is built twice: what is there is kept by the digest of the pins and flags that
# made it, so bumping one module rebuilds that module's programs and no other.
#
# --for-nodes builds for Linux, whatever this machine is: what runs in a node, not what a person calls.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# name, the module under hack/gomod that pins it, the package
catalogue() {
  cat <<'EOF'
etcd                     etcd        go.etcd.io/etcd/server/v3
kube-apiserver           kubernetes  k8s.io/kubernetes/cmd/kube-apiserver
kube-apiserver-oldest    kubernetes-oldest k8s.io/kubernetes/cmd/kube-apiserver
kubectl                  kubernetes  k8s.io/kubernetes/cmd/kubectl
kube-controller-manager  kubernetes  k8s.io/kubernetes/cmd/kube-controller-manager
kube-scheduler           kubernetes  k8s.io/kubernetes/cmd/kube-scheduler
kube-proxy               kubernetes  k8s.io/kubernetes/cmd/kube-proxy
kubeadm                  kubernetes  k8s.io/kubernetes/cmd/kubeadm
kubelet                  kubernetes  k8s.io/kubernetes/cmd/kubelet
kind                     kind        sigs.k8s.io/kind
helm                     helm        helm.sh/helm/v4/cmd/helm
runsc                    gvisor      gvisor.dev/gvisor/runsc
containerd-shim-runsc-v1 gvisor      gvisor.dev/gvisor/shim
containerd               containerd  github.com/containerd/containerd/v2/cmd/containerd
containerd-shim-runc-v2  containerd  github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2
ctr                      containerd  github.com/containerd/containerd/v2/cmd/ctr
coredns                  coredns     github.com/coredns/coredns
kube-router              kube-router github.com/cloudnativelabs/kube-router/v2/cmd/kube-router
ptp                      cni         github.com/containernetworking/plugins/plugins/main/ptp
loopback                 cni         github.com/containernetworking/plugins/plugins/main/loopback
host-local               cni         github.com/containernetworking/plugins/plugins/ipam/host-local
portmap                  cni         github.com/containernetworking/plugins/plugins/meta/portmap
otelcol                  otelcol     isola.invalid/hack/otelcol
prometheus               prometheus  github.com/prometheus/prometheus/cmd/prometheus
minio                    minio       github.com/minio/minio
fake-gcs-server          fake-gcs-server github.com/fsouza/fake-gcs-server
registry                 registry    github.com/distribution/distribution/v3/cmd/registry
syft                     syft        github.com/anchore/syft/cmd/syft
EOF
}

# A program built outside its own repository does not know its version, and kubeadm goes by it.
version_flags() {
  local version
  case $1 in
    kubernetes | kubernetes-oldest)
      version=$(pinned "$1" k8s.io/kubernetes)
      local minor=${version#v1.}
      local package=k8s.io/component-base/version
      echo "-X $package.gitVersion=$version -X $package.gitMajor=1 -X $package.gitMinor=${minor%%.*} -X $package.gitTreeState=clean"
      ;;
    gvisor) # the module's pseudo-version v0.0.0-YYYYMMDD... is the release of that day
      version=$(pinned gvisor gvisor.dev/gvisor)
      version=${version#v0.0.0-}
      echo "-X gvisor.dev/gvisor/runsc/version.version=release-${version:0:8}.0"
      ;;
  esac
}

# Prometheus finds what the tests let it scrape without the clients of twenty clouds, which are most of its build.
tags() {
  [ "$1" != prometheus ] || echo remove_all_sd
}

# The shim asks for an oom_score_adj of -999, which a root without CAP_SYS_RESOURCE (a container, a small VM) is refused,
# and then no pod starts. There it goes without; everywhere else it has what it asks for.
shim_wants='oomScoreMax); err != nil {'
shim_gets='oomScoreMax); err != nil \&\& !os.IsPermission(err) {'
patch_gvisor() {
  local file=vendor/gvisor.dev/gvisor/pkg/shim/v1/manager.go
  go mod vendor
  grep -q "$shim_wants" "$file" || fail "gVisor's shim has changed: '$shim_wants' is not in $file any more"
  sed "s/$shim_wants/$shim_gets/" "$file" >"$file.new"
  mv "$file.new" "$file"
}

# Everything but the Go version that decides what comes out.
store() { # MODULE
  local key
  key=$({
    cat "$root/hack/gomod/$1/go.mod" "$root/hack/gomod/$1/go.sum"
    [ ! -f "$root/hack/gomod/$1/main.go" ] || cat "$root/hack/gomod/$1/main.go"
    version_flags "$1"
    tags "$1"
    [ "$1" != gvisor ] || echo "$shim_gets"
  } | digest)
  echo "$cache/binaries/$1-$key-$os-$arch"
}

# One `go build` per module: its commands share most packages, which are then compiled once and side by side.
build() { # MODULE NAME...
  local module=$1 source into
  shift
  source=$root/hack/gomod/$module
  into=$(store "$module")
  local name packages=()
  for name; do packages+=("$(awk -v name="$name" '$1 == name {print $3}' <<<"$(catalogue)")"); done
  local out=$scratch/$module-out
  mkdir -p "$out" "$into"
  if [ "$module" = gvisor ]; then
    cp -R "$source" "$scratch/gvisor"
    cd "$scratch/gvisor"
    patch_gvisor
  else
    cd "$source"
  fi
  CGO_ENABLED=0 GOOS=$os GOARCH=$arch GOWORK=off \
    go build -trimpath -buildvcs=false -tags "$(tags "$module")" -ldflags "-s -w $(version_flags "$module")" -o "$out/" "${packages[@]}"
  for name; do mv "$out/$(go_name "$name")" "$into/$name"; done
}

# go build names a program after the last part of its package's path, a major version aside.
go_name() {
  catalogue | awk -v name="$1" '$1 == name {n = split($3, part, "/"); if (part[n] ~ /^v[0-9]+$/) n--; print part[n]}'
}

os=$host_os
if [ "${1:-}" = --for-nodes ]; then
  os=linux
  shift
fi
bin=$cache/bin
[ "$os" = "$host_os" ] || bin=$cache/bin-$os

wanted=("$@")
# shellcheck disable=SC2207 # names hold no spaces
[ $# -gt 0 ] || wanted=($(catalogue | awk '{print $1}'))

missing() { # MODULE: those of the wanted names that it pins and that are not built yet
  local name
  for name in "${wanted[@]}"; do
    if [ "$(catalogue | awk -v name="$name" '$1 == name {print $2}')" = "$1" ] && ! [ -x "$(store "$1")/$name" ]; then
      echo "$name"
    fi
  done
}

modules() { # of the wanted names, in the catalogue's order
  local name
  for name in "${wanted[@]}"; do
    catalogue | awk -v name="$name" '$1 == name {print $2; found = 1} END {exit !found}' ||
      fail "no program is called '$name'; there are: $(catalogue | awk '{printf "%s ", $1}')"
  done | awk '!seen[$0]++'
}

all_missing() {
  local module
  for module in $(modules); do missing "$module"; done
}

modules >/dev/null
if [ -n "$(all_missing)" ]; then
  have go || fail "Go is needed to build $(all_missing | tr '\n' ' '): https://go.dev/doc/install"
  locked binaries
  scratch
  for module in $(modules); do
    names=$(missing "$module")
    [ -z "$names" ] && continue
    # shellcheck disable=SC2086
    step "building ${names//$'\n'/ } ($os/$arch)" build "$module" $names
  done
fi

# The plain names are links to what is current, each changed in one move.
mkdir -p "$bin"
for module in $(modules); do
  from=$(store "$module")
  for name in "${wanted[@]}"; do
    if [ -x "$from/$name" ] && [ "$(readlink "$bin/$name" || true)" != "$from/$name" ]; then
      ln -s "$from/$name" "$bin/.$name.$$"
      mv -f "$bin/.$name.$$" "$bin/$name"
    fi
  done
done
echo "$bin"
