"""What clients ask for: once, in time, and counted from acceptance."""

from __future__ import annotations

from datetime import timedelta

import pytest

from isola_lifecycle.durations import LONGEST_SECONDS, span
from isola_lifecycle.log import Fact
from isola_lifecycle.sandbox.fold import fold
from isola_lifecycle.sandbox.intents import Asker, Denial, Obstacle, change_lifetime
from support.stories import (
    ACCEPTED,
    FAILED,
    READY_POD,
    REQUESTED,
    RUNNING,
    START,
    TERMINATED,
    assert_in_catalogue,
    fact,
    given,
    log_of,
    world,
)

MINUTE = timedelta(minutes=1)
CHANGED = fact("TimeoutChanged", "ClientRequest", timeoutSeconds="7200")


def asked(seconds: int, *story: Fact, after: timedelta = MINUTE) -> tuple[Fact, ...] | Denial:
    asker = Asker(caller="10.0.0.7", request_id="r-1", now=START + after)
    return change_lifetime(fold(log_of(story)), timedelta(seconds=600), seconds, asker)


def test_a_change_says_who_asked_for_what() -> None:
    facts = asked(3600, *RUNNING)
    assert isinstance(facts, tuple)
    (change,) = facts
    assert_in_catalogue(change)
    assert change.data == {"timeoutSeconds": "3600"}
    assert (change.actor, change.request_id) == ("gateway on behalf of 10.0.0.7", "r-1")


@pytest.mark.parametrize(
    ("story", "seconds"),
    [
        pytest.param(RUNNING, 600, id="as the specification has it"),
        pytest.param((*RUNNING, CHANGED), 7200, id="as it was changed to"),
    ],
)
def test_what_holds_already_is_not_recorded_again(story: tuple[Fact, ...], seconds: int) -> None:
    assert asked(seconds, *story) == ()


def test_the_first_value_can_be_had_back() -> None:
    assert asked(600, *RUNNING, CHANGED) != ()


@pytest.mark.parametrize("end", [FAILED, REQUESTED, TERMINATED], ids=lambda f: f.type)
def test_the_end_cannot_be_put_off_once_it_came(end: Fact) -> None:
    denial = asked(7200, *RUNNING, end)
    assert isinstance(denial, Denial)
    assert denial.obstacle is Obstacle.ENDED


def test_a_lifetime_must_end_in_the_future() -> None:
    assert isinstance(asked(61, *RUNNING), tuple)
    denial = asked(60, *RUNNING)
    assert isinstance(denial, Denial)
    assert denial.obstacle is Obstacle.PAST
    assert "2026-01-01T00:01:00Z" in denial.message


def test_before_acceptance_any_lifetime_is_still_to_come() -> None:
    assert isinstance(asked(1), tuple)


def test_the_latest_change_counts_for_the_end_and_for_the_next_look() -> None:
    seen = world(READY_POD, after=10 * MINUTE, lifetime=timedelta(seconds=600))
    given(*RUNNING).when(seen).then(
        ("Ready", "SandboxEnded", "False"),  # type: ignore[arg-type]
        ("Succeeded", "LifetimeExceeded"),
        ("TerminationRequested", "LifetimeExceeded"),
    )
    story = given(*RUNNING, CHANGED).when(seen)
    story.then_nothing()
    assert story.decision.requeue_after == timedelta(minutes=110, milliseconds=1)
    sooner = fact("TimeoutChanged", "ClientRequest", timeoutSeconds="500")
    decision = given(*RUNNING, CHANGED, sooner).when(seen).decision
    assert decision.facts[-1].message == "The lifetime of 500 s (TimeoutChanged) is over"


def test_a_sandbox_without_a_limit_is_given_one() -> None:
    seen = world(READY_POD, after=3 * 60 * MINUTE)
    given(*RUNNING).when(seen).then_nothing()
    assert given(*RUNNING, CHANGED).when(seen).decision.facts[-1].reason == "LifetimeExceeded"


@pytest.mark.parametrize("text", ["", "-5", "0", "soon", "1.5", "²"])
def test_a_lifetime_that_is_none_changes_nothing(text: str) -> None:
    odd = fact("TimeoutChanged", "ClientRequest", timeoutSeconds=text)
    assert fold(log_of([ACCEPTED, odd])) == fold(log_of([ACCEPTED]))


def test_a_lifetime_of_any_length_can_be_added_to_a_date() -> None:
    for seconds in (LONGEST_SECONDS, 2**63 - 1, 10**400):
        assert START + span(seconds) > START
    endless = fact("TimeoutChanged", "ClientRequest", timeoutSeconds="9" * 500)
    assert fold(log_of([ACCEPTED, endless])).deadline(None) == START + span(LONGEST_SECONDS)
