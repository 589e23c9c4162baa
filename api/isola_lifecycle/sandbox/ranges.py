"""Where no sandbox gets to, whatever it asks for, and what that leaves of a range. Pure.

Two lists: what is blocked everywhere, and what is blocked in this cluster (its own pods, services
and nodes, wherever they lie). Sources of the first: the IANA registries of special-purpose
addresses (RFC 6890 and its updates), and the clouds' own documentation where it is said so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import (
    IPv4Network,
    IPv6Network,
    collapse_addresses,
    ip_network,
)

Range = IPv4Network | IPv6Network

EVERYWHERE_4 = (
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "168.63.129.16/32",  # Azure's wire server
    "169.254.0.0/16",  # metadata services are here
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "34.118.224.0/20",  # services of GKE, by default
)

EVERYWHERE_6 = (
    "64:ff9b:1::/48",
    "100::/64",
    "100:0:0:1::/64",
    "2001::/32",
    "2001:2::/48",
    "2001:db8::/32",
    "2002::/16",
    "2600:2d00:0:2::/63",
    "2600:2d00:0:4::/64",
    "3fff::/20",
    "5f00::/16",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
)

# IPv4 addresses in IPv6 clothes. The first never go over a wire: the kernel sends them as IPv4, and
# the API server takes none in a policy. A NAT64 translates the second (RFC 6052), so that what is
# blocked in IPv4 would be open again under that prefix.
MAPPED = ip_network("::ffff:0:0/96")
NAT64 = ip_network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class Block:
    """A range that is blocked, and why.

    Attributes:
        range: The range.
        why: What it is, for people: `a special or private range`, `nodes of this cluster`.
    """

    range: Range
    why: str


@dataclass(frozen=True, slots=True)
class Blocked:
    """All ranges that no sandbox may reach.

    Attributes:
        blocks: Them.
    """

    blocks: tuple[Block, ...]

    def around(self, wanted: Range) -> Block | None:
        """Return what holds the whole of `wanted`, or None where some of it is left."""
        for block in self._of(wanted):
            if _within(wanted, block.range):
                return block
        for whole in _collapsed(block.range for block in self._of(wanted)):
            if _within(wanted, whole):
                return Block(whole, "several ranges")
        return None

    def inside(self, wanted: Range) -> tuple[str, ...]:
        """Return what has to be cut out of `wanted`, sorted, nothing twice."""
        held = (b.range for b in self._of(wanted) if _within(b.range, wanted))
        return tuple(map(str, _collapsed(held)))

    def _of(self, wanted: Range) -> tuple[Block, ...]:
        return tuple(b for b in self.blocks if b.range.version == wanted.version)


def blocked(cluster: Iterable[Block] = ()) -> Blocked:
    """Return what is blocked everywhere, and with it what `cluster` says of one cluster."""
    special = [Block(ip_network(text), "a private or special range") for text in _everywhere()]
    return Blocked((*special, *(extra for block in cluster for extra in _both(block))))


def range_of(text: str) -> Range | None:
    """Return the range that a CIDR or an address stands for, host bits cut off; None for neither.

    As Go's `net/netip`, which judges it for Kubernetes: no masks (`/255.0.0.0`), no zones.
    """
    _, slash, prefix = text.partition("/")
    if "%" in text or (slash and not prefix.isdecimal()):
        return None
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


def is_mapped(wanted: Range) -> bool:
    """Return whether this is IPv4 written as IPv6."""
    return _within(wanted, MAPPED)


def _everywhere() -> tuple[str, ...]:
    return (*EVERYWHERE_4, *EVERYWHERE_6, *map(_nat64, EVERYWHERE_4))


def _both(block: Block) -> tuple[Block, ...]:
    if block.range.version == 6:  # noqa: PLR2004 - the protocol's number
        return (block,)
    return (block, Block(ip_network(_nat64(str(block.range))), block.why))


def _nat64(text: str) -> str:
    given = ip_network(text)
    offset = int(NAT64.network_address)
    return str(IPv6Network((offset + int(given.network_address), 96 + given.prefixlen)))


def _collapsed(ranges: Iterable[Range]) -> Iterator[Range]:
    # Of one protocol, which the library's types cannot say.
    return collapse_addresses(ranges)  # type: ignore[type-var]


def _within(inner: Range, outer: Range) -> bool:
    return inner.version == outer.version and inner.subnet_of(outer)  # pyright: ignore[reportArgumentType]
