"""Histories: at once, or as they go on."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from isola_sdk.aio.api import AsyncApi
from isola_sdk.aio.watching import events
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


async def read_history(api: AsyncApi, kind: str, name: str, uid: str | None) -> History:
    """Return a whole history."""
    request = asked.get(kind, name, uid)
    answer = await api.send(request)
    try:
        return asked.read(answer)
    except ValueError as error:
        raise nonsense(answer, request, str(error)) from error


async def follow_history(
    api: AsyncApi, kind: str, name: str, uid: str | None, *, verify: bool
) -> AsyncGenerator[HistoryEntry]:
    """Yield what happened, and what happens from now on, until the end of it.

    Raises:
        TamperedHistoryError: An entry does not follow from those before, and `verify` is asked.
        StreamLostError: The connection was lost, and could not be made again.
    """
    known = await read_history(api, kind, name, uid)
    chain, last, ended = Chain(known.uid), 0, False
    attempts = api.attempts()
    while not ended:
        request = asked.follow(kind, name, known.uid, after=last)
        before = last
        try:
            async with aclosing(events(api, request, attempts)) as stream:
                async for event in stream:
                    entry = asked.entry_of(event)
                    if verify:
                        chain.follow(entry.raw)
                    last = entry.sequence
                    yield entry
                    ended = kind == asked.SANDBOXES and entry.type == asked.LAST
            if not ended:
                ended = await _is_over(api, kind, known, last)
            if not ended and last == before:
                cut = APIConnectionError(f"{request.name}: the stream ended, and it goes on")
                await api.rest(attempts, cut)
        except (StreamLostError, TamperedHistoryError):
            raise
        except IsolaError as failure:
            await _rest(api, attempts, failure, last)


async def _is_over(api: AsyncApi, kind: str, known: History, last: int) -> bool:
    """Ask, after an answer that ended well, whether there is anything to follow."""
    try:
        found = await read_history(api, kind, known.id, known.uid)
    except NotFoundError:
        return True  # it is gone, and not on record
    newest = found.entries[-1].sequence if found.entries else 0
    return found.deleted and newest <= last


async def _rest(api: AsyncApi, attempts: Attempts, failure: IsolaError, last: int) -> None:
    try:
        await api.rest(attempts, failure)
    except APIConnectionError as lost:
        message = f"{lost.message}: {last} entries had come, and more may follow"
        raise StreamLostError(message, offset=last, request_id=lost.request_id) from lost
