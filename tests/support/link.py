"""A connection to the API server that can be cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class Link:
    """A relay of bytes on loopback.

    Attributes:
        target: URL that the other end stands for.
        port: Where it listens.
        made: How many connections were made so far.
    """

    target: str
    port: int = 0
    made: int = 0
    _up: bool = True
    _open: set[asyncio.StreamWriter] = field(default_factory=set[asyncio.StreamWriter])

    @property
    def url(self) -> str:
        """Return what stands for the target."""
        return f"https://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Break every connection, and refuse new ones."""
        self._up = False
        for writer in list(self._open):
            writer.transport.abort()

    def mend(self) -> None:
        """Let new connections through."""
        self._up = True

    async def relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection."""
        if not self._up:
            writer.transport.abort()
            return
        self.made += 1
        target = urlsplit(self.target)
        far_reader, far_writer = await asyncio.open_connection(target.hostname, target.port)
        self._open |= {writer, far_writer}
        with suppress(ConnectionError):
            await asyncio.gather(_carry(reader, far_writer), _carry(far_reader, writer))
        self._open -= {writer, far_writer}


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


@asynccontextmanager
async def linked(target: str) -> AsyncGenerator[Link]:
    """Yield a link to `target`."""
    link = Link(target)
    server = await asyncio.start_server(link.relay, "127.0.0.1", 0)
    link.port = server.sockets[0].getsockname()[1]
    async with server:
        yield link
        link.cut()
