"""A node that goes away: what its sandbox's log says, and how what is left of it is removed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from isola_lifecycle.log import Fact, Status
from isola_lifecycle.sandbox.commands import DeletePod, ForcePodAway
from isola_lifecycle.sandbox.fold import fold
from isola_lifecycle.sandbox.observation import Container, Pod, PodPhase
from support.stories import (
    PENDING,
    POD_UID,
    READY_POD,
    REQUESTED,
    RUNNING,
    SCHEDULED,
    START,
    ended,
    fact,
    given,
    log_of,
    world,
)

FALSE = Status.FALSE
UNREACHABLE = replace(READY_POD, ready=False, unreachable=True)
TAINTED = replace(
    UNREACHABLE,
    deleting=True,
    deletion_due=START + timedelta(seconds=100),
    disruption_reason="DeletionByTaintManager",
    disruption="Taint manager: deleting due to NoExecute taint",
)
COLLECTED = replace(
    UNREACHABLE,
    phase=PodPhase.FAILED,
    disruption_reason="DeletionByPodGC",
    disruption="PodGC: node no longer exists",
)
SILENT = fact("Ready", "NodeUnreachable", FALSE)
LOST = fact("Succeeded", "NodeLost", FALSE)


def test_a_node_that_does_not_answer_is_named() -> None:
    story = given(*RUNNING).when(world(UNREACHABLE))
    story.then(("Ready", "NodeUnreachable", FALSE))
    assert "Node n1 does not answer" in story.decision.facts[0].message


def test_a_node_that_answers_again_gives_its_sandbox_back() -> None:
    given(*RUNNING, SILENT).when(world(UNREACHABLE)).then_nothing()
    given(*RUNNING, SILENT).when(world(READY_POD)).then(("Ready", "PodReady"))
    back = fact("Ready", "PodReady", podIP="10.0.0.1")
    given(*RUNNING, SILENT, back).when(world(None)).then(
        ("Ready", "SandboxEnded", FALSE), ("Succeeded", "PodDeleted", FALSE)
    )


@pytest.mark.parametrize(
    ("story", "pod"),
    [
        pytest.param((*RUNNING, SILENT), TAINTED, id="evicted for the taint of its node"),
        pytest.param((*RUNNING, SILENT), COLLECTED, id="collected, as its node is gone"),
        pytest.param((*RUNNING, SILENT), None, id="gone while its node was silent"),
        pytest.param(
            (*RUNNING, SILENT), replace(UNREACHABLE, deleting=True), id="deleted meanwhile"
        ),
        pytest.param((*PENDING, SCHEDULED), replace(TAINTED, unreachable=False), id="unstarted"),
    ],
)
def test_a_sandbox_ends_with_its_node(story: tuple[Fact, ...], pod: Pod | None) -> None:
    facts = given(*story).when(world(pod)).decision.facts
    assert (facts[-1].type, facts[-1].reason, facts[-1].status) == ("Succeeded", "NodeLost", FALSE)
    assert "Node n1 was lost" in facts[-1].message


def test_readiness_goes_with_the_node_where_nobody_saw_it_go_before() -> None:
    given(*RUNNING).when(world(TAINTED)).then(
        ("Ready", "SandboxEnded", FALSE), ("Succeeded", "NodeLost", FALSE)
    )


@pytest.mark.parametrize("code", [0, 3])
def test_who_ended_before_the_node_did_not_end_with_it(code: int) -> None:
    pod = replace(ended(code), disruption_reason="DeletionByPodGC")
    facts = given(*RUNNING).when(world(pod)).decision.facts
    assert facts[-1].reason == ("Error" if code else "Completed")


def test_a_deletion_for_another_reason_is_still_a_deletion_from_outside() -> None:
    drained = replace(READY_POD, deleting=True, disruption_reason="EvictionByEvictionAPI")
    facts = given(*RUNNING).when(world(replace(drained, disruption="drained"))).decision.facts
    assert facts[-1].reason == "PodDeleted"
    assert "EvictionByEvictionAPI: drained" in facts[-1].message


# --- what is left ------------------------------------------------------------------------------

LEAVING = (*RUNNING, SILENT, LOST, REQUESTED)


def after(seconds: int, pod: Pod = TAINTED) -> list[object]:
    seen = world(pod, after=timedelta(seconds=seconds), deleting=True)
    return list(given(*LEAVING).when(seen).decision.commands)


def test_a_pod_that_no_kubelet_removes_is_removed_by_force_in_the_end() -> None:
    assert after(159) == []
    assert after(160) == [ForcePodAway(POD_UID)]


def test_until_then_it_is_looked_at_again_by_itself() -> None:
    seen = world(TAINTED, after=timedelta(seconds=130), deleting=True)
    assert given(*LEAVING).when(seen).decision.requeue_after == timedelta(seconds=30)


@pytest.mark.parametrize(
    "pod",
    [
        pytest.param(replace(READY_POD, deleting=True), id="no word of the node"),
        pytest.param(
            replace(READY_POD, deleting=True, deletion_due=START), id="overdue on a living node"
        ),
    ],
)
def test_a_pod_that_may_be_alive_is_never_forced_away(pod: Pod) -> None:
    assert after(100_000, pod) == []


def test_a_pod_on_a_lost_node_is_first_asked_to_go() -> None:
    assert after(100_000, UNREACHABLE) == [DeletePod(POD_UID)]


@pytest.mark.parametrize(
    ("story", "seen", "reason"),
    [
        pytest.param(LEAVING, world(None, deleting=True), "NodeLost", id="with its node"),
        pytest.param(
            (*RUNNING, REQUESTED),
            world(None, deleting=True, forced=True),
            "NodeLost",
            id="by force, nobody having seen the loss",
        ),
        pytest.param((*RUNNING, REQUESTED), world(None, deleting=True), "PodRemoved", id="well"),
    ],
)
def test_the_end_says_whether_the_node_confirmed_it(
    story: tuple[Fact, ...], seen: object, reason: str
) -> None:
    facts = given(*story).when(seen).decision.facts  # type: ignore[arg-type]
    assert (facts[-1].type, facts[-1].reason) == ("Terminated", reason)


def test_only_the_latest_readiness_tells_of_the_node() -> None:
    assert fold(log_of([*RUNNING, SILENT])).unreachable
    assert not fold(log_of([*RUNNING, SILENT, RUNNING[-1]])).unreachable
    unready = replace(
        READY_POD, ready=False, containers=(Container(name="sandbox0", running=True),)
    )
    given(*RUNNING).when(world(unready)).then(("Ready", "ReadinessLost", FALSE))
