"""Where entries go that a living object cannot keep, and where all go in the end.

    the object                              the archive
    ┌ archived: 24 ───────────────┐         ┌ 1 … 24 ┐  a segment for each roll-over
    │ 25 … 52, Archived, 54 …     │         └────────┘
    └─────────────────────────────┘         ┌ 25 … 60, final ┐  the rest, once all is told
                                            └────────────────┘
Rules of this file
    - A segment is written whole, under a name that follows from its first entry, and never
      changed. So a step that is repeated after a crash finds what it did before.
    - First the segment, then the mark: at every moment each entry is in one place or in both.
    - A log that begins in the middle must fold like the whole one. So each roll-over appends an
      entry `Archived` that carries the state, and a fold that comes to it goes on from there.
    - Nothing here knows what the log is about.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

from isola_lifecycle.log import DATA_VALUE_LENGTH, LIVE_ENTRIES, Condition, Log

# The type of the entry that stands where entries were moved.
ARCHIVED = "Archived"

# A log of so many entries is rolled over, by this many of the oldest. The rest stays at hand.
ROLL_OVER_AT = 48
MOVED_ENTRIES = 24

# How much a value may take in one entry, which holds a few words beside it.
_PARTS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The object that a log is of, as far as its archive remembers it.

    Attributes:
        name: Its name.
        uid: Its UID: what the chain of digests starts from.
        labels: Its labels, as they were.
        created_at: When it was created, UTC.
    """

    name: str
    uid: str
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A part of a log, in the archive.

    Attributes:
        subject: Whose log.
        entries: Consecutive, oldest first, at least one.
        final: Whether nothing was to follow it.
    """

    subject: Subject
    entries: tuple[Condition, ...]
    final: bool = False

    @property
    def name(self) -> str:
        """Return the name of the object that holds it."""
        return f"{self.subject.name}-{self.subject.uid}-{self.first}"

    @property
    def first(self) -> int:
        """Return the number of its oldest entry."""
        return self.entries[0].sequence

    @property
    def last(self) -> int:
        """Return the number of its newest entry."""
        return self.entries[-1].sequence


@dataclass(frozen=True, slots=True)
class Moved:
    """Entries that the archive has, and the object need not keep.

    Attributes:
        record: Name of the object that holds them.
        first: The number of the oldest.
        last: The number of the newest.
    """

    record: str
    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What a sweep needs to know of a segment.

    Attributes:
        name: Of the object that holds it.
        uid: Of that object.
        subject_name: Of the object whose log it is.
        subject_uid: Of that one.
        final: Whether nothing was to follow it.
        created_at: When it was written, UTC.
    """

    name: str
    uid: str
    subject_name: str
    subject_uid: str
    final: bool
    created_at: datetime


def is_full(room: int) -> bool:
    """Return whether a log with `room` for so many more entries is to be rolled over."""
    return room <= LIVE_ENTRIES - ROLL_OVER_AT


def oldest(subject: Subject, log: Log) -> Segment:
    """Return what a roll-over moves: always the same entries, until they are moved."""
    return Segment(subject=subject, entries=log.entries[:MOVED_ENTRIES])


def rest(subject: Subject, log: Log, after: int) -> Segment:
    """Return everything after entry `after`, as the end of the story."""
    return Segment(subject=subject, entries=log.since(after), final=True)


def whole(segments: Iterable[Segment], log: Iterable[Condition] = ()) -> tuple[Condition, ...]:
    """Return all entries of one log, oldest first; what is in several places comes once."""
    found = {entry.sequence: entry for segment in segments for entry in segment.entries}
    found |= {entry.sequence: entry for entry in log}
    return tuple(found[number] for number in sorted(found))


def expired(
    kept: Iterable[Kept], living: Iterable[str], *, now: datetime, retention: timedelta
) -> tuple[Kept, ...]:
    """Return the segments whose time is over, none of them of an object that lives.

    Time counts from the final segment; where there is none, because whoever should have written
    it could not, from the newest there is.

    Args:
        kept: Every segment there is.
        living: UIDs of all objects that exist.
        now: The instant, UTC.
        retention: How long a whole log is kept.
    """
    logs: dict[str, list[Kept]] = {}
    for each in kept:
        logs.setdefault(each.subject_uid, []).append(each)
    for uid in living:
        logs.pop(uid, None)
    over = (parts for parts in logs.values() if _end(parts) + retention <= now)
    return tuple(part for parts in over for part in parts)


def _end(parts: list[Kept]) -> datetime:
    finals = [part.created_at for part in parts if part.final]
    return max(finals or [part.created_at for part in parts])


def packed(value: Mapping[str, Any], key: str) -> dict[str, str] | None:
    """Return a value of JSON as `data` of an entry, under `key`; None where it does not fit.

    What is too long for one string goes on under `key` with a number: `state`, `state1` ...
    """
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    parts = [text[i : i + DATA_VALUE_LENGTH] for i in range(0, len(text), DATA_VALUE_LENGTH)]
    if len(parts) > _PARTS:
        return None
    return {f"{key}{index or ''}": part for index, part in enumerate(parts)}


def unpacked(data: Mapping[str, str], key: str) -> Mapping[str, Any] | None:
    """Return what `packed` put under `key`, or None where there is nothing that can be read."""
    text = "".join(data.get(f"{key}{index or ''}", "") for index in range(_PARTS))
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else None
