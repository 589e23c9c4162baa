"""The client's side of RFC 6455, as far as terminals need it: bytes in, messages out.

Here because nothing but an HTTP client is to be installed for this one; no extensions are asked
for, and none are understood.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

NORMAL = 1000
GOING_AWAY = 1001

# What a server may announce of one frame before it is taken for broken.
_LONGEST = 16 * 1024 * 1024

_TWO_BYTES, _EIGHT_BYTES = 126, 127


class BrokenError(Exception):
    """The server does not speak the protocol."""


@dataclass(frozen=True, slots=True)
class Message:
    """A whole message, or a control frame.

    Attributes:
        opcode: `TEXT`, `BINARY`, `CLOSE`, `PING` or `PONG`.
        content: What it carries.
    """

    opcode: int
    content: bytes

    @property
    def close_code(self) -> int:
        """Of a `CLOSE`: why."""
        return int.from_bytes(self.content[:2], "big") if len(self.content) > 1 else NORMAL

    @property
    def close_reason(self) -> str:
        """Of a `CLOSE`: why, for people."""
        return self.content[2:].decode(errors="replace")

    def told(self) -> dict[str, Any]:
        """Return what a `TEXT` says."""
        try:
            found: Any = json.loads(self.content)
        except ValueError as error:
            raise BrokenError(f"no JSON: {error}") from error
        return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def handshake(nonce: bytes) -> dict[str, str]:
    """Return the headers that ask for a WebSocket, by 16 random bytes."""
    return {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(nonce).decode(),
    }


def accept_of(nonce: bytes) -> str:
    """Return the `Sec-WebSocket-Accept` with which a server has read the handshake."""
    text = base64.b64encode(nonce).decode() + _GUID
    return base64.b64encode(hashlib.sha1(text.encode(), usedforsecurity=False).digest()).decode()


def frame(opcode: int, content: bytes, mask: bytes) -> bytes:
    """Return a whole message as one frame, masked by 4 random bytes."""
    size = len(content)
    if size < _TWO_BYTES:
        head = bytes((0x80 | opcode, 0x80 | size))
    elif size < 1 << 16:
        head = bytes((0x80 | opcode, 0x80 | _TWO_BYTES)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, 0x80 | _EIGHT_BYTES)) + size.to_bytes(8, "big")
    return head + mask + _masked(content, mask)


def _masked(content: bytes, mask: bytes) -> bytes:
    size = len(content)
    pattern = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(content, "big") ^ int.from_bytes(pattern, "big")).to_bytes(size, "big")


class MessageDecoder:
    """Makes messages of the consecutive pieces of a connection."""

    def __init__(self) -> None:
        self._rest = b""
        self._opcode = CONTINUATION
        self._parts: list[bytes] = []

    def feed(self, piece: bytes) -> Iterator[Message]:
        """Yield the messages that end with this piece.

        Raises:
            BrokenError: It is no WebSocket's.
        """
        self._rest += piece
        while found := self._frame():
            first, content = found
            message = self._take(first & 0x0F, content, last=bool(first & 0x80))
            if message:
                yield message

    def _frame(self) -> tuple[int, bytes] | None:
        rest = self._rest
        if len(rest) < 2:  # noqa: PLR2004 - a head's least
            return None
        size, begin = rest[1], 2
        if size >= _TWO_BYTES:
            more = 2 if size == _TWO_BYTES else 8
            size, begin = int.from_bytes(rest[2 : 2 + more], "big"), 2 + more
        if rest[0] & 0x70 or rest[1] & 0x80 or (len(rest) >= begin and size > _LONGEST):
            raise BrokenError("a frame that no server sends")
        if len(rest) < begin + size:
            return None
        self._rest = rest[begin + size :]
        return rest[0], rest[begin : begin + size]

    def _take(self, opcode: int, content: bytes, *, last: bool) -> Message | None:
        if opcode >= CLOSE:
            return Message(opcode, content)
        if (opcode == CONTINUATION) == (self._opcode == CONTINUATION):
            raise BrokenError("a message begins within another, or goes on without a beginning")
        self._opcode = opcode or self._opcode
        self._parts.append(content)
        if not last:
            return None
        message = Message(self._opcode, b"".join(self._parts))
        self._opcode, self._parts = CONTINUATION, []
        return message
