"""WebSockets: what a client and a sandbox's sidecar say to each other, passed on both ways.

- Asking for one is a request like any other: routed, checked and counted alike, and refused
  with a problem. Only the answer that accepts it is another one, a `Switch`.
- Nothing is gathered: a frame is taken from one side when the other has taken the last one.
  Whoever takes nothing for a while is given up.
- The sidecar's close code and reason reach the client. Of a client that leaves there is
  nothing to be told: it can come again, at the offset that it had reached.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from typing import Any, cast

from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, HTTPScope, WebsocketScope
from quart import Quart, Request, Response

from isola_gateway.admission import Admission
from isola_gateway.connection import REQUEST_ID_HEADER, SEND_SECONDS, Connection, GatewayRequest
from isola_gateway.ports import Closing, SidecarError, Socket

# For the client's answer to a close, which says that it has read all before it.
LINGER_SECONDS = 2
# When the sidecar takes no more: for its reason, which may be on its way.
REASON_SECONDS = 1

_GONE = Closing(1011, "the sandbox does not answer any more")
_RESTARTING = Closing(1001, "this gateway is stopping: come again, at the offset reached")

# Codes that may be sent; the others stand for "none" and for connections that broke.
_SENDABLE = frozenset({1000, 1001, 1003, 1007, 1008, 1009, 1011, *range(3000, 5000)})


class Switch(Response):
    """The answer that accepts a WebSocket.

    Args:
        sidecar: What the client talks to from then on.
        resources: Closed at the end, however it comes.
    """

    def __init__(self, sidecar: Socket, resources: AsyncExitStack) -> None:
        super().__init__(status=101)  # pyright: ignore[reportUnknownMemberType]
        self.sidecar = sidecar
        self.resources = resources


class SocketConnection(Connection):
    """A request for a WebSocket, and the WebSocket.

    Args:
        admission: Whether it is taken on.
        stopping: Set when the gateway is about to stop.
        app: What answers it.
        scope: ASGI's description of it.
    """

    def __init__(
        self, admission: Admission, stopping: asyncio.Event, app: Quart, scope: WebsocketScope
    ) -> None:
        as_request = {**cast("dict[str, Any]", scope), "type": "http", "scheme": "http"}
        super().__init__(admission, app, cast("HTTPScope", as_request | {"method": "GET"}))
        self._stopping = stopping
        self._received: asyncio.Queue[str | bytes] = asyncio.Queue(1)

    async def handle_messages(self, request: Request, receive: ASGIReceiveCallable) -> None:
        """Take what the client sends as it is used; return when the client has left."""
        request.body.set_complete()
        while True:
            message: Any = await receive()
            if message["type"] == "websocket.disconnect":
                return
            if message["type"] == "websocket.receive":
                text, octets = message.get("text"), message.get("bytes")
                await self._received.put(octets if text is None else text)

    async def _answer(
        self, request: GatewayRequest, response: Response, send: ASGISendCallable
    ) -> None:
        async def told(event: Any) -> None:
            await send(cast("Any", {**event, "type": f"websocket.{event['type']}"}))

        if not isinstance(response, Switch):
            await super()._answer(request, response, told)
            return
        async with response.resources:
            self._code = response.status_code
            head = (REQUEST_ID_HEADER.lower().encode(), request.request_id.encode())
            await send({"type": "websocket.accept", "subprotocol": None, "headers": [head]})
            closing = await self._relayed(response.sidecar, send)
        if closing is None:
            return
        await send({"type": "websocket.close", "code": closing.code, "reason": closing.reason})
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                await _passed(self._messages(), _thrown_away)

    async def _relayed(self, sidecar: Socket, send: ASGISendCallable) -> Closing | None:
        """Pass all on until either side has no more.

        Returns:
            How to close to the client; None where that would be lost, as it takes nothing.
        """

        async def show(message: str | bytes) -> None:
            text = message if isinstance(message, str) else None
            octets = message if isinstance(message, bytes) else None
            async with asyncio.timeout(SEND_SECONDS):
                await send({"type": "websocket.send", "bytes": octets, "text": text})

        showing = asyncio.create_task(_passed(sidecar.messages(), show))
        typing = asyncio.create_task(_passed(self._messages(), sidecar.send))
        stopping = asyncio.create_task(self._stopping.wait())
        tasks = (showing, typing, stopping)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if typing.done():
                await asyncio.wait((showing,), timeout=REASON_SECONDS)
            if showing.done():
                return _closing(showing, sidecar)
            return _RESTARTING if stopping.done() else _GONE
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _messages(self) -> AsyncIterator[str | bytes]:
        while True:
            yield await self._received.get()


def _closing(showing: asyncio.Task[None], sidecar: Socket) -> Closing | None:
    try:
        showing.result()
    except SidecarError:
        return _GONE
    except TimeoutError:
        return None
    told = sidecar.closing
    return told if told.code in _SENDABLE else Closing(_GONE.code, told.reason)


async def _passed(
    messages: AsyncIterator[str | bytes], take: Callable[[str | bytes], Awaitable[None]]
) -> None:
    async for message in messages:
        await take(message)


async def _thrown_away(_: str | bytes) -> None:
    pass
