"""A command's output as it comes, through lost connections."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from isola_sdk.aio.api import AsyncApi, is_silence
from isola_sdk.errors import APIConnectionError, IsolaError, StreamLostError
from isola_sdk.models import CommandStatus
from isola_sdk.protocol import commands
from isola_sdk.protocol.messages import OCTETS, Request
from isola_sdk.protocol.output import Position, TextDecoder
from isola_sdk.protocol.retrying import Attempts

# After so much silence it is asked whether the command still runs, by a connection anew.
_SILENCE_SECONDS = 45.0


class AsyncEnding:
    """Whether a command has ended, asked until it has."""

    def __init__(self, api: AsyncApi, where: str) -> None:
        self._api = api
        self._where = where
        self.known: CommandStatus | None = None

    async def ask(self, wait_seconds: float = 0) -> CommandStatus:
        """Return how it stands, after so long at most if it runs."""
        if self.known is None:
            request = commands.status(self._where, wait_seconds=wait_seconds)
            status, _ = await self._api.ask(request, CommandStatus)
            if not commands.ended(status):
                return status
            self.known = status
        return self.known


class AsyncStreamReader:
    """One output stream of a command, from a byte on; to be read once.

    Iterate for text, or `iter_bytes`; `read` and `read_bytes` return all of it. A connection that
    is lost is made again and goes on at the very byte: nothing comes twice, nothing is left out.

    Raises:
        StreamLostError: It could not be made again. What came is right, and not all.
        GoneError: The sandbox no longer keeps this output.
    """

    def __init__(
        self, api: AsyncApi, request: Request, ending: AsyncEnding, *, offset: int = 0
    ) -> None:
        self._api = api
        self._request = request
        self._ending = ending
        self._position = Position(offset)
        self._begun = False

    @property
    def offset(self) -> int:
        """How many bytes of the command's output were read; a reader from there goes on."""
        return self._position.offset

    async def __aiter__(self) -> AsyncGenerator[str]:
        """Yield text as it comes."""
        decoder = TextDecoder()
        async with aclosing(self.iter_bytes()) as pieces:
            async for piece in pieces:
                if text := decoder.feed(piece):
                    yield text
        if text := decoder.feed(b"", last=True):
            yield text

    async def read(self) -> str:
        """Return all of it as text, once the command has ended."""
        return decoded(await self.read_bytes())

    async def read_bytes(self) -> bytes:
        """Return all of it, once the command has ended."""
        return b"".join([piece async for piece in self.iter_bytes()])

    async def iter_bytes(self) -> AsyncGenerator[bytes]:
        """Yield bytes as they come."""
        if self._begun:
            raise RuntimeError("this stream was read already: ask the command for another reader")
        self._begun = True
        attempts = self._api.attempts()
        while not self._position.is_over:
            try:
                async with aclosing(self._attempt(attempts)) as pieces:
                    async for piece in pieces:
                        yield piece
                self._position.came_whole()
                await self._is_it_over(attempts)
            except IsolaError as failure:
                await self._after(failure, attempts)

    async def _attempt(self, attempts: Attempts) -> AsyncGenerator[bytes]:
        position = self._position
        asked = position.asked(ended=self._ending.known is not None)
        request = self._request.with_headers(Last_Event_ID=asked)
        async with self._api.opened(
            request, attempts, silence_seconds=_SILENCE_SECONDS
        ) as response:
            await self._api.accepted(response, request, attempts, OCTETS)
            async for piece in response.aiter_raw():
                self._api.left(attempts, request)
                attempts.progressed()
                yield position.took(piece)

    async def _is_it_over(self, attempts: Attempts) -> None:
        """Ask, after an answer that ended well, whether the command did."""
        status = await self._ending.ask(wait_seconds=1)
        if not commands.ended(status) and not self._position.gained:
            message = f"{self._request.name}: the stream ended, and the command has not"
            await self._api.rest(attempts, APIConnectionError(message))

    async def _after(self, failure: IsolaError, attempts: Attempts) -> None:
        if isinstance(failure, StreamLostError):
            raise failure
        try:
            if is_silence(failure):
                # Its answer shows that the gateway is there: the command has nothing to say.
                self._api.left(attempts, self._request)
                await self._ending.ask()
            else:
                await self._api.rest(attempts, failure)
        except APIConnectionError as lost:
            message = f"{lost.message}: {self.offset} bytes had come, and more may follow"
            raise StreamLostError(message, offset=self.offset, request_id=lost.request_id) from lost


def decoded(output: bytes) -> str:
    """Return output as the text that a reader makes of it."""
    return TextDecoder().feed(output, last=True)
