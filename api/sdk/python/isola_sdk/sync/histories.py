"""Histories: at once, or as they go on."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing

from isola_sdk.errors import (
    APIConnectionError,
    IsolaError,
    NotFoundError,
    StreamLostError,
    TamperedHistoryError,
)
from isola_sdk.protocol import histories as asked
from isola_sdk.protocol.chain import Chain
from isola_sdk.protocol.histories import History, HistoryEntry
from isola_sdk.protocol.problems import nonsense
from isola_sdk.protocol.retrying import Attempts
from isola_sdk.sync.api import Api
from isola_sdk.sync.watching import events


def read_history(api: Api, kind: str, name: str, uid: str | None) -> History:
    """Return a whole history."""
    request = asked.get(kind, name, uid)
    answer = api.send(request)
    try:
        return asked.read(answer)
    except ValueError as error:
        raise nonsense(answer, request, str(error)) from error


def follow_history(
    api: Api, kind: str, name: str, uid: str | None, *, verify: bool
) -> Generator[HistoryEntry]:
    """Yield what happened, and what happens from now on, until the end of it.

    Raises:
        TamperedHistoryError: An entry does not follow from those before, and `verify` is asked.
        StreamLostError: The connection was lost, and could not be made again.
    """
    known = read_history(api, kind, name, uid)
    chain, last, ended = Chain(known.uid), 0, False
    attempts = api.attempts()
    while not ended:
        request = asked.follow(kind, name, known.uid, after=last)
        before = last
        try:
            with closing(events(api, request, attempts)) as stream:
                for event in stream:
                    entry = asked.entry_of(event)
                    if verify:
                        chain.follow(entry.raw)
                    last = entry.sequence
                    yield entry
                    ended = kind == asked.SANDBOXES and entry.type == asked.LAST
            if not ended:
                ended = _is_over(api, kind, known, last)
            if not ended and last == before:
                cut = APIConnectionError(f"{request.name}: the stream ended, and it goes on")
                api.rest(attempts, cut)
        except (StreamLostError, TamperedHistoryError):
            raise
        except IsolaError as failure:
            _rest(api, attempts, failure, last)


def _is_over(api: Api, kind: str, known: History, last: int) -> bool:
    """Ask, after an answer that ended well, whether there is anything to follow."""
    try:
        found = read_history(api, kind, known.id, known.uid)
    except NotFoundError:
        return True  # it is gone, and not on record
    newest = found.entries[-1].sequence if found.entries else 0
    return found.deleted and newest <= last


def _rest(api: Api, attempts: Attempts, failure: IsolaError, last: int) -> None:
    try:
        api.rest(attempts, failure)
    except APIConnectionError as lost:
        message = f"{lost.message}: {last} entries had come, and more may follow"
        raise StreamLostError(message, offset=last, request_id=lost.request_id) from lost
