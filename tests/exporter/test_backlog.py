"""The backlog: everything once confirmed and at least once, in order, however it arrives."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given as forall
from hypothesis import strategies as st

from isola_exporter.backlog import PATIENCE, Backlog, Batch
from isola_exporter.model import Item, Measurement
from isola_exporter.sandboxes import SANDBOX
from isola_exporter.stories import Subject
from isola_exporter.telling import begun, tell
from isola_lifecycle.log import Condition, Log, Status
from support.stories import (
    FAILED,
    NOT_READY,
    READY,
    REQUESTED,
    RUNNING,
    SECOND,
    START,
    TERMINATED,
    UID,
    fact,
    log_of,
)

SUBJECT = Subject(uid=UID, name="box", namespace="sandboxes", story=SANDBOX)
HOUR = timedelta(hours=1)
LIFE = (*RUNNING, NOT_READY, READY, REQUESTED, NOT_READY, TERMINATED)
LOG = log_of(LIFE)


def backlog(window: timedelta = HOUR) -> Backlog:
    return Backlog(window, START)


def whole(log: Log) -> tuple[Item, ...]:
    return tell(begun(SUBJECT), log)[1]


def drained(waiting: Backlog) -> tuple[Item, ...]:
    items: tuple[Item, ...] = ()
    while batch := waiting.next(now=START):
        items += batch.items
        waiting.confirm(batch)
    return items


def taken(waiting: Backlog) -> Batch:
    batch = waiting.next(now=START)
    assert batch
    return batch


@forall(st.permutations(LOG.entries), st.lists(st.integers(0, 10), max_size=4))
def test_however_its_pieces_arrive_a_life_is_told_in_order_and_whole(
    entries: list[Condition], stops: list[int]
) -> None:
    waiting, told = backlog(), ()
    for number, entry in enumerate(entries):
        waiting.learn(SUBJECT, [entry], now=START)
        if number in stops:
            told += drained(waiting)
    assert told + drained(waiting) == whole(LOG)
    assert waiting.pending == 0


@forall(st.lists(st.tuples(st.integers(0, 11), st.booleans()), max_size=12))
def test_what_was_not_confirmed_comes_again(steps: list[tuple[int, bool]]) -> None:
    waiting = backlog()
    told: tuple[Item, ...] = ()
    for seen, arrives in [*steps, (11, True)]:
        waiting.learn(SUBJECT, LOG.entries[:seen], now=START)
        batch = waiting.next(now=START)
        if batch and arrives:
            told += batch.items
            waiting.confirm(batch)
    assert told == whole(LOG)


def test_a_restart_tells_what_the_window_holds_and_nothing_older() -> None:
    early, late = log_of(RUNNING), START + 2 * HOUR
    log = early.extended(log_of((*RUNNING, FAILED), late).entries[-1:])
    waiting = backlog()
    waiting.learn(SUBJECT, log, now=late)
    items = drained(waiting)
    assert {item.sequence for item in items} == {7}
    assert items == tuple(i for i in whole(log) if i.sequence == 7)


def test_the_window_is_for_restarts_and_not_for_a_collector_that_is_away_for_long() -> None:
    waiting = backlog()
    waiting.learn(SUBJECT, LOG, now=START)
    batch = waiting.next(now=START + 100 * HOUR)
    assert batch
    assert batch.items == whole(LOG)


def test_what_was_measured_before_this_process_is_not_measured_again() -> None:
    waiting = Backlog(HOUR, START + SECOND)
    waiting.learn(SUBJECT, LOG, now=START + SECOND)
    assert drained(waiting) == tuple(i for i in whole(LOG) if not isinstance(i, Measurement))


def test_a_life_waits_for_a_piece_that_is_missing_and_goes_on_without_it_in_the_end() -> None:
    waiting = backlog()
    waiting.learn(SUBJECT, LOG.entries[:2], now=START)
    drained(waiting)
    waiting.learn(SUBJECT, LOG.entries[4:], now=START)
    assert waiting.next(now=START) is None
    assert waiting.next(now=START + PATIENCE - SECOND) is None
    batch = waiting.next(now=START + PATIENCE)
    assert batch
    assert {item.sequence for item in batch.items} == {5, 6, 7, 8, 9, 10, 11}
    assert waiting.gaps == 1


def test_a_life_that_was_told_to_its_end_is_not_told_again() -> None:
    waiting = backlog()
    waiting.learn(SUBJECT, LOG, now=START)
    drained(waiting)
    waiting.learn(SUBJECT, LOG, now=START)
    assert waiting.next(now=START) is None


def test_what_comes_after_the_end_is_told_too() -> None:
    waiting = backlog()
    waiting.learn(SUBJECT, LOG, now=START)
    drained(waiting)
    late = log_of((*LIFE, fact("Archived", "RecordNotWritten", Status.FALSE)))
    waiting.learn(SUBJECT, late, now=START)
    assert drained(waiting) == whole(late)[len(whole(LOG)) :]
    waiting.learn(SUBJECT, late, now=START)
    assert drained(waiting) == ()


def test_of_an_archive_only_what_is_young_enough_is_kept_in_mind() -> None:
    waiting = backlog()
    waiting.learn(SUBJECT, LOG, now=START + HOUR + SECOND)
    assert (waiting.pending, waiting.next(now=START + HOUR + SECOND)) == (0, None)


def test_a_life_is_remembered_as_long_as_the_window_would_tell_it_again() -> None:
    waiting = backlog()
    waiting.learn(SUBJECT, LOG, now=START)
    drained(waiting)
    for now in (START + HOUR, START + HOUR + SECOND):
        waiting.forget([], now=now)
        waiting.learn(SUBJECT, LOG, now=now)
        assert drained(waiting) == ()


def test_no_life_with_something_to_tell_is_forgotten() -> None:
    waiting = backlog()
    waiting.learn(SUBJECT, LOG, now=START)
    waiting.forget([], now=START + 100 * HOUR)
    assert drained(waiting) == whole(LOG)


def test_one_life_that_waits_does_not_hold_up_the_others() -> None:
    waiting = backlog()
    other = Subject(uid="other", name="other", namespace="sandboxes", story=SANDBOX)
    waiting.learn(SUBJECT, LOG.entries[3:], now=START)
    waiting.learn(other, LOG, now=START)
    assert set(taken(waiting).tellings) == {UID, "other"}
    assert drained(waiting) == tell(begun(other), LOG)[1]


def test_the_oldest_entry_that_waits_is_known() -> None:
    waiting = backlog()
    assert waiting.oldest() is None
    waiting.learn(SUBJECT, LOG, now=START)
    assert waiting.oldest() == START
    waiting.confirm(taken(waiting))
    assert waiting.oldest() is None


def test_what_ended_before_the_window_is_not_even_kept() -> None:
    waiting = backlog()
    waiting.learn(SUBJECT, LOG, now=START + 2 * HOUR)
    assert waiting.pending == 0
