"""Where connections of sandboxes arrive: whose is it, to which name, may it go there.

A sandbox connects to us, because the resolver gave it our address. What it sends first says where
it means to go: a TLS ClientHello (passed on as it is, never decrypted) or an HTTP/1.1 request. The
port is the one it connected to: we listen on the very ports that lists may name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from isola_egress import hello
from isola_egress.directory import Directory
from isola_egress.passages import Passage, Passages
from isola_egress.piping import Streams, farewell, patience, pipe
from isola_egress.refusals import Ledger, Protocol, Reason, Refusal, RefusedError
from isola_egress.relaying import HEAD_SECONDS, Relay
from isola_egress.upstream import BlockedError, UnreachableError, Upstream, keep_alive
from isola_lifecycle.domains import NAME_LENGTH, host_name

# As for names: the news of a new pod's address may come after its first packet.
PATIENCE_SECONDS = 3.0
IDLE_SECONDS = 900.0

Count = Callable[[Protocol, str], None]


class Door:
    """Takes connections in.

    Args:
        directory: Whose they are.
        passages: Which there are.
        ledger: What is told of refusals.
        upstream: The way to names.
        count: Called with the outcome of each connection.
        idle_seconds: How long nothing may move on a connection.
    """

    def __init__(
        self,
        directory: Directory,
        passages: Passages,
        ledger: Ledger,
        upstream: Upstream,
        count: Count,
        *,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self._directory = directory
        self._passages = passages
        self._ledger = ledger
        self._upstream = upstream
        self._count = count
        self._idle_seconds = idle_seconds

    async def listen(self, host: str, port: int) -> asyncio.Server:
        """Take connections to `port` in."""

        async def enter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                # One that is cut is cancelled, and that is the end of it.
                with suppress(asyncio.CancelledError):
                    await self._enter((reader, writer), port)
            finally:
                writer.transport.abort()

        return await asyncio.start_server(enter, host, port)

    async def _enter(self, client: Streams, port: int) -> None:
        writer = client[1]
        address = writer.get_extra_info("peername")[0]
        grant = await self._directory.wait(address, PATIENCE_SECONDS)
        if grant is None:
            self._count(Protocol.TCP, "unknown")
            return
        keep_alive(writer)
        passage = Passage(grant, address, port, ends=[writer])
        with self._passages.enter(passage) as held:
            if held:
                await self._serve(passage, client)
            else:
                error = RefusedError("", reason=Reason.TOO_MANY_CONNECTIONS)
                self._record(passage, Protocol.TCP, error)

    async def _serve(self, passage: Passage, client: Streams) -> None:
        protocol, outcome = Protocol.TCP, "done"
        try:
            first = await _first_byte(client[0])
            if first and first[0] == hello.HANDSHAKE:
                protocol = Protocol.TLS
                await self._serve_tls(passage, client, first)
            elif first:
                protocol = Protocol.HTTP
                connect = partial(self._connect, passage)
                await Relay(client, first, passage.port, connect, self._idle_seconds).run()
        except RefusedError as error:
            outcome = "refused"
            self._record(passage, protocol, error)
        except UnreachableError:
            outcome = "unreachable"
        except (OSError, asyncio.IncompleteReadError):  # a TimeoutError is an OSError
            outcome = "broken"
        self._count(protocol, outcome)
        await farewell(client)

    async def _serve_tls(self, passage: Passage, client: Streams, first: bytes) -> None:
        try:
            async with asyncio.timeout(HEAD_SECONDS):
                raw, text = await hello.read_hello(client[0], first)
            server = await self._connect(passage, _named(text))
        except hello.HelloError as error:
            client[1].write(hello.alert(hello.DECODE_ERROR))
            raise RefusedError(str(error), reason=Reason.NOT_UNDERSTOOD) from error
        except RefusedError:
            client[1].write(hello.alert(hello.UNRECOGNIZED_NAME))
            raise
        except UnreachableError:
            client[1].write(hello.alert(hello.INTERNAL_ERROR))
            raise
        server[1].write(raw)
        async with patience(self._idle_seconds) as moved:
            await pipe(client, server, moved)

    async def _connect(self, passage: Passage, name: str) -> Streams:
        """Return a connection to `name`, if the sandbox may go there now."""
        grant = self._directory.find(passage.address)
        if grant is None or grant.uid != passage.grant.uid or not grant.names(name):
            why = f"{name} is not in allowedEgressDomains"
            raise RefusedError(why, reason=Reason.NAME_NOT_ALLOWED, name=name)
        if not grant.permits(name, passage.port):
            why = f"{name} is in allowedEgressDomains, but not on port {passage.port}"
            raise RefusedError(why, reason=Reason.PORT_NOT_ALLOWED, name=name)
        # From here on a change of the list cuts it, also while it is being connected.
        passage.name = name
        try:
            server = await self._upstream.connect(name, passage.port, ipv6=grant.ipv6)
        except BlockedError as error:
            address = str(error.address)
            raise RefusedError(
                f"{name}: {error}", reason=Reason.ADDRESS_BLOCKED, name=name, address=address
            ) from error
        passage.ends.append(server[1])
        return server

    def _record(self, passage: Passage, protocol: Protocol, error: RefusedError) -> None:
        if error.reason is None:
            return
        refusal = Refusal(
            reason=error.reason,
            protocol=protocol,
            name=error.name[:NAME_LENGTH],
            address=error.address,
            port=passage.port,
        )
        self._ledger.record(passage.grant.uid, refusal)


async def _first_byte(reader: asyncio.StreamReader) -> bytes:
    try:
        async with asyncio.timeout(HEAD_SECONDS):
            return await reader.read(1)
    except TimeoutError as error:
        # Protocols in which the server speaks first name nobody.
        why = "nothing came that names a server"
        raise RefusedError(why, reason=Reason.NAME_MISSING) from error


def _named(text: str) -> str:
    name = host_name(text)
    if name is None:
        why = "the ClientHello names no server"
        raise RefusedError(why, reason=Reason.NAME_MISSING, name=text)
    return name
