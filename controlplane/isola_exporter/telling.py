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

    rootfs snapshot                                    Accepted … all is told
    ├── Pending             └── create job
    ├── Running             ├── capture  ├── upload
    └── Succeeded                                      or Failed
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from isola_exporter.attributes import of_entry, of_subject
from isola_exporter.metrics import Value
from isola_exporter.model import Ids, Item, Kind, Link, Measurement, Record, Span, link_of
from isola_exporter.stories import Story, Subject
from isola_lifecycle.catalogue import TRACEPARENT
from isola_lifecycle.codec import encode
from isola_lifecycle.log import Condition, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """A span that is not over.

    Attributes:
        name: For people.
        began: Sequence of the entry that began it.
        start: When.
        links: The requests that caused it, and what else it refers to.
        request_id: Of the request that began it, or empty.
    """

    name: str
    began: int
    start: datetime
    links: tuple[Link, ...] = ()
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Telling:
    """A life as far as it was told.

    Attributes:
        subject: Whose.
        state: What the log amounts to: a state of the subject's projection.
        sequence: Of the last entry told, 0 for none.
        at: The latest time that the log has shown, or None.
        life: The life, or None before the first entry and after the last.
        phase: The present state, likewise.
        step: The present step of the start, or None.
        writes: How many writes the entries came in: those of one write have one time.
        size: Bytes of the entries.
        written: Time of the last write.
        over: Whether it was told to its end.
    """

    subject: Subject
    state: Any
    sequence: int = 0
    at: datetime | None = None
    life: Open | None = None
    phase: Open | None = None
    step: Open | None = None
    writes: int = 0
    size: int = 0
    written: datetime | None = None
    over: bool = False

    @property
    def story(self) -> Story:
        """Return what it is told as."""
        return self.subject.story

    @property
    def ids(self) -> Ids:
        """Return the ids of this life."""
        return Ids(self.subject.uid)

    def id_of(self, kind: Kind, span: Open | None) -> int:
        """Return the id of an open span, or of the life where there is none."""
        if span is None or kind is Kind.LIFE:
            return self.ids.span(Kind.LIFE, 1)
        return self.ids.span(kind, span.began)


def begun(subject: Subject) -> Telling:
    """Return a life of which nothing is told as yet."""
    return Telling(subject, subject.story.projection.initial)


def tell(telling: Telling, entries: Iterable[Condition]) -> tuple[Telling, tuple[Item, ...]]:
    """Return the life with more entries told, oldest first, and what they give."""
    items: list[Item] = []
    for entry in entries:
        telling, more = told(telling, entry)
        items += more
    return telling, tuple(items)


def told(before: Telling, entry: Condition) -> tuple[Telling, tuple[Item, ...]]:
    """Return the life with one more entry told, and what that entry gives."""
    story = before.story
    after = _opened(_advanced(before, entry), before.state.phase, entry)
    record = Record(
        trace_id=after.ids.trace,
        span_id=after.id_of(Kind.STATE, after.phase),
        at=entry.last_transition_time,
        severity=story.severity(entry),
        name=f"isola.{story.noun}.{entry.type}",
        message=entry.message,
        attributes=of_entry(before.subject, after.state, entry),
        sequence=entry.sequence,
    )
    over = story.over(after.state) and not before.over
    ended = tuple(_ended(before, after, entry, over=over))
    measured = tuple(_measured(after, record, ended, entry))
    if over:
        after = replace(after, over=True, life=None, phase=None, step=None)
    return after, (record, *ended, *measured)


def _advanced(before: Telling, entry: Condition) -> Telling:
    """Return the life after `entry`, its spans not yet looked at."""
    time = entry.last_transition_time
    return replace(
        before,
        state=before.story.projection.evolve(before.state, entry),
        sequence=entry.sequence,
        at=max(before.at or time, time),
        writes=before.writes + (time != before.written),
        size=before.size + len(json.dumps(encode(entry), separators=(",", ":")).encode()),
        written=time,
    )


def _opened(telling: Telling, phase_before: str, entry: Condition) -> Telling:
    """Return the life with the spans that are open after `entry`."""
    if telling.over:
        return telling  # nothing opens again
    at = telling.at or entry.last_transition_time
    links = (
        *link_of(entry.data.get(TRACEPARENT, ""), entry.sequence),
        *telling.story.links(entry),
    )
    began = Open(name="", began=entry.sequence, start=at, links=links, request_id=entry.request_id)
    life = telling.life or replace(began, name=telling.story.title, links=())
    phase, step = telling.phase, telling.step
    if phase is None or telling.state.phase != phase_before:
        phase, step = replace(began, name=telling.state.phase), None
    if name := _step_begun_by(entry, telling):
        step = replace(began, name=name, links=(), request_id="")
    elif entry.status == Status.TRUE and entry.type in telling.story.steps:
        step = None  # that was the last one
    return replace(telling, life=replace(life, links=(*life.links, *links)), phase=phase, step=step)


def _step_begun_by(entry: Condition, telling: Telling) -> str:
    """Return the name of the step that begins with `entry`, or empty."""
    if entry.status != Status.TRUE or not telling.story.starting(telling.state):
        return ""
    return telling.story.step_after(entry.type)


def _ended(before: Telling, after: Telling, entry: Condition, *, over: bool) -> Iterable[Span]:
    steps = after.story.steps
    if before.step and before.step != after.step:
        reached = entry.status == Status.TRUE and entry.type in steps
        error = "" if reached else f"{entry.reason}: {entry.message}"
        step = replace(before.step, name=steps[entry.type]) if reached else before.step
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
            **({"isola.request_id": span.request_id} if span.request_id else {}),
        },
        links=span.links,
        sequence=entry.sequence,
    )


def _measured(
    after: Telling, record: Record, ended: tuple[Span, ...], entry: Condition
) -> Iterable[Measurement]:
    story = after.story
    counted = Value(story.metrics.transitions, 1, (entry.type, str(entry.status), entry.reason))
    for value in (counted, *story.values(entry)):
        yield _measurement(record, record.span_id, value)
    for span in ended:
        for value in _values(after, span):
            yield _measurement(record, span.span_id, value)


def _values(after: Telling, span: Span) -> Iterable[Value]:
    """Yield what is measured with a span that is over."""
    metrics, seconds = after.story.metrics, (span.end - span.start).total_seconds()
    match span.kind:
        case Kind.STEP if not span.error:
            yield Value(metrics.step, seconds, (span.name,))
            if span.name == after.story.last_step and after.life:
                yield Value(metrics.start, (span.end - after.life.start).total_seconds())
        case Kind.STEP:
            pass
        case Kind.STATE:
            yield Value(metrics.state, seconds, (span.name,))
        case Kind.LIFE:
            yield Value(metrics.duration, seconds)
            yield Value(metrics.writes, after.writes)
            yield Value(metrics.size, after.size)


def _measurement(record: Record, span_id: int, value: Value) -> Measurement:
    return Measurement(
        metric=value.metric,
        value=value.value,
        labels=value.labels,
        trace_id=record.trace_id,
        span_id=span_id,
        sequence=record.sequence,
    )
