"""What lies around sandboxes: servers outside of the cluster, nodes, pods that no policy protects.

All of it answers, which `open` pods show: gVisor pods like a sandbox's, in a namespace without
policies. What a sandbox does not reach is thereby closed, and not dead.

The servers outside have public addresses, on the loopback of one node; the other one has a route
there. So one sandbox gets there by its own node and the other one through the network.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable
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
LISTENING = {
    ALLOWED: (PORT,),
    ELSEWHERE: (PORT,),
    NAMESERVER: (53, PORT),
    **dict.fromkeys(PUBLIC_DNS, (53, 443, 853)),
    METADATA: (80,),
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
    """

    cluster: Cluster
    nodes: tuple[str, ...]
    addresses: tuple[str, ...]

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
        return [*self._outside(), *self._services(), *self._pods(), *self._nodes()]

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
        resolver = self._address_of("kube-system", "k8s-app=kube-dns")
        gateway = self._address_of(SYSTEM, "app.kubernetes.io/component=api-gateway")
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
        service = self._service("isola-egress")
        ports = (("tcp", 80), ("tcp", 443))
        return [
            *_each("egress, resolver", service, _both(53), "resolver by name"),
            *_each("egress, connections", service, ports, "by name"),
        ]

    def resolver(self) -> str:
        """Return the address of the cluster's name servers."""
        return self._service("kube-dns", "kube-system")

    def six(self) -> list[str]:
        """Return the IPv6 addresses of both nodes."""
        told = (self.cluster.on_node(node, "hostname -I").split() for node in self.nodes)
        return [address for addresses in told for address in addresses if ":" in address]

    def _service(self, name: str, namespace: str = SYSTEM) -> str:
        return self.cluster.get("service", name, namespace)["spec"]["clusterIP"]

    def _address_of(self, namespace: str, selector: str) -> str:
        found = self.cluster.get("pods", namespace=namespace, selector=selector)["items"]
        alive = (pod for pod in found if "deletionTimestamp" not in pod["metadata"])
        return next(pod["status"]["podIP"] for pod in alive)


def source(program: str) -> str:
    """Return the text of a program."""
    return (PROGRAMS / program).read_text()


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
    addresses = tuple(_internal(nodes[name]) for name in names)
    around = Surroundings(cluster, names, addresses)
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


def _internal(node: Any) -> str:
    return next(a["address"] for a in node["status"]["addresses"] if a["type"] == "InternalIP")


def _lay(around: Surroundings, verb: str) -> None:
    home, other = around.nodes
    for each in LISTENING:
        around.cluster.on_node(home, f"ip address {verb} {each}/32 dev lo 2>&1 || true")
        route = f"ip route {verb} {each}/32 via {around.addresses[0]} 2>&1 || true"
        around.cluster.on_node(other, route)


def _start(around: Surroundings) -> None:
    outside = [f"{host}:{port}" for host, ports in LISTENING.items() for port in ports]
    everywhere = [f"0.0.0.0:{port}" for port in (PORT, SIDECAR)]
    metadata = {"name": "open", "namespace": NAMESPACE}
    ports = [{"name": p, "port": PORT, "protocol": p.upper()} for p in ("tcp", "udp")]
    spec = {"selector": {"app": "open"}, "ports": ports}
    items: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec},
    ]
    for label, address in zip(LABELS, around.addresses, strict=True):
        node = around.node(label)
        own = [f"{address}:{port}" for port in (PORT, NODE_PORT_RANGE)]
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
