"""The server: its socket, Hypercorn's settings, and how many connections there may be.

A connection that waits for a request is no reason to turn anybody away: when there are too many,
the one that has waited longest is closed for the next. As requests under way are bounded
(`admission`), some always wait, and a probe finds its way in however many clients there are.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
from contextlib import suppress
from typing import Any

from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from quart import Quart

from isola_gateway.admission import Admission
from isola_gateway.wire import ServedConnection

# The pod's own grace is 30 s.
GRACEFUL_SECONDS = 25
HEAD_BYTES = 32 * 1024
# Parts of 64 KiB that wait between socket and application, for each connection.
QUEUE_PARTS = 4
# Of what a client sends over a WebSocket, in a message.
MESSAGE_BYTES = 64 * 1024
# Below usual proxy time-outs.
PING_SECONDS = 20
# What a client neither confirms nor takes for so long is lost, and its socket with it. Nothing
# above the kernel can end a connection whose last bytes nobody takes.
UNTAKEN_MILLISECONDS = 30_000
BACKLOG = 1024
# Of the event loop, from a connection's acceptance to its handler: asyncio's task that makes the
# transport, its callback that makes a task of the handler, and that. A few more do no harm.
TURNS_TO_HANDLER = 8


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


def _config() -> Config:
    config = Config()
    config.h11_max_incomplete_size = HEAD_BYTES
    config.max_app_queue_size = QUEUE_PARTS
    config.websocket_max_message_size = MESSAGE_BYTES
    config.websocket_ping_interval = PING_SECONDS
    config.include_server_header = False
    config.accesslog = None
    config.errorlog = logging.getLogger("hypercorn.error")
    return config


class Server:
    """Serves an application on a listening socket.

    Args:
        app: The application.
        admission: How many connections there may be.
    """

    def __init__(self, app: Quart, admission: Admission) -> None:
        self._app = app
        self._most = admission.limits.connections
        self._metrics = admission.metrics
        self._metrics.connections.set_function(lambda: len(self._served))
        self._config = _config()
        self._context = WorkerContext(None)
        self._served: dict[ServedConnection, asyncio.Task[Any] | None] = {}
        # In the order in which they came to rest.
        self._resting: dict[ServedConnection, None] = {}

    async def run(
        self,
        listener: socket.socket,
        stop: asyncio.Event,
        graceful_seconds: float = GRACEFUL_SECONDS,
    ) -> None:
        """Serve until `stop`, then let the requests under way end, for so long."""
        await self._app.startup()
        server = await asyncio.start_server(self._accept, sock=listener, backlog=BACKLOG)
        try:
            await stop.wait()
        finally:
            await _accept_no_more(listener)
            server.close()
            await self._end(graceful_seconds)
            await self._app.shutdown()

    def rests(self, connection: ServedConnection) -> None:
        """Note that a connection waits for a request."""
        self._resting[connection] = None

    def works(self, connection: ServedConnection) -> None:
        """Note that a request has come."""
        self._resting.pop(connection, None)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._served) >= self._most and not self._make_room():
            self._metrics.refused.labels("gateway", "connections").inc()
            writer.transport.abort()
            return
        connection = ServedConnection(self._app, self._config, self._context, self, reader, writer)
        self._served[connection] = asyncio.current_task()
        try:
            await connection.serve()
        finally:
            self._resting.pop(connection, None)
            del self._served[connection]

    def _make_room(self) -> bool:
        """Close the connection that has waited longest; return whether there was one."""
        for connection in self._resting:
            del self._resting[connection]
            connection.close()
            return True
        return False

    async def _end(self, seconds: float) -> None:
        await self._context.terminated.set()
        for connection in tuple(self._resting):
            connection.close()
        if tasks := [task for task in self._served.values() if task]:
            await asyncio.wait(tasks, timeout=seconds)
            # Nothing waits any more for a client that takes nothing, and so all of it ends.
            for connection in tuple(self._served):
                connection.abort()
            await asyncio.wait(tasks)


async def _accept_no_more(listener: socket.socket) -> None:
    """Let what was accepted last come to its handler.

    asyncio drops a connection whose server closes in between: its client waits for ever.
    """
    asyncio.get_running_loop().remove_reader(listener)
    for _ in range(TURNS_TO_HANDLER):
        await asyncio.sleep(0)


def raise_descriptor_limit() -> None:
    """Allow as many open files as the process may have; the soft limit is often 1024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
