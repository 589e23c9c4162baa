"""Connections: which request comes next, what an error looks like, when a connection ends."""

from __future__ import annotations

import asyncio
import socket
import sys
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import h11

from . import limits, peers
from .exchange import ClientGoneError, Exchange
from .problems import ProblemError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Coroutine

    Application = Callable[[Exchange], Awaitable[None]]


def _refusal() -> bytes:
    content = peers.REFUSAL.render()
    head = [
        "HTTP/1.1 403 Forbidden",
        *(f"{name}: {value}" for name, value in peers.REFUSAL.all_headers),
        f"Content-Length: {len(content)}",
        "Connection: close\r\n\r\n",
    ]
    return "\r\n".join(head).encode() + content


_REFUSAL: Final = _refusal()
"""Sent before anything is read: whoever gets it has no say at all."""


class Server:
    """Serves an application on a listening socket."""

    def __init__(
        self, application: Application, tls: ssl.SSLContext | None, *, serves_own: bool
    ) -> None:
        """Take connections for `application`; from this network's own addresses if `serves_own`."""
        self._application = application
        self._tls = tls
        self._serves_own = serves_own
        self._connections = 0

    async def serve(self, listener: socket.socket) -> None:
        """Accept connections until cancelled."""
        server = await asyncio.get_running_loop().create_server(
            lambda: _Door(self._enter), sock=listener, backlog=limits.CONNECTIONS
        )
        async with server:
            await server.serve_forever()

    async def _enter(self, transport: asyncio.Transport) -> None:
        # asyncio sets it only where the listener was made with IPPROTO_TCP by name. Without it an
        # answer in two parts waits 40 ms for the gateway's delayed ACK.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not self._serves_own and peers.is_own(transport.get_extra_info("peername")):
            transport.write(_REFUSAL)
            transport.close()
            return
        reader = asyncio.StreamReader(limits.RECEIVE_BYTES)
        streams = asyncio.StreamReaderProtocol(reader, self._accept)
        if not self._tls:
            transport.set_protocol(streams)
            streams.connection_made(transport)
            transport.resume_reading()
        elif secure := await _handshake(transport, streams, self._tls):
            streams.connection_made(secure)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        try:
            if self._connections <= limits.CONNECTIONS:
                await _Connection(self._application, reader, writer).serve()
        except (OSError, ClientGoneError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            self._connections -= 1
            writer.close()


class _Door(asyncio.Protocol):
    """A connection of which nothing is read before it is known who it is, and that it is TLS.

    `StreamWriter.start_tls` would leave the reader with the transport beneath: it holds up the
    wrong one when it has enough.
    """

    def __init__(self, enter: Callable[[asyncio.Transport], Coroutine[Any, Any, None]]) -> None:
        self._enter = enter

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            transport.pause_reading()
            self._entering = asyncio.create_task(self._enter(transport))


async def _handshake(
    transport: asyncio.Transport, streams: asyncio.StreamReaderProtocol, tls: ssl.SSLContext
) -> asyncio.Transport | None:
    """Return the transport that TLS makes of one, or None where it comes to nothing."""
    try:
        return await asyncio.get_running_loop().start_tls(
            transport,
            streams,
            tls,
            server_side=True,
            ssl_handshake_timeout=limits.HANDSHAKE_SECONDS,
            ssl_shutdown_timeout=limits.LINGER_SECONDS,
        )
    except OSError:
        return None


class _Connection:
    """One client's connection, with one request after the other."""

    def __init__(
        self,
        application: Application,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._application = application
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.SERVER)

    async def serve(self) -> None:
        """Serve requests until either side wants no more."""
        while request := await self._next_request():
            exchange = Exchange(request, self._http, self._reader, self._writer)
            await self._answer(exchange)
            if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
                self._http.start_next_cycle()
            else:
                break
        await self._linger()

    async def _next_request(self) -> h11.Request | None:
        """Return the next request's head; None when there is none, or none that can be read."""
        try:
            async with asyncio.timeout(limits.IDLE_SECONDS):
                await self._some_bytes()
            async with asyncio.timeout(limits.HEADER_SECONDS):
                while (event := self._http.next_event()) is h11.NEED_DATA:
                    self._http.receive_data(await self._reader.read(limits.RECEIVE_BYTES))
        except TimeoutError:
            return None
        except h11.RemoteProtocolError as broken:
            await self._refuse(broken.error_status_hint, f"this is not HTTP/1.1: {broken}")
            return None
        return event if isinstance(event, h11.Request) else None

    async def _some_bytes(self) -> None:
        if not self._http.trailing_data[0]:
            self._http.receive_data(await self._reader.read(limits.RECEIVE_BYTES))

    async def _answer(self, exchange: Exchange) -> None:
        try:
            await self._application(exchange)
        except ProblemError as problem:
            await _answer_problem(exchange, problem)
        except h11.RemoteProtocolError as broken:
            problem = ProblemError(400, f"the request's body is not HTTP/1.1: {broken}")
            await _answer_problem(exchange, problem)
        except (ClientGoneError, asyncio.CancelledError):
            raise
        except Exception:  # noqa: BLE001 - one request's bug must not end the others
            traceback.print_exc(file=sys.stderr)
            await _answer_problem(exchange, ProblemError(500, "the sidecar failed; see its log"))

    async def _refuse(self, status: int, detail: str) -> None:
        problem = ProblemError(status, detail)
        request = h11.Request(method="GET", target="/", headers=[("Host", "-")])
        with suppress(h11.LocalProtocolError):
            await _answer_problem(
                Exchange(request, self._http, self._reader, self._writer), problem
            )

    async def _linger(self) -> None:
        """Throw away what a client still sends, for a while.

        Closing with unread data makes the kernel send a reset, which can overtake the answer:
        a client would see a broken connection in place of the reason for it.
        """
        if self._http.their_state is h11.DONE:
            return
        with suppress(TimeoutError):
            if self._writer.can_write_eof():  # not over TLS, where the end follows below
                self._writer.write_eof()
            async with asyncio.timeout(limits.LINGER_SECONDS):
                while await self._reader.read(limits.RECEIVE_BYTES):
                    pass


async def _answer_problem(exchange: Exchange, problem: ProblemError) -> None:
    """Answer with a problem; in the middle of an answer, cut the connection instead.

    A clean end would say that the answer was complete.
    """
    if exchange.answered:
        raise ClientGoneError from problem
    await exchange.answer(problem.status, problem.render(), problem.all_headers)
