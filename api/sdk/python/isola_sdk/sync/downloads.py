"""A file as it comes down, through lost connections."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing

from isola_sdk.errors import APIConnectionError, IsolaError, StreamLostError
from isola_sdk.protocol.downloads import BEYOND, ChangedError, PartialFile
from isola_sdk.protocol.messages import OCTETS, Request
from isola_sdk.protocol.problems import error_of
from isola_sdk.protocol.retrying import Attempts
from isola_sdk.sync.api import Api, head_of
from isola_sdk.sync.bodies import Progress


class Download:
    """One download, in pieces."""

    def __init__(self, api: Api, request: Request, on_progress: Progress | None) -> None:
        self._api = api
        self._request = request
        self._on_progress = on_progress
        self._state = PartialFile()

    def pieces(self) -> Generator[bytes]:
        """Yield the file."""
        attempts = self._api.attempts()
        while True:
            try:
                with closing(self._attempt(attempts)) as pieces:
                    for piece in pieces:
                        yield piece
                        self._tell()
            except StreamLostError:
                raise
            except IsolaError as failure:
                self._rest(attempts, failure)
                continue
            if self._state.is_whole:
                return
            cut = APIConnectionError(f"{self._request.name}: the answer is not all of the file")
            self._rest(attempts, cut)

    def _attempt(self, attempts: Attempts) -> Generator[bytes]:
        state = self._state
        headers = {**self._request.headers, **state.headers()}
        request = Request(
            method="GET", path=self._request.path, query=self._request.query, headers=headers
        )
        with self._api.opened(request, attempts) as response:
            if response.status_code == BEYOND:
                answer = self._api.whole(response, request, attempts)
                if state.is_past_end(answer):
                    return
                raise error_of(answer, request)
            self._api.accepted(response, request, attempts, OCTETS)
            try:
                state.begins(head_of(response))
            except ChangedError as changed:
                raise self._lost("the file is another one by now") from changed
            for piece in response.iter_raw():
                self._api.left(attempts, request)
                attempts.progressed()
                yield state.took(piece)

    def _rest(self, attempts: Attempts, failure: IsolaError) -> None:
        try:
            self._api.rest(attempts, failure)
        except APIConnectionError as lost:
            raise self._lost(lost.message, lost.request_id) from lost

    def _lost(self, why: str, request_id: str | None = None) -> StreamLostError:
        offset = self._state.offset
        message = f"{why}: {offset} bytes had come, and more may follow"
        return StreamLostError(message, offset=offset, request_id=request_id)

    def _tell(self) -> None:
        if self._on_progress:
            self._on_progress(self._state.offset, self._state.size)
