"""A program's standard input: one writer at a time, and none can block anything but itself.

The pipe does not block; a writer waits for room as long as the program goes on taking. Closing
never waits: writes that came before are still delivered, later ones are refused.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from . import limits
from .exchange import ClientGoneError
from .problems import ProblemError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Stdin:
    """The writing end of a program's standard input."""

    # Thousands are remembered.
    __slots__ = (
        *("_closing", "_pipe", "_room", "_stall_seconds", "_turn", "_writers", "program_end"),
    )

    def __init__(
        self,
        terminal: tuple[int, int] | None = None,
        *,
        stall_seconds: float = limits.STDIN_STALL_SECONDS,
    ) -> None:
        """Make a pipe, or take over the ends of a terminal: its programs' and its writer's."""
        self._stall_seconds = stall_seconds
        self.program_end, self._pipe = terminal or os.pipe()
        os.set_blocking(self._pipe, False)
        self._turn = asyncio.Lock()
        self._writers = 0
        self._closing = False
        self._room: asyncio.Future[None] | None = None

    def close_program_end(self) -> None:
        """Give up the reading end, once the program has its own."""
        os.close(self.program_end)

    async def write(self, body: AsyncIterator[bytes | bytearray]) -> None:
        """Deliver a whole body, without another one's bytes in between.

        Raises:
            ProblemError: 409 when the program has ended, closed its stdin, or takes nothing; also
                when the body broke off after a part was delivered, so that a repeat under the
                same key does not deliver that part again.
            ClientGoneError: The client left before anything was delivered.
        """
        self._refuse_if_closed()
        self._writers += 1
        try:
            async with self._turn:
                await self._deliver_all(body)
        finally:
            self._writers -= 1
            if self._closing and self._writers == 0:
                self._shut()

    def close(self) -> None:
        """Take no further writes, and close once those under way are delivered.

        Raises:
            ProblemError: 409 when it is closed already.
        """
        self._refuse_if_closed()
        self._closing = True
        if self._writers == 0:
            self._shut()

    def program_ended(self) -> None:
        """Close at once: nobody reads any more."""
        self._closing = True
        self._shut()

    def _refuse_if_closed(self) -> None:
        if self._closing:
            raise ProblemError(409, "stdin is closed: the command has exited or closed it")

    async def _deliver_all(self, body: AsyncIterator[bytes | bytearray]) -> None:
        delivered = 0
        while True:
            try:
                piece = await anext(body, b"")
            except (ClientGoneError, ProblemError) as broken:
                if not delivered:
                    raise
                raise ProblemError(
                    409,
                    f"the write broke off after {delivered} bytes, which are delivered: "
                    "send the rest as a write of its own",
                ) from broken
            if not piece:
                return
            await self._deliver(memoryview(piece))
            delivered += len(piece)

    async def _deliver(self, piece: memoryview) -> None:
        while piece:
            if self._pipe < 0:
                raise ProblemError(409, "the command exited before it took all of its stdin")
            try:
                piece = piece[os.write(self._pipe, piece) :]
            except BlockingIOError:
                await self._wait_for_room()
            except OSError:  # EPIPE; EIO of a terminal
                self._closing = True
                raise ProblemError(409, "the command has closed its stdin") from None

    async def _wait_for_room(self) -> None:
        loop = asyncio.get_running_loop()
        self._room = loop.create_future()
        loop.add_writer(self._pipe, self._wake)
        try:
            async with asyncio.timeout(self._stall_seconds):
                await self._room
        except TimeoutError:
            raise ProblemError(
                409,
                f"the command took nothing from its stdin for {self._stall_seconds:.0f} s; "
                "part of this write may be delivered",
            ) from None
        finally:
            if self._pipe >= 0:
                loop.remove_writer(self._pipe)

    def _wake(self) -> None:
        if self._room and not self._room.done():
            self._room.set_result(None)

    def _shut(self) -> None:
        if self._pipe >= 0:
            asyncio.get_running_loop().remove_writer(self._pipe)
            os.close(self._pipe)
            self._pipe = -1
        self._wake()
