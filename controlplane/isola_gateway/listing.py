"""What a list shows of all there is, in which order, and where its next page begins.

Oldest first, by creation time and name: both never change, so a page after a cursor repeats
nothing and leaves out nothing, whatever was created or deleted in between. The one exception is
what Kubernetes dates to the second: of objects created within the second that a cursor points
to, those made after the page was read may come before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from heapq import heapify, heappop
from typing import Annotated

from pydantic import PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from isola_gateway.kinds import Kind, Summary
from isola_lifecycle.archive import Kept
from isola_rest.labels import Requirement
from isola_rest.models import RecordList, RecordSummary, Wire
from isola_store.port import T

MOST_ITEMS = 1000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Wide enough for any time and any name; what it points to need not exist any more.
_CURSOR = "^[0-9]{1,17}[.][a-z0-9.-]{1,59}$"


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in the order.

    Attributes:
        microseconds: Since 1970, when the object was created, or its record written.
        name: Of the object; of a record the UID, as a name may have had several.
    """

    microseconds: int
    name: str

    def __str__(self) -> str:
        return f"{self.microseconds}.{self.name}"


def _microseconds(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)


def _position(text: str) -> Position:
    if not re.fullmatch(_CURSOR, text):
        raise PydanticCustomError("cursor", "no cursor: give the nextCursor of a list as it was")
    microseconds, _, name = text.partition(".")
    return Position(int(microseconds), name)


Cursor = Annotated[
    Position, PlainValidator(_position), WithJsonSchema({"type": "string", "pattern": _CURSOR})
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What a client wants to see of all there is.

    Attributes:
        labels: What it requires of labels.
        status: Which status, or None for any.
        having: Which values, by the names of fields of a summary.
        after: Only what comes after this place.
        limit: How many at most, or None for all.
    """

    labels: tuple[Requirement, ...] = ()
    status: StrEnum | None = None
    having: Mapping[str, str] = field(default_factory=dict[str, str])
    after: Position | None = None
    limit: int | None = None


def page(kind: Kind[T], items: Iterable[T], choice: Choice) -> Wire:
    """Return the chosen objects, oldest first, and where the next page begins if there is one."""
    # A heap, and tuples: of thousands, a page wants the first few, and comes again for each page.
    places = [(_microseconds(item.created_at), item.name, item) for item in items]
    if after := choice.after:
        places = [each for each in places if each[:2] > (after.microseconds, after.name)]
    heapify(places)
    chosen: list[Summary] = []
    last: Position | None = None
    while places:
        microseconds, name, item = heappop(places)
        summary = kind.summary(item)
        if not is_chosen(summary, choice):
            continue
        if last and len(chosen) == choice.limit:
            return kind.listed(chosen, str(last))
        chosen.append(summary)
        last = Position(microseconds, name)
    return kind.listed(chosen, None)


def is_chosen(summary: Summary, choice: Choice) -> bool:
    """Return whether a client wants to see an object, wherever it is in the order."""
    labels = summary.labels or {}
    return (
        choice.status in (None, summary.status)
        and all(getattr(summary, name) == value for name, value in choice.having.items())
        and all(requirement.holds(labels) for requirement in choice.labels)
    )


def record_page(kept: Sequence[Kept], *, before: Position | None, limit: int | None) -> RecordList:
    """Return the records of what is gone, the latest first.

    Args:
        kept: All segments of the archive.
        before: Only what comes after this place, which is earlier.
        limit: How many at most, or None for all.
    """
    finals = {Position(_microseconds(k.created_at), k.subject_uid): k for k in kept if k.final}
    places = sorted((p for p in finals if before is None or p < before), reverse=True)
    shown = places[:limit]
    more = len(places) > len(shown)
    return RecordList(
        records=[
            RecordSummary(
                id=finals[place].subject_name,
                uid=finals[place].subject_uid,
                recorded_at=finals[place].created_at,
            )
            for place in shown
        ],
        next_cursor=str(shown[-1]) if shown and more else None,
    )
