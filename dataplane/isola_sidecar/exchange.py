"""One request and its answer on a connection, over h11: the only file that speaks HTTP/1.1."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

import h11

from . import limits
from .problems import ProblemError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping


class ClientGoneError(Exception):
    """The client has left, or takes nothing any more: stop working for it."""


class Exchange:
    """A request whose headers are read, and the way to answer it."""

    def __init__(
        self,
        request: h11.Request,
        http: h11.Connection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._http = http
        self._reader = reader
        self._writer = writer
        path, _, query = request.target.decode("ascii", "replace").partition("?")
        self.method = request.method.decode("ascii", "replace")
        self.path = tuple(unquote(part) for part in path.split("/")[1:])
        self.query: Mapping[str, str] = dict(
            parse_qsl(query, keep_blank_values=True, errors="surrogateescape")
        )
        self.headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers
        }
        self.answered = False
        # Called with each piece of the body, an empty one at its end; and with a whole answer,
        # before it is sent.
        self.on_body: Callable[[bytes | bytearray], None] | None = None
        self.on_answer: Callable[[int, bytes, tuple[tuple[str, str], ...]], None] | None = None

    async def body(self) -> AsyncIterator[bytes | bytearray]:
        """Yield the request's body as it arrives.

        Raises:
            ProblemError: 408 when nothing arrives for a while.
            ClientGoneError: The client left before the end.
        """
        if self._http.they_are_waiting_for_100_continue:
            await self._send(h11.InformationalResponse(status_code=100, headers=[]))
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                await self._receive()
                continue
            piece = event.data if isinstance(event, h11.Data) else b""
            if self.on_body:
                self.on_body(piece)
            if not piece:
                return
            yield piece

    async def json(self) -> Any:
        """Return the parsed JSON body.

        Raises:
            ProblemError: 400, 408 or 413 for a body that is none, is slow, or is large.
        """
        try:
            async with asyncio.timeout(limits.JSON_BODY_SECONDS):
                content = await self._whole_body()
        except TimeoutError:
            raise ProblemError(408, "the request's body did not arrive in time") from None
        if not content:
            raise ProblemError(400, "a JSON body is required")
        try:
            return json.loads(content)
        except (ValueError, RecursionError) as broken:
            raise ProblemError(400, f"the body is not JSON: {broken}") from broken

    async def answer(
        self, status: int, content: bytes = b"", headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        """Send a whole answer."""
        if self.on_answer:
            self.on_answer(status, content, headers)
        fixed = () if status == 204 else (("Content-Length", str(len(content))),)  # noqa: PLR2004
        # One write, and so one packet: each costs a system call here and a wake-up there.
        await self._send(
            self._head(status, headers + fixed), h11.Data(data=content), h11.EndOfMessage()
        )

    async def answer_json(self, status: int, document: Any) -> None:
        """Send a JSON answer."""
        content = json.dumps(document).encode()
        await self.answer(status, content, (("Content-Type", "application/json"),))

    async def begin(self, status: int, headers: tuple[tuple[str, str], ...]) -> None:
        """Send the head of an answer whose body follows by `send` and `finish`."""
        await self._send(self._head(status, headers))

    async def send(self, piece: bytes) -> None:
        """Send one more piece of the body, at the pace of the client.

        Raises:
            ClientGoneError: The client left or takes nothing.
        """
        await self._send(h11.Data(data=piece))

    async def finish(self) -> None:
        """End the answer cleanly."""
        await self._send(h11.EndOfMessage())

    async def switch_protocols(
        self, headers: tuple[tuple[str, str], ...]
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, bytes]:
        """Answer 101 and hand the connection over, with what has come of the next protocol.

        Raises:
            ProblemError: 400 when the request has a body.
        """
        if not isinstance(self._http.next_event(), h11.EndOfMessage):
            raise ProblemError(400, "a request for another protocol takes no body")
        self.answered = True
        await self._send(h11.InformationalResponse(status_code=101, headers=[*headers]))
        return self._reader, self._writer, self._http.trailing_data[0]

    @asynccontextmanager
    async def while_connected(self) -> AsyncGenerator[None]:
        """Interrupt the enclosed work as soon as the client leaves.

        Raises:
            ClientGoneError: In place of what the enclosed work would have done.
        """
        task = asyncio.current_task()
        gone = False

        async def watch() -> None:
            nonlocal gone
            gone = await self._read_until_gone()
            if gone and task:
                task.cancel()

        watcher = asyncio.create_task(watch())
        try:
            yield
        except asyncio.CancelledError:
            if gone and task and task.uncancel() == 0:
                raise ClientGoneError from None
            raise
        finally:
            watcher.cancel()
            # Not before it has let go of the reader: the next request is read from there.
            await asyncio.wait((watcher,))

    def _is_read_whole(self) -> bool:
        """Return whether the request has come to its end, passing over what is here of its body."""
        with suppress(h11.RemoteProtocolError):
            while self._http.their_state is h11.SEND_BODY:
                if self._http.next_event() is h11.NEED_DATA:
                    break
        return self._http.their_state is h11.DONE

    async def _read_until_gone(self) -> bool:
        """Return whether the client has left; what it sends meanwhile is its next request, early.

        False once so much of that is here that no more is read: its leaving goes unnoticed then.
        """
        try:
            while early := await self._reader.read(limits.BLOCK_BYTES):
                self._http.receive_data(early)
                if len(self._http.trailing_data[0]) > limits.RECEIVE_BYTES:
                    return False
        except OSError:
            return True
        return True

    async def _whole_body(self) -> bytes:
        content = bytearray()
        async for piece in self.body():
            content += piece
            if len(content) >= limits.JSON_BODY_BYTES:
                raise ProblemError(
                    413, f"a JSON body must be smaller than {limits.JSON_BODY_BYTES} bytes"
                )
        return bytes(content)

    async def _receive(self) -> None:
        try:
            async with asyncio.timeout(limits.CHUNK_SECONDS):
                received = await self._reader.read(limits.RECEIVE_BYTES)
        except TimeoutError:
            raise ProblemError(
                408, f"the body paused for more than {limits.CHUNK_SECONDS:.0f} s", closes=True
            ) from None
        except OSError as failed:
            raise ClientGoneError from failed
        if not received:
            raise ClientGoneError
        self._http.receive_data(received)

    def _head(self, status: int, headers: tuple[tuple[str, str], ...]) -> h11.Response:
        self.answered = True
        # RFC 9112 9.6: whoever will not read the rest of the request says so.
        closing = () if self._is_read_whole() else (("Connection", "close"),)
        return h11.Response(status_code=status, headers=[*headers, *closing])

    async def _send(self, *events: h11.Event) -> None:
        self._writer.write(b"".join(self._http.send(event) or b"" for event in events))
        try:
            async with asyncio.timeout(limits.SEND_SECONDS):
                await self._writer.drain()
        except (OSError, TimeoutError) as failed:
            raise ClientGoneError from failed
