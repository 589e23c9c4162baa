"""What is uploaded: bytes, files and iterables, in pieces, and again where that is possible."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Any, TypeAlias

from isola_sdk.aio.runtime import call_file, iterate, read_file

PIECE_BYTES = 256 * 1024

Progress: TypeAlias = Callable[[int, "int | None"], None]
"""Called with the bytes that were moved so far, and with how many there are, if that is known."""


class AsyncBody:
    """A body that is sent in pieces, so that its size does not matter."""

    def __init__(self, data: Any, on_progress: Progress | None) -> None:
        self._data = data.encode() if isinstance(data, str) else data
        self._on_progress = on_progress
        self._begin = 0
        self.can_rewind: bool = isinstance(self._data, bytes)
        self.size: int | None = len(self._data) if isinstance(self._data, bytes) else None

    async def measure(self) -> None:
        """Find out where a file stands and how much is left of it, if it tells."""
        if isinstance(self._data, bytes) or not hasattr(self._data, "seek"):
            return
        try:
            self._begin = await call_file(self._data, "tell")
            end = await call_file(self._data, "seek", 0, 2)
            await call_file(self._data, "seek", self._begin)
        except (OSError, ValueError):
            return  # a pipe
        self.can_rewind, self.size = True, end - self._begin

    async def rewind(self) -> None:
        """Go back to the beginning."""
        if not isinstance(self._data, bytes):
            await call_file(self._data, "seek", self._begin)

    async def pieces(self) -> AsyncGenerator[bytes]:
        """Yield the body."""
        sent = 0
        async for piece in self._parts():
            yield piece
            sent += len(piece)
            if self._on_progress:
                self._on_progress(sent, self.size)

    async def _parts(self) -> AsyncGenerator[bytes]:
        data = self._data
        if isinstance(data, bytes):
            for begin in range(0, len(data), PIECE_BYTES):
                yield data[begin : begin + PIECE_BYTES]
        elif hasattr(data, "read"):
            left = self.size
            while piece := await read_file(data, _next(left)):
                left = None if left is None else left - len(piece)
                yield piece
        else:
            async for part in iterate(data):
                yield part


def _next(left: int | None) -> int:
    # Of a file that grows no more is sent than was announced.
    return PIECE_BYTES if left is None else min(PIECE_BYTES, left)
