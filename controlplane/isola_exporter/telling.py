"""Tells a life from its log: entry by entry, each span when it is over.

Rules of this file
    - Pure and total: any log can be told, from any entry on. Telling it in parts gives what
      telling it at once gives, and telling it again gives the same ids.
    - What an entry gives is in this order: its record, the spans that it ends (a step before its
      state, that before the life), what can be measured by then.
    - Spans never end before they begin: two writers' clocks may differ, so a span's time is the
      latest that the log has shown by then. A record has the entry's own time.

One life:

    sandbox                                            Accepted … Terminated
    ├── Pending                                        from the entry that began it to the next's
    │   ├── create pod  ├── schedule  ├── start containers  ├── become ready
    ├── Running
    └── Terminating                                    or Succeeded, Failed
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from isola_exporter import metrics
from isola_exporter.attributes import of_entry, of_subject, severity
from isola_exporter.model import Ids, Item, Kind, Link, Measurement, Record, Span, Subject, link_of
from isola_lifecycle.codec import encode
from isola_lifecycle.log import Condition, Status
from isola_lifecycle.sandbox.conditions import Key, Phase, Type
from isola_lifecycle.sandbox.fold import State, evolve

# Each milestone of a start, and the step that it ends.
STEPS = {
    Type.POD_CREATED: "create pod",
    Type.SCHEDULED: "schedule",
    Type.STARTED: "start containers",
    Type.READY: "become ready",
}
_MILESTONES = (Type.ACCEPTED, *STEPS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """A span that is not over.

    Attributes:
        name: For people.
        began: Sequence of the entry that began it.
        start: When.
        links: The requests that caused it.
    """

    name: str
    began: int
    start: datetime
    links: tuple[Link, ...] = ()


@dataclass(frozen=True, slots=True)
class Telling:
    """A life as far as it was told.

    Attributes:
        subject: Whose.
        state: What the log amounts to.
        sequence: Of the last entry told, 0 for none.
        at: The latest time that the log has shown, or None.
        life: The life, or None before the first entry and after the last.
        phase: The present state, likewise.
        step: The present step of the start, or None.
        writes: How many writes the entries came in: those of one write have one time.
        size: Bytes of the entries.
        written: Time of the last write.
    """

    subject: Subject
    state: State = field(default_factory=State)
    sequence: int = 0
    at: datetime | None = None
    life: Open | None = None
    phase: Open | None = None
    step: Open | None = None
    writes: int = 0
    size: int = 0
    written: datetime | None = None

    @property
    def ids(self) -> Ids:
        """Return the ids of this life."""
        return Ids(self.subject.uid)

    def id_of(self, kind: Kind, span: Open | None) -> int:
        """Return the id of an open span, or of the life where there is none."""
        if span is None or kind is Kind.LIFE:
            return self.ids.span(Kind.LIFE, 1)
        return self.ids.span(kind, span.began)


def tell(telling: Telling, entries: Iterable[Condition]) -> tuple[Telling, tuple[Item, ...]]:
    """Return the life with more entries told, oldest first, and what they give."""
    items: list[Item] = []
    for entry in entries:
        telling, more = told(telling, entry)
        items += more
    return telling, tuple(items)


def told(before: Telling, entry: Condition) -> tuple[Telling, tuple[Item, ...]]:
    """Return the life with one more entry told, and what that entry gives."""
    after = _opened(_advanced(before, entry), before.state.phase, entry)
    record = Record(
        trace_id=after.ids.trace,
        span_id=after.id_of(Kind.STATE, after.phase),
        at=entry.last_transition_time,
        severity=severity(entry),
        name=f"isola.sandbox.{entry.type}",
        message=entry.message,
        attributes=of_entry(before.subject, after.state, entry),
        sequence=entry.sequence,
    )
    ended = tuple(_ended(before, after, entry))
    measured = tuple(_measured(after, record, ended, entry))
    if after.state.terminated:
        after = replace(after, life=None, phase=None, step=None)
    return after, (record, *ended, *measured)


def _advanced(before: Telling, entry: Condition) -> Telling:
    """Return the life after `entry`, its spans not yet looked at."""
    time = entry.last_transition_time
    return replace(
        before,
        state=evolve(before.state, entry),
        sequence=entry.sequence,
        at=max(before.at or time, time),
        writes=before.writes + (time != before.written),
        size=before.size + len(json.dumps(encode(entry), separators=(",", ":")).encode()),
        written=time,
    )


def _opened(telling: Telling, phase_before: Phase, entry: Condition) -> Telling:
    """Return the life with the spans that are open after `entry`."""
    if telling.state.terminated and telling.life is None and telling.sequence > 1:
        return telling  # told to its end before: nothing opens again
    at = telling.at or entry.last_transition_time
    links = link_of(entry.data.get(Key.TRACEPARENT, ""), entry.sequence)
    began = Open(name="", began=entry.sequence, start=at, links=links)
    life = telling.life or replace(began, name="sandbox", links=())
    phase, step = telling.phase, telling.step
    if phase is None or telling.state.phase != phase_before:
        phase, step = replace(began, name=telling.state.phase), None
    if name := _step_begun_by(entry, telling.state):
        step = replace(began, name=name, links=())
    return replace(telling, life=replace(life, links=(*life.links, *links)), phase=phase, step=step)


def _step_begun_by(entry: Condition, state: State) -> str:
    """Return the name of the step that begins with `entry`, or empty."""
    reached = entry.status == Status.TRUE and entry.type in _MILESTONES[:-1]
    if not reached or state.ever_ready or state.phase != Phase.PENDING:
        return ""
    following = _MILESTONES[_MILESTONES.index(Type(entry.type)) + 1]
    return STEPS[following]


def _ended(before: Telling, after: Telling, entry: Condition) -> Iterable[Span]:
    over = after.state.terminated
    if before.step and before.step != after.step:
        reached = entry.status == Status.TRUE and entry.type in STEPS
        error = "" if reached else f"{entry.reason}: {entry.message}"
        step = replace(before.step, name=STEPS[Type(entry.type)]) if reached else before.step
        yield _span(after, Kind.STEP, step, entry, before=before, error=error)
    if before.phase and (before.phase != after.phase):
        yield _span(after, Kind.STATE, before.phase, entry, before=before, error=_failure(after))
    if over and after.life:
        if after.phase:
            yield _span(after, Kind.STATE, after.phase, entry, before=after, error=_failure(after))
        yield _span(after, Kind.LIFE, after.life, entry, before=after, error=_failure(after))


def _failure(telling: Telling) -> str:
    outcome = telling.state.outcome
    return "" if outcome is None or outcome.succeeded else f"{outcome.reason}: {outcome.message}"


def _span(
    after: Telling, kind: Kind, span: Open, entry: Condition, *, before: Telling, error: str
) -> Span:
    ids = after.ids
    state = ids.span(Kind.STATE, before.phase.began) if before.phase else None
    parents = {Kind.LIFE: None, Kind.STATE: ids.span(Kind.LIFE, 1), Kind.STEP: state}
    return Span(
        kind=kind,
        trace_id=ids.trace,
        span_id=after.id_of(kind, span),
        parent_id=parents[kind],
        name=span.name,
        start=span.start,
        end=after.at or span.start,
        error=error,
        attributes={
            **of_subject(after.subject, after.state),
            "isola.span": kind.value,
            "isola.began": span.began,
            "isola.ended": entry.sequence,
            "isola.ended_by": f"{entry.type}/{entry.reason}",
        },
        links=span.links,
        sequence=entry.sequence,
    )


def _measured(
    after: Telling, record: Record, ended: tuple[Span, ...], entry: Condition
) -> Iterable[Measurement]:
    def measurement(metric: str, value: float, *labels: str, span: int = 0) -> Measurement:
        return Measurement(
            metric=metric,
            value=value,
            labels=labels,
            trace_id=record.trace_id,
            span_id=span or record.span_id,
            sequence=entry.sequence,
        )

    yield measurement(metrics.TRANSITIONS, 1, entry.type, str(entry.status), entry.reason)
    for span in ended:
        seconds = (span.end - span.start).total_seconds()
        match span.kind:
            case Kind.STEP if not span.error:
                yield measurement(metrics.STEP, seconds, span.name, span=span.span_id)
                if span.name == STEPS[Type.READY] and after.life:
                    total = (span.end - after.life.start).total_seconds()
                    yield measurement(metrics.START, total, span=span.span_id)
            case Kind.STEP:
                pass
            case Kind.STATE:
                yield measurement(metrics.STATE, seconds, span.name, span=span.span_id)
            case Kind.LIFE:
                yield measurement(metrics.DURATION, seconds, span=span.span_id)
                yield measurement(metrics.WRITES, after.writes, span=span.span_id)
                yield measurement(metrics.SIZE, after.size, span=span.span_id)
