"""Hypercorn's settings.

`read_timeout` stays off: it would end every connection whose client is silent while it listens to
a stream. A client that takes forever over its headers is ended by `keep_alive_timeout` instead,
which counts from the last answer to the next complete head.
"""

from __future__ import annotations

import logging
import socket

from hypercorn.config import Config

IDLE_SECONDS = 120
# The pod's own grace is 30 s.
GRACEFUL_SECONDS = 25
HEAD_BYTES = 32 * 1024
# Parts of 64 KiB that wait between socket and application, for each connection.
QUEUE_PARTS = 4
# What a client neither confirms nor takes for so long is lost, and its socket with it. Nothing
# above the kernel can end a connection whose last bytes nobody takes.
UNTAKEN_MILLISECONDS = 30_000
BACKLOG = 1024


def listening_socket(port: int, host: str = "::") -> socket.socket:
    """Return a socket that listens on `port` (0: any free one), for IPv4 as well as IPv6."""
    if host == "::" and not socket.has_dualstack_ipv6():
        host = "0.0.0.0"  # noqa: S104 - a server in a pod is there to be reached
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server(
        (host, port), family=family, backlog=BACKLOG, dualstack_ipv6=host == "::"
    )
    # Connections inherit both. asyncio would set the first one, but not on sockets whose protocol
    # is given as 0, and an answer in two parts then waits 40 ms for the client's delayed ACK.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNTAKEN_MILLISECONDS)
    return listener


def server_config(listener: socket.socket) -> Config:
    """Return the settings of a server on `listener`, which is the server's from now on."""
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.keep_alive_timeout = IDLE_SECONDS
    config.graceful_timeout = GRACEFUL_SECONDS
    config.h11_max_incomplete_size = HEAD_BYTES
    config.max_app_queue_size = QUEUE_PARTS
    config.backlog = BACKLOG
    config.include_server_header = False
    config.accesslog = None
    config.errorlog = logging.getLogger("hypercorn.error")
    return config
