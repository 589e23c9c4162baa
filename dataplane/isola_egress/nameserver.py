"""DNS over UDP and TCP (RFC 7766), for sandboxes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from isola_egress.answers import answer
from isola_egress.directory import Directory, Grant
from isola_egress.passages import Passage, Passages
from isola_egress.refusals import Ledger

# For the news of a new pod's address; a stub resolver asks again after 5 s.
PATIENCE_SECONDS = 3.0
IDLE_SECONDS = 10.0
LONGEST_QUERY = 4096
# Of somebody yet unknown; beyond that they get no answer and ask again.
MOST_WAITING = 1000
PORT = 53


class Nameserver:
    """Answers messages.

    Args:
        directory: Who asks.
        passages: The connections that there are; those for DNS count among them.
        ledger: What is told of refusals.
        addresses: Returns the addresses that allowed names have.
        count: Called with each answer's code, or -1 for none.
    """

    def __init__(
        self,
        directory: Directory,
        passages: Passages,
        ledger: Ledger,
        addresses: Callable[[], Sequence[str]],
        count: Callable[[int], None],
    ) -> None:
        self._directory = directory
        self._passages = passages
        self._ledger = ledger
        self._addresses = addresses
        self._count = count
        self._waiting: set[asyncio.Task[None]] = set()

    async def listen(self, host: str, port: int) -> list[Any]:
        """Listen by UDP and TCP; close what is returned to stop."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Datagrams(self), local_addr=(host, port)
        )
        taken = transport.get_extra_info("sockname")[1]
        server = await asyncio.start_server(self._converse, host, taken)
        return [transport, server]

    def take(self, wire: bytes, peer: tuple[Any, ...], send: Callable[[bytes], None]) -> None:
        """Answer a datagram, now or when it is known who sent it."""
        grant = self._directory.find(peer[0])
        if grant:
            self._reply(wire, grant, send)
        elif len(self._waiting) < MOST_WAITING:
            task = asyncio.create_task(self._reply_later(wire, peer[0], send))
            self._waiting.add(task)
            task.add_done_callback(self._waiting.discard)

    async def _reply_later(self, wire: bytes, host: str, send: Callable[[bytes], None]) -> None:
        self._reply(wire, await self._directory.wait(host, PATIENCE_SECONDS), send)

    def _reply(self, wire: bytes, grant: Grant | None, send: Callable[[bytes], None]) -> None:
        reply, refusal = answer(wire, grant, self._addresses())
        if grant and refusal:
            self._ledger.record(grant.uid, refusal)
        self._count(reply[3] & 0x0F if reply else -1)
        if reply:
            send(reply)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host = writer.get_extra_info("peername")[0]
        try:
            grant = await self._directory.wait(host, PATIENCE_SECONDS)
            if grant:
                passage = Passage(grant, host, PORT, ends=[writer])
                with (
                    self._passages.enter(passage) as held,
                    suppress(OSError, EOFError, asyncio.CancelledError),
                ):
                    while held and await self._exchange(reader, writer, host):
                        pass
        finally:
            writer.transport.abort()

    async def _exchange(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str
    ) -> bool:
        async with asyncio.timeout(IDLE_SECONDS):
            length = int.from_bytes(await reader.readexactly(2))
            if length > LONGEST_QUERY:
                return False
            wire = await reader.readexactly(length)
            grant = self._directory.find(host)
            self._reply(wire, grant, lambda reply: writer.write(_framed(reply)))
            await writer.drain()
        return True


def _framed(reply: bytes) -> bytes:
    return len(reply).to_bytes(2) + reply


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, nameserver: Nameserver) -> None:
        self._nameserver = nameserver
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        self._nameserver.take(data, addr, lambda reply: self._transport.sendto(reply, addr))
