"""Bytes both ways, as they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

CHUNK_BYTES = 65536


# For a last answer to arrive before the connection is reset.
FAREWELL_SECONDS = 2.0


@asynccontextmanager
async def patience(seconds: float) -> AsyncGenerator[Callable[[], None]]:
    """Give up, by TimeoutError, once the function that this yields was not called for so long."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(seconds) as limit:
        yield lambda: limit.reschedule(loop.time() + seconds)


async def pipe(client: Streams, server: Streams, moved: Callable[[], None]) -> None:
    """Carry bytes both ways until both sides are done, and call `moved` with each chunk.

    Each side's end is passed on by itself: a client may be done with sending and still read. What
    one side does not take is not read from the other, so at most a few chunks are held.

    Raises:
        OSError: A connection broke.
    """
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_carry(client[0], server[1], moved))
            group.create_task(_carry(server[0], client[1], moved))
    except* OSError as errors:
        raise ConnectionError(str(errors.exceptions[0])) from None


async def farewell(streams: Streams) -> None:
    """Have what was written last arrive: a reset, on bytes that nobody read, would drop it."""
    reader, writer = streams
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(FAREWELL_SECONDS):
            writer.write_eof()
            while await reader.read(CHUNK_BYTES):
                pass


async def _carry(
    source: asyncio.StreamReader, sink: asyncio.StreamWriter, moved: Callable[[], None]
) -> None:
    while chunk := await source.read(CHUNK_BYTES):
        sink.write(chunk)
        await sink.drain()
        moved()
    sink.write_eof()
