"""What a client asks of a snapshot, and what is told of it before operator and log say so."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from isola_lifecycle.codec import encode_time
from isola_lifecycle.log import Fact
from isola_lifecycle.snapshot.conditions import CATALOGUE, Reason, Type
from isola_lifecycle.snapshot.decide import decide
from isola_lifecycle.snapshot.fold import fold
from isola_lifecycle.snapshot.intents import leaves_object, request_deletion
from isola_lifecycle.snapshot.observation import Namesake
from isola_lifecycle.snapshot.state import State
from lifecycle.test_snapshots import (
    CAPTURED,
    DONE,
    FAILED,
    FALSE,
    GONE,
    MINUTE,
    REMOVED,
    RETAINED,
    SANDBOX,
    TAKING,
    log_of,
    world,
)
from support.stories import SECOND, START, fact

NOT_REMOVED = fact("Deleted", "RemovalFailed", FALSE)
REPLACED = fact("Stored", "ObjectReplaced", FALSE)


def until(expiry: datetime | str) -> Fact:
    """Stored, and to be kept until then."""
    told = expiry if isinstance(expiry, str) else encode_time(expiry)
    return fact("Stored", "ObjectWritten", key="k", expiresAt=told)


def asked(*log: Fact) -> tuple[Fact, ...]:
    state = fold(log_of(*log))
    return request_deletion(state, caller="10.0.0.7", request_id="r-1", traceparent="00-1-2-01")


@pytest.mark.parametrize("log", [(), TAKING, DONE], ids=["new", "being taken", "stored"])
def test_a_client_s_wish_is_on_record_with_who_asked_and_that_all_of_it_goes(
    log: tuple[Fact, ...],
) -> None:
    (told,) = asked(*log)
    assert (told.type, told.reason) == ("DeletionRequested", "ClientRequest")
    assert (told.actor, told.request_id) == ("gateway on behalf of 10.0.0.7", "r-1")
    assert told.data == {"object": "Delete", "traceparent": "00-1-2-01"}
    row = next(row for row in CATALOGUE if row.type == Type.DELETION_REQUESTED)
    assert told.reason in row.true
    assert set(told.data) <= set(row.data)
    assert fold(log_of(*log, told)).object_goes


@pytest.mark.parametrize("first", [GONE, RETAINED], ids=["by a client", "past the gateway"])
def test_the_first_wish_counts(first: Fact) -> None:
    assert asked(*DONE, first) == ()


@pytest.mark.parametrize(
    ("log", "leaves"),
    [
        pytest.param((), False, id="new"),
        pytest.param(DONE, False, id="stored, and nobody wants it gone"),
        pytest.param((*DONE, GONE), False, id="its removal is under way"),
        pytest.param((*DONE, GONE, REMOVED), False, id="removed"),
        pytest.param((*DONE, GONE, NOT_REMOVED), True, id="could not be removed"),
        pytest.param((*DONE, RETAINED), True, id="goes alone"),
        pytest.param((*DONE, REPLACED, RETAINED), False, id="is another's by now"),
        pytest.param((*TAKING, FAILED, RETAINED), False, id="there never was any"),
        pytest.param((*DONE, until(START), RETAINED), False, id="its own time is over"),
        pytest.param((*DONE, until(START + MINUTE), RETAINED), True, id="its own time is not over"),
        pytest.param((*DONE, until("soon"), RETAINED), True, id="its own time is none"),
        pytest.param((*DONE, until("2026-01-01"), RETAINED), True, id="its own time is no instant"),
    ],
)
def test_what_a_snapshot_leaves_behind(log: tuple[Fact, ...], leaves: bool) -> None:  # noqa: FBT001 - a case
    assert leaves_object(fold(log_of(*log)), START + SECOND) is leaves


@pytest.mark.parametrize(
    "log",
    [(), TAKING, (*TAKING, CAPTURED), DONE, (*DONE, REPLACED), (*TAKING, FAILED), (*DONE, GONE)],
    ids=["new", "being taken", "captured", "stored", "replaced", "failed", "leaving"],
)
def test_who_holds_a_name_holds_it_against_the_gateway_and_the_operator_alike(
    log: tuple[Fact, ...],
) -> None:
    state = fold(log_of(*log))
    older = Namesake(
        name="other",
        older=True,
        ended=state.outcome is not None,
        stored_at=state.stored.at if state.stored else None,
    )
    seen = world(sandbox=SANDBOX, namesakes=(older,))
    refused = decide(State(), seen, room=64).facts[0].reason == Reason.NAME_TAKEN
    assert refused is state.holds_name
    replacing = decide(State(), replace(seen, replaces=True), room=64)
    assert all(told.reason != Reason.NAME_TAKEN for told in replacing.facts)
