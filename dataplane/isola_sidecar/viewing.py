"""A command's terminal over a WebSocket (RFC 6455), by wsproto: what it shows, and what is typed.

A viewer reads the output that is kept, like every reader of a command's output: one that is slow
holds up nobody but itself, any number may look on, and one that comes again goes on at the offset
it had reached. To the client: a text frame `{"offset": …}` first, then the output in binary frames,
and at the end a text frame with how the command ended. From the client: binary frames are typed,
a text frame `{"rows": …, "columns": …}` is a new size.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import (
    BytesMessage,
    CloseConnection,
    Event,
    Message,
    Ping,
    TextMessage,
)
from wsproto.frame_protocol import CloseReason

from . import limits, requests
from .command import describe
from .exchange import ClientGoneError
from .problems import ProblemError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from .command import Command
    from .commands import Commands
    from .exchange import Exchange

_GUID: Final = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_REASON_BYTES: Final = 123
_KEY_BYTES: Final = 16


class _EndError(Exception):
    """The connection is to be closed, and why."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason.encode()[:_REASON_BYTES].decode(errors="ignore")


async def attend(exchange: Exchange, commands: Commands, command: Command, offset: int) -> None:
    """Show `command`'s terminal from `offset` on until it ends or the viewer leaves.

    Raises:
        ProblemError: 426 or 400 when the request does not open a WebSocket.
        ClientGoneError: The viewer left.
    """
    accept = _accept(exchange.headers)
    reader, writer, early = await exchange.switch_protocols(
        (("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept))
    )
    viewer = _Viewer(reader, writer, commands, command)
    await viewer.serve(early, min(offset, command.stdout.size))


def _accept(headers: dict[str, str]) -> str:
    upgrade = headers.get("upgrade", "").lower()
    if upgrade != "websocket" or "upgrade" not in headers.get("connection", "").lower():
        raise _upgrade_required("this is a WebSocket: ask for `Upgrade: websocket`")
    if headers.get("sec-websocket-version") != "13":
        raise _upgrade_required("Sec-WebSocket-Version must be 13")
    key = headers.get("sec-websocket-key", "")
    try:
        length = len(base64.b64decode(key, validate=True))
    except (binascii.Error, ValueError):
        length = 0
    if length != _KEY_BYTES:
        raise ProblemError(400, "header Sec-WebSocket-Key must be 16 bytes in base64")
    digest = hashlib.sha1((key + _GUID).encode(), usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()


def _upgrade_required(detail: str) -> ProblemError:
    headers = (("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13"))
    return ProblemError(426, detail, headers=headers)


class _Viewer:
    """One viewer's connection."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        commands: Commands,
        command: Command,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._commands = commands
        self._command = command
        self._socket = Connection(ConnectionType.SERVER)
        self._sending = asyncio.Lock()
        self._text = ""

    async def serve(self, early: bytes, offset: int) -> None:
        """Show and listen until either has come to its end, then close."""
        work = (self._listen(early), self._show(offset), self._ping())
        tasks = [asyncio.create_task(each) for each in work]
        listening = tasks[0]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            try:
                for task in done:
                    task.result()
            except _EndError as end:
                await self.send(CloseConnection(end.code, end.reason))
            # For the client's answer to the close, which says that it has read all before it.
            await asyncio.wait((listening,), timeout=limits.LINGER_SECONDS)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def send(self, event: Event) -> None:
        """Send, at the pace of the viewer.

        Raises:
            ClientGoneError: It left, or takes nothing.
        """
        async with self._sending:
            if self._socket.state not in (ConnectionState.OPEN, ConnectionState.REMOTE_CLOSING):
                return
            self._writer.write(self._socket.send(event))
            try:
                async with asyncio.timeout(limits.SEND_SECONDS):
                    await self._writer.drain()
            except (OSError, TimeoutError) as failed:
                raise ClientGoneError from failed

    async def _show(self, offset: int) -> None:
        await self.send(TextMessage(json.dumps({"offset": offset})))
        try:
            async for piece in self._command.stdout.pieces(offset):
                if piece:
                    await self.send(BytesMessage(piece))
        except ProblemError as lost:
            raise _EndError(CloseReason.INTERNAL_ERROR, lost.detail) from lost
        await self._command.ended.wait()
        await self.send(TextMessage(json.dumps(describe(self._command))))
        raise _EndError(CloseReason.NORMAL_CLOSURE, "the command has ended")

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(limits.PING_SECONDS)
            await self.send(Ping())

    async def _listen(self, early: bytes) -> None:
        received = early
        while True:
            if received:
                self._socket.receive_data(received)
            for event in self._socket.events():
                await self._take(event)
                if isinstance(event, CloseConnection):
                    return
            try:
                async with asyncio.timeout(limits.VIEWER_SECONDS):
                    received = await self._reader.read(limits.BLOCK_BYTES)
            except (OSError, TimeoutError) as failed:
                raise ClientGoneError from failed
            if not received:
                raise ClientGoneError

    async def _take(self, event: Event) -> None:
        if isinstance(event, BytesMessage):
            await self._type(bytes(event.data))
        elif isinstance(event, TextMessage):
            await self._control(event)
        elif isinstance(event, (Ping, CloseConnection)):
            with suppress(ClientGoneError):
                await self.send(event.response())

    async def _type(self, typed: bytes) -> None:
        try:
            await self._command.stdin.write(_once(typed))
        except ProblemError as refused:
            # Of a command that has ended the end is on its way.
            if self._command.ending is None:
                raise _EndError(CloseReason.POLICY_VIOLATION, refused.detail) from refused

    async def _control(self, message: Message[str]) -> None:
        self._text += message.data
        if len(self._text) > limits.CONTROL_BYTES:
            raise _EndError(CloseReason.POLICY_VIOLATION, "a text frame says a size, no more")
        if not message.message_finished:
            return
        text, self._text = self._text, ""
        try:
            size = requests.size(json.loads(text))
        except ValueError as broken:
            raise _EndError(CloseReason.INVALID_FRAME_PAYLOAD_DATA, f"no JSON: {broken}") from None
        except ProblemError as refused:
            raise _EndError(CloseReason.POLICY_VIOLATION, refused.detail) from refused
        await self._commands.resize(self._command, size)


async def _once(piece: bytes) -> AsyncIterator[bytes]:
    yield piece
