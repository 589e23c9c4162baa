"""A way to a server of object storage on which the weather changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_UNAVAILABLE = (
    b"HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nConnection: close\r\n"
    b"Content-Length: 54\r\n\r\n<Error><Code>SlowDown</Code><Message>.</Message></Error>"[:-2]
)


@dataclass
class Way:
    """A relay of bytes on loopback, for HTTP with a request a connection.

    Attributes:
        target: URL of the server.
        port: Where it listens.
        weather: `clear`; `refusing` answers 503; `stalling` lets `bytes_before` bytes of each
            answer through, and then nothing.
        bytes_before: Of an answer that stalls.
        bytes_per_second: How fast answers come, or 0 for as fast as they can.
        asked: The request lines so far.
    """

    target: str
    port: int = 0
    weather: str = "clear"
    bytes_before: int = 0
    bytes_per_second: int = 0
    asked: list[str] = field(default_factory=list[str])
    _open: set[asyncio.StreamWriter] = field(default_factory=set[asyncio.StreamWriter])

    @property
    def url(self) -> str:
        """Return what stands for the target."""
        return f"http://127.0.0.1:{self.port}"

    def gets_of(self, key: str) -> int:
        """Return how often an object's bytes were asked for."""
        return sum(line.startswith("GET ") and key in line for line in self.asked)

    def close(self) -> None:
        """Break every connection."""
        self.weather = "clear"
        for writer in list(self._open):
            writer.transport.abort()

    async def relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry the requests of one connection."""
        self._open.add(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await self._carry(reader, writer)
        writer.close()
        self._open.discard(writer)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.asked.append(head.split(b"\r\n", 1)[0].decode())
        if self.weather == "refusing":
            writer.write(_UNAVAILABLE)
            await writer.drain()
            return
        target = urlsplit(self.target)
        far_reader, far_writer = await asyncio.open_connection(target.hostname, target.port)
        self._open.add(far_writer)
        # The next request comes by a connection of its own, and meets the weather there.
        far_writer.write(head.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
        sending = asyncio.create_task(_pump(reader, far_writer))
        try:
            await self._answer(far_reader, writer)
        finally:
            sending.cancel()
            far_writer.close()
            self._open.discard(far_writer)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sent = 0
        while data := await reader.read(65536):
            if self.weather == "stalling" and sent + len(data) > self.bytes_before:
                writer.write(data[: max(self.bytes_before - sent, 0)])
                await writer.drain()
                while self.weather == "stalling":  # noqa: ASYNC110 - weather tells nobody
                    await asyncio.sleep(0.05)
                return  # and it never comes
            sent += len(data)
            writer.write(data)
            await writer.drain()
            if self.bytes_per_second:
                await asyncio.sleep(len(data) / self.bytes_per_second)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


@asynccontextmanager
async def under_way(target: str) -> AsyncGenerator[Way]:
    """Yield a way to `target`."""
    way = Way(target)
    server = await asyncio.start_server(way.relay, "127.0.0.1", 0)
    way.port = server.sockets[0].getsockname()[1]
    async with server:
        yield way
        way.close()
