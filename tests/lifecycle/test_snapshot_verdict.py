"""What a snapshot's log comes to in a sentence, for every way that it can end."""

from __future__ import annotations

import pytest

from isola_lifecycle.log import Fact
from isola_lifecycle.snapshot.conditions import CATALOGUE, Reason, Type
from isola_lifecycle.snapshot.verdict import FAILURES, verdict
from lifecycle.test_snapshot_intents import NOT_REMOVED, REPLACED
from lifecycle.test_snapshots import (
    ACCEPTED,
    DONE,
    FALSE,
    GONE,
    REMOVED,
    RETAINED,
    TAKING,
    log_of,
)
from support.stories import fact


def sentence(*log: Fact) -> str:
    return verdict(log_of(*log).entries).sentence


def test_every_way_to_fail_has_its_words() -> None:
    row = next(row for row in CATALOGUE if row.type == Type.SUCCEEDED)
    assert set(FAILURES) == set(row.false)


@pytest.mark.parametrize("reason", FAILURES)
def test_a_failure_is_told_with_its_cause_and_what_can_be_done(reason: Reason) -> None:
    failed = fact("Succeeded", reason, FALSE, "as it was seen")
    told = verdict(log_of(*TAKING, failed).entries)
    cause, advice = FAILURES[reason]
    assert told.sentence == f"{cause}: as it was seen."
    assert told.advice == advice


def test_a_failure_of_a_newer_release_is_told_in_its_own_words() -> None:
    told = verdict(log_of(*TAKING, fact("Succeeded", "Unheard", FALSE, "of it")).entries)
    assert told.sentence == "It failed (Unheard): of it."
    assert not told.advice


def test_one_that_is_adopted_is_not_said_to_be_taken() -> None:
    adopting = fact("Adopting", "JobCreated", message="The Job is there")
    assert sentence(adopting) == "It is being adopted: The Job is there."


def test_one_under_way_tells_how_far_it_is() -> None:
    assert sentence() == "The operator has not taken it on yet."
    assert sentence(ACCEPTED, fact("Capturing", "JobCreated", message="The Job is there")) == (
        "It is being taken: The Job is there."
    )
    refused = fact("Capturing", "JobForbidden", FALSE, "exceeded quota")
    told = verdict(log_of(ACCEPTED, refused).entries)
    assert told.sentence == "The API server did not let its Job in so far: exceeded quota."
    assert told.advice


@pytest.mark.parametrize(
    ("log", "told"),
    [
        pytest.param((), "It can be restored: k is in the bucket, 512 bytes.", id="stored"),
        pytest.param((GONE,), "and is under way", id="leaving"),
        pytest.param((RETAINED,), "and stays there although this resource goes", id="goes alone"),
        pytest.param((GONE, NOT_REMOVED), "and could not be", id="could not be removed"),
        pytest.param((GONE, REMOVED), "It was stored, and is no more: …", id="removed"),
        pytest.param((REPLACED,), "It was stored, and is no more: …", id="replaced"),
    ],
)
def test_what_was_stored_is_told_with_what_becomes_of_it(log: tuple[Fact, ...], told: str) -> None:
    assert told in sentence(*DONE, *log)


def test_what_the_archive_alone_knows_is_said_to_be_there() -> None:
    """A log that begins behind a roll-over, with what came before carried along."""
    rolled = fact("Archived", "LogRolledOver")
    entries = log_of(*DONE, REPLACED, rolled).entries
    told = verdict(entries[-1:])
    assert told.sentence.endswith("in an archive that is not at hand.")
