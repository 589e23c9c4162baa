"""The server name of a TLS ClientHello (RFC 8446 section 4.1.2, RFC 6066 section 3), read strictly.

What is passed on must mean to the server what it meant here. So everything that two parsers could
read in two ways is refused: a length that does not add up, an extension twice, two names, bytes
after the message. Nothing is decrypted and nothing is changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

HANDSHAKE = 0x16
_CLIENT_HELLO = 1
_SERVER_NAME = 0
_HOST_NAME = 0
_VERSION_MAJOR = 3
_LONGEST_RECORD = 16384
_LONGEST_SESSION = 32

# Real ones have 0.2 to 2 KiB, with keys for after quantum computers.
LONGEST_HELLO = 16384
LONGEST_RAW = 2 * LONGEST_HELLO


class HelloError(Exception):
    """It is no ClientHello, or one that is not passed on; the message says why, for people."""


async def read_hello(reader: asyncio.StreamReader, first: bytes) -> tuple[bytes, str]:
    """Return a ClientHello as it came, with its records, and the server name in it (or empty).

    Args:
        reader: Of the client.
        first: What was read already: one byte.

    Raises:
        HelloError: It is malformed, or too long.
        asyncio.IncompleteReadError: The client left.
    """
    raw, message = b"", b""
    while len(message) < _needed(message):
        header = first + await reader.readexactly(5 - len(first))
        first = b""
        fragment = await reader.readexactly(_record_length(header))
        raw += header + fragment
        message += fragment
        if len(raw) > LONGEST_RAW:
            raise HelloError("the ClientHello is too long")
    if len(message) > _needed(message):
        raise HelloError("something follows the ClientHello in its record")
    return raw, server_name(message[4:])


def _needed(message: bytes) -> int:
    if len(message) < 4:  # noqa: PLR2004 - type and length
        return 4
    length = int.from_bytes(message[1:4])
    if message[0] != _CLIENT_HELLO or length > LONGEST_HELLO:
        raise HelloError("the first message is no ClientHello, or too long")
    return 4 + length


def _record_length(header: bytes) -> int:
    length = int.from_bytes(header[3:])
    known = header[0] == HANDSHAKE and header[1] == _VERSION_MAJOR
    if not known or not 0 < length <= _LONGEST_RECORD:
        raise HelloError("that is no TLS handshake record")
    return length


def server_name(body: bytes) -> str:
    """Return the one host name in the body of a ClientHello, as it stands there, or empty.

    Raises:
        HelloError: It is malformed.
    """
    hello = _Cursor(body)
    hello.take(2 + 32)  # version and random
    if len(hello.vector(1)) > _LONGEST_SESSION:
        raise HelloError("the session id is too long")
    ciphers, compressions = hello.vector(2), hello.vector(1)
    if not ciphers or len(ciphers) % 2 or not compressions:
        raise HelloError("there is no cipher suite or no compression method")
    if hello.at_end:
        return ""  # before extensions were invented
    extensions = _Cursor(hello.vector(2))
    hello.end()
    found: dict[int, bytes] = {}
    for kind, content in _extensions(extensions):
        if kind in found:
            raise HelloError("an extension is there twice")
        found[kind] = content
    return _host_name(found[_SERVER_NAME]) if _SERVER_NAME in found else ""


def _extensions(cursor: _Cursor) -> Iterator[tuple[int, bytes]]:
    while not cursor.at_end:
        yield int.from_bytes(cursor.take(2)), cursor.vector(2)


def _host_name(extension: bytes) -> str:
    outer = _Cursor(extension)
    names = _Cursor(outer.vector(2))
    outer.end()
    kind, name = names.take(1)[0], names.vector(2)
    names.end()
    if kind != _HOST_NAME or not name:
        raise HelloError("the server name is no host name")
    try:
        return name.decode("ascii")
    except UnicodeDecodeError as error:
        raise HelloError("the server name is not ASCII") from error


class _Cursor:
    """Bytes that are taken from the front, and never more than there are."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def at_end(self) -> bool:
        return self._at == len(self._data)

    def take(self, count: int) -> bytes:
        part = self._data[self._at : self._at + count]
        if len(part) < count:
            raise HelloError("it is shorter than it says")
        self._at += count
        return part

    def vector(self, width: int) -> bytes:
        return self.take(int.from_bytes(self.take(width)))

    def end(self) -> None:
        if not self.at_end:
            raise HelloError("it is longer than it says")


def alert(description: int) -> bytes:
    """Return a fatal TLS alert, for a client that has not got an answer to its ClientHello yet."""
    return bytes((0x15, 3, 3, 0, 2, 2, description))


# RFC 8446 section 6.2
UNRECOGNIZED_NAME = 112
DECODE_ERROR = 50
INTERNAL_ERROR = 80
