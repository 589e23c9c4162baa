"""A life as spans, records and measurements: what any log gives, and what a usual one does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import groupby, pairwise

import pytest
from hypothesis import given as forall
from hypothesis import strategies as st

from isola_exporter import metrics
from isola_exporter.metrics import SANDBOX as METRICS
from isola_exporter.model import Ids, Item, Kind, Link, Measurement, Record, Span, link_of
from isola_exporter.sandboxes import SANDBOX
from isola_exporter.snapshots import SNAPSHOT
from isola_exporter.stories import Story, Subject
from isola_exporter.telling import Telling, begun, tell
from isola_lifecycle.log import Fact, Log, Status
from isola_lifecycle.sandbox import conditions as sandbox
from isola_lifecycle.snapshot import conditions as snapshot
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

SUBJECT = Subject(uid=UID, name="box", namespace="sandboxes", story=SANDBOX)
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
REQUEST = Link(0x4BF92F3577B34DA6A3CE929D0E0E4736, 0x00F067AA0BA902B7, 1, 1)

# By which a life is over, whatever was told of it before.
ENDS = {
    SANDBOX: (TERMINATED,),
    SNAPSHOT: (
        fact("Succeeded", "SnapshotStored"),
        fact("DeletionRequested", "ObjectDeleted"),
        fact("Deleted", "ObjectRemoved"),
    ),
}
USUAL = {
    SANDBOX: RUNNING,
    SNAPSHOT: (
        ACCEPTED,
        fact("Capturing", "JobCreated", jobUID="j"),
        fact("Captured", "ArchiveWritten", bytes="7", seconds="0.5"),
        fact("Stored", "ObjectWritten", storedBytes="3", key="k"),
        fact("Succeeded", "SnapshotStored"),
    ),
}
TYPES = {SANDBOX: tuple(sandbox.Type), SNAPSHOT: tuple(snapshot.Type)}
REASONS = {SANDBOX: tuple(sandbox.Reason), SNAPSHOT: tuple(snapshot.Reason)}
KEYS = (
    *("podIP", "node", "exitCode", "container", "podUID", "pod", "traceparent", "sandboxUID"),
    *("bytes", "seconds", "object", "jobUID"),
)
VALUES = ("", "x", "7", "Delete", TRACEPARENT)


def facts_of(story: Story) -> st.SearchStrategy[Fact]:
    return st.builds(
        Fact,
        type=st.sampled_from([*TYPES[story], "Unheard", "Ready"]).map(str),
        status=st.sampled_from([Status.TRUE, Status.TRUE, Status.FALSE, Status.UNKNOWN]),
        reason=st.sampled_from([*REASONS[story], "Unheard"]).map(str),
        message=st.text(max_size=20),
        actor=st.just("operator"),
        request_id=st.sampled_from(["", "r-1"]),
        data=st.dictionaries(
            st.sampled_from(KEYS),
            st.sampled_from(["", "x", "7", "Delete", TRACEPARENT]),
            max_size=4,
        ),
    )


@dataclass(frozen=True)
class Tale:
    """What is told, with the seconds before each."""

    story: Story
    facts: Sequence[tuple[Fact, int]]

    @property
    def log(self) -> Log:
        log, at = Log(UID), START
        for each, seconds in self.facts:
            at += timedelta(seconds=seconds)
            entries = self.story.projection.extend(log, (each,), at=at, generation=1)
            log = log.extended(entries)
        return log

    @property
    def begun(self) -> Telling:
        return begun(replace(SUBJECT, story=self.story))

    @property
    def items(self) -> tuple[Item, ...]:
        return tell(self.begun, self.log)[1]

    @property
    def ended(self) -> Tale:
        """Return it up to the entry by which it is over, or all of it."""
        state = self.story.projection.initial
        for number, entry in enumerate(self.log, 1):
            state = self.story.projection.evolve(state, entry)
            if self.story.over(state):
                return replace(self, facts=self.facts[:number])
        return self


def tales_of(story: Story) -> st.SearchStrategy[Tale]:
    # Now and then the clock of the next writer is behind that of the last one.
    fact_and_time = st.tuples(
        st.one_of(facts_of(story), st.sampled_from(USUAL[story])), st.integers(-2, 9)
    )
    return st.lists(fact_and_time, max_size=20).map(lambda facts: Tale(story, facts))


tales = st.sampled_from([SANDBOX, SNAPSHOT]).flatmap(tales_of)


def every_second(*story: Fact, of: Story = SANDBOX) -> tuple[Item, ...]:
    return Tale(of, [(each, 1) for each in story]).items


def spans(items: Sequence[Item], *kinds: Kind) -> list[Span]:
    return [i for i in items if isinstance(i, Span) and (not kinds or i.kind in kinds)]


def records(items: Sequence[Item]) -> list[Record]:
    return [item for item in items if isinstance(item, Record)]


def measured(items: Sequence[Item], metric: str) -> list[Measurement]:
    return [i for i in items if isinstance(i, Measurement) and i.metric == metric]


@forall(tales, st.lists(st.integers(0, 20), max_size=5))
def test_telling_in_parts_gives_what_telling_at_once_gives(tale: Tale, cuts: list[int]) -> None:
    log, telling, parts = tale.log, tale.begun, ()
    for first, last in pairwise([0, *sorted(cuts), len(log)]):
        telling, more = tell(telling, log.entries[first:last])
        parts += more
    assert (telling, parts) == tell(tale.begun, log)


@forall(tales)
def test_the_records_are_the_log_in_its_order(tale: Tale) -> None:
    assert [entry_of(record) for record in records(tale.items)] == list(tale.log)


@forall(tales)
def test_nothing_is_told_before_what_came_before_it(tale: Tale) -> None:
    items = tale.items
    assert [i.sequence for i in items] == sorted(i.sequence for i in items)
    ends = [span.end for span in spans(items)]
    assert ends == sorted(ends)


@forall(tales)
def test_a_span_is_told_once_and_never_ends_before_it_begins(tale: Tale) -> None:
    told = spans(tale.items)
    assert len({span.span_id for span in told}) == len(told)
    assert all(span.start <= span.end for span in told)


@forall(tales)
def test_states_follow_each_other_without_a_gap_and_are_the_log_s(tale: Tale) -> None:
    tale = tale.ended
    log, items = tale.log, tale.items
    over = tale.story.over(tale.story.projection.fold(log))
    states = spans(items, Kind.STATE)
    phases = [phase for phase, _ in groupby(entry.data["phase"] for entry in log)]
    assert [state.name for state in states] == (phases if over else phases[:-1])
    assert all(one.end == next_.start for one, next_ in pairwise(states))
    lives = spans(items, Kind.LIFE)
    assert len(lives) == over
    for life in lives:
        assert (life.start, life.end) == (states[0].start, states[-1].end)


@forall(tales)
def test_every_span_of_a_finished_life_is_inside_another_that_was_told(tale: Tale) -> None:
    facts = [(ACCEPTED, 0), *tale.facts, *((each, 1) for each in ENDS[tale.story])]
    by_id = {span.span_id: span for span in spans(replace(tale, facts=facts).items)}
    assert sum(span.kind is Kind.LIFE for span in by_id.values()) == 1
    for span in by_id.values():
        if span.kind is Kind.LIFE:
            assert span.parent_id is None
        else:
            around = by_id[span.parent_id or 0]
            assert around.start <= span.start
            assert span.end <= around.end


@forall(tales)
def test_a_life_is_one_trace_that_its_uid_names(tale: Tale) -> None:
    assert {item.trace_id for item in tale.items} <= {int(UID.replace("-", ""), 16)}


def test_a_life_from_request_to_removal() -> None:
    accepted = fact("Accepted", "SpecValid", traceparent=TRACEPARENT)
    rest = (POD_CREATED, SCHEDULED, STARTED, READY, REQUESTED, NOT_READY, TERMINATED)
    items = every_second(accepted, *rest)
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
    assert [m.value for m in measured(items, METRICS.start)] == [4]
    assert [m.value for m in measured(items, METRICS.writes)] == [8]
    assert [m.labels for m in measured(items, METRICS.state)] == [
        ("Pending",),
        ("Running",),
        ("Terminating",),
    ]


def test_a_start_that_fails_says_at_which_step() -> None:
    failed = fact("Succeeded", "ImagePullFailed", Status.FALSE, message="no such image")
    items = every_second(ACCEPTED, POD_CREATED, SCHEDULED, failed)
    assert [(s.name, s.error) for s in spans(items)][-2:] == [
        ("start containers", "ImagePullFailed: no such image"),
        ("Pending", "ImagePullFailed: no such image"),
    ]
    assert records(items)[-1].severity == "ERROR"
    assert measured(items, METRICS.start) == []


def test_only_the_first_start_is_measured() -> None:
    items = every_second(*RUNNING, NOT_READY, READY, FAILED)
    assert len(measured(items, METRICS.start)) == 1
    assert [s.name for s in spans(items, Kind.STATE)] == [
        "Pending",
        "Running",
        "Pending",
        "Running",
    ]


def test_entries_of_one_write_are_counted_as_one() -> None:
    writes = [(ACCEPTED, 0), (POD_CREATED, 0), (REQUESTED, 1), (TERMINATED, 0)]
    assert [m.value for m in measured(Tale(SANDBOX, writes).items, METRICS.writes)] == [2]


def test_what_comes_after_the_end_is_told_and_opens_nothing() -> None:
    lost = fact("Archived", "RecordNotWritten", Status.FALSE)
    items = every_second(*RUNNING, REQUESTED, TERMINATED, lost)
    life = spans(items, Kind.LIFE)[0]
    assert (life.sequence, records(items)[-1].sequence) == (8, 9)
    assert records(items)[-1].span_id == life.span_id


def test_a_snapshot_from_request_to_removal() -> None:
    sandbox_uid = "33333333-3333-4333-8333-333333333333"
    accepted = fact(
        "Accepted",
        "SpecValid",
        traceparent=TRACEPARENT,
        sandboxUID=sandbox_uid,
        node="n1",
        container="main",
        image="python:3",
    )
    rest = (*USUAL[SNAPSHOT][1:], fact("DeletionRequested", "TimeToLiveExceeded", object="Retain"))
    items = every_second(accepted, *rest, of=SNAPSHOT)
    assert [(s.kind.value, s.name, (s.end - s.start).seconds) for s in spans(items)] == [
        ("step", "create job", 1),
        ("state", "Pending", 1),
        ("step", "capture", 1),
        ("step", "upload", 1),
        ("state", "Running", 3),
        ("state", "Succeeded", 1),
        ("life", "rootfs snapshot", 5),
    ]
    life = spans(items, Kind.LIFE)[0]
    of_the_sandbox = Ids(sandbox_uid)
    taken_of = Link(of_the_sandbox.trace, of_the_sandbox.span(Kind.LIFE, 1), 1, 1)
    assert life.links == (REQUEST, taken_of)
    assert life.attributes["isola.rootfs_snapshot.uid"] == UID
    assert life.attributes["isola.rootfs_snapshot.sandbox_uid"] == sandbox_uid
    assert life.attributes["k8s.node.name"] == "n1"
    assert life.attributes["container.image.name"] == "python:3"
    assert records(items)[2].name == "isola.rootfs_snapshot.Captured"
    names = metrics.SNAPSHOT
    assert [m.value for m in measured(items, names.start)] == [3]
    assert [m.value for m in measured(items, names.duration)] == [5]
    assert [(m.value, m.labels) for m in measured(items, metrics.BYTES)] == [
        (7, ("archive",)),
        (3, ("object",)),
    ]
    assert [(m.value, m.labels) for m in measured(items, metrics.WORK)] == [(0.5, ("capture",))]
    ended = ("Succeeded", "True", "SnapshotStored")
    assert ended in [m.labels for m in measured(items, names.transitions)]


def test_a_snapshot_that_fails_says_at_which_step() -> None:
    failed = [
        fact(about, "BucketDenied", Status.FALSE, message="no") for about in ("Stored", "Succeeded")
    ]
    items = every_second(*USUAL[SNAPSHOT][:3], *failed, of=SNAPSHOT)
    assert [(s.name, s.error) for s in spans(items)][-2:] == [
        ("upload", "BucketDenied: no"),
        ("Running", "BucketDenied: no"),
    ]
    assert [record.severity for record in records(items)][-2:] == ["WARN", "ERROR"]
    assert measured(items, metrics.SNAPSHOT.start) == []


@pytest.mark.parametrize("text", ["", "x", "1" * 30, "nan"])
def test_what_is_no_number_measures_nothing(text: str) -> None:
    items = every_second(fact("Captured", "ArchiveWritten", bytes=text), of=SNAPSHOT)
    assert measured(items, metrics.BYTES) == []


@pytest.mark.parametrize("text", ["", "x", "00-1-2-01", TRACEPARENT.replace("4", "G"), "00-0-0"])
def test_what_is_no_trace_context_links_to_nothing(text: str) -> None:
    assert link_of(text, 1) == ()


def test_a_uid_that_is_none_makes_a_trace_id_all_the_same() -> None:
    assert 0 < Ids("box").trace < 2**128
    assert Ids("box").trace == Ids("box").trace != Ids("cat").trace
