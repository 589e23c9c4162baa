"""A command's terminal, over a WebSocket, through lost connections."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import ExitStack, suppress
from typing import Any

import httpx

from isola_sdk.errors import APIConnectionError, IsolaError, StreamLostError
from isola_sdk.models import CommandStatus
from isola_sdk.protocol import websocket
from isola_sdk.protocol.commands import TerminalSize
from isola_sdk.protocol.messages import Request
from isola_sdk.protocol.problems import error_of
from isola_sdk.protocol.retrying import Attempts
from isola_sdk.protocol.terminals import Screen, attach, resized
from isola_sdk.sync.api import Api, connection_error
from isola_sdk.sync.runtime import network_errors

_SWITCHED = 101
# The sandbox pings every 20 s.
_SILENCE_SECONDS = 60.0
_READ_BYTES = 64 * 1024


class Terminal:
    """What a command's terminal shows, and what is typed into it; a context manager.

    Iterate for its output, byte by byte, to the command's end. A connection that is lost is made
    again and goes on at the very byte. What is typed is sent once: if it cannot be, an error says
    that nobody knows whether it arrived.
    """

    def __init__(self, api: Api, where: str, *, offset: int) -> None:
        self._api = api
        self._where = where
        self._screen = Screen(offset)
        self._request = attach(where, offset, {})
        self._socket: Any = None
        self._stack = ExitStack()
        self._decoder = websocket.MessageDecoder()

    @property
    def offset(self) -> int:
        """How many bytes of output were read; another terminal from there goes on."""
        return self._screen.offset

    @property
    def status(self) -> CommandStatus | None:
        """How the command ended; None before its end was read."""
        return self._screen.status

    def __enter__(self) -> Terminal:
        attempts = self._api.attempts()
        while self._socket is None:
            try:
                self._connect(attempts)
            except IsolaError as failure:
                self._api.rest(attempts, failure)
        return self

    def __exit__(self, *_: object) -> None:
        if self._socket is not None and not self._screen.closed:
            with suppress(APIConnectionError):  # it is closed, then
                self._send(websocket.CLOSE, websocket.NORMAL.to_bytes(2, "big"))
        self._disconnect()

    def write(self, data: str | bytes) -> None:
        """Type.

        Raises:
            APIConnectionError: Nobody knows whether it arrived.
        """
        self._send(websocket.BINARY, data.encode() if isinstance(data, str) else data)

    def resize(self, size: TerminalSize) -> None:
        """Give it another size, of which its programs are told."""
        self._send(websocket.TEXT, resized(size))

    def __iter__(self) -> Generator[bytes]:
        """Yield output as it comes, until the command has ended.

        Raises:
            StreamLostError: The connection was lost, and could not be made again.
        """
        attempts = self._api.attempts()
        while not self._screen.closed:
            try:
                if self._socket is None:
                    self._connect(attempts)
                for message in self._receive():
                    attempts.progressed()
                    if output := self._screen.take(message, self._request):
                        yield output
            except IsolaError as failure:
                self._disconnect()
                self._rest(attempts, failure)
            if self._screen.closed and self._screen.status is None:
                self._screen.closed = False

    def _receive(self) -> list[websocket.Message]:
        """Return what came next, pings answered."""
        with connection_error(self._request, *network_errors()):
            piece: bytes = self._socket.read(_READ_BYTES, timeout=_SILENCE_SECONDS)
        if not piece:
            raise APIConnectionError(f"{self._request.name}: the connection was cut")
        try:
            messages = list(self._decoder.feed(piece))
        except websocket.BrokenError as broken:
            raise APIConnectionError(f"{self._request.name}: {broken}") from broken
        for message in messages:
            if message.opcode == websocket.PING:
                self._send(websocket.PONG, message.content)
        return messages

    def _send(self, opcode: int, content: bytes) -> None:
        if self._socket is None:
            raise APIConnectionError(
                f"{self._request.name}: there is no connection", may_have_arrived=False
            )
        with connection_error(self._request, *network_errors()):
            frame = websocket.frame(opcode, content, os.urandom(4))
            self._socket.write(frame, timeout=_SILENCE_SECONDS)

    def _connect(self, attempts: Attempts) -> None:
        nonce = os.urandom(16)
        request = attach(self._where, self._screen.offset, websocket.handshake(nonce))
        self._request = request
        self._disconnect()
        try:
            response = self._stack.enter_context(self._api.opened(request, attempts))
            self._check(response, request, attempts, nonce)
        except BaseException:
            self._disconnect()
            raise
        self._socket = response.extensions["network_stream"]

    def _check(
        self, response: httpx.Response, request: Request, attempts: Attempts, nonce: bytes
    ) -> None:
        if response.status_code != _SWITCHED:
            raise error_of(self._api.whole(response, request, attempts), request)
        if response.headers.get("Sec-WebSocket-Accept") != websocket.accept_of(nonce):
            raise APIConnectionError(f"{request.name}: what answered is no WebSocket")

    def _disconnect(self) -> None:
        self._socket = None
        self._decoder = websocket.MessageDecoder()
        self._stack.close()
        self._stack = ExitStack()

    def _rest(self, attempts: Attempts, failure: IsolaError) -> None:
        try:
            self._api.rest(attempts, failure)
        except APIConnectionError as lost:
            message = f"{lost.message}: {self.offset} bytes had come, and more may follow"
            raise StreamLostError(message, offset=self.offset, request_id=lost.request_id) from lost
