"""What happened to a sandbox or a snapshot: entries as they were written, and what they prove."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from isola_sdk.protocol.chain import Chain
from isola_sdk.protocol.events import Event
from isola_sdk.protocol.messages import EVENTS, Answer, Request, given, path
from isola_sdk.wire import IsolaModel

SANDBOXES = "sandboxes"
SNAPSHOTS = "rootfs-snapshots"

LAST = "Terminated"
"""The type of the last entry that a sandbox's log ever gets."""


class _Entry(IsolaModel):
    sequence: int
    type: str
    status: str
    reason: str
    message: str
    last_transition_time: datetime
    actor: str
    request_id: str | None = None
    data: dict[str, str] | None = None
    digest: str


@dataclass(frozen=True)
class HistoryEntry:
    """One thing that happened.

    Attributes:
        sequence: Its number, from 1 on.
        type: What it is about, such as `Ready`.
        status: `True`, `False` or `Unknown`: whether that holds since.
        reason: Why, in one word.
        message: Why, for people.
        time: When.
        actor: Who wrote it, and on whose behalf.
        request_id: Of the request that it came of.
        data: Facts.
        digest: Of it and of all before it.
        raw: The entry as it was written.
    """

    sequence: int
    type: str
    status: str
    reason: str
    message: str
    time: datetime
    actor: str
    request_id: str | None
    data: dict[str, str]
    digest: str
    raw: dict[str, Any]


@dataclass(frozen=True)
class History:
    """All that happened, the oldest first.

    Attributes:
        id: Of the sandbox, or snapshot.
        uid: Of all that had this id, this one is told about.
        deleted: Whether it is gone, and this is its record.
        entries: What happened.
        phases: For each entry, the status with it.
        verdict: What all of it comes to, for people.
        advice: What can be done about it, where something can.
    """

    id: str
    uid: str
    deleted: bool
    entries: tuple[HistoryEntry, ...]
    phases: tuple[str, ...]
    verdict: str
    advice: str | None

    def verify(self) -> str:
        """Return the last digest, to be noted elsewhere, if every entry follows from those before.

        Raises:
            TamperedHistoryError: One does not: `sequence` says which.
        """
        chain = Chain(self.uid)
        for entry in self.entries:
            chain.follow(entry.raw)
        return self.entries[-1].digest if self.entries else self.uid


def get(kind: str, name: str, uid: str | None) -> Request:
    """Return the request for a whole history."""
    query = given(uid=uid, follow=False)
    return Request(method="GET", path=path(kind, name, "history"), query=query)


def follow(kind: str, name: str, uid: str, *, after: int) -> Request:
    """Return the request for what follows entry `after`, as it happens."""
    request = Request(
        method="GET", path=path(kind, name, "history"), query=given(uid=uid, follow=True)
    )
    return request.with_headers(Accept=EVENTS, Last_Event_ID=str(after))


def read(answer: Answer) -> History:
    """Return what the answer to `get` tells.

    Raises:
        ValueError: It is no history.
    """
    told: dict[str, Any] = json.loads(answer.content)
    try:
        return History(
            id=told["id"],
            uid=told["uid"],
            deleted=told["deleted"],
            entries=tuple(_entry(each) for each in told["entries"]),
            phases=tuple(told["phases"]),
            verdict=told["verdict"]["sentence"],
            advice=told["verdict"].get("advice"),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"it lacks {error}") from error


def entry_of(event: Event) -> HistoryEntry:
    """Return the entry that an event tells.

    Raises:
        ValueError: It is none.
    """
    return _entry(json.loads(event.data))


def _entry(raw: dict[str, Any]) -> HistoryEntry:
    told = _Entry.model_validate(raw)
    return HistoryEntry(
        sequence=told.sequence,
        type=told.type,
        status=told.status,
        reason=told.reason,
        message=told.message,
        time=told.last_transition_time,
        actor=told.actor,
        request_id=told.request_id,
        data=told.data or {},
        digest=told.digest,
        raw=raw,
    )
