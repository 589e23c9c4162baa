"""One output stream of a command: from a pipe into an unnamed file, and from there to readers.

A pipe, not the file itself as the program's output: the sidecar is told when there is more, so
readers are woken at once and nobody polls; and what a program wrote cannot be altered later.
Nothing is buffered in memory. After the program's end the stream holds what the pipe held at
that moment; what surviving children write later is read and thrown away, since a full pipe would
block them and a closed one would kill them.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from . import limits, rootfs
from .problems import ProblemError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


class Output:
    """What a program wrote so far, and whether there will be more."""

    # Thousands are remembered.
    __slots__ = (
        *("_burst", "_changed", "_create", "_file", "_is_pipe", "_loop", "_pipe", "_root"),
        *("ended", "gone", "lost", "program_end", "size"),
    )

    def __init__(
        self,
        root: int,
        create: Callable[[int], int] = rootfs.create_unnamed,
        terminal: tuple[int, int] | None = None,
    ) -> None:
        """Make a pipe, or take over the ends of a terminal: its reader's and its programs'.

        `root` is borrowed until `finish`, to create the file at the first byte.
        """
        self._root = root
        self._create = create
        self._is_pipe = terminal is None
        self._pipe, self.program_end = terminal or os.pipe()
        os.set_blocking(self._pipe, False)
        # Refused over the user's quota of pipe pages (fcntl(2)); then the default has to do.
        with suppress(OSError):
            fcntl.fcntl(self.program_end, fcntl.F_SETPIPE_SZ, limits.PIPE_BYTES)
        self._file: int | None = None
        self._changed: asyncio.Event | None = None  # made by whoever waits: it takes 1 KiB
        self.size = 0
        self.ended = False
        self.gone = False
        self.lost: str | None = None
        self._burst = 0
        self._loop = asyncio.get_running_loop()
        self._listen()

    def close_program_end(self) -> None:
        """Give up the writing end, once the program has its own."""
        os.close(self.program_end)

    def finish(self) -> None:
        """Take what the pipe holds now, as the last of the stream.

        At most the pipe's capacity: all the program wrote is in there, and a child that goes on
        writing could otherwise keep this busy for ever.
        """
        left = limits.PIPE_BYTES
        if self._is_pipe and self._pipe >= 0:
            left = fcntl.fcntl(self._pipe, fcntl.F_GETPIPE_SZ)
        while left > 0 and self._pipe >= 0 and (taken := self._take()):
            left -= taken
        self.ended = True
        if not self._is_pipe and self._pipe >= 0:
            self._close_pipe()  # nobody looks at it any more: to hang up is what terminals do
        self._notify()

    def give_up(self) -> None:
        """Drop the content, to make room; readers are told from then on."""
        self.gone = True
        if self._file is not None:
            os.close(self._file)
            self._file = None
        self._notify()

    def refuse_if_gone(self, offset: int) -> None:
        """Raise what a reader has to know before a stream from `offset` begins.

        Raises:
            ProblemError: 410 if the output is no longer kept, or never was from `offset` on.
        """
        if self.gone:
            raise ProblemError(
                410, "the output of this finished command is no longer kept: read it sooner"
            )
        if self.lost is not None and offset >= self.size:
            raise ProblemError(
                410, f"output from byte {self.size} on could not be kept: {self.lost}"
            )

    async def pieces(
        self, offset: int, *, silence_seconds: float = limits.KEEPALIVE_SECONDS
    ) -> AsyncIterator[bytes]:
        """Yield the output from `offset` to its end, and b"" after each silent while.

        An offset past the end waits for output to come that far.

        Raises:
            ProblemError: When what follows is not, or no longer, kept.
        """
        while True:
            self.refuse_if_gone(offset)
            if self._file is not None and offset < self.size:
                piece = os.pread(self._file, limits.BLOCK_BYTES, offset)
                offset += len(piece)
                yield piece
            elif self.ended:
                return
            elif not await self._change(silence_seconds):
                yield b""

    async def _change(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                self._changed = self._changed or asyncio.Event()
                await self._changed.wait()
        except TimeoutError:
            return False
        return True

    def _listen(self) -> None:
        if self._pipe >= 0:
            self._loop.add_reader(self._pipe, self._take_or_rest)

    def _take_or_rest(self) -> None:
        self._burst += self._take()
        if self._burst >= limits.BURST_BYTES and self._pipe >= 0:
            self._burst = 0
            self._loop.remove_reader(self._pipe)
            self._loop.call_later(limits.REST_SECONDS, self._listen)

    def _take(self) -> int:
        """Move one block from the pipe to the file, and return its size."""
        try:
            block = os.read(self._pipe, limits.RECEIVE_BYTES)
        except BlockingIOError:
            return 0
        except OSError:  # EIO: a terminal that no program has open any more
            block = b""
        if not block:
            self._close_pipe()
        elif not self.ended and self.lost is None:
            self._keep(block)
        return len(block)

    def _keep(self, block: bytes) -> None:
        try:
            if self._file is None:
                self._file = self._create(self._root)
            view = memoryview(block)
            while view:
                written = os.pwrite(self._file, view, self.size)
                self.size += written
                view = view[written:]
        except OSError as failed:
            self.lost = failed.strerror or "unknown error"
        self._notify()

    def _close_pipe(self) -> None:
        self._loop.remove_reader(self._pipe)
        os.close(self._pipe)
        self._pipe = -1

    def _notify(self) -> None:
        if self._changed:
            self._changed.set()
            self._changed = None
