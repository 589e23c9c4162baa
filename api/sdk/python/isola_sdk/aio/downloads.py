"""A file as it comes down, through lost connections."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from isola_sdk.aio.api import AsyncApi, head_of
from isola_sdk.aio.bodies import Progress
from isola_sdk.errors import APIConnectionError, IsolaError, StreamLostError
from isola_sdk.protocol.downloads import BEYOND, ChangedError, PartialFile
from isola_sdk.protocol.messages import OCTETS, Request
from isola_sdk.protocol.problems import error_of
from isola_sdk.protocol.retrying import Attempts


class AsyncDownload:
    """One download, in pieces."""

    def __init__(self, api: AsyncApi, request: Request, on_progress: Progress | None) -> None:
        self._api = api
        self._request = request
        self._on_progress = on_progress
        self._state = PartialFile()

    async def pieces(self) -> AsyncGenerator[bytes]:
        """Yield the file."""
        attempts = self._api.attempts()
        while True:
            try:
                async with aclosing(self._attempt(attempts)) as pieces:
                    async for piece in pieces:
                        yield piece
                        self._tell()
            except StreamLostError:
                raise
            except IsolaError as failure:
                await self._rest(attempts, failure)
                continue
            if self._state.is_whole:
                return
            cut = APIConnectionError(f"{self._request.name}: the answer is not all of the file")
            await self._rest(attempts, cut)

    async def _attempt(self, attempts: Attempts) -> AsyncGenerator[bytes]:
        state = self._state
        headers = {**self._request.headers, **state.headers()}
        request = Request(
            method="GET", path=self._request.path, query=self._request.query, headers=headers
        )
        async with self._api.opened(request, attempts) as response:
            if response.status_code == BEYOND:
                answer = await self._api.whole(response, request, attempts)
                if state.is_past_end(answer):
                    return
                raise error_of(answer, request)
            await self._api.accepted(response, request, attempts, OCTETS)
            try:
                state.begins(head_of(response))
            except ChangedError as changed:
                raise self._lost("the file is another one by now") from changed
            async for piece in response.aiter_raw():
                self._api.left(attempts, request)
                attempts.progressed()
                yield state.took(piece)

    async def _rest(self, attempts: Attempts, failure: IsolaError) -> None:
        try:
            await self._api.rest(attempts, failure)
        except APIConnectionError as lost:
            raise self._lost(lost.message, lost.request_id) from lost

    def _lost(self, why: str, request_id: str | None = None) -> StreamLostError:
        offset = self._state.offset
        message = f"{why}: {offset} bytes had come, and more may follow"
        return StreamLostError(message, offset=offset, request_id=request_id)

    def _tell(self) -> None:
        if self._on_progress:
            self._on_progress(self._state.offset, self._state.size)
