"""Which sandboxes a list shows, in which order, and where its next page begins.

Oldest first, by creation time and name: both never change, so a page after a cursor repeats
nothing and leaves out nothing, whatever was created or deleted in between. The one exception is
what Kubernetes dates to the second: of sandboxes created within the second that a cursor points
to, those made after the page was read may come before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import Annotated

from pydantic import PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from isola_gateway.mapping import summary_of
from isola_lifecycle.sandbox.conditions import Phase
from isola_rest.labels import Requirement
from isola_rest.models import SandboxList, SandboxSummary
from isola_store.port import Sandbox

MOST_ITEMS = 1000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Wide enough for any time and any name; what it points to need not exist any more.
_CURSOR = "^[0-9]{1,17}[.][a-z0-9.-]{1,47}$"


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in the order.

    Attributes:
        microseconds: Since 1970, when the sandbox was created.
        name: Of the sandbox.
    """

    microseconds: int
    name: str

    def __str__(self) -> str:
        return f"{self.microseconds}.{self.name}"


def position_of(sandbox: Sandbox) -> Position:
    """Return where a sandbox is."""
    return Position((sandbox.created_at - _EPOCH) // timedelta(microseconds=1), sandbox.name)


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
    """What a client wants to see of all sandboxes.

    Attributes:
        labels: What it requires of labels.
        status: Which status, or None for any.
        after: Only what comes after this place.
        limit: How many at most, or None for all.
    """

    labels: tuple[Requirement, ...] = ()
    status: Phase | None = None
    after: Position | None = None
    limit: int | None = None


def page(sandboxes: Iterable[Sandbox], choice: Choice) -> SandboxList:
    """Return the chosen sandboxes, oldest first, and where the next page begins if there is one."""
    chosen: list[SandboxSummary] = []
    last: Position | None = None
    for position, sandbox in sorted(((position_of(s), s) for s in sandboxes), key=itemgetter(0)):
        if choice.after and position <= choice.after:
            continue
        summary = summary_of(sandbox)
        if not _is_chosen(summary, choice):
            continue
        if last and len(chosen) == choice.limit:
            return SandboxList(sandboxes=chosen, next_cursor=str(last))
        chosen.append(summary)
        last = position
    return SandboxList(sandboxes=chosen)


def _is_chosen(summary: SandboxSummary, choice: Choice) -> bool:
    labels = summary.labels or {}
    return choice.status in (None, summary.status) and all(r.holds(labels) for r in choice.labels)
