"""One connection, by Hypercorn's HTTP/1.1 and WebSocket protocols, and what they leave open.

Hypercorn's own server is left aside for these:

    - A head must come within `HEAD_SECONDS` of its first byte. Hypercorn counts from the last
      answer alone, so a client that sends a byte now and then would hold its connection.
    - A connection between two requests can be closed to make room for another one.
    - HTTP/1.1 and no other: an upgrade to HTTP/2 is passed over, for none of the limits here are
      made for many requests on one connection.
    - Only a terminal becomes a WebSocket, and only by a handshake that is whole; anything else is
      a plain request, answered in plain words. Compression is not agreed on: a few bytes of it
      may stand for megabytes.
    - An application that has ended reads no more, and Hypercorn would wait for ever to tell it
      that its client left. Here somebody listens until it was told.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Protocol

import h11
from hypercorn.asyncio.task_group import TaskGroup
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.protocol.ws_stream import Handshake
from hypercorn.typing import ConnectionState

from isola_rest.problem import MEDIA_TYPE, problem

IDLE_SECONDS = 120
HEAD_SECONDS = 10
RECEIVE_BYTES = 64 * 1024
SOCKET_SUFFIX = b"/terminal"


def _too_slow() -> bytes:
    told = problem(408, f"The request's head did not arrive within {HEAD_SECONDS} s")
    body = json.dumps(told.model_dump(exclude_none=True)).encode()
    head = (
        "HTTP/1.1 408 Request Timeout\r\n"
        f"Content-Type: {MEDIA_TYPE}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


_TOO_SLOW = _too_slow()


class Registry(Protocol):
    """Who wants to know whether a connection is idle."""

    def rests(self, connection: ServedConnection) -> None:
        """Note that it waits for a request."""
        ...

    def works(self, connection: ServedConnection) -> None:
        """Note that a request has come."""
        ...


class ServedConnection:
    """A client's connection, with one request after the other.

    Args:
        app: The ASGI application.
        config: Hypercorn's settings.
        context: Tells its protocols when the server stops.
        registry: Is told when the connection is idle.
        reader: From the client.
        writer: To it.
    """

    def __init__(
        self,
        app: Any,
        config: Config,
        context: WorkerContext,
        registry: Registry,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._app = app
        self._config = config
        self._over = asyncio.Event()
        self._context = _Context(context, self._over)
        self._registry = registry
        self._reader = reader
        self._writer = writer
        self._sending = asyncio.Lock()
        self._idle = False
        self._begun = False
        self._deadline: asyncio.TimerHandle | None = None
        self._protocol: H11Protocol

    async def serve(self) -> None:
        """Serve requests until either side wants no more."""
        try:
            async with _Tasks(asyncio.get_running_loop()) as tasks:
                self._protocol = _Http(
                    self._app,
                    self._config,
                    self._context,
                    tasks,
                    ConnectionState({}),
                    False,  # noqa: FBT003 - Hypercorn's own order: no TLS here
                    self._address("peername"),
                    self._address("sockname"),
                    self._take,
                )
                self._rest()
                await self._listen()
                self._over.set()
                await self._protocol.handle(Closed())
        finally:
            self._expect(None)
            self._writer.close()
            with suppress(OSError):
                await self._writer.wait_closed()

    def close(self) -> None:
        """Close the connection, which is idle."""
        self._writer.close()

    def abort(self) -> None:
        """End the connection at once, whatever was not sent yet."""
        self._writer.transport.abort()

    def _address(self, end: str) -> tuple[str, int] | None:
        address: Any = self._writer.get_extra_info(end)
        return (address[0], address[1]) if address else None

    async def _listen(self) -> None:
        while True:
            try:
                data = await self._reader.read(RECEIVE_BYTES)
            except OSError:
                return
            if not data:
                return
            if self._idle and not self._begun:
                self._begun = True
                self._expect(HEAD_SECONDS)
            await self._protocol.handle(RawData(data))

    async def _take(self, event: Event) -> None:
        """Do what the protocol says."""
        if isinstance(event, RawData):
            async with self._sending:
                try:
                    self._writer.write(event.data)
                    await self._writer.drain()
                except (OSError, RuntimeError):
                    await self._protocol.handle(Closed())
        elif isinstance(event, Closed):
            self._writer.close()
        elif isinstance(event, Updated):
            if event.idle:
                self._rest()
            else:
                self._idle = False
                self._expect(None)
                self._registry.works(self)

    def _rest(self) -> None:
        self._idle, self._begun = True, False
        self._expect(IDLE_SECONDS)
        self._registry.rests(self)

    def _expect(self, seconds: float | None) -> None:
        """Close the connection in `seconds`, unless something else is expected before."""
        if self._deadline:
            self._deadline.cancel()
        loop = asyncio.get_running_loop()
        self._deadline = None if seconds is None else loop.call_later(seconds, self._expire)

    def _expire(self) -> None:
        if self._begun:
            self._writer.write(_TOO_SLOW)
        self._writer.close()


class _Context(WorkerContext):
    """Hypercorn's context of one connection, whose pings sleep no longer than it lasts."""

    def __init__(self, server: WorkerContext, over: asyncio.Event) -> None:
        super().__init__(server.max_requests)
        self.terminated = server.terminated
        self._over = over

    async def sleep(self, wait: float) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] - static there
        """Return after `wait` seconds, or when the connection is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await self._over.wait()


class _Http(H11Protocol):
    """Hypercorn's HTTP/1.1, without what leads out of it."""

    async def _check_protocol(self, event: h11.Request) -> None:
        """Agree to no HTTP/2, neither by upgrade nor by its preface."""

    async def _create_stream(self, request: h11.Request) -> None:
        await super()._create_stream(_plain(request))


def _plain(request: h11.Request) -> h11.Request:
    """Return a request without what is not to be agreed on."""
    headers = list(request.headers)
    unwanted = b"sec-websocket-extensions" if _is_handshake(request) else b"upgrade"
    kept = [(name, value) for name, value in headers if name.lower() != unwanted]
    if len(kept) == len(headers):
        return request
    return h11.Request(
        method=request.method,
        target=request.target,
        headers=kept,
        http_version=request.http_version,
    )


def _is_handshake(request: h11.Request) -> bool:
    handshake = Handshake(list(request.headers), request.http_version.decode())
    at_terminal = request.target.partition(b"?")[0].endswith(SOCKET_SUFFIX)
    return at_terminal and handshake.upgrade is not None and handshake.is_valid()


class _Tasks(TaskGroup):
    """Hypercorn's tasks of a connection, in which an application's end is listened out."""

    async def spawn_app(
        self,
        app: Any,
        config: Config,
        scope: Any,
        send: Callable[[Any], Awaitable[None]],
    ) -> Callable[[Any], Awaitable[None]]:
        """Start the application and return how it is told things."""
        queue: asyncio.Queue[Any] = asyncio.Queue(config.max_app_queue_size)
        self.spawn(_applied, app, config, scope, queue, send)  # pyright: ignore[reportUnknownMemberType]
        return queue.put


async def _applied(
    app: Any,
    config: Config,
    scope: Any,
    queue: asyncio.Queue[Any],
    send: Callable[[Any], Awaitable[None]],
) -> None:
    left = False

    async def receive() -> Any:
        nonlocal left
        message = await queue.get()
        left = message["type"].endswith(".disconnect")
        return message

    async def listen() -> None:
        while not left:
            await receive()

    try:
        await app(scope, receive, send)
    except Exception:  # noqa: BLE001 - one request's bug must not end the others
        await config.log.exception("Error in the application")
    finally:
        listening = asyncio.create_task(listen())
        await send(None)
        await listening
