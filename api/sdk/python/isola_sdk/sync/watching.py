"""Server-sent events that cannot be resumed: changes of files."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing

from isola_sdk.errors import IsolaError, NotFoundError
from isola_sdk.models import FileChange
from isola_sdk.protocol.events import Event, EventDecoder
from isola_sdk.protocol.files import change_of
from isola_sdk.protocol.messages import EVENTS, Request
from isola_sdk.protocol.retrying import Attempts
from isola_sdk.sync.api import Api

# A sign of life comes every 15 s.
SILENCE_SECONDS = 45.0


def events(api: Api, request: Request, attempts: Attempts) -> Generator[Event]:
    """Yield the events of one connection, to its end."""
    decoder = EventDecoder()
    with api.opened(request, attempts, silence_seconds=SILENCE_SECONDS) as response:
        api.accepted(response, request, attempts, EVENTS)
        for piece in response.iter_raw():
            api.left(attempts, request)
            attempts.progressed()
            for event in decoder.feed(piece):
                yield event


def watched(api: Api, request: Request) -> Generator[FileChange]:
    """Yield changes, `overflow` after each gap, until what is watched is gone."""
    attempts, begun = api.attempts(), False
    while True:
        try:
            with closing(events(api, request, attempts)) as stream:
                for event in stream:
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
            api.rest(attempts, failure)
