"""The NetworkPolicy of a sandbox, and its pod's name servers and rate. Pure.

The chart's policies deny everything to every pod of the namespace, and let the gateway in. What a
sandbox may reach beyond that is one policy of its own, which selects its pod by the label that
`pod.build` sets last. No label opens anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from isola_lifecycle import naming
from isola_lifecycle.sandbox.network import Network
from isola_lifecycle.sandbox.ranges import Blocked, Range, range_of
from isola_operator.manifests.ownership import OWN_LABELS, owner_of
from isola_store.port import Sandbox

Json = Mapping[str, Any]

DNS_PORTS = ({"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53})

# A sandbox that may reach nothing resolves nothing: the sink answers at once, where an unreachable
# resolver would make every lookup hang.
SINK_DNS = {
    "nameservers": ["127.0.0.1"],
    "options": [
        {"name": "timeout", "value": "1"},
        {"name": "attempts", "value": "1"},
        {"name": "ndots", "value": "1"},
    ],
}

# What gVisor's token bucket holds: a tenth of a second, but never less than one large packet needs.
_BURST_SHARE = 10
_BURST = (131_072, 4_294_967_295)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterDns:
    """Where the cluster's name servers are.

    Attributes:
        namespace: Of their pods.
        labels: Of their pods.
    """

    namespace: str = "kube-system"
    labels: Mapping[str, str] = field(default_factory=lambda: {"k8s-app": "kube-dns"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Egress:
    """Where the egress component is, through which sandboxes reach names.

    Attributes:
        namespace: Of its pods.
        labels: Of its pods.
        ports: To which names can be connected through it; none where it is not installed.
        addresses: Of its Service; none while they are not known.
    """

    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    ports: tuple[int, ...] = ()
    addresses: tuple[str, ...] = ()


NOT_INSTALLED = Egress()


def joined(address: str, port: int | str) -> str:
    """Return an address and a port as one word."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """Where this operator has doors: ports, each of which a policy opens for one change.

    Where pods have IPv4 and IPv6 a door has an address of each, and whoever gets through both has
    seen the change in force: engines write their rules for one protocol after the other.

    Attributes:
        addresses: Of this operator.
        ports: Where it listens; none for no doors.
        namespace: Of the operators' pods.
        labels: Of the operators' pods.
    """

    addresses: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])

    def of(self, change: int) -> str:
        """Return the door of change number `change`, or nothing where there are none.

        As `10.0.0.5:18007` or, with both protocols, `10.0.0.5:18007,[fd00::5]:18007`.
        """
        if not (self.addresses and self.ports and self.labels):
            return ""
        port = self.ports[change % len(self.ports)]
        return ",".join(joined(each, port) for each in self.addresses)

    def rules(self, door: str) -> tuple[Json, ...]:
        """Return what opens `door`, at whichever operator; nothing where there is none."""
        port = door.rpartition(":")[2]
        if not (self.labels and port.isdecimal()):
            return ()
        ports = [{"protocol": "TCP", "port": int(port)}]
        return ({"to": [_pods(self.namespace, self.labels)], "ports": ports},)


def build_policy(
    sandbox: Sandbox,
    network: Network,
    blocked: Blocked,
    dns: ClusterDns,
    by_name: Egress = NOT_INSTALLED,
    door: tuple[Json, ...] = (),
) -> dict[str, Any] | None:
    """Return the policy that opens what `network` says, or None where that is nothing.

    Args:
        sandbox: Whose policy it is.
        network: Settings without faults.
        blocked: What they never open.
        dns: Where the cluster's name servers are.
        by_name: Where the egress component is.
        door: The rules of a door.
    """
    egress = [*_egress(network, blocked, dns, by_name), *door]
    if not egress:
        return None
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            "name": naming.policy_name(sandbox.name),
            "labels": {
                **OWN_LABELS,
                "app.kubernetes.io/instance": sandbox.name,
                "app.kubernetes.io/component": "sandbox-network",
            },
            "ownerReferences": [owner_of(sandbox)],
        },
        "spec": {
            "podSelector": {"matchLabels": selected(sandbox.name)},
            "policyTypes": ["Egress"],
            "egress": egress,
        },
    }


def selected(sandbox: str) -> dict[str, str]:
    """Return the labels by which a policy knows the pod of a sandbox."""
    return {
        "app.kubernetes.io/instance": sandbox,
        "app.kubernetes.io/managed-by": OWN_LABELS["app.kubernetes.io/managed-by"],
        "isola.run/sandbox": "true",
    }


def _egress(network: Network, blocked: Blocked, dns: ClusterDns, by_name: Egress) -> Iterator[Json]:
    if servers := list(_open(network.resolvers, blocked)):
        peers = [{"ipBlock": {"cidr": str(each)}} for each in servers]
        yield {"to": peers, "ports": list(DNS_PORTS)}
    if network.cluster_dns:
        yield {"to": [_pods(dns.namespace, dns.labels)], "ports": list(DNS_PORTS)}
    if network.domains is not None:
        ports = [{"protocol": "TCP", "port": port} for port in network.ports]
        peer = _pods(by_name.namespace, by_name.labels)
        yield {"to": [peer], "ports": [*DNS_PORTS, *ports]}
    for wanted in _halved(_open(_ranges(network), blocked)):
        held = blocked.inside(wanted)
        cut_out = {"except": list(held)} if held else {}
        yield {"to": [{"ipBlock": {"cidr": str(wanted), **cut_out}}]}


def _pods(namespace: str, labels: Mapping[str, str]) -> Json:
    return {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "podSelector": {"matchLabels": dict(labels)},
    }


def _ranges(network: Network) -> Iterator[str]:
    if network.internet:
        yield "0.0.0.0/0"
    if network.internet and network.ipv6:
        yield "::/0"
    yield from network.cidrs


def _open(texts: Iterable[str], blocked: Blocked) -> Iterator[Range]:
    # What is wholly blocked was refused; but a cluster's ranges may grow over it afterwards.
    wanted = filter(None, map(range_of, texts))
    return (each for each in dict.fromkeys(wanted) if blocked.around(each) is None)


def _halved(ranges: Iterable[Range]) -> Iterator[Range]:
    # kube-router, and k3s with it, takes `::/0` for 2000::/3 and fd00::/8, and as the smaller range
    # counts, cutting fc00::/7 out of it no longer closes what lies in fd00::/8: pods and services.
    for each in ranges:
        if each.version == 6 and not each.prefixlen:  # noqa: PLR2004 - the protocol's number
            yield from each.subnets()
        else:
            yield each


def dns_of(network: Network, template: Json, by_name: Egress = NOT_INSTALLED) -> dict[str, Any]:
    """Return `dnsPolicy` and `dnsConfig` of a pod.

    Args:
        network: Its settings.
        template: `dnsConfig` of its template. Where the cluster resolves names, its search domains
            and options stay. Its name servers never do: `spec.network` has those.
        by_name: Where the egress component is.
    """
    if network.domains is not None:
        return {"dnsPolicy": "None", "dnsConfig": _resolved_by(by_name.addresses)}
    servers = {"nameservers": list(network.resolvers)} if network.resolvers else {}
    if network.cluster_dns:
        kept = {key: template[key] for key in ("searches", "options") if template.get(key)}
        return {"dnsPolicy": "ClusterFirst", "dnsConfig": {**kept, **servers}}
    if servers:
        options = [{"name": "ndots", "value": "1"}]
        return {"dnsPolicy": "None", "dnsConfig": {**servers, "options": options}}
    return {"dnsPolicy": "None", "dnsConfig": SINK_DNS}


def _resolved_by(addresses: tuple[str, ...]) -> dict[str, Any]:
    # A replica that is going takes a question with it: the next attempt meets another one.
    options = {"timeout": "2", "attempts": "4", "ndots": "1"}
    return {
        "nameservers": list(addresses),
        "options": [{"name": name, "value": value} for name, value in options.items()],
    }


def rate_annotations(network: Network) -> dict[str, str]:
    """Return what makes gVisor hold a pod to its rate."""
    if not network.rate:
        return {}
    least, most = _BURST
    burst = min(max(network.rate // _BURST_SHARE, least), most)
    return {
        "dev.gvisor.flag.qdisc": "tbf",
        "dev.gvisor.flag.qdisc-tbf-rate": str(network.rate),
        "dev.gvisor.flag.qdisc-tbf-burst": str(burst),
    }
