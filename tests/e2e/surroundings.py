"""What lies around sandboxes: servers outside of the cluster, nodes, pods that no policy protects.

All of it answers, which `open` pods show: gVisor pods like a sandbox's, in a namespace without
policies. What a sandbox does not reach is thereby closed, and not dead.

The servers outside have public addresses, on the loopback of one node; the other one has a route
there. So one sandbox gets there by its own node and the other one through the network.

Where the cluster's pods have IPv6 (`dual`), all of it is there once more by IPv6. What stands in
for a NAT64 answers at the addresses themselves.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.cluster import SANDBOXES, SYSTEM, Cluster, until

PROGRAMS = Path(__file__).parent / "programs"
NAMESPACE = "isola-surroundings"
OWN_KEY = "isola.test/part-of"
OWN_LABEL = {OWN_KEY: NAMESPACE}
LABELS = "AB"  # of the nodes
PORT, SIDECAR = 7000, 10032
# In the range of node ports, where some policy engines look the other way.
NODE_PORT_RANGE = 31999

ALLOWED, ELSEWHERE, NAMESERVER = "11.0.0.20", "11.0.0.21", "11.0.0.22"
PUBLIC_DNS = "8.8.8.8", "1.1.1.1"
METADATA = "169.254.169.254"
# 2000::/3 is what is public of IPv6; in that, nobody has 2d00::/8.
ALLOWED_6, ELSEWHERE_6, NAMESERVER_6 = "2d00:15::20", "2d00:15::21", "2d00:15::22"
METADATA_6 = "fd00:ec2::254"
NAT64_PUBLIC, NAT64_METADATA = "64:ff9b::b00:15", "64:ff9b::a9fe:a9fe"  # 11.0.0.21, and METADATA
SPECIAL_6 = {
    "documentation": "2001:db8::15",
    "6to4": "2002:b00:15::1",
    "site-local": "fec0::15",
    "unique local": "fd15::15",
}
LISTENING = {
    ALLOWED: (PORT,),
    ELSEWHERE: (PORT,),
    NAMESERVER: (53, PORT),
    **dict.fromkeys(PUBLIC_DNS, (53, 443, 853)),
    METADATA: (80,),
}
LISTENING_6 = {
    ALLOWED_6: (PORT,),
    ELSEWHERE_6: (PORT,),
    NAMESERVER_6: (53, PORT),
    METADATA_6: (80,),
    NAT64_PUBLIC: (PORT,),
    NAT64_METADATA: (80,),
    **dict.fromkeys(SPECIAL_6.values(), (PORT,)),
}


@dataclass(frozen=True)
class Target:
    """Somewhere to connect to.

    Attributes:
        what: What it is, for people.
        protocol: `tcp` or `udp`.
        host: Its address.
        port: Its port.
        key: What opens it, in the words of a test; empty for what nothing opens.
    """

    what: str
    protocol: str
    host: str
    port: int
    key: str = ""


@dataclass(frozen=True)
class Pod:
    """Where programs run."""

    namespace: str
    name: str
    container: str = "main"


@dataclass(frozen=True)
class Surroundings:
    """They, and how a program is run in them or in a sandbox.

    Attributes:
        cluster: Where they are.
        nodes: The names of both nodes; the servers outside are at the first.
        addresses: Of both nodes.
        addresses_6: Likewise, by IPv6; none where the nodes' pods have none.
    """

    cluster: Cluster
    nodes: tuple[str, ...]
    addresses: tuple[str, ...]
    addresses_6: tuple[str, ...] = ()

    @property
    def dual(self) -> bool:
        """Return whether there is IPv6 as well."""
        return bool(self.addresses_6)

    @property
    def everywhere(self) -> tuple[str, ...]:
        """Return what a server of all addresses binds to."""
        return ("0.0.0.0", "[::]") if self.dual else ("0.0.0.0",)

    def node(self, label: str) -> str:
        """Return the name of the node that is called `A` or `B` here."""
        return self.nodes[LABELS.index(label)]

    def open(self, label: str) -> Pod:
        """Return the pod on a node that is like a sandbox's, without policies."""
        return Pod(NAMESPACE, f"open-{label.lower()}")

    def host(self, label: str) -> Pod:
        """Return the pod that is in a node's own network."""
        return Pod(NAMESPACE, f"host-{label.lower()}")

    def address(self, pod: Pod) -> str:
        """Return the address of a pod."""
        return self.cluster.get("pod", pod.name, pod.namespace)["status"]["podIP"]

    def addresses_of(self, pod: Pod) -> list[str]:
        """Return all addresses of a pod: IPv4, and IPv6 where there is any."""
        return _addresses(self.cluster.get("pod", pod.name, pod.namespace))

    def command(self, pod: Pod, program: str, *arguments: str) -> list[str]:
        """Return kubectl's arguments that run a program in a pod."""
        where = ("-n", pod.namespace, pod.name, "-c", pod.container)
        return ["exec", "-i", *where, "--", "python3", "-c", source(program), *arguments]

    def run(self, pod: Pod, program: str, *arguments: str, given: object = None) -> Any:
        """Return what a program makes of JSON on its standard input."""
        command = self.command(pod, program, *arguments)
        return json.loads(self.cluster.kubectl(*command, stdin=json.dumps(given)).stdout)

    def probe(self, pod: Pod, targets: Iterable[Target]) -> list[str]:
        """Return what comes of connecting from a pod, in the order of the targets."""
        given = [(each.protocol, each.host, each.port) for each in targets]
        return self.run(pod, "probe.py", given=given)

    def targets(self) -> list[Target]:
        """Return all there is to be reached, other sandboxes apart."""
        four = [*self._outside(), *self._services(), *self._pods(), *self._nodes()]
        return [*four, *(self._by_six() if self.dual else ())]

    def _by_six(self) -> Iterator[Target]:
        yield from _each("allowed address", ALLOWED_6, _both(PORT), "allowed v6")
        yield from _each("another address", ELSEWHERE_6, _both(PORT), "elsewhere v6")
        yield from _each("name server given", NAMESERVER_6, _both(53), "name server v6")
        yield from _each("its other port", NAMESERVER_6, _both(PORT), "elsewhere v6")
        yield from _each("NAT64, public", NAT64_PUBLIC, _both(PORT), "NAT64")
        yield from _each("NAT64, metadata", NAT64_METADATA, _both(80))
        yield from _each("metadata service", METADATA_6, _both(80))
        for what, host in SPECIAL_6.items():
            yield from _each(what, host, _both(PORT))
        canary, another = "isola-operator-canary", self._service_6("open", NAMESPACE)
        yield from _each("operator's canary", self._service_6(canary), (("tcp", 8089),))
        yield from _each("egress, its probes", self._service_6("isola-egress"), (("tcp", 10040),))
        yield from _each("another service", another, _both(PORT))
        resolver, gateway = self._resolver_pod, self._gateway_pod
        yield from _each("name server's pod", _addresses(resolver)[1], _both(53), "cluster DNS")
        yield from _each("gateway's pod", _addresses(gateway)[1], (("tcp", 8080),))
        for label in LABELS:
            address = self.addresses_of(self.open(label))[1]
            yield from _each(f"pod at {label}", address, (*_both(PORT), ("tcp", SIDECAR)))
        ports = (*_both(PORT), *_both(NODE_PORT_RANGE), ("tcp", 10250))
        for label, address in zip(LABELS, self.addresses_6, strict=True):
            yield from _each(f"node {label}", address, ports)
        yield from _each("API server's node", self.addresses_6[0], (("tcp", 6443),))

    def _outside(self) -> list[Target]:
        public = "public name server"
        return [
            *_each("allowed address", ALLOWED, _both(PORT), "allowed"),
            *_each("another address", ELSEWHERE, _both(PORT), "elsewhere"),
            *_each("name server given", NAMESERVER, _both(53), "name server"),
            *_each("its other port", NAMESERVER, _both(PORT), "elsewhere"),
            *(t for each in PUBLIC_DNS for t in _each(public, each, _both(53), f"{public}s")),
            *_each("its other port", PUBLIC_DNS[0], (("tcp", 443),), "elsewhere"),
            *_each("metadata service", METADATA, _both(80)),
        ]

    def _services(self) -> list[Target]:
        resolver = self.resolver()
        gateway, metrics = "isola-api-gateway", "isola-operator-metrics"
        return [
            *_each("cluster's name server", resolver, _both(53), "cluster DNS"),
            *_each("its metrics", resolver, (("tcp", 9153),)),
            *_each("API server", self._service("kubernetes", "default"), (("tcp", 443),)),
            *_each("gateway", self._service(gateway), (("tcp", 80),)),
            *_each("operator's metrics", self._service(metrics), (("tcp", 8080),)),
            *_each("operator's canary", self._service("isola-operator-canary"), (("tcp", 8089),)),
            *_each("egress, its probes", self._service("isola-egress"), (("tcp", 10040),)),
            *_each("another service", self._service("open", NAMESPACE), _both(PORT)),
        ]

    def _pods(self) -> list[Target]:
        resolver, gateway = _addresses(self._resolver_pod)[0], _addresses(self._gateway_pod)[0]
        unprotected = {label: self.address(self.open(label)) for label in LABELS}
        return [
            *_each("name server's pod", resolver, _both(53), "cluster DNS"),
            *_each("gateway's pod", gateway, (("tcp", 8080),)),
            *(
                target
                for label, address in unprotected.items()
                for target in _each(f"pod at {label}", address, (*_both(PORT), ("tcp", SIDECAR)))
            ),
        ]

    def _nodes(self) -> list[Target]:
        ports = (*_both(PORT), *_both(NODE_PORT_RANGE), ("tcp", 10250), ("tcp", 30080))
        nodes = zip(LABELS, self.addresses, strict=True)
        return [
            *(t for label, ip in nodes for t in _each(f"node {label}", ip, ports)),
            *_each("API server's node", self.addresses[0], (("tcp", 6443),)),
        ]

    def by_name(self) -> list[Target]:
        """Return the ways out by name, which let in sandboxes alone."""
        ports = (("tcp", 80), ("tcp", 443))
        return [
            target
            for address in self.cluster.get("service", "isola-egress", SYSTEM)["spec"]["clusterIPs"]
            for target in (
                *_each("egress, resolver", address, _both(53), "resolver by name"),
                *_each("egress, connections", address, ports, "by name"),
            )
        ]

    def resolver(self) -> str:
        """Return the address of the cluster's name servers."""
        return self._service("kube-dns", "kube-system")

    def six(self) -> list[str]:
        """Return the IPv6 addresses of both nodes."""
        command = "ip -6 -o address show dev eth0 scope global"
        told = (self.cluster.on_node(node, command).split() for node in self.nodes)
        return [word.partition("/")[0] for words in told for word in words if ":" in word[1:-1]]

    def other_end(self, node: str, address: str) -> str:
        """Return the link-local address of a node at the other end of a pod's link, or nothing.

        Args:
            node: The node.
            address: The pod's, on it.
        """
        told = self.cluster.on_node(node, f"ip -o route get {address}")
        device = told.partition(" dev ")[2].split()[0]
        found = self.cluster.on_node(node, f"ip -6 -o address show dev {device} scope link")
        return found.partition(" inet6 ")[2].partition("/")[0]

    def _service_6(self, name: str, namespace: str = SYSTEM) -> str:
        return self.cluster.get("service", name, namespace)["spec"]["clusterIPs"][1]

    def _service(self, name: str, namespace: str = SYSTEM) -> str:
        return self.cluster.get("service", name, namespace)["spec"]["clusterIP"]

    @property
    def _resolver_pod(self) -> Any:
        return self._pod_of("kube-system", "k8s-app=kube-dns")

    @property
    def _gateway_pod(self) -> Any:
        return self._pod_of(SYSTEM, "app.kubernetes.io/component=api-gateway")

    def _pod_of(self, namespace: str, selector: str) -> Any:
        found = self.cluster.get("pods", namespace=namespace, selector=selector)["items"]
        return next(pod for pod in found if "deletionTimestamp" not in pod["metadata"])


def source(program: str) -> str:
    """Return the text of a program."""
    return (PROGRAMS / program).read_text()


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _both(port: int) -> tuple[tuple[str, int], ...]:
    return (("tcp", port), ("udp", port))


def _each(
    what: str, host: str, ports: Iterable[tuple[str, int]], key: str = ""
) -> Iterable[Target]:
    return (Target(what, protocol, host, port, key) for protocol, port in ports)


@contextmanager
def surroundings(cluster: Cluster) -> Generator[Surroundings]:
    """Have them, and leave nothing behind."""
    nodes = {node["metadata"]["name"]: node for node in cluster.get("nodes", namespace="")["items"]}
    names = tuple(sorted(nodes))
    four, *six = zip(*(_internal(nodes[name]) for name in names), strict=True)
    has_six = six and all(len(nodes[name]["spec"]["podCIDRs"]) > 1 for name in names)
    around = Surroundings(cluster, names, four, six[0] if has_six else ())
    try:
        _lay(around, "add")
        _start(around)
        yield around
    finally:
        namespaces = ("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=false")
        cluster.kubectl(*namespaces, check=False)
        for namespace in ("default", SANDBOXES):
            rest = ("-n", namespace, "pod,networkpolicy", "-l", f"{OWN_KEY}={NAMESPACE}")
            cluster.kubectl("delete", *rest, "--wait=false", check=False)
        _lay(around, "del")
        gone = ("wait", "--for=delete", f"namespace/{NAMESPACE}", "--timeout=90s")
        cluster.kubectl(*gone, check=False)


def _internal(node: Any) -> list[str]:
    return [a["address"] for a in node["status"]["addresses"] if a["type"] == "InternalIP"]


def _addresses(pod: Any) -> list[str]:
    return [each["ip"] for each in pod["status"]["podIPs"]]


def _lay(around: Surroundings, verb: str) -> None:
    home, other = around.nodes
    here = [f"ip address {verb} {each}/32 dev lo" for each in LISTENING]
    there = [f"ip route {verb} {each}/32 via {around.addresses[0]}" for each in LISTENING]
    if around.dual:
        here += [f"ip address {verb} {each}/128 dev lo" for each in LISTENING_6]
        there += [f"ip route {verb} {each}/128 via {around.addresses_6[0]}" for each in LISTENING_6]
    for node, commands in ((home, here), (other, there)):
        around.cluster.on_node(node, "; ".join(f"{each} 2>&1 || true" for each in commands))


def _start(around: Surroundings) -> None:
    listening = LISTENING | (LISTENING_6 if around.dual else {})
    outside = [_joined(host, port) for host, ports in listening.items() for port in ports]
    everywhere = [f"{host}:{port}" for host in around.everywhere for port in (PORT, SIDECAR)]
    metadata = {"name": "open", "namespace": NAMESPACE}
    ports = [{"name": p, "port": PORT, "protocol": p.upper()} for p in ("tcp", "udp")]
    spec = {"selector": {"app": "open"}, "ports": ports, "ipFamilyPolicy": "PreferDualStack"}
    items: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec},
    ]
    for index, label in enumerate(LABELS):
        node = around.node(label)
        addresses = (around.addresses[index], *around.addresses_6[index : index + 1])
        own = [_joined(each, port) for each in addresses for port in (PORT, NODE_PORT_RANGE)]
        here = [*own, *(outside if label == LABELS[0] else [])]
        host, like_a_sandbox = around.host(label), around.open(label)
        items += [
            manifest(around.cluster, host, node, *here, hostNetwork=True),
            manifest(around.cluster, like_a_sandbox, node, *everywhere, runtimeClassName="gvisor"),
        ]
    apply(around.cluster, items)
    wait_for(
        around.cluster, *(pod(label) for label in LABELS for pod in (around.open, around.host))
    )


def manifest(cluster: Cluster, pod: Pod, node: str, *addresses: str, **spec: Any) -> dict[str, Any]:
    """Return a pod on a node that listens at some addresses; one under gVisor has raw sockets."""
    raw_sockets = {"dev.gvisor.flag.net-raw": "true"} if "runtimeClassName" in spec else {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": pod.name,
            "namespace": pod.namespace,
            "labels": {**OWN_LABEL, "app": pod.name.partition("-")[0]},
            "annotations": raw_sockets,
        },
        "spec": {
            "nodeName": node,
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": False,
            "containers": [listening(cluster, *addresses)],
            **spec,
        },
    }


def listening(cluster: Cluster, *addresses: str) -> dict[str, Any]:
    """Return a container that listens at some addresses."""
    return {
        "name": "main",
        "image": cluster.image,
        "command": ["python3", "-u", "-c", source("listen.py"), *addresses],
    }


def apply(cluster: Cluster, items: list[dict[str, Any]]) -> None:
    """Create objects."""
    listed = {"apiVersion": "v1", "kind": "List", "items": items}
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(listed))


def wait_for(cluster: Cluster, *pods: Pod) -> None:
    """Return once pods listen."""
    for pod in pods:
        logs = ("logs", "-n", pod.namespace, pod.name, "-c", pod.container)
        until(
            lambda logs=logs: "listening" in cluster.kubectl(*logs, check=False).stdout,
            seconds=60,
            what=f"{pod.name} listens",
        )
