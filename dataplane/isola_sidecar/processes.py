"""The sidecar's end of the launcher: orders go out, exits come back.

A launcher that dies (sandboxed code runs as root and may kill it) is replaced. What it ran can no
longer be waited for: those commands are reported as lost, and killed by the new one.
"""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from . import launcher, spawning

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


class Standing(NamedTuple):
    """Where a program starts: its root, directory and standard streams, as descriptors."""

    root: int
    directory: int
    stdin: int
    stdout: int
    stderr: int


class Processes:
    """Starts, signals and kills programs by mark, and calls back when one has ended.

    The callback gets the wait status, or None when the program was lost sight of.
    """

    def __init__(self, channel: socket.socket) -> None:
        self._waiting: dict[int, Callable[[int | None], None]] = {}
        self._sending = asyncio.Lock()
        self._channel = channel
        self._listen()

    async def start(
        self,
        mark: int,
        standing: Standing,
        argv: Sequence[bytes],
        environment: Mapping[bytes, bytes],
        *,
        ended: Callable[[int | None], None],
    ) -> None:
        """Order a program to be started; failures too arrive as its end."""
        words = os.memfd_create("words")
        try:
            os.write(words, spawning.pack(argv, environment))
            await self._send(b"start %d" % mark, (*standing, words))
            # Not before: what waits while a dead launcher is replaced is reported as lost.
            self._waiting[mark] = ended
        finally:
            os.close(words)

    async def kill(self, mark: int) -> None:
        """Order that every process with `mark` be killed."""
        await self._send(b"kill %d" % mark)

    async def signal(self, mark: int, number: int) -> None:
        """Order a signal to the process group of the program with `mark`, if it still runs."""
        await self._send(b"signal %d %d" % (mark, number))

    async def tell_size(self, mark: int) -> None:
        """Order that the programs of a terminal be told that its size has changed."""
        await self._send(b"resized %d" % mark)

    def _listen(self) -> None:
        self._channel.setblocking(False)  # noqa: FBT003 - the socket's own signature
        asyncio.get_running_loop().add_reader(self._channel, self._receive)

    def _receive(self) -> None:
        try:
            message = self._channel.recv(256)
        except BlockingIOError:
            return
        except ConnectionResetError:
            message = b""
        if not message:
            self._replace()
            return
        _, mark, status = message.split()
        if ended := self._waiting.pop(int(mark), None):
            ended(int(status))

    def _replace(self) -> None:
        asyncio.get_running_loop().remove_reader(self._channel)
        self._channel.close()
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        self._channel = launcher.fork()
        self._listen()
        lost, self._waiting = self._waiting, {}
        for mark, ended in lost.items():
            with suppress(BlockingIOError):
                self._channel.send(b"kill %d" % mark)
            ended(None)

    async def _send(self, message: bytes, descriptors: Sequence[int] = ()) -> None:
        async with self._sending:
            while True:
                try:
                    socket.send_fds(self._channel, [message], descriptors)
                except BlockingIOError:
                    await _writable(self._channel)
                except (BrokenPipeError, ConnectionResetError):
                    self._replace()
                else:
                    return


async def _writable(channel: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_writer(channel, lambda: ready.done() or ready.set_result(None))
    try:
        await ready
    finally:
        loop.remove_writer(channel)
