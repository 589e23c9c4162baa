"""A socket that listens at all addresses of the pod, of either protocol."""

from __future__ import annotations

import socket
from typing import Final

_BACKLOG: Final = 1024


def listen(port: int) -> socket.socket:
    """Return a socket that listens at `port`, or at a free one for 0.

    Raises:
        OSError: The port is taken.
    """
    try:
        return socket.create_server(
            ("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=_BACKLOG
        )
    except (OSError, ValueError):  # a kernel without IPv6
        return socket.create_server(("0.0.0.0", port), backlog=_BACKLOG)  # noqa: S104
