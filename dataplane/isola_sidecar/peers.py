"""Who may connect: not the sandbox itself.

Its code shares the network of the pod, so no policy keeps it from the sidecar's port; and the
sidecar starts programs as root in every container of the pod, which is more than a process of an
ordinary user, or of another container, can do by itself. So whoever comes from an address of
the pod's own is refused. The kernel tells which those are: to them alone a socket can be bound.
"""

from __future__ import annotations

import errno
import socket
from typing import Any, Final

from .problems import ProblemError

_MAPPED: Final = "::ffff:"

REFUSAL: Final = ProblemError(
    403,
    "the sidecar serves the gateway only, and nobody from within the sandbox: "
    "start commands and open files yourself, or ask the gateway",
)


def is_own(peer: tuple[Any, ...]) -> bool:
    """Return whether the address of a connection's other end is one of this network's own.

    `peer` is as getpeername(2) gives it: host, port and, for IPv6, flow and scope.
    """
    host = str(peer[0]).partition("%")[0]
    if host.startswith(_MAPPED):
        host = host.removeprefix(_MAPPED)
    six = ":" in host
    address = (host, 0, 0, peer[3]) if six else (host, 0)
    with socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(address)
        except OSError as failed:
            # Any other failure leaves it open, and then the answer is the safe one.
            return failed.errno != errno.EADDRNOTAVAIL
    return True
