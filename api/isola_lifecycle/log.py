"""What a log is: numbered, dated, chained entries, oldest first.

Rules of this file
    - A `Fact` is what a writer wants to be recorded. A `Condition` is a fact that has its place:
      a sequence number, a time and a digest. Only `Log.extended` turns the one into the other.
    - Order is the sequence number's, never the time's: clocks of two writers differ.
    - Nothing here knows a resource; `fold` gives the entries their meaning.

On the wire (`status.conditions`) the newest entry comes first; see `codec`. In memory the oldest
comes first, because a fold reads a story from its beginning.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

# What the CRD's schema allows; `chart/files/crds` is tested against these.
LIVE_ENTRIES = 64
MESSAGE_LENGTH = 1024
REASON_LENGTH = 64
ACTOR_LENGTH = 256
REQUEST_ID_LENGTH = 64
DATA_ENTRIES = 16
DATA_VALUE_LENGTH = 512

_WORD = re.compile(r"[A-Z][A-Za-z0-9]*")


class Status(StrEnum):
    """Whether the condition holds, as in the Kubernetes API conventions."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"

    @classmethod
    def of(cls, holds: bool, /) -> Status:  # noqa: FBT001 - a truth value is the whole argument
        """Return the status that says `holds`."""
        return cls.TRUE if holds else cls.FALSE


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """What was observed or asked for, before it has a place in a log.

    Attributes:
        type: What it is about: an adjective or past participle, `Scheduled`.
        status: Whether it holds.
        reason: Why, in one CamelCase word of the catalogue.
        message: Why, for people, and what they can do. Cut to `MESSAGE_LENGTH` when recorded.
        actor: Who says so and on whose behalf: `operator`, `gateway on behalf of 10.0.0.7`.
        request_id: The request that caused it, or empty.
        data: What consumers need to know, at most `DATA_ENTRIES` short strings.
    """

    type: str
    status: Status
    reason: str
    message: str
    actor: str
    request_id: str = ""
    data: Mapping[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        """Refuse a word that the API server would refuse: a mistake of ours, never of the world."""
        for word in (self.type, self.reason):
            if len(word) > REASON_LENGTH or not _WORD.fullmatch(word):
                raise ValueError(f"{word!r} is not a CamelCase word of at most {REASON_LENGTH}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition(Fact):
    """An entry of the log.

    Attributes:
        sequence: Its number, from 1, without gaps.
        last_transition_time: When it was appended: UTC, microseconds. For people and durations.
        observed_generation: `metadata.generation` of the spec that the writer acted on.
        digest: SHA-256 (hex) over this entry and the digest before it; empty until sealed.
    """

    sequence: int
    last_transition_time: datetime
    observed_generation: int
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Log:
    """All entries that live on one object, oldest first.

    Attributes:
        origin: What the chain of digests starts from: the object's UID, so that a log moved to
            another object does not verify there.
        entries: Consecutive by sequence.
        archived: Number of the newest entry that has moved to the archive, 0 for none.
    """

    origin: str = ""
    entries: tuple[Condition, ...] = ()
    archived: int = 0

    @property
    def version(self) -> int:
        """Return the newest sequence number: what an append must expect. 0 for an empty log."""
        return self.entries[-1].sequence if self.entries else self.archived

    @property
    def newest(self) -> Condition | None:
        """Return the entry that says what holds now, or None for an empty log."""
        return self.entries[-1] if self.entries else None

    @property
    def head(self) -> str:
        """Return the digest that the next entry is chained to."""
        return self.entries[-1].digest if self.entries else self.origin

    @property
    def room(self) -> int:
        """Return how many more entries the object holds."""
        return LIVE_ENTRIES - len(self.entries)

    def __iter__(self) -> Iterator[Condition]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def since(self, sequence: int) -> tuple[Condition, ...]:
        """Return the entries after `sequence`, oldest first."""
        return tuple(entry for entry in self.entries if entry.sequence > sequence)

    def archived_to(self, sequence: int) -> Log:
        """Return this log without the entries up to `sequence`, which are in the archive."""
        return Log(self.origin, self.since(sequence), sequence)

    def extended(self, entries: Iterable[Condition]) -> Log:
        """Return this log with sealed `entries` at its end."""
        return Log(self.origin, (*self.entries, *entries), self.archived)


def numbered(fact: Fact, sequence: int, *, at: datetime, generation: int) -> Condition:
    """Return `fact` as entry `sequence`, within the lengths that the API server accepts.

    Messages come from kubelets, registries and schedulers and may be of any length; an entry that
    the API server would refuse for its size would be a transition lost.
    """
    return Condition(
        type=fact.type,
        status=fact.status,
        reason=fact.reason,
        message=clipped(fact.message, MESSAGE_LENGTH),
        actor=clipped(fact.actor, ACTOR_LENGTH),
        request_id=clipped(fact.request_id, REQUEST_ID_LENGTH),
        data={k: clipped(v, DATA_VALUE_LENGTH) for k, v in list(fact.data.items())[:DATA_ENTRIES]},
        sequence=sequence,
        last_transition_time=at,
        observed_generation=generation,
    )


def clipped(text: str, length: int) -> str:
    """Return `text`, its end replaced by an ellipsis where it is longer than `length`."""
    return text if len(text) <= length else text[: length - 1] + "…"
