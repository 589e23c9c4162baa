"""What a termination policy keeps of a sandbox before it goes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from isola_lifecycle.log import Fact, Status
from isola_lifecycle.sandbox.commands import DeletePod, RequestSnapshot
from isola_lifecycle.sandbox.observation import Keepsake, Observation, Pod
from isola_lifecycle.seen import Refusal
from support.stories import (
    POD_UID,
    READY_POD,
    REQUESTED,
    RUNNING,
    SECOND,
    START,
    ended,
    fact,
    given,
    log_of,
    world,
)

KEEPSAKE = Keepsake(container="sandbox0", name="s-termination")
TAKEN = replace(KEEPSAKE, there=True)
STORED = replace(TAKEN, succeeded=True)
FAILED = replace(TAKEN, succeeded=False, message="CaptureFailed: no space")
ASKED = fact("SnapshotRequested", "TerminationPolicy")
KEPT = fact("Snapshotted", "SnapshotsStored")
LEAVING = (*RUNNING, REQUESTED)
EXPIRED = (
    *RUNNING,
    fact("Succeeded", "LifetimeExceeded"),
    fact("TerminationRequested", "LifetimeExceeded"),
)


def leaving(*keepsakes: Keepsake, pod: Pod | None = READY_POD, **more: Any) -> Observation:
    seen = world(pod, deleting=True, keeps_for=timedelta(seconds=60), snapshots_enabled=True)
    return replace(seen, keepsakes=keepsakes or (KEEPSAKE,), **more)


@pytest.mark.parametrize("story", [LEAVING, EXPIRED], ids=["deleted", "its time was over"])
def test_what_is_wanted_is_recorded_before_anything_is_done(story: tuple[Fact, ...]) -> None:
    given(*story).when(leaving()).then(("SnapshotRequested", "TerminationPolicy"))


def test_each_container_has_a_snapshot_of_its_own() -> None:
    other = Keepsake(container="b", name="s-termination-b")
    (
        given(*LEAVING, ASKED)
        .when(leaving(KEEPSAKE, other))
        .then(RequestSnapshot("sandbox0"), RequestSnapshot("b"))
    )
    given(*LEAVING, ASKED).when(leaving(TAKEN, other)).then(RequestSnapshot("b"))


def test_the_pod_stays_while_they_are_taken() -> None:
    given(*LEAVING, ASKED).when(leaving(TAKEN)).then_nothing()
    given(*LEAVING, ASKED).when(leaving(STORED, replace(TAKEN, name="b"))).then_nothing()


def test_once_they_are_stored_it_goes() -> None:
    given(*LEAVING, ASKED).when(leaving(STORED)).then(("Snapshotted", "SnapshotsStored"))
    given(*LEAVING, ASKED, KEPT).when(leaving(STORED)).then(DeletePod(POD_UID))


def test_one_that_failed_is_told_and_keeps_nobody() -> None:
    decision = given(*LEAVING, ASKED).when(leaving(STORED, FAILED)).decision
    (told,) = decision.facts
    assert (told.reason, told.status) == ("SnapshotFailed", Status.FALSE)
    assert "no space" in told.message


def test_one_that_cannot_be_is_told_and_keeps_nobody() -> None:
    taken = replace(KEEPSAKE, obstacle="another RootfsSnapshot has the name")
    (
        given(*LEAVING, ASKED)
        .when(leaving(taken))
        .then(("Snapshotted", "SnapshotFailed", Status.FALSE))
    )


def test_its_time_out_is_the_end_of_it() -> None:
    late = leaving(TAKEN, now=START + timedelta(seconds=60))
    given(*LEAVING, ASKED).when(late).then(("Snapshotted", "SnapshotTimeout", Status.FALSE))
    early = given(*LEAVING, ASKED).when(leaving(TAKEN, now=START + timedelta(seconds=59)))
    assert early.decision.requeue_after == SECOND


def test_a_snapshot_refused_for_now_is_tried_again() -> None:
    seen = leaving(refusal=Refusal(final=False, message="quota"))
    decision = given(*LEAVING, ASKED).when(seen).decision
    assert (decision.commands, decision.requeue_after) == ((), timedelta(seconds=2))


@pytest.mark.parametrize(
    "pod",
    [
        pytest.param(None, id="no pod"),
        pytest.param(ended(0), id="ended by itself"),
        pytest.param(replace(READY_POD, deleting=True), id="on its way out"),
        pytest.param(replace(READY_POD, unreachable=True), id="its node does not answer"),
    ],
)
def test_of_what_does_not_run_nothing_is_kept_and_that_is_told(pod: Pod | None) -> None:
    (
        given(*LEAVING)
        .when(leaving(pod=pod))
        .then(("Snapshotted", "SandboxNotRunning", Status.FALSE))
    )


def test_where_snapshots_were_switched_off_that_is_told() -> None:
    seen = leaving(snapshots_enabled=False)
    given(*LEAVING).when(seen).then(("Snapshotted", "SnapshotsDisabled", Status.FALSE))


def test_without_such_a_policy_it_just_goes() -> None:
    given(*LEAVING).when(leaving(keeps_for=None)).then(DeletePod(POD_UID))


def test_what_was_kept_is_known_beyond_a_roll_over() -> None:
    log = log_of([*LEAVING, ASKED, KEPT, fact("Archived", "LogRolledOver")])
    left = log.archived_to(log.version - 1)
    assert given().log.version == 0
    from isola_lifecycle.sandbox.fold import fold  # noqa: PLC0415 - beside what it is for

    assert fold(left).snapshotted
    assert fold(left) == fold(log)
