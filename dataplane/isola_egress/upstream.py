"""From a name to a connection: resolved here, checked here, and not resolved again.

The address that is checked is the one that is connected to, so a name cannot answer twice (DNS
rebinding). The resolver is the one of our own pod; the sandbox has no say in it.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

import dns.asyncresolver
import dns.exception
import dns.name
import dns.rdatatype

from isola_lifecycle.sandbox.ranges import Blocked, is_mapped

Address = IPv4Address | IPv6Address

RESOLVE_SECONDS = 5.0
CONNECT_SECONDS = 5.0
# Of all that a name has; the others would be tried after these in vain.
MOST_ADDRESSES = 4


class BlockedError(Exception):
    """The name leads to addresses that no sandbox may reach, and to no others.

    Attributes:
        address: The first of them.
    """

    def __init__(self, address: Address) -> None:
        super().__init__(f"{address} is in a range that no sandbox may reach")
        self.address = address


class UnreachableError(Exception):
    """The name has no address, or nothing answers there."""


class Upstream:
    """Connects to names.

    Args:
        resolver: Knows the addresses of a name.
        blocked: Tells whether an address is one that no sandbox may reach.
    """

    def __init__(
        self, resolver: dns.asyncresolver.Resolver, blocked: Callable[[Address], bool]
    ) -> None:
        self._resolver = resolver
        self._blocked = blocked

    async def connect(
        self, name: str, port: int, *, ipv6: bool
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Return a connection to `name`.

        Raises:
            BlockedError: Its addresses are blocked.
            UnreachableError: It has none, or nobody answers.
        """
        found = await self._resolve(name, ipv6=ipv6)
        allowed = [address for address in found if not self._blocked(address)]
        if found and not allowed:
            raise BlockedError(found[0])
        trouble = "it has no address"
        for address in allowed[:MOST_ADDRESSES]:
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    reader, writer = await asyncio.open_connection(str(address), port)
            except (OSError, TimeoutError) as error:
                trouble = f"{address} does not answer: {error or 'timed out'}"
                continue
            keep_alive(writer)
            return reader, writer
        raise UnreachableError(f"{name}:{port}: {trouble}")

    async def _resolve(self, name: str, *, ipv6: bool) -> Sequence[Address]:
        kinds = (dns.rdatatype.A, dns.rdatatype.AAAA) if ipv6 else (dns.rdatatype.A,)
        found = await asyncio.gather(*(self._ask(name, kind) for kind in kinds))
        return [address for some in found for address in some]

    async def _ask(self, name: str, kind: dns.rdatatype.RdataType) -> Sequence[Address]:
        absolute = dns.name.from_text(name + ".")
        try:
            answer = await self._resolver.resolve(
                absolute, kind, lifetime=RESOLVE_SECONDS, raise_on_no_answer=False, search=False
            )
        except (dns.exception.DNSException, OSError):
            return ()
        records: Any = answer.rrset or ()
        return [ip_address(record.address) for record in records]


def is_blocked(address: Address, blocked: Blocked) -> bool:
    """Return whether no sandbox may reach an address.

    Loopback, and `::`, which leads there, are in no list of what policies block; here it is ours.
    """
    wanted = ip_network(address)
    inside = blocked.around(wanted) is not None
    return inside or not address.is_global or is_mapped(wanted)


def keep_alive(writer: asyncio.StreamWriter) -> None:
    """Have the kernel find out when the other end is gone without a word."""
    made = writer.get_extra_info("socket")
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
