"""What differs between the asynchronous client and the synchronous one. Each writes its own."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Iterable, Iterator
from typing import Any, BinaryIO, Protocol, TypeAlias, TypeVar, cast

import httpx

A = TypeVar("A")
B = TypeVar("B")

Client = httpx.AsyncClient

sleep = asyncio.sleep


class AsyncReadable(Protocol):
    """An asynchronous file, as `aiofiles` and `anyio` open them."""

    async def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes, none at the end."""
        ...


Upload: TypeAlias = (
    "str | bytes | BinaryIO | AsyncReadable | Iterable[bytes] | AsyncIterable[bytes]"
)
"""What can be uploaded."""


def network_errors() -> tuple[type[Exception], ...]:
    """Return what a connection raises that was taken over from the HTTP client."""
    import httpcore  # noqa: PLC0415 - httpx too imports it with its first client

    return httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, OSError


async def both(one: Awaitable[A], other: Awaitable[B]) -> tuple[A, B]:
    """Return both results, worked on at the same time; when one fails, the other is given up."""
    tasks = asyncio.ensure_future(one), asyncio.ensure_future(other)
    try:
        return await tasks[0], await tasks[1]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def read_file(file: Any, size: int) -> bytes:
    """Read from a file: an asynchronous one, or an ordinary one in a thread."""
    if inspect.iscoroutinefunction(file.read):
        return await file.read(size)
    piece: Any = await asyncio.to_thread(file.read, size)
    return cast("bytes", await piece if inspect.isawaitable(piece) else piece)


async def write_file(file: Any, piece: bytes) -> None:
    """Write to a file: an asynchronous one, or an ordinary one in a thread."""
    if inspect.iscoroutinefunction(file.write):
        await file.write(piece)
        return
    written: Any = await asyncio.to_thread(file.write, piece)
    if inspect.isawaitable(written):
        await written


async def call_file(file: Any, name: str, *arguments: Any) -> Any:
    """Return what a file's method returns, asynchronous or not."""
    result: Any = getattr(file, name)(*arguments)
    return await result if inspect.isawaitable(result) else result


async def iterate(parts: Any) -> AsyncIterator[bytes]:
    """Yield the items of an iterable, asynchronous or not."""
    if hasattr(parts, "__aiter__"):
        async for part in parts:
            yield part
        return
    iterator: Iterator[bytes] = iter(parts)
    while (part := await asyncio.to_thread(next, iterator, None)) is not None:
        yield part
