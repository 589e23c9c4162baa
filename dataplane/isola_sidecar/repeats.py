"""Requests that are sent again: done once, answered the same each time.

A client whose connection broke cannot know whether its POST was carried out. With an
`Idempotency-Key` it may send it again: the answer of the first one is kept under the key, and a
repeat gets it without anything being done. A repeat that comes while the first is still at work
waits for it. What is compared is method, target, and what the first one read of its body: that is
hashed as it passes, so an upload of any size costs the same memory.

Answers that promise that another attempt may do better (408, 429, 5xx) are not kept, nor is
anything of a request that broke off; then the next with that key is a first one.
"""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from . import limits
from .problems import ProblemError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .exchange import Exchange

    Handler = Callable[[Exchange], Awaitable[None]]

_KEY: Final = re.compile(r"[!-~]([ -~]{0,253}[!-~])?")
_PASSING: Final = (408, 429)
_SERVER_ERROR: Final = 500


class _Answer(NamedTuple):
    status: int
    content: bytes
    headers: tuple[tuple[str, str], ...]


class _First:
    """The first request with a key: what it asked, and its answer once there is one."""

    def __init__(self, exchange: Exchange, now: float) -> None:
        self.asked = _asked(exchange)
        self.begun = now
        self.settled = asyncio.Event()
        self.answer: _Answer | None = None
        self.read = 0
        self.whole = False
        self._hash = _sha256()

    def hear(self, piece: bytes | bytearray) -> None:
        """Take in a piece of the body; an empty one is the end."""
        self._hash.update(piece)
        self.read += len(piece)
        self.whole = not piece

    async def has_body_of(self, exchange: Exchange) -> bool:
        """Return whether a request's body is the one that this one read, as far as it read it."""
        if not self.read and not self.whole:
            return True
        left, found = self.read, _sha256()
        async for piece in exchange.body():
            if len(piece) > left and self.whole:
                return False
            found.update(piece[:left])
            left = max(0, left - len(piece))
            if not left and not self.whole:
                break
        return not left and found.digest() == self._hash.digest()


class Repeats:
    """What is known of requests with a key: the latest, for a while."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[str, _First] = {}  # in order of their beginning

    def __len__(self) -> int:
        return len(self._known)

    async def once(self, exchange: Exchange, handle: Handler) -> None:
        """Have a request handled, or answer it as the first with its key was answered.

        Raises:
            ProblemError: 422 for a key that is none, or that another request was sent with; and
                what `handle` raises.
        """
        key = exchange.headers.get("idempotency-key")
        if key is None or exchange.method != "POST":
            await handle(exchange)
            return
        if not _KEY.fullmatch(key):
            raise ProblemError(
                422, "header Idempotency-Key must be 1 to 255 printable ASCII characters"
            )
        self._forget(limits.REPEATS)
        while first := self._known.get(key):
            if first.asked != _asked(exchange):
                raise _mismatch(key)
            if first.answer:
                await _repeat(key, first, exchange)
                return
            async with exchange.while_connected():
                await first.settled.wait()
        await self._handle_first(key, exchange, handle)

    async def _handle_first(self, key: str, exchange: Exchange, handle: Handler) -> None:
        self._forget(limits.REPEATS - 1)
        first = self._known[key] = _First(exchange, self._clock())

        def answered(*answer: Any) -> None:
            self._settle(key, first, _Answer(*answer))

        exchange.on_body, exchange.on_answer = first.hear, answered
        try:
            await handle(exchange)
        except ProblemError as problem:
            # Kept before it is sent, as answers are: the sending may fail.
            self._settle(key, first, _Answer(problem.status, problem.render(), problem.all_headers))
            raise
        finally:
            exchange.on_body = exchange.on_answer = None
            if first.answer is None:
                self._drop(key, first)

    def _settle(self, key: str, first: _First, answer: _Answer) -> None:
        if answer.status in _PASSING or answer.status >= _SERVER_ERROR:
            self._drop(key, first)
        else:
            first.answer = answer
            first.settled.set()

    def _drop(self, key: str, first: _First) -> None:
        if self._known.get(key) is first:
            del self._known[key]
        first.settled.set()

    def _forget(self, kept: int) -> None:
        """Drop those past their time and the oldest beyond `kept`, but none still at work."""
        oldest = self._clock() - limits.REPEATS_SECONDS
        for key, first in tuple(self._known.items()):
            if len(self._known) <= kept and first.begun > oldest:
                return
            if first.answer:
                del self._known[key]


async def _repeat(key: str, first: _First, exchange: Exchange) -> None:
    if not await first.has_body_of(exchange):
        raise _mismatch(key)
    if first.answer:
        await exchange.answer(*first.answer)


def _asked(exchange: Exchange) -> object:
    return exchange.path, sorted(exchange.query.items())


def _mismatch(key: str) -> ProblemError:
    return ProblemError(
        422, f"Idempotency-Key {key!r} was sent with another request: choose a new one for each"
    )


def _sha256() -> Any:
    # Imported at the first key: OpenSSL is 10 ms of start time under gVisor.
    from hashlib import sha256  # noqa: PLC0415

    return sha256()
