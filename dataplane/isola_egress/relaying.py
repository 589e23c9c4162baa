"""HTTP/1.1 from a sandbox to one server: each request is looked at before it is passed on.

A connection that is kept alive stays with the name of its first request. A request for another
name is answered with 421, on which a client makes a connection of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import h11

from isola_egress.piping import CHUNK_BYTES, Streams, patience, pipe
from isola_egress.refusals import Reason, RefusedError
from isola_egress.requests import addressee, forwarded, returned
from isola_egress.upstream import UnreachableError

LONGEST_HEAD = 65536
HEAD_SECONDS = 10.0
KEEP_ALIVE_SECONDS = 75.0

Connect = Callable[[str], Awaitable[Streams]]


class Relay:
    """One connection of a client.

    Args:
        client: Its streams.
        first: What was read of it already.
        port: To which port it is.
        connect: Returns a connection to a name that may be reached; raises `RefusedError` for
            another one, and `UnreachableError`.
        idle_seconds: How long nothing may move while an answer is awaited or carried.
    """

    def __init__(
        self, client: Streams, first: bytes, port: int, connect: Connect, idle_seconds: float
    ) -> None:
        self._client = _Side(client, h11.SERVER)
        self._client.protocol.receive_data(first)
        self._port = port
        self._connect = connect
        self._idle_seconds = idle_seconds

    async def run(self) -> None:
        """Carry requests and answers until the client, the server or a refusal ends it.

        Raises:
            RefusedError: A request was refused; the client has been told, as far as possible.
            UnreachableError: There is no server; likewise.
            OSError: A connection broke.
            TimeoutError: Nothing moved.
        """
        try:
            await self._carry_requests()
        except RefusedError as error:
            await self._say(error.status, str(error))
            raise
        except UnreachableError as error:
            await self._say(HTTPStatus.BAD_GATEWAY, str(error))
            raise

    async def _carry_requests(self) -> None:
        request = await self._request(HEAD_SECONDS)
        if request is None:
            return
        name = addressee(request, self._port)
        server = _Side(await self._connect(name), h11.CLIENT)
        while request is not None and await self._carry_one(request, server):
            request = await self._next(server)
            if request is not None and addressee(request, self._port) != name:
                why = "this connection is for another name; make one for this name"
                raise RefusedError(why, reason=None, status=HTTPStatus.MISDIRECTED_REQUEST)

    async def _request(self, seconds: float) -> h11.Request | None:
        async with asyncio.timeout(seconds):
            event = await self._client.event()
        return event if isinstance(event, h11.Request) else None

    async def _next(self, server: _Side) -> h11.Request | None:
        # A server that closes while nothing is asked of it has closed for the client too.
        asked = asyncio.create_task(self._request(KEEP_ALIVE_SECONDS))
        closed = asyncio.create_task(server.streams[0].read(1))
        try:
            await asyncio.wait({asked, closed}, return_when=asyncio.FIRST_COMPLETED)
            return None if closed.done() else await asked
        finally:
            await _end(asked, closed)

    async def _carry_one(self, request: h11.Request, server: _Side) -> bool:
        """Carry a request and its answer; return whether another may follow."""
        async with patience(self._idle_seconds) as moved:
            self._client.moved = server.moved = moved
            try:
                await server.send(forwarded(request))
                if await self._carry_both(server):
                    await self._tunnel(server)
                    return False
            finally:
                self._client.moved = server.moved = _nothing
        sides = (self._client.protocol, server.protocol)
        if any(p.our_state is not h11.DONE or p.their_state is not h11.DONE for p in sides):
            return False
        for protocol in sides:
            protocol.start_next_cycle()
        return True

    async def _carry_both(self, server: _Side) -> bool:
        body = asyncio.create_task(self._carry_body(server))
        answer = asyncio.create_task(self._carry_answer(server))
        try:
            await asyncio.wait({body, answer}, return_when=asyncio.FIRST_COMPLETED)
            if body.done() and not answer.done():
                await body  # where it failed, no answer is waited for
            return await answer
        finally:
            await _end(body, answer)

    async def _carry_body(self, server: _Side) -> None:
        event = None
        while not isinstance(event, h11.EndOfMessage):
            event = await self._client.event()
            await server.send(event)

    async def _carry_answer(self, server: _Side) -> bool:
        """Carry what the server says; return whether it has switched to another protocol."""
        while True:
            event = await server.event()
            if isinstance(event, h11.ConnectionClosed):
                raise UnreachableError("the server closed the connection without an answer")
            if isinstance(event, (h11.Response, h11.InformationalResponse)):
                event = returned(event)
            await self._client.send(event)
            if isinstance(event, h11.EndOfMessage):
                return False
            if self._client.protocol.our_state is h11.SWITCHED_PROTOCOL:
                return True

    async def _tunnel(self, server: _Side) -> None:
        for source, sink in ((self._client, server), (server, self._client)):
            sink.streams[1].write(source.protocol.trailing_data[0])
        await pipe(self._client.streams, server.streams, self._client.moved)

    async def _say(self, status: HTTPStatus, why: str) -> None:
        if self._client.protocol.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            return  # in the middle of an answer nothing can be said any more
        text = f"isola: {why}\n".encode()
        headers = [
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Length", str(len(text))),
            ("Connection", "close"),
        ]
        answer = h11.Response(status_code=status, reason=status.phrase.encode(), headers=headers)
        for event in (answer, h11.Data(data=text), h11.EndOfMessage()):
            await self._client.send(event)


def _nothing() -> None:
    pass


async def _end(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class _Side:
    """A connection, and what h11 makes of its bytes."""

    def __init__(self, streams: Streams, role: Any) -> None:
        self.streams = streams
        self.protocol: Any = h11.Connection(role, LONGEST_HEAD)  # typed in part
        self.moved: Callable[[], None] = _nothing

    async def event(self) -> Any:
        try:
            while (event := self.protocol.next_event()) is h11.NEED_DATA:
                self.protocol.receive_data(await self.streams[0].read(CHUNK_BYTES))
                self.moved()
        except h11.RemoteProtocolError as error:
            if self.protocol.our_role is h11.CLIENT:
                raise UnreachableError(f"the server's answer makes no sense: {error}") from error
            status = HTTPStatus(error.error_status_hint)
            raise RefusedError(str(error), reason=Reason.NOT_UNDERSTOOD, status=status) from error
        return event

    async def send(self, event: Any) -> None:
        try:
            data = self.protocol.send(event)
        except h11.LocalProtocolError as error:
            raise UnreachableError(f"the answer cannot be passed on: {error}") from error
        if data:
            self.streams[1].write(data)
            await self.streams[1].drain()
            self.moved()
