"""What a sandbox may reach: the settings, what is wrong with them, and how they are told. Pure.

The settings come from `spec.network`, or from the newest change in the log, in the same form.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from isola_lifecycle.domains import Domain, domain
from isola_lifecycle.sandbox.ranges import Blocked, is_mapped, range_of

Json = Mapping[str, Any]

# All names of a list together: an entry of the log holds two such lists, and the rest of a state.
DOMAINS_LENGTH = 1024
_NO_NAME = (
    "is no name: write example.com, *.example.com or example.com:8443, in lower case, without a"
    " scheme or a path, other letters as xn--"
)

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
        domains: These names, through the egress component; with no name in it, it may be given some
            later. None for a sandbox whose names are not looked up there.
    """

    internet: bool = False
    cidrs: tuple[str, ...] = ()
    cluster_dns: bool = False
    nameservers: tuple[str, ...] = ()
    ipv6: bool = False
    rate: int = 0
    domains: tuple[str, ...] | None = None

    @property
    def resolvers(self) -> tuple[str, ...]:
        """Return the name servers that it may ask, the cluster's own apart."""
        own = self.nameservers or self.cluster_dns or self.domains is not None
        if own or not (self.internet or self.cidrs):
            return self.nameservers
        return PUBLIC_NAMESERVERS

    @property
    def needs_cluster_ranges(self) -> bool:
        """Return whether it must be known where this cluster's own addresses lie."""
        return bool(self.internet or self.cidrs or self.nameservers or self.domains is not None)

    @property
    def names(self) -> tuple[Domain, ...]:
        """Return what `domains` allows; what is no name allows nothing."""
        return tuple(filter(None, map(domain, self.domains or ())))

    @property
    def ports(self) -> tuple[int, ...]:
        """Return on which ports names may be reached, sorted."""
        return tuple(sorted({port for each in self.names for port in each.ports}))


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
        domains=_names(told.get("allowedEgressDomains")),
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
    given = {field: value for field, value in told.items() if value}
    if network.domains is not None:
        given["allowedEgressDomains"] = list(network.domains)
    return given


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
    if network.domains is not None:
        yield from _faults_of_names(network.domains, network)


def _faults_of_names(domains: tuple[str, ...], network: Network) -> Iterator[tuple[str, str]]:
    for index, text in enumerate(domains):
        if domain(text) is None:
            yield f"allowedEgressDomains[{index}]", f"{text!r} {_NO_NAME}"
    if sum(map(len, domains)) > DOMAINS_LENGTH:
        yield "allowedEgressDomains", f"the names have over {DOMAINS_LENGTH} characters in all"
    for field, value in (
        ("allowInternetEgress", network.internet),
        ("allowClusterDNS", network.cluster_dns),
        ("nameservers", network.nameservers),
    ):
        if value:
            yield field, "goes round allowedEgressDomains: give one of the two"


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
    if network.domains is not None:
        yield f"by name {' and '.join(network.domains) or 'nothing yet'}"
    if network.cluster_dns:
        yield "the cluster's name servers"
    if network.resolvers:
        yield f"name servers {' and '.join(network.resolvers)}"


def _rate(network: Network) -> str:
    return f"; it sends at most {network.rate} bytes a second" if network.rate else ""


def _names(given: object) -> tuple[str, ...] | None:
    return _texts(cast("object", given)) if isinstance(given, list) else None


def _texts(given: object) -> tuple[str, ...]:
    items = cast("list[object]", given) if isinstance(given, list) else []
    return tuple(item for item in items if isinstance(item, str))
