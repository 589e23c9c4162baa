"""Server-sent events that cannot be resumed: changes of files."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from isola_sdk.aio.api import AsyncApi
from isola_sdk.errors import IsolaError, NotFoundError
from isola_sdk.models import FileChange
from isola_sdk.protocol.events import Event, EventDecoder
from isola_sdk.protocol.files import change_of
from isola_sdk.protocol.messages import EVENTS, Request
from isola_sdk.protocol.retrying import Attempts

# A sign of life comes every 15 s.
SILENCE_SECONDS = 45.0


async def events(api: AsyncApi, request: Request, attempts: Attempts) -> AsyncGenerator[Event]:
    """Yield the events of one connection, to its end."""
    decoder = EventDecoder()
    async with api.opened(request, attempts, silence_seconds=SILENCE_SECONDS) as response:
        await api.accepted(response, request, attempts, EVENTS)
        async for piece in response.aiter_raw():
            api.left(attempts, request)
            attempts.progressed()
            for event in decoder.feed(piece):
                yield event


async def watched(api: AsyncApi, request: Request) -> AsyncGenerator[FileChange]:
    """Yield changes, `overflow` after each gap, until what is watched is gone."""
    attempts, begun = api.attempts(), False
    while True:
        try:
            async with aclosing(events(api, request, attempts)) as stream:
                async for event in stream:
                    change = change_of(event)
                    if change.kind == "ready" and begun:
                        yield FileChange(kind="overflow")
                        continue
                    begun = True
                    yield change
        except NotFoundError:
            if begun:
                return
            raise
        except IsolaError as failure:
            await api.rest(attempts, failure)
