"""A proxy between client and gateway on which nobody can rely.

It delays; it cuts a connection before the request went on, before the answer, or in its middle; it
ends answers early as if that were their end, where their length is not told; it sends requests
twice, and gives the answer to either. What happens goes by a seed.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random

import h11
import httpx

from gateway.serving import LOOPBACK

KINDS = ("delay", "refuse", "cut before", "lose answer", "cut within", "truncate", "duplicate")

# Of one hop, as RFC 9110 has it; h11 frames anew.
_HOP = {b"connection", b"transfer-encoding", b"keep-alive", b"host"}


class CutError(Exception):
    """The connection is to be cut."""


@dataclass
class Proxy:
    """The proxy.

    Attributes:
        target: The gateway's address.
        random: What happens.
        often: How likely something happens to a request.
        kinds: What may.
        happened: How often what did.
        url: Its address.
    """

    target: str
    random: Random
    often: float
    kinds: tuple[str, ...] = KINDS
    happened: Counter[str] = field(default_factory=Counter[str])
    url: str = ""
    _client: httpx.AsyncClient = field(
        default_factory=lambda: httpx.AsyncClient(
            timeout=60, limits=httpx.Limits(max_connections=None)
        )
    )

    _open: set[asyncio.StreamWriter] = field(default_factory=set[asyncio.StreamWriter])

    def cut(self) -> None:
        """Cut every connection."""
        for writer in self._open:
            writer.transport.abort()

    async def close(self) -> None:
        """Let go of the gateway."""
        self.cut()
        await self._client.aclose()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry the requests of one connection."""
        connection = h11.Connection(h11.SERVER)
        self._open.add(writer)
        try:
            while await self._exchange(connection, reader, writer):
                connection.start_next_cycle()
        except (CutError, OSError, h11.ProtocolError, httpx.TransportError):
            writer.transport.abort()
        finally:
            self._open.discard(writer)
            writer.close()

    async def _exchange(
        self, connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Carry one request, and return whether another may follow."""
        kind = self.random.choice(self.kinds) if self.random.random() < self.often else ""
        request = await _next(connection, reader)
        if not isinstance(request, h11.Request):
            return False
        self.happened[kind] += 1
        if kind == "refuse":
            raise CutError
        if kind == "delay":
            await asyncio.sleep(self.random.uniform(0, 0.3))
        body = await _body(connection, reader)
        if kind == "cut before":
            raise CutError
        made = self._client.build_request(
            request.method.decode(),
            self.target + request.target.decode(),
            headers=[(k, v) for k, v in request.headers if k not in _HOP],
            content=body or None,
        )
        await self._carry(made, kind, connection, writer)
        return connection.our_state is h11.DONE and connection.their_state is h11.DONE

    async def _carry(
        self,
        made: httpx.Request,
        kind: str,
        connection: h11.Connection,
        writer: asyncio.StreamWriter,
    ) -> None:
        if kind == "duplicate" and made.method != "GET":
            twice = self._client.send(_copy(made), stream=True)
            first, answer = await asyncio.gather(twice, self._client.send(made, stream=True))
            await first.aclose()
        else:
            answer = await self._client.send(made, stream=True)
        try:
            if kind == "lose answer":
                raise CutError
            headers = [(k, v) for k, v in answer.headers.raw if k.lower() not in _HOP]
            head = h11.Response(status_code=answer.status_code, headers=headers)
            writer.write(connection.send(head) or b"")
            async for piece in self._body_of(answer, kind):
                writer.write(connection.send(h11.Data(data=piece)) or b"")
                await writer.drain()
            if kind == "truncate" and "content-length" in answer.headers:
                await writer.drain()
                raise CutError
            writer.write(connection.send(h11.EndOfMessage()) or b"")
            await writer.drain()
        finally:
            await answer.aclose()

    async def _body_of(self, answer: httpx.Response, kind: str) -> AsyncIterator[bytes]:
        # One that is emptied, and yet ends as it should, cannot be told from the truth.
        least = 1 if kind == "truncate" else 0
        left = self.random.choice((least, 10, 5_000, 100_000))
        async for piece in answer.aiter_raw():
            if kind not in ("cut within", "truncate"):
                yield piece
                continue
            yield piece[:left]
            left -= len(piece)
            if left <= 0:
                break
        if kind == "cut within":
            raise CutError


def _copy(made: httpx.Request) -> httpx.Request:
    return httpx.Request(made.method, made.url, headers=made.headers, content=made.content)


async def _next(connection: h11.Connection, reader: asyncio.StreamReader) -> object:
    while (event := connection.next_event()) is h11.NEED_DATA:
        if connection.they_are_waiting_for_100_continue:
            raise CutError
        connection.receive_data(await reader.read(65536))
    return event


async def _body(connection: h11.Connection, reader: asyncio.StreamReader) -> bytes:
    parts: list[bytes] = []
    while isinstance(event := await _next(connection, reader), h11.Data):
        parts.append(bytes(event.data))
    return b"".join(parts)


@asynccontextmanager
async def unreliable(target: str, *, seed: int, often: float = 0.3) -> AsyncGenerator[Proxy]:
    """Yield a proxy before `target`."""
    proxy = Proxy(target, Random(seed), often)
    server = await asyncio.start_server(proxy.serve, LOOPBACK, 0)
    proxy.url = f"http://{LOOPBACK}:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()
