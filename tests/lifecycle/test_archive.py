"""The archive: what moves there, how a log reads without it, and how long it is kept."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given as forall
from hypothesis import strategies as st

from isola_lifecycle.archive import (
    MOVED_ENTRIES,
    ROLL_OVER_AT,
    Kept,
    Moved,
    Segment,
    Subject,
    expired,
    is_full,
    oldest,
    packed,
    rest,
    unpacked,
    whole,
)
from isola_lifecycle.chain import faults
from isola_lifecycle.codec import decode_segment, encode, encode_segment
from isola_lifecycle.commands import RemoveFinalizer, RollOver, WarnOfLoss, WriteRecord
from isola_lifecycle.keeping import ARCHIVE_PATIENCE, RESERVED_ENTRIES
from isola_lifecycle.log import LIVE_ENTRIES, Fact, Status
from isola_lifecycle.sandbox.decide import decide
from isola_lifecycle.sandbox.fold import extend, fold
from isola_lifecycle.sandbox.network import Network
from isola_lifecycle.sandbox.observation import Container, PodPhase
from isola_lifecycle.sandbox.state import Door, Outcome, State, Trouble, carried, restored
from support.stories import (
    NOT_READY,
    PENDING,
    READY_POD,
    REQUESTED,
    RUNNING,
    START,
    TERMINATED,
    UID,
    ended,
    fact,
    given,
    log_of,
    world,
)

SUBJECT = Subject(name="s", uid=UID, labels={"team": "a"}, created_at=START)
STRANGE = fact("Weather", "Fine")  # of a newer release
LONG = [*RUNNING, STRANGE, *(NOT_READY, RUNNING[-1]) * LIVE_ENTRIES][:ROLL_OVER_AT]
ARCHIVED = fact("Archived", "LogRolledOver")
RETENTION = timedelta(days=7)

times = st.datetimes(datetime(2000, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - Hypothesis adds the zone
texts = st.text(max_size=600)
networks = st.builds(
    Network,
    internet=st.booleans(),
    cidrs=st.lists(st.text(max_size=43), max_size=16).map(tuple),
    cluster_dns=st.booleans(),
    nameservers=st.lists(st.text(max_size=45), max_size=3).map(tuple),
    ipv6=st.booleans(),
    rate=st.integers(0, 10**12),
)
states = st.builds(
    State,
    accepted_at=st.none() | times,
    pod_uid=texts,
    sidecar_certificate=texts,
    node=texts,
    trouble=st.none() | st.builds(Trouble, texts, texts, texts),
    started=st.booleans(),
    ready=st.booleans(),
    ever_ready=st.booleans(),
    unreachable=st.booleans(),
    pod_ip=texts,
    exited=st.frozensets(texts, max_size=2),
    changed_lifetime=st.none() | st.integers(1, 10**9).map(lambda s: timedelta(seconds=s)),
    outcome=st.none()
    | st.builds(Outcome, st.booleans(), texts, texts, times, st.none() | st.integers()),
    termination_requested=st.booleans(),
    snapshot_requested_at=st.none() | times,
    terminated_at=st.none() | times,
    unarchived=st.booleans(),
    network=st.none() | networks,
    network_asked=st.none() | networks,
    network_configured=st.booleans(),
    network_told=texts,
    network_change=st.integers(0, 10**6),
    network_door=st.none() | st.builds(Door, texts, times, st.booleans(), st.booleans()),
)


# --- what a state becomes in an entry ----------------------------------------------------------


@forall(states)
def test_a_state_is_the_same_after_its_journey(state: State) -> None:
    data = carried(state)
    if data is not None:
        assert restored(data) == state
        assert len(data) <= 12
        assert all(len(value) <= 512 for value in data.values())


def test_a_state_that_is_too_long_is_not_carried_in_part() -> None:
    state = State(exited=frozenset(f"container-{n}-{'x' * 50}" for n in range(120)))
    assert carried(state) is None
    assert packed({"a": "x" * 512 * 12}, "state") is None


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"state": ""},
        {"state": "[]"},
        {"state": "{"},
        {"state": '{"accepted_at": 5}'},
        {"state": '{"outcome": [1]}'},
        {"state": '{"exited": 7}'},
        {"state": '{"trouble": {"a": 1, "b": 2, "c": 3, "d": 4}}'},
        {"state": '{"changed_lifetime": "long"}'},
    ],
    ids=str,
)
def test_what_is_no_state_changes_nothing(data: dict[str, str]) -> None:
    before = fold(log_of(RUNNING))
    entry = replace(log_of([ARCHIVED]).entries[0], data=data)
    assert fold((*log_of(RUNNING).entries, entry)) == before


def test_a_field_of_a_newer_release_is_left_out() -> None:
    assert restored({"state": '{"node": "n1", "colour": "red"}'}) == State(node="n1")
    assert unpacked({"state": '{"a"', "state1": ":1}"}, "state") == {"a": 1}


# --- rolling over ------------------------------------------------------------------------------


@forall(st.integers(1, 3 * MOVED_ENTRIES), st.booleans())
def test_a_log_that_was_archived_folds_like_the_whole_one(more: int, ends: bool) -> None:  # noqa: FBT001 - Hypothesis gives it
    log = log_of(LONG)
    segments: list[Segment] = []
    story = [*LONG, *(NOT_READY, RUNNING[-1]) * more][ROLL_OVER_AT:][:more]
    for each in (*story, *((REQUESTED, TERMINATED) if ends else ())):
        if is_full(log.room):
            segment = oldest(SUBJECT, log)
            segments.append(segment)
            log = log.extended(extend(log, (ARCHIVED,), at=START, generation=1))
            log = log.archived_to(segment.last)
        log = log.extended(extend(log, (each,), at=START, generation=1))
    entries = whole(segments, log)
    assert [e.sequence for e in entries] == list(range(1, log.version + 1))
    assert fold(log) == fold(entries)
    assert len(log) <= ROLL_OVER_AT + 2
    assert faults(UID, [encode(e) for e in entries]) == ()
    ending = rest(SUBJECT, log, log.archived)
    assert (ending.first, ending.last, ending.final) == (log.archived + 1, log.version, True)


def test_a_full_log_is_rolled_over_before_anything_else() -> None:
    unready = world(replace(READY_POD, ready=False, sidecar_ready=False))
    given(*LONG[:-1]).when(world(READY_POD)).then_nothing()
    given(*LONG).when(unready).then(RollOver())


def test_a_log_that_the_archive_does_not_take_is_tried_again() -> None:
    refused = world(READY_POD, archive_refusal="quota")
    story = given(*LONG).when(refused)
    assert story.decision.commands == ()
    assert story.decision.requeue_after == timedelta(seconds=30)
    soon = replace(refused, lifetime=timedelta(seconds=11))
    requeue_after = given(*LONG).when(soon).decision.requeue_after
    assert requeue_after is not None
    assert requeue_after < timedelta(seconds=11)


def test_once_the_archive_has_them_the_entries_go_and_the_story_goes_on() -> None:
    moved = Moved("s-u-1", 1, 24)
    gone = world(None, moved=moved)
    story = given(*LONG).when(gone)
    story.then(("Archived", "LogRolledOver"), ("Succeeded", "PodDeleted", Status.FALSE))
    assert story.decision.facts[0].data["record"] == "s-u-1"
    assert "1 to 24" in story.decision.facts[0].message


@pytest.mark.parametrize("end", [REQUESTED, fact("Succeeded", "Error", Status.FALSE)])
def test_who_is_on_the_way_out_is_not_rolled_over_any_more(end: Fact) -> None:
    commands = given(*LONG, end).when(world(READY_POD, deleting=True)).decision.commands
    assert RollOver() not in commands


def test_more_exits_than_there_is_room_for_are_recorded_one_write_after_the_other() -> None:
    exits = tuple(Container(name=f"c{n}", exit_code=0, exit_reason="Completed") for n in range(90))
    pod = replace(READY_POD, phase=PodPhase.SUCCEEDED, ready=False, containers=exits)
    log = log_of(RUNNING)
    facts = decide(fold(log), world(pod), room=log.room).facts
    assert len(facts) == log.room - RESERVED_ENTRIES
    assert {each.type for each in facts} == {"ContainerExited"}


# --- the end -----------------------------------------------------------------------------------

OVER = (*PENDING, REQUESTED, TERMINATED)


def test_the_archive_is_written_before_the_object_goes() -> None:
    given(*OVER).when(world(deleting=True)).then(WriteRecord())
    given(*OVER).when(world(deleting=True, recorded=True)).then(RemoveFinalizer())


def test_an_archive_that_takes_nothing_is_tried_again_for_a_while() -> None:
    seen = world(deleting=True, archive_refusal="quota")
    story = given(*OVER).when(seen)
    story.then_nothing()
    assert story.decision.requeue_after == timedelta(seconds=5)
    late = replace(seen, now=START + ARCHIVE_PATIENCE - timedelta(seconds=2))
    assert given(*OVER).when(late).decision.requeue_after == timedelta(seconds=2)


def test_an_archive_that_takes_nothing_does_not_keep_the_object_for_ever() -> None:
    late = world(after=ARCHIVE_PATIENCE, deleting=True, archive_refusal="quota")
    (warning,) = given(*OVER).when(late).decision.commands
    assert isinstance(warning, WarnOfLoss)
    assert "quota" in warning.message
    given(*OVER).when(replace(late, warned=True)).then(
        ("Archived", "RecordNotWritten", Status.FALSE)
    )
    lost = fact("Archived", "RecordNotWritten", Status.FALSE)
    given(*OVER, lost).when(world(deleting=True)).then(RemoveFinalizer())


def test_an_archive_that_takes_it_in_the_end_is_enough() -> None:
    late = world(after=10 * ARCHIVE_PATIENCE, deleting=True)
    given(*OVER).when(late).then(WriteRecord())


def test_a_log_that_is_nearly_full_still_tells_its_end() -> None:
    flapping = (NOT_READY, RUNNING[-1]) * LIVE_ENTRIES
    full = [*RUNNING, STRANGE, *flapping][: LIVE_ENTRIES - RESERVED_ENTRIES]
    seen = world(ended(3), archive_refusal="quota")
    given(*full).when(seen).then(("Succeeded", "Error", Status.FALSE))


# --- reading and sweeping ----------------------------------------------------------------------


def test_a_segment_is_the_same_after_its_journey() -> None:
    for segment in (oldest(SUBJECT, log_of(LONG)), rest(SUBJECT, log_of(RUNNING), 2)):
        spec = encode_segment(segment)
        assert decode_segment(spec) == segment
        assert [e["sequence"] for e in spec["entries"]] == list(
            range(segment.last, segment.first - 1, -1)
        )
        assert segment.name == f"s-{UID}-{segment.first}"


def test_what_is_in_two_places_comes_once() -> None:
    log = log_of(LONG)
    assert whole([oldest(SUBJECT, log)], log) == log.entries
    assert whole([]) == ()


def kept(uid: str, age: timedelta, *, final: bool = True, name: str = "") -> Kept:
    return Kept(
        subject_name="box",
        name=name or f"{uid}-1",
        uid=f"record of {uid}",
        subject_uid=uid,
        final=final,
        created_at=START - age,
    )


@pytest.mark.parametrize(
    ("parts", "living", "swept"),
    [
        pytest.param([kept("a", RETENTION)], (), ["a-1"], id="its time is over"),
        pytest.param([kept("a", RETENTION - timedelta(seconds=1))], (), [], id="not yet"),
        pytest.param([kept("a", 9 * RETENTION)], ("a",), [], id="its sandbox lives"),
        pytest.param([kept("a", RETENTION, final=False)], (), ["a-1"], id="an orphan"),
        pytest.param(
            [kept("a", 9 * RETENTION, final=False), kept("a", RETENTION / 2, name="a-25")],
            (),
            [],
            id="time counts from the final one",
        ),
        pytest.param(
            [
                kept("a", 9 * RETENTION, final=False),
                kept("a", RETENTION / 2, final=False, name="a-25"),
            ],
            (),
            [],
            id="and of an orphan from its newest",
        ),
        pytest.param(
            [kept("a", 9 * RETENTION, final=False), kept("a", RETENTION, name="a-25")],
            ("b",),
            ["a-1", "a-25"],
            id="all of a log goes at once",
        ),
    ],
)
def test_what_a_sweep_removes(parts: list[Kept], living: tuple[str, ...], swept: list[str]) -> None:
    found = expired(parts, living, now=START, retention=RETENTION)
    assert [part.name for part in found] == swept
