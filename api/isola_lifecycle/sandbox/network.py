"""What a sandbox may reach: the settings, what is wrong with them, and how they are told. Pure.

The settings come from `spec.network`, or from the newest change in the log, in the same form.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from isola_lifecycle.sandbox.ranges import Blocked, is_mapped, range_of

Json = Mapping[str, Any]

# Where names are looked up by a sandbox that may reach some of the internet and names no server.
PUBLIC_NAMESERVERS = ("8.8.8.8", "1.1.1.1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """What a sandbox may reach. By default nothing.

    Attributes:
        internet: Everything that is not blocked.
        cidrs: These ranges, less what is blocked in them.
        cluster_dns: The cluster's name servers.
        nameservers: These name servers, at port 53.
        ipv6: Whether IPv6 is among what `internet` means.
        rate: Bytes a second that it may send, or 0 for no limit.
    """

    internet: bool = False
    cidrs: tuple[str, ...] = ()
    cluster_dns: bool = False
    nameservers: tuple[str, ...] = ()
    ipv6: bool = False
    rate: int = 0

    @property
    def resolvers(self) -> tuple[str, ...]:
        """Return the name servers that it may ask, the cluster's own apart."""
        if self.nameservers or self.cluster_dns or not (self.internet or self.cidrs):
            return self.nameservers
        return PUBLIC_NAMESERVERS

    @property
    def needs_cluster_ranges(self) -> bool:
        """Return whether it must be known where this cluster's own addresses lie."""
        return bool(self.internet or self.cidrs or self.nameservers)


NOTHING = Network()


def network_of(given: object) -> Network:
    """Return the settings that `spec.network` stands for; what makes no sense there is not set."""
    told: Json = cast("Json", given) if isinstance(given, Mapping) else {}
    rate = told.get("egressRateLimitBytesPerSecond")
    return Network(
        internet=told.get("allowInternetEgress") is True,
        cidrs=_texts(told.get("allowedEgressCIDRs")),
        cluster_dns=told.get("allowClusterDNS") is True,
        nameservers=_texts(told.get("nameservers")),
        ipv6=told.get("allowIPv6Egress") is True,
        rate=rate if type(rate) is int and rate > 0 else 0,
    )


def json_of(network: Network) -> dict[str, Any]:
    """Return settings in the form of `spec.network`, without what is not set."""
    told = {
        "allowInternetEgress": network.internet,
        "allowedEgressCIDRs": list(network.cidrs),
        "allowClusterDNS": network.cluster_dns,
        "nameservers": list(network.nameservers),
        "allowIPv6Egress": network.ipv6,
        "egressRateLimitBytesPerSecond": network.rate,
    }
    return {field: value for field, value in told.items() if value}


def faults(network: Network, blocked: Blocked) -> Iterator[tuple[str, str]]:
    """Yield what cannot be given, as pairs of field and what is wrong there."""
    for index, text in enumerate(network.cidrs):
        if "/" not in text:
            yield f"allowedEgressCIDRs[{index}]", f"{text!r} is no range: write an address as /32"
        elif fault := _fault(text, network, blocked):
            yield f"allowedEgressCIDRs[{index}]", fault
    for index, text in enumerate(network.nameservers):
        if "/" in text:
            yield f"nameservers[{index}]", f"{text} is a range: give addresses"
        elif fault := _fault(text, network, blocked):
            yield f"nameservers[{index}]", f"{fault}; the cluster's own come by allowClusterDNS"


def _fault(text: str, network: Network, blocked: Blocked) -> str:
    wanted = range_of(text)
    if wanted is None:
        return f"{text!r} is neither an address nor a range"
    if is_mapped(wanted):
        return f"{text} is IPv4 written as IPv6: write it as IPv4"
    if wanted.version == 6 and not network.ipv6:  # noqa: PLR2004 - the protocol's number
        return f"{text} needs allowIPv6Egress"
    block = blocked.around(wanted)
    return f"{text} lies in {block.range}, {block.why}, which no sandbox may reach" if block else ""


def described(network: Network) -> str:
    """Return what may be reached, in words."""
    if network == Network(rate=network.rate, ipv6=network.ipv6):
        return "Nothing may be reached; the gateway alone reaches it" + _rate(network)
    reached = ", ".join(_reached(network))
    return f"May be reached: {reached}. The gateway alone reaches it" + _rate(network)


def _reached(network: Network) -> Iterator[str]:
    if network.internet:
        protocols = "IPv4 and IPv6" if network.ipv6 else "IPv4"
        yield f"the internet ({protocols}) without private, special and this cluster's own ranges"
    yield from network.cidrs
    if network.cluster_dns:
        yield "the cluster's name servers"
    if network.resolvers:
        yield f"name servers {' and '.join(network.resolvers)}"


def _rate(network: Network) -> str:
    return f"; it sends at most {network.rate} bytes a second" if network.rate else ""


def _texts(given: object) -> tuple[str, ...]:
    items = cast("list[object]", given) if isinstance(given, list) else []
    return tuple(item for item in items if isinstance(item, str))
