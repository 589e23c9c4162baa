#!/usr/bin/env bash
# usage: [NODE_IMAGE=kindest/node:...] [NODE_GVISOR=true] hack/node.sh
#
# Builds the image of the cluster's nodes and prints its name: NODE_IMAGE with gVisor added, or without one, a node made
# here from Debian packages and the programs of hack/binaries.sh. Named by the digest of all that goes in. With
# NODE_GVISOR=false gVisor is left out.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

programs='kubelet kubeadm kubectl containerd containerd-shim-runc-v2 ctr'
plugins='ptp loopback host-local portmap'
control_plane='kube-apiserver kube-controller-manager kube-scheduler kube-proxy etcd coredns'
gvisor='runsc containerd-shim-runsc-v1'

# jq and procps are used by kind's own scripts in the node, curl by people.
packages=systemd,systemd-sysv,conntrack,iptables,nftables,iproute2,ethtool,mount,kmod,libseccomp2,pigz,ipset,runc,\
ca-certificates,curl,jq,procps,hostname,netbase

debian() { # IMAGE: Debian with the packages of a node
  mmdebstrap --variant=minbase --include="$packages" \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' bookworm - | docker import - "$1"
}

# kubeadm's image list, made of the same binaries. kube-proxy and kube-router call iptables, so they sit on the Debian.
component_images() {
  local name image
  "$bin/kubeadm" config images list --kubernetes-version "$kubernetes" >"$scratch/list"
  gcc -Os -static -DVERSION=isola -o "$scratch/pause" "$(module_dir kubernetes k8s.io/kubernetes)/build/pause/linux/pause.c"
  for name in $control_plane pause; do
    image=$(grep "/$name:" "$scratch/list")
    case $name in
      kube-proxy) component_image "$debian" "$bin/$name" "$image" ;;
      pause) component_image scratch "$scratch/pause" "$image" ;;
      *) component_image scratch "$bin/$name" "$image" ;;
    esac
  done
  component_image "$debian" "$bin/kube-router" "$registry/kube-router:local"
}

component_image() { # BASE PROGRAM IMAGE
  local name context
  name=$(basename "$2")
  context=$scratch/component
  rm -rf "$context"
  mkdir "$context"
  cp -L "$2" "$context/$name"
  printf 'FROM %s\nCOPY %s /usr/local/bin/%s\nENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nENTRYPOINT ["/usr/local/bin/%s"]\n' \
    "$1" "$name" "$name" "$name" >"$context/Dockerfile"
  docker build -q -t "$3" "$context"
  echo "$3" >>"$scratch/saved"
}

module_dir() { (cd "$root/hack/gomod/$1" && go mod download "$2" && go list -m -f '{{.Dir}}' "$2"); }

base_context() {
  local name
  mkdir -p "$context/bin" "$context/cni"
  cp -R "$(module_dir kind sigs.k8s.io/kind)/images/base/files" "$context/files"
  chmod -R u+w "$context"
  for name in $programs; do cp -L "$bin/$name" "$context/bin/"; done
  for name in $plugins; do cp -L "$bin/$name" "$context/cni/"; done
  # kind's service file starts containerd from /usr/local/bin; the pause image is the one kubeadm lists
  sed "s|sandbox_image = .*|sandbox_image = \"$(grep /pause: "$scratch/list")\"|" \
    "$context/files/etc/containerd/config.toml" >"$scratch/config.toml"
  mv "$scratch/config.toml" "$context/files/etc/containerd/config.toml"
}

# containerd's store is filled in a container of the image itself, which need not be privileged for it: nothing is unpacked.
fill() { # EMPTY_IMAGE IMAGE
  local filler=isola-node-$$
  # shellcheck disable=SC2046,SC2016
  docker save $(cat "$scratch/saved") | docker run -i --name "$filler" --entrypoint sh "$1" -euc '
    containerd >/dev/null 2>&1 &
    until ctr version >/dev/null 2>&1; do sleep 0.1; done
    ctr -n k8s.io images import --local --no-unpack \
      --label io.cri-containerd.image=managed --label io.cri-containerd.pinned=pinned -
    kill $!
    wait $! || true'
  docker commit --change 'ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]' --change 'CMD []' "$filler" "$2"
  docker rm "$filler"
}

base_image() { # IMAGE
  scratch
  context=$scratch/base
  kubernetes=$(pinned kubernetes k8s.io/kubernetes)
  step 'node: the images that kubeadm wants' component_images
  step 'node: gathering its files' base_context
  step 'node: base image' docker build -t "$1-empty" --build-arg "DEBIAN=$debian" --build-arg "KUBERNETES=$kubernetes" \
    -f "$root/hack/node/base.Dockerfile" "$context"
  step 'node: putting the images in' fill "$1-empty" "$1"
}

# runsc can ask systemd for a cgroup on version 2 only, where kind's kubelet uses systemd as well.
runsc_config() {
  local systemd=true
  [ "$(docker info --format '{{.CgroupVersion}}')" = 2 ] || systemd=false
  sed "s/@SYSTEMD@/$systemd/" "$root/hack/node/runsc.toml"
}

gvisor_layer() { # NODE_IMAGE IMAGE
  local name
  mkdir -p "$scratch/gvisor/bin" "$scratch/gvisor/containerd"
  if $node_gvisor; then
    for name in $gvisor; do cp -L "$bin/$name" "$scratch/gvisor/bin/"; done
    runsc_config >"$scratch/gvisor/containerd/runsc.toml"
  fi
  docker build -t "$2" --build-arg "NODE_IMAGE=$1" -f "$root/hack/node/Dockerfile" "$scratch/gvisor"
}

# Where a program lies in the cache says what went into it.
digest_programs() { for name; do readlink "$bin/$name" | sed "s|^$cache/||"; done; }

# shellcheck disable=SC2086
if [ -n "${NODE_IMAGE:-}" ]; then
  bin=$("$root/hack/binaries.sh" --for-nodes $gvisor | tail -n 1)
else
  # Debian's packages come over the network, the programs out of the processor: at the same time
  debian=$registry/debian-node:$(printf '%s' "$packages" | digest)
  docker image inspect "$debian" >/dev/null 2>&1 || step 'node: Debian with its packages' debian "$debian" &
  bin=$("$root/hack/binaries.sh" --for-nodes $programs $plugins $control_plane kube-router kind $gvisor | tail -n 1)
  wait $! || fail "no Debian for the node: see $logs"
  key=$({
    digest_programs $programs $plugins $control_plane kube-router kind
    echo "$packages"
    digest_files hack/node.sh hack/node/base.Dockerfile
  } | digest)
  NODE_IMAGE=$registry/node-base:$key
fi
# shellcheck disable=SC2086
image=$registry/node:$({
  echo "$NODE_IMAGE"
  if $node_gvisor; then
    runsc_config
    digest_programs $gvisor
  fi
  digest_files hack/node/Dockerfile
} | digest)

there() { docker image inspect "$1" >/dev/null 2>&1; }
if ! there "$image"; then
  locked node
  if ! there "$NODE_IMAGE"; then
    case $NODE_IMAGE in
      "$registry"/*) base_image "$NODE_IMAGE" ;;
      *) step "pulling $NODE_IMAGE" docker pull "$NODE_IMAGE" ;;
    esac
  fi
  scratch
  there "$image" || step 'node: adding gVisor' gvisor_layer "$NODE_IMAGE" "$image"
fi
echo "$image"
