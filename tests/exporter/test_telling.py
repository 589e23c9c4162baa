"""A life as spans, records and measurements: what any log gives, and what a usual one does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from itertools import groupby, pairwise

import pytest
from hypothesis import given as forall
from hypothesis import strategies as st

from isola_exporter import metrics
from isola_exporter.model import Ids, Item, Kind, Link, Measurement, Record, Span, Subject, link_of
from isola_exporter.telling import Telling, tell
from isola_lifecycle.log import Fact, Log, Status
from isola_lifecycle.sandbox.conditions import Reason, Type
from isola_lifecycle.sandbox.fold import extend
from support.exports import entry_of
from support.stories import (
    ACCEPTED,
    FAILED,
    NOT_READY,
    POD_CREATED,
    READY,
    REQUESTED,
    RUNNING,
    SCHEDULED,
    START,
    STARTED,
    TERMINATED,
    UID,
    fact,
)

SUBJECT = Subject(uid=UID, name="box", namespace="sandboxes")
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
REQUEST = Link(0x4BF92F3577B34DA6A3CE929D0E0E4736, 0x00F067AA0BA902B7, 1, 1)

facts = st.builds(
    Fact,
    type=st.sampled_from([*Type, "Unheard", "Ready"]).map(str),
    status=st.sampled_from([Status.TRUE, Status.TRUE, Status.FALSE, Status.UNKNOWN]),
    reason=st.sampled_from([*Reason, "Unheard"]).map(str),
    message=st.text(max_size=20),
    actor=st.just("operator"),
    request_id=st.sampled_from(["", "r-1"]),
    data=st.dictionaries(
        st.sampled_from(["podIP", "node", "exitCode", "container", "podUID", "pod", "traceparent"]),
        st.sampled_from(["", "x", TRACEPARENT]),
        max_size=4,
    ),
)
# Now and then the clock of the next writer is behind that of the last one.
stories = st.lists(
    st.tuples(st.one_of(facts, st.sampled_from(RUNNING)), st.integers(-2, 9)), max_size=20
)


def log_of(story: Sequence[tuple[Fact, int]]) -> Log:
    log, at = Log(UID), START
    for each, seconds in story:
        at += timedelta(seconds=seconds)
        log = log.extended(extend(log, (each,), at=at, generation=1))
    return log


def every_second(*story: Fact) -> Log:
    return log_of([(each, 1) for each in story])


def items_of(log: Log) -> tuple[Item, ...]:
    return tell(Telling(SUBJECT), log)[1]


def spans(items: Sequence[Item], *kinds: Kind) -> list[Span]:
    return [i for i in items if isinstance(i, Span) and (not kinds or i.kind in kinds)]


def records(items: Sequence[Item]) -> list[Record]:
    return [item for item in items if isinstance(item, Record)]


def measured(items: Sequence[Item], metric: str) -> list[Measurement]:
    return [i for i in items if isinstance(i, Measurement) and i.metric == metric]


@forall(stories, st.lists(st.integers(0, 20), max_size=5))
def test_telling_in_parts_gives_what_telling_at_once_gives(
    story: list[tuple[Fact, int]], cuts: list[int]
) -> None:
    log, telling, parts = log_of(story), Telling(SUBJECT), ()
    for first, last in pairwise([0, *sorted(cuts), len(log)]):
        telling, more = tell(telling, log.entries[first:last])
        parts += more
    assert (telling, parts) == tell(Telling(SUBJECT), log)


@forall(stories)
def test_the_records_are_the_log_in_its_order(story: list[tuple[Fact, int]]) -> None:
    log = log_of(story)
    assert [entry_of(record) for record in records(items_of(log))] == list(log)


@forall(stories)
def test_nothing_is_told_before_what_came_before_it(story: list[tuple[Fact, int]]) -> None:
    items = items_of(log_of(story))
    assert [i.sequence for i in items] == sorted(i.sequence for i in items)
    ends = [span.end for span in spans(items)]
    assert ends == sorted(ends)


@forall(stories)
def test_a_span_is_told_once_and_never_ends_before_it_begins(
    story: list[tuple[Fact, int]],
) -> None:
    told = spans(items_of(log_of(story)))
    assert len({span.span_id for span in told}) == len(told)
    assert all(span.start <= span.end for span in told)


@forall(stories)
def test_states_follow_each_other_without_a_gap_and_are_the_log_s(
    story: list[tuple[Fact, int]],
) -> None:
    last = next((i for i, (each, _) in enumerate(story, 1) if each.type == "Terminated"), 0)
    log = log_of(story[: last or len(story)])
    items = items_of(log)
    states = spans(items, Kind.STATE)
    phases = [phase for phase, _ in groupby(entry.data["phase"] for entry in log)]
    assert [state.name for state in states] == (phases if last else phases[:-1])
    assert all(one.end == next_.start for one, next_ in pairwise(states))
    lives = spans(items, Kind.LIFE)
    assert len(lives) == bool(last)
    for life in lives:
        assert (life.start, life.end) == (states[0].start, states[-1].end)


@forall(stories)
def test_every_span_of_a_finished_life_is_inside_another_that_was_told(
    story: list[tuple[Fact, int]],
) -> None:
    log = log_of([(ACCEPTED, 0), *story, (TERMINATED, 1)])
    by_id = {span.span_id: span for span in spans(items_of(log))}
    for span in by_id.values():
        if span.kind is Kind.LIFE:
            assert span.parent_id is None
        else:
            around = by_id[span.parent_id or 0]
            assert around.start <= span.start
            assert span.end <= around.end


@forall(stories)
def test_a_life_is_one_trace_that_its_uid_names(story: list[tuple[Fact, int]]) -> None:
    assert {item.trace_id for item in items_of(log_of(story))} <= {int(UID.replace("-", ""), 16)}


def test_a_life_from_request_to_removal() -> None:
    accepted = fact("Accepted", "SpecValid", traceparent=TRACEPARENT)
    rest = (POD_CREATED, SCHEDULED, STARTED, READY, REQUESTED, NOT_READY, TERMINATED)
    items = items_of(every_second(accepted, *rest))
    assert [(s.kind.value, s.name, (s.end - s.start).seconds) for s in spans(items)] == [
        ("step", "create pod", 1),
        ("step", "schedule", 1),
        ("step", "start containers", 1),
        ("step", "become ready", 1),
        ("state", "Pending", 4),
        ("state", "Running", 1),
        ("state", "Terminating", 2),
        ("life", "sandbox", 7),
    ]
    life = spans(items, Kind.LIFE)[0]
    assert life.links == spans(items, Kind.STATE)[0].links == (REQUEST,)
    assert life.attributes["k8s.node.name"] == "n1"
    assert life.attributes["k8s.pod.name"] == "box-pod"
    assert life.error == ""
    assert [m.value for m in measured(items, metrics.START)] == [4]
    assert [m.value for m in measured(items, metrics.WRITES)] == [8]
    assert [m.labels for m in measured(items, metrics.STATE)] == [
        ("Pending",),
        ("Running",),
        ("Terminating",),
    ]


def test_a_start_that_fails_says_at_which_step() -> None:
    failed = fact("Succeeded", "ImagePullFailed", Status.FALSE, message="no such image")
    items = items_of(every_second(ACCEPTED, POD_CREATED, SCHEDULED, failed))
    assert [(s.name, s.error) for s in spans(items)][-2:] == [
        ("start containers", "ImagePullFailed: no such image"),
        ("Pending", "ImagePullFailed: no such image"),
    ]
    assert records(items)[-1].severity == "ERROR"
    assert measured(items, metrics.START) == []


def test_only_the_first_start_is_measured() -> None:
    items = items_of(every_second(*RUNNING, NOT_READY, READY, FAILED))
    assert len(measured(items, metrics.START)) == 1
    assert [s.name for s in spans(items, Kind.STATE)] == [
        "Pending",
        "Running",
        "Pending",
        "Running",
    ]


def test_entries_of_one_write_are_counted_as_one() -> None:
    log = log_of([(ACCEPTED, 0), (POD_CREATED, 0), (REQUESTED, 1), (TERMINATED, 0)])
    assert [m.value for m in measured(items_of(log), metrics.WRITES)] == [2]


@pytest.mark.parametrize("text", ["", "x", "00-1-2-01", TRACEPARENT.replace("4", "G"), "00-0-0"])
def test_what_is_no_trace_context_links_to_nothing(text: str) -> None:
    assert link_of(text, 1) == ()


def test_a_uid_that_is_none_makes_a_trace_id_all_the_same() -> None:
    assert 0 < Ids("box").trace < 2**128
    assert Ids("box").trace == Ids("box").trace != Ids("cat").trace
