"""The fold: total, and the same for whoever does it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given as forall
from hypothesis import strategies as st

from isola_lifecycle.codec import sealed
from isola_lifecycle.log import MESSAGE_LENGTH, Condition, Fact, Log, Status, clipped, numbered
from isola_lifecycle.sandbox.conditions import Phase, Reason, Type
from isola_lifecycle.sandbox.fold import State, evolve, extend, fold
from support.stories import (
    ACCEPTED,
    FAILED,
    NOT_READY,
    PENDING,
    REQUESTED,
    RUNNING,
    START,
    TERMINATED,
    UID,
    fact,
    log_of,
)

words = st.sampled_from([*Type, "Unheard", "Ready"]).map(str)
facts = st.builds(
    Fact,
    type=words,
    status=st.sampled_from(Status),
    reason=st.sampled_from([*Reason, "Unheard"]).map(str),
    message=st.text(max_size=40),
    actor=st.just("operator"),
    data=st.dictionaries(
        st.sampled_from(["podIP", "node", "exitCode", "container", "podUID", "other"]),
        st.text(max_size=10),
        max_size=4,
    ),
)


@forall(st.lists(facts, max_size=20))
def test_every_prefix_of_every_log_folds(story: list[Fact]) -> None:
    log = log_of(story)
    for length in range(len(log) + 1):
        assert fold(log.entries[:length]).phase in Phase


@forall(st.lists(facts, max_size=20), st.integers(0, 20))
def test_folding_in_two_goes_is_folding_in_one(story: list[Fact], cut: int) -> None:
    entries = log_of(story).entries
    state = fold(entries[:cut])
    for entry in entries[cut:]:
        state = evolve(state, entry)
    assert state == fold(entries)


@forall(st.lists(facts, max_size=20))
def test_the_phase_written_down_for_kubectl_is_the_fold_s(story: list[Fact]) -> None:
    log = log_of(story)
    for length, entry in enumerate(log, start=1):
        assert entry.data["phase"] == fold(log.entries[:length]).phase


@forall(st.lists(facts, max_size=10), st.lists(facts, max_size=10))
def test_entries_appended_together_fold_like_entries_appended_apart(
    before: list[Fact], together: list[Fact]
) -> None:
    log = log_of(before)
    at_once = log.extended(extend(log, together, at=START, generation=1))
    assert at_once == log_of([*before, *together])


@forall(st.lists(facts, max_size=10))
def test_an_unknown_type_changes_nothing(story: list[Fact]) -> None:
    known = fold(log_of(story))
    after = fold(log_of([*story, fact("Unheard", "OfSuch")]))
    assert after == known


@pytest.mark.parametrize(
    ("story", "phase"),
    [
        pytest.param((), Phase.PENDING, id="nothing yet"),
        pytest.param((ACCEPTED,), Phase.PENDING, id="accepted"),
        pytest.param(RUNNING, Phase.RUNNING, id="ready"),
        pytest.param((*RUNNING, NOT_READY), Phase.PENDING, id="readiness lost"),
        pytest.param((*RUNNING, REQUESTED), Phase.TERMINATING, id="asked to end"),
        pytest.param((*RUNNING, FAILED), Phase.FAILED, id="ended badly"),
        pytest.param((*RUNNING, FAILED, REQUESTED), Phase.FAILED, id="an outcome goes first"),
        pytest.param((*PENDING, REQUESTED, TERMINATED), Phase.TERMINATING, id="gone"),
        pytest.param((fact("Succeeded", "Completed"),), Phase.SUCCEEDED, id="ended well"),
    ],
)
def test_the_phase_of_a_log(story: tuple[Fact, ...], phase: Phase) -> None:
    assert fold(log_of(story)).phase == phase


def test_the_first_outcome_counts() -> None:
    state = fold(log_of([FAILED, fact("Succeeded", "Completed")]))
    assert state.outcome is not None
    assert (state.outcome.reason, state.outcome.exit_code) == ("Error", 3)


def test_an_exit_code_that_is_no_number_is_none() -> None:
    state = fold(log_of([fact("Succeeded", "Error", Status.FALSE, exitCode="x")]))
    assert state.outcome is not None
    assert state.outcome.exit_code is None


def test_acceptance_is_dated_by_its_first_entry() -> None:
    log = Log(UID)
    for minutes in (1, 2):
        at = START + timedelta(minutes=minutes)
        log = log.extended(extend(log, (ACCEPTED,), at=at, generation=1))
    assert fold(log).accepted_at == START + timedelta(minutes=1)


def test_an_empty_log_is_the_initial_state() -> None:
    assert fold(()) == State()


def test_a_message_of_any_length_fits() -> None:
    entry = numbered(replace(ACCEPTED, message="x" * 5000), 1, at=START, generation=1)
    assert len(entry.message) == MESSAGE_LENGTH
    assert entry.message.endswith("…")
    assert clipped("short", MESSAGE_LENGTH) == "short"


@pytest.mark.parametrize("word", ["", "lower", "With space", "X" * 65, "Ümlaut"])
def test_a_word_that_the_api_server_would_refuse_is_a_mistake(word: str) -> None:
    with pytest.raises(ValueError, match="CamelCase"):
        fact(word, "Reason")


def test_a_log_knows_its_version_head_and_room() -> None:
    empty, two = Log(UID, (), 3), log_of(PENDING)
    assert (empty.version, empty.head, empty.room) == (3, UID, 64)
    assert (two.version, two.head, two.room) == (2, two.entries[-1].digest, 62)
    assert [entry.sequence for entry in two.since(1)] == [2]
    assert (empty.newest, two.newest) == (None, two.entries[1])
    resealed = sealed(replace(two.entries[1], digest=""), two.entries[0].digest)
    assert resealed == two.entries[1]
    assert isinstance(two.entries[0], Condition)
