"""Where this cluster's own addresses lie: found out or configured, never assumed.

Nodes say which addresses and which pod ranges they have, ServiceCIDRs say where services are. Both
are objects of the whole cluster. What the configuration says counts instead of what would be found.
Where neither says anything, sandboxes that ask for more than nothing are refused, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from isola_lifecycle.sandbox.ranges import Block, Blocked, Range, blocked, range_of
from isola_store.reflector import Lister, Reflector

Json = Mapping[str, Any]

NODES_PATH = "/api/v1/nodes"
SERVICE_RANGES_PATH = "/apis/networking.k8s.io/v1/servicecidrs"

_ADDRESS_TYPES = frozenset({"InternalIP", "ExternalIP"})


@dataclass(frozen=True, slots=True)
class Holder:
    """An object that says where addresses lie.

    Attributes:
        name: Its name.
        pods: Ranges of pods.
        services: Ranges of services.
        nodes: Addresses of nodes.
    """

    name: str
    pods: tuple[Range, ...] = ()
    services: tuple[Range, ...] = ()
    nodes: tuple[Range, ...] = ()


def decode_node(item: Json) -> Holder:
    """Return what a Node says."""
    spec, status = item.get("spec", {}), item.get("status", {})
    told = spec.get("podCIDRs") or filter(None, [spec.get("podCIDR")])
    addresses = (
        each["address"] for each in status.get("addresses", ()) if each["type"] in _ADDRESS_TYPES
    )
    return Holder(
        item["metadata"]["name"], pods=tuple(_ranges(told)), nodes=tuple(_ranges(addresses))
    )


def decode_service_ranges(item: Json) -> Holder:
    """Return what a ServiceCIDR says."""
    told = item.get("spec", {}).get("cidrs", ())
    return Holder(item["metadata"]["name"], services=tuple(_ranges(told)))


def _ranges(texts: Any) -> Iterator[Range]:
    return filter(None, map(range_of, texts))


@dataclass(frozen=True, slots=True, kw_only=True)
class Configured:
    """What the configuration says; what it leaves empty is to be found out.

    Attributes:
        pods: Ranges of pods.
        services: Ranges of services.
        nodes: Ranges of nodes.
        further: What else no sandbox may reach.
    """

    pods: tuple[Range, ...] = ()
    services: tuple[Range, ...] = ()
    nodes: tuple[Range, ...] = ()
    further: tuple[Range, ...] = ()


class ClusterRanges:
    """What is blocked in this cluster.

    Args:
        configured: What the configuration says.
        nodes: Local copy of the nodes, or None where they may not be read.
        services: Local copy of the ServiceCIDRs, likewise.
        own_addresses: Of this pod. Each has to lie among the pods', or what was found is not
            how this cluster gives its addresses.
    """

    def __init__(
        self,
        configured: Configured,
        nodes: Reflector[Holder] | None = None,
        services: Reflector[Holder] | None = None,
        own_addresses: tuple[str, ...] = (),
    ) -> None:
        self._configured = configured
        self._nodes = nodes
        self._services = services
        self._own_addresses = tuple(map(ip_address, own_addresses))
        self._listeners: list[Callable[[], None]] = []
        self._blocks = tuple(self._found())
        self._blocked = blocked(self._blocks)
        for copy in self.copies:
            copy.subscribe(self._look)

    @property
    def copies(self) -> tuple[Reflector[Holder], ...]:
        """Return what has to be kept current."""
        return tuple(copy for copy in (self._nodes, self._services) if copy)

    def blocked(self) -> Blocked:
        """Return what is blocked, as far as it is known."""
        return self._blocked

    def unknown(self) -> str:
        """Return what is not known, and what to do; empty where all is known."""
        for kind, setting, configured, copy in (
            ("pods", "podCIDRs", self._configured.pods, self._nodes),
            ("nodes", "nodeCIDRs", self._configured.nodes, self._nodes),
            ("services", "serviceCIDRs", self._configured.services, self._services),
        ):
            if not configured and not (copy and copy.synced and self._all_say(kind, copy)):
                return (
                    f"It is not known where all {kind} of this cluster have their addresses, which"
                    f" no sandbox may reach: set operator.network.{setting} in the chart's values"
                )
        return self._misplaced()

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Have `listener` called when something else is blocked than before."""
        self._listeners.append(listener)

    def _all_say(self, kind: str, copy: Reflector[Holder]) -> bool:
        holders = copy.list()
        return bool(holders) and all(getattr(holder, kind) for holder in holders)

    def _misplaced(self) -> str:
        for own in self._own_addresses:
            if not any(own in block.range for block in self._blocks):
                return (
                    f"The operator's own address {own} is in none of the ranges that this"
                    " cluster's nodes name for pods, so these are not how it gives addresses: set"
                    " operator.network.podCIDRs in the chart's values"
                )
        return ""

    def _look(self, _: str) -> None:
        found = tuple(self._found())
        if found == self._blocks:
            return
        self._blocks, self._blocked = found, blocked(found)
        for listener in self._listeners:
            listener()

    def _found(self) -> Iterator[Block]:
        nodes = sorted(self._nodes.list() if self._nodes else (), key=_name)
        services = sorted(self._services.list() if self._services else (), key=_name)
        for why, told, found in (
            ("pods of this cluster", self._configured.pods, [r for n in nodes for r in n.pods]),
            ("nodes of this cluster", self._configured.nodes, [r for n in nodes for r in n.nodes]),
            (
                "services of this cluster",
                self._configured.services,
                [r for s in services for r in s.services],
            ),
            ("a range that this installation blocks", self._configured.further, []),
        ):
            yield from (Block(each, why) for each in dict.fromkeys(told or found))


def cluster_ranges(
    client: Lister, configured: Configured, *, discovery: bool, own_addresses: tuple[str, ...]
) -> ClusterRanges:
    """Return what is blocked in a cluster; its copies have to be kept current.

    Args:
        client: Where from.
        configured: What the configuration says.
        discovery: Whether nodes and ServiceCIDRs may be read.
        own_addresses: Of this pod.
    """
    nodes = services = None
    if discovery:
        nodes = Reflector(client, NODES_PATH, decode_node)
        # Before Kubernetes 1.33 nothing in a cluster says it, and these are not served.
        if not configured.services:
            services = Reflector(client, SERVICE_RANGES_PATH, decode_service_ranges)
    return ClusterRanges(configured, nodes, services, own_addresses)


def configured_in(environment: Mapping[str, str]) -> Configured:
    """Return what an environment says.

    Raises:
        ValueError: A variable holds what is no range; the message names it.
    """
    return Configured(
        pods=_read(environment, "ISOLA_POD_CIDRS"),
        services=_read(environment, "ISOLA_SERVICE_CIDRS"),
        nodes=_read(environment, "ISOLA_NODE_CIDRS"),
        further=_read(environment, "ISOLA_BLOCKED_CIDRS"),
    )


def _read(environment: Mapping[str, str], name: str) -> tuple[Range, ...]:
    found: list[Range] = []
    for text in filter(None, (t.strip() for t in environment.get(name, "").split(","))):
        known = range_of(text)
        if known is None:
            raise ValueError(f"{name} holds {text!r}; it must hold ranges such as 10.0.0.0/8")
        found.append(known)
    return tuple(found)


def _name(holder: Holder) -> str:
    return holder.name
