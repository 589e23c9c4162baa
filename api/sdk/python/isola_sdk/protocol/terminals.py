"""A terminal's connection: what comes of messages, and whether to come again."""

from __future__ import annotations

import json
from dataclasses import dataclass

from isola_sdk.errors import APIConnectionError, APIError, IsolaError
from isola_sdk.models import CommandStatus
from isola_sdk.protocol.commands import TerminalSize
from isola_sdk.protocol.messages import Request, given
from isola_sdk.protocol.websocket import BINARY, CLOSE, GOING_AWAY, NORMAL, TEXT, Message


def attach(where: str, offset: int, handshake: dict[str, str]) -> Request:
    """Return the request for a terminal from a byte of its output on."""
    query = given(offset=offset or None)
    return Request(method="GET", path=f"{where}/terminal", query=query, headers=handshake)


def resized(size: TerminalSize) -> bytes:
    """Return the message that gives it another size."""
    return json.dumps({"rows": size.rows, "columns": size.columns}).encode()


@dataclass(slots=True)
class Screen:
    """What a terminal showed.

    Attributes:
        offset: Bytes of output that were delivered.
        status: How the command ended, once that was told.
        closed: Whether the server has closed the connection.
    """

    offset: int = 0
    status: CommandStatus | None = None
    closed: bool = False

    def take(self, message: Message, request: Request) -> bytes:
        """Return the output that a message brings.

        Raises:
            IsolaError: The server closed the connection, and not because the command ended.
        """
        if message.opcode == BINARY:
            self.offset += len(message.content)
            return message.content
        if message.opcode == TEXT:
            self._told(message)
        elif message.opcode == CLOSE:
            self.closed = True
            if message.close_code != NORMAL:
                raise _failure(message, request)
        return b""

    def _told(self, message: Message) -> None:
        told = message.told()
        if "exitCode" in told:
            self.status = CommandStatus.model_validate(told)
        elif "offset" in told:
            # Past the end of the output, where the sandbox lost it.
            self.offset = int(told["offset"])


def _failure(message: Message, request: Request) -> IsolaError:
    code, reason = message.close_code, message.close_reason
    if code == GOING_AWAY:
        return APIConnectionError(f"{request.name}: closed: {reason or 'come again'}")
    return APIError(status_code=code, message=f"{request.name}: {reason}")
