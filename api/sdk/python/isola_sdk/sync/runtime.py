"""What differs between the asynchronous client and the synchronous one. Each writes its own."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, TypeAlias, TypeVar

import httpx

A = TypeVar("A")
B = TypeVar("B")

Client = httpx.Client

sleep = time.sleep

Upload: TypeAlias = "str | bytes | BinaryIO | Iterable[bytes]"
"""What can be uploaded."""


def network_errors() -> tuple[type[Exception], ...]:
    """Return what a connection raises that was taken over from the HTTP client."""
    import httpcore  # noqa: PLC0415 - httpx too imports it with its first client

    return httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, OSError


def both(one: A, other: B) -> tuple[A, B]:
    """Return both results, which are there already: the arguments were evaluated in turn."""
    return one, other


def read_file(file: Any, size: int) -> bytes:
    """Read from a file."""
    return file.read(size)


def write_file(file: Any, piece: bytes) -> None:
    """Write to a file."""
    file.write(piece)


def call_file(file: Any, name: str, *arguments: Any) -> Any:
    """Return what a file's method returns."""
    return getattr(file, name)(*arguments)


def iterate(parts: Any) -> Iterator[bytes]:
    """Yield the items of an iterable."""
    yield from parts
