"""What a sandbox's log amounts to. What holds for every log is in `test_projection`."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from isola_lifecycle.codec import sealed
from isola_lifecycle.log import MESSAGE_LENGTH, Condition, Fact, Log, Status, clipped, numbered
from isola_lifecycle.sandbox.conditions import Phase
from isola_lifecycle.sandbox.fold import State, extend, fold
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
    empty, three = Log(UID, (), 3), log_of(PENDING)
    assert (empty.version, empty.head, empty.room) == (3, UID, 64)
    assert (three.version, three.head, three.room) == (3, three.entries[-1].digest, 61)
    assert [entry.sequence for entry in three.since(1)] == [2, 3]
    assert (empty.newest, three.newest) == (None, three.entries[2])
    resealed = sealed(replace(three.entries[1], digest=""), three.entries[0].digest)
    assert resealed == three.entries[1]
    assert isinstance(three.entries[0], Condition)
