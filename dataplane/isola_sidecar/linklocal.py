"""Takes this pod's link-local IPv6 addresses away: no policy engine has to know a pod by them.

A kernel gives one to every interface by itself, also where pods have IPv4 alone, and gVisor takes
it over from there. Engines that know a pod by its address (kube-router, and k3s, which embeds it)
then let through what comes from it: to all ports of the pod's own node, and on a bridge to the
other pods there. What programs need of IPv6 works without.

Only within gVisor, whose network is this pod's in any case; elsewhere it could be the machine's.
"""

from __future__ import annotations

import os
import socket
import struct
from typing import Final, NamedTuple

from .runtime import is_gvisor

# linux/rtnetlink.h, linux/netlink.h, linux/if_addr.h
_RTM_DELADDR: Final = 21
_REQUEST_AND_ANSWER: Final = 5
_IFA_ADDRESS, _IFA_LOCAL = 1, 2


class Address(NamedTuple):
    """An address of an interface: its sixteen bytes, the length of its prefix, whose it is."""

    address: bytes
    prefix: int
    interface: int


def leave(proc: str = "/proc") -> None:
    """Take the addresses away; where there are none, or this is not gVisor, do nothing.

    Raises:
        OSError: One could not be taken away. Nothing may start then.
    """
    if not is_gvisor(proc):
        return
    try:
        with open(f"{proc}/net/if_inet6") as file:  # noqa: PTH123 - pathlib takes its time
            found = link_local(file.read())
    except FileNotFoundError:  # no IPv6
        return
    for each in found:
        _take_away(each)


def link_local(table: str) -> list[Address]:
    """Return the link-local addresses (fe80::/10) of a `/proc/net/if_inet6`."""
    lines = (line.split() for line in table.splitlines())
    return [
        Address(bytes.fromhex(address), int(prefix, 16), int(interface, 16))
        for address, interface, prefix, *_ in lines
        if address[:2] == "fe" and address[2] in "89ab"
    ]


def removal(given: Address) -> bytes:
    """Return the message by which netlink takes an address away."""
    body = struct.pack("BBBBI", socket.AF_INET6, given.prefix, 0, 0, given.interface)
    for kind in (_IFA_LOCAL, _IFA_ADDRESS):
        body += struct.pack("HH", 4 + len(given.address), kind) + given.address
    return struct.pack("IHHII", 16 + len(body), _RTM_DELADDR, _REQUEST_AND_ANSWER, 1, 0) + body


def _take_away(given: Address) -> None:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as netlink:
        netlink.sendto(removal(given), (0, 0))
        code = struct.unpack_from("i", netlink.recv(4096), 16)[0]
    if code:
        told = socket.inet_ntop(socket.AF_INET6, given.address)
        raise OSError(
            -code, f"cannot take away the link-local address {told}: {os.strerror(-code)}"
        )
