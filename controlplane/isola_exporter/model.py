"""What a log is exported as: spans, records and measurements, before any library's form of them.

Ids are a function of the log alone, so that whatever is exported twice is recognisably the same:
the trace is the object's UID without its dashes, and a span is named by the entry it began with.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from hashlib import sha256

_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

Attributes = Mapping[str, str | int]


class Kind(StrEnum):
    """Which part of a life a span is."""

    LIFE = "life"
    STATE = "state"
    STEP = "step"


class Severity(StrEnum):
    """How much an entry is worth a look, in OpenTelemetry's words."""

    INFO = "INFO"
    WARN = "WARN"
    ERROR = "ERROR"


@dataclass(frozen=True, slots=True)
class Link:
    """A span of another trace: the request that caused an entry, or the life it belongs to.

    Attributes:
        trace_id: 128 bits.
        span_id: 64 bits.
        flags: Of W3C Trace Context: 1 for sampled.
        sequence: Of the entry.
    """

    trace_id: int
    span_id: int
    flags: int
    sequence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A part of a life that is over.

    Attributes:
        kind: Which part.
        trace_id: Of the life.
        span_id: Its own.
        parent_id: Of the span around it, or None for the life itself.
        name: For people.
        start: When it began.
        end: When it was over, never before that.
        error: What went wrong, or empty.
        attributes: By OpenTelemetry's semantic conventions, and `isola.*`.
        links: The requests that caused it, and what else it refers to.
        sequence: Of the entry that ended it.
    """

    kind: Kind
    trace_id: int
    span_id: int
    parent_id: int | None
    name: str
    start: datetime
    end: datetime
    error: str = ""
    attributes: Attributes
    links: tuple[Link, ...] = ()
    sequence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """An entry of the log.

    Attributes:
        trace_id: Of the life.
        span_id: Of the state that the entry began or fell into.
        at: The entry's time.
        severity: How much it is worth a look.
        name: What it is about and the entry's type: `isola.sandbox.Ready`.
        message: The entry's.
        attributes: As with spans, and the rest of the entry.
        sequence: The entry's.
    """

    trace_id: int
    span_id: int
    at: datetime
    severity: Severity
    name: str
    message: str
    attributes: Attributes
    sequence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """A value for one of `metrics.METRICS`.

    Attributes:
        metric: Its name.
        value: In its unit.
        labels: Values of its labels, in their order.
        trace_id: Where it was measured: the exemplar.
        span_id: Likewise.
        sequence: Of the entry by which it was known.
    """

    metric: str
    value: float
    labels: tuple[str, ...] = ()
    trace_id: int
    span_id: int
    sequence: int


Item = Record | Span | Measurement


@dataclass(frozen=True, slots=True)
class Ids:
    """The ids of one life.

    Attributes:
        uid: Of the object whose it is.
    """

    uid: str
    trace: int = field(init=False)

    def __post_init__(self) -> None:
        """Take the trace id from the UID, which is 128 random bits."""
        known = _UUID.fullmatch(self.uid)
        trace = int(self.uid.replace("-", ""), 16) if known else _digest(self.uid, 16)
        object.__setattr__(self, "trace", trace or 1)

    def span(self, kind: Kind, sequence: int) -> int:
        """Return the id of the span of that kind that began with entry `sequence`."""
        return _digest(f"{self.uid}/{kind}/{sequence}", 8) or 1


def _digest(text: str, size: int) -> int:
    return int.from_bytes(sha256(text.encode()).digest()[:size])


def link_of(traceparent: str, sequence: int) -> tuple[Link, ...]:
    """Return the link that a `traceparent` stands for; none for what is not one.

    Whoever writes custom resources may write anything there.
    """
    found = _TRACEPARENT.fullmatch(traceparent)
    if not found:
        return ()
    trace_id, span_id, flags = (int(part, 16) for part in found.groups())
    return (Link(trace_id, span_id, flags, sequence),) if trace_id and span_id else ()
