#!/usr/bin/env bash
# usage: [NODE_GVISOR=true] [IP_FAMILY=dual|ipv4] hack/cluster.sh up | down | load IMAGE...
#
# up: a kind cluster of two nodes, both for sandboxes, with the RuntimeClass gvisor, NetworkPolicies that are enforced,
# and node port 30080 on localhost. One that is there and as it should be is kept; another is made anew. With
# NODE_GVISOR=false its nodes have no gVisor and it has no RuntimeClass: that is for the chart's installer to do.
# Pods and services have IPv4 and IPv6 (dual), or IPv4 alone where Docker or the kernel has no IPv6 to give.
# load: puts images of this machine's Docker into every node that has not got them.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

gateway_node_port=30080

# What kind pulls when asked for nothing else; for machines on which a node cannot be built.
kinds_own_image() {
  local dir
  dir=$(cd "$root/hack/gomod/kind" && go mod download sigs.k8s.io/kind && go list -m -f '{{.Dir}}' sigs.k8s.io/kind)
  sed -n 's/^const Image = "\(.*\)"$/\1/p' "$dir/pkg/apis/config/defaults/image.go"
}

# With an image of kind's comes kind's own network, which enforces policies itself; without it, ours is made here.
own_network() { [ -z "${NODE_IMAGE:-}" ]; }

# What the cluster speaks, by what is there: a container like kind's nodes has to get an IPv6 address, and has to be able
# to filter and to translate. Tried in the node image, as Docker's kernel may not be this machine's.
decide_ip_family() {
  local why="as IP_FAMILY says"
  case ${IP_FAMILY:-} in
    dual | ipv4) ip_family=$IP_FAMILY ;;
    '')
      ip_family=dual
      has_ipv6 >"$logs/ipv6.log" 2>&1 || ip_family=ipv4
      why="Docker's containers here $([ "$ip_family" = dual ] && echo have both || echo "lack IPv6: $logs/ipv6.log")"
      ;;
    *) fail "IP_FAMILY is '$IP_FAMILY'; it must be dual or ipv4" ;;
  esac
  pod_range=10.244.0.0/16 service_range=10.96.0.0/16 families=1
  if [ "$ip_family" = dual ]; then
    pod_range=$pod_range,fd00:10:244::/56 service_range=$service_range,fd00:10:96::/112 families=2
  fi
  say "       network: $ip_family ($why)"
}

has_ipv6() {
  local network=kind status=0
  # kind makes its network with IPv6 where that can be, and asks no further of one that is there already
  if ! docker network inspect kind >/dev/null 2>&1; then
    network=isola-ipv6-$$
    docker network create --ipv6 --subnet fd15:0:15:1a::/64 "$network" || return 1
  fi
  docker run --rm --network "$network" --cap-add NET_ADMIN --entrypoint sh \
    --sysctl net.ipv6.conf.all.disable_ipv6=0 --sysctl net.ipv6.conf.all.forwarding=1 "$image" -euxc '
    ip -6 address show scope global | grep inet6
    ip6tables -A INPUT -m comment --comment isola -j ACCEPT
    ip6tables -t nat -A POSTROUTING -j MASQUERADE' || status=1
  [ "$network" = kind ] || docker network rm "$network"
  return $status
}

cgroup_v1() { [ "$(docker info --format '{{.CgroupVersion}}')" != 2 ]; }

kind_config() {
  cat <<EOF
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
networking:
  disableDefaultCNI: $(own_network && echo true || echo false)
  ipFamily: $ip_family
  podSubnet: $pod_range
  serviceSubnet: $service_range
nodes:
- role: control-plane
  extraPortMappings:
  - {containerPort: $gateway_node_port, hostPort: $port, listenAddress: 127.0.0.1}
- role: worker
containerdConfigPatches:
- |-
  version = 2
  [plugins."io.containerd.grpc.v1.cri"]
    # lowering it below the node's own takes CAP_SYS_RESOURCE, which not every host has
    restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "/etc/containerd/certs.d"
EOF
  if $node_gvisor; then
    cat <<EOF
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runsc]
    runtime_type = "io.containerd.runsc.v1"
    pod_annotations = ["dev.gvisor.*"]
    container_annotations = ["dev.gvisor.*"]
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runsc.options]
      TypeUrl = "io.containerd.runsc.v1.options"
      ConfigPath = "/etc/containerd/runsc.toml"
EOF
  fi
  # Kubernetes refuses cgroup v1 unless told otherwise, and there runsc cannot go through systemd, so nothing does.
  if cgroup_v1; then
    cat <<EOF
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
    SystemdCgroup = false
kubeadmConfigPatches:
- |
  kind: KubeletConfiguration
  failCgroupV1: false
  cgroupDriver: cgroupfs
EOF
  fi
}

# What a node keeps traces of: a policy engine leaves rules behind that its next configuration does not take off.
configuration() {
  kind_config
  if own_network; then cat "$root/hack/cluster/kube-router.yaml"; fi
}

# A cluster is as it should be if its nodes were made from this image and this configuration, run, and answer.
as_it_should_be() {
  local node
  [ "$(nodes | wc -l)" -eq 2 ] || return 1
  for node in $(nodes); do
    [ "$(docker inspect -f '{{.Config.Image}} {{.State.Running}}' "$node")" = "$image true" ] || return 1
  done
  [ "$(cat "$made_as" 2>/dev/null)" = "$(configuration | digest)" ] || return 1
  kind get kubeconfig --name "$cluster" >"$kubeconfig.new" 2>/dev/null && mv "$kubeconfig.new" "$kubeconfig" || return 1
  local tries=60 # nodes that Docker has just started again take a while
  until kubectl get --raw /readyz --request-timeout=2s >/dev/null 2>&1; do
    tries=$((tries - 1))
    [ $tries -gt 0 ] || return 1
    sleep 0.5
  done
}

create() {
  kind_config >"$scratch/kind.yaml"
  kind create cluster --name "$cluster" --image "$image" --config "$scratch/kind.yaml" --wait 0s
  kind get kubeconfig --name "$cluster" >"$kubeconfig.new"
  mv "$kubeconfig.new" "$kubeconfig"
  configuration | digest >"$made_as"
}

delete() {
  kind delete cluster --name "$cluster"
  rm -f "$kubeconfig" "$made_as"
}

# One line for each node and protocol: name, 4 or 6, pod range, address.
node_table() {
  kubectl get nodes -o jsonpath='{range .items[*]}{.metadata.name} {.spec.podCIDRs[*]} {.status.addresses[?(@.type=="InternalIP")].address}{"\n"}{end}' |
    awk '{
      for (i = 2; i <= NF; i++) {
        family = $i ~ /:/ ? 6 : 4
        if ($i ~ "/") range[family] = $i; else address[family] = $i
      }
      for (family in range) if (family in address) print $1, family, range[family], address[family]
      delete range; delete address
    }' | sort
}

# The plainest network there is: every node has ranges of its own for the ptp plugin, and routes to the other's. The
# routes live in the kernel and go with a restart of the nodes, so they are laid at every run.
network() {
  local tries=120
  until [ "$(node_table | wc -l)" -eq $((2 * families)) ]; do
    tries=$((tries - 1))
    [ $tries -gt 0 ] || return 1
    sleep 0.5
  done
  node_table >"$scratch/nodes"
  local node family other other_family other_range address
  for node in $(nodes); do
    docker exec -i "$node" sh -c 'cat >/opt/cni/bin/no-dad && chmod 755 /opt/cni/bin/no-dad' <"$root/hack/cluster/no-dad"
    docker exec -i "$node" sh -c 'mkdir -p /etc/cni/net.d && cat >/etc/cni/net.d/10-pods.conflist' <<EOF
{"cniVersion": "1.0.0", "name": "pods", "plugins": [
  {"type": "no-dad"},
  {"type": "ptp", "ipMasq": false,
   "ipam": {"type": "host-local", "dataDir": "/run/cni-ipam-state",
            "ranges": [$(subnets "$node")], "routes": [$(default_routes)]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
EOF
    # the other ends of the pods' links, like the pods' own
    [ "$ip_family" != dual ] || docker exec "$node" sysctl -qw net.ipv6.conf.default.accept_dad=0
  done
  while read -r node family _; do
    while read -r other other_family other_range address; do
      [ "$node" = "$other" ] || [ "$family" != "$other_family" ] ||
        docker exec "$node" ip "-$family" route replace "$other_range" via "$address" </dev/null
    done <"$scratch/nodes"
  done <"$scratch/nodes"
  kubectl create configmap -n kube-system kube-router --dry-run=client -o yaml \
    --from-literal "ipv6=$([ "$ip_family" = dual ] && echo true || echo false)" \
    --from-literal "services=$service_range" | kubectl apply -f -
  kubectl apply -f "$root/hack/cluster/kube-router.yaml"
}

# The lists of the pods' network, as JSON.
subnets() { awk -v node="$1" '$1 == node {printf "%s[{\"subnet\": \"%s\"}]", comma, $3; comma = ", "}' "$scratch/nodes"; }
default_routes() { if [ "$ip_family" = dual ]; then echo '{"dst": "0.0.0.0/0"}, {"dst": "::/0"}'; else echo '{"dst": "0.0.0.0/0"}'; fi; }

ready() {
  local node
  for node in $(nodes); do # kind passes over a patch of another version of containerd's configuration in silence
    docker exec "$node" grep -q 'restrict_oom_score_adj = true' /etc/containerd/config.toml
  done
  kubectl wait --for=condition=Ready nodes --all --timeout=180s
  if own_network; then kubectl -n kube-system rollout status daemonset/kube-router --timeout=120s; fi
  kubectl -n kube-system rollout status deployment/coredns --timeout=120s
}

up() {
  if own_network && ! { debian_host && have mmdebstrap; }; then
    NODE_IMAGE=$(kinds_own_image)
    export NODE_IMAGE
  fi
  image=$("$root/hack/node.sh")
  "$root/hack/binaries.sh" kind kubectl >/dev/null
  scratch
  decide_ip_family
  if ! as_it_should_be; then
    [ -z "$(nodes)" ] || step "removing the cluster '$cluster', which is not as it should be" delete
    step "creating the cluster '$cluster' with two nodes" create
  fi
  if own_network; then step 'network and its policies' network; fi
  if $node_gvisor; then kubectl apply -f "$root/hack/cluster/runtimeclass.yaml" >/dev/null; fi
  # kind keeps pods off the control plane of a cluster of several nodes; here it is the second node for sandboxes
  kubectl taint nodes --all node-role.kubernetes.io/control-plane- >/dev/null 2>&1 || true
  step 'waiting for the nodes' ready
}

down() {
  if have docker && docker info >/dev/null 2>&1 && [ -n "$(nodes)" ]; then
    [ -x "$cache/bin/kind" ] || "$root/hack/binaries.sh" kind >/dev/null
    step "removing the cluster '$cluster'" delete
  fi
}

# `kind load` copies all of an image to every node again; a node that knows the name has it, because names are digests.
# Of another it may have all layers but the last.
load() {
  local node loaders=
  scratch
  for node in $(nodes); do
    load_into "$node" "$@" &
    loaders="$loaders $!"
  done
  local loader
  for loader in $loaders; do wait "$loader"; done
}

load_into() { # NODE IMAGE...
  local node=$1 image present missing=
  shift
  present=$(docker exec "$node" ctr -n k8s.io images ls -q)
  for image; do grep -qxF "$image" <<<"$present" || missing="$missing $image"; done
  [ -n "$missing" ] || return 0
  docker exec "$node" ctr -n k8s.io content ls -q >"$scratch/blobs-$node"
  # --local: containerd's newer way in, its transfer service, takes twice as long
  # shellcheck disable=SC2086
  python3 "$root/hack/oci.py" archive "$store" $missing --without "$scratch/blobs-$node" |
    docker exec -i "$node" ctr -n k8s.io images import --local --all-platforms --digests -
}

made_as=$cache/cluster-$cluster
case ${1:-} in
  up | down) "$1" ;;
  load)
    shift
    step "loading images into the nodes" load "$@"
    ;;
  *) fail 'usage: hack/cluster.sh up | down | load IMAGE...' ;;
esac
